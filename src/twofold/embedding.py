"""Items -> vectors, batched; and vectors -> scores in blocks. Used by training and applications alike."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from twofold import build
from twofold.bundle import Bundle
from twofold.comparison import Plain
from twofold.contract import score_from_distance
from twofold.data.items import Items
from twofold.data.listing import some
from twofold.data.pairs import Pairs, things_of
from twofold.errors import LeftOut, TrainingError, UnreadableInput
from twofold.inputs import Augmentation, Input
from twofold.inputs.optional import windows_of
from twofold.metrics.cohort import Side, as_norm, cohort_statistics, normalised
from twofold.metrics.pairs import ScoreBlock
from twofold.nn.folding import folded
from twofold.results import Embeddings
from twofold.twin import Twin

__all__ = [
    "cohort_of",
    "deciding",
    "embed",
    "embed_arrays",
    "embed_read",
    "embed_readable",
    "embed_readable_pairs",
    "embed_values",
    "pair_scores",
    "read_all",
    "read_named",
    "scores",
]

PREPARED = 2**28
"""Bytes of vectors that are prepared at once, which takes three times as much: some 10^5 vectors."""

Progress = Callable[[int, int], None]

READ_AT_ONCE = 256
"""Items that are read before they are embedded, where some may have to be left out."""

EMBEDDED_AT_ONCE = 256
"""Items that one pass embeds on a card, and at most on a processor (see `IN_CACHE`)."""

# bytes of raw input at once on a processor: 8 pictures of 224 x 224 take 34 ms each, 32 take 57
IN_CACHE = 2**21


def embed(
    bundle: Bundle, items: Items, *, batch_size: int = 256, progress: Progress | None = None
) -> Embeddings:
    """The vectors of `items`, with their ids and labels, pinned to the bundle's fingerprint.

    Args:
        progress: called with (done, total) after every batch.
    """
    parts = []
    for start in range(0, len(items), batch_size):
        parts.append(embed_values(bundle, items.values[start : start + batch_size]))
        if progress:
            progress(min(start + batch_size, len(items)), len(items))
    vectors = np.concatenate(parts) if parts else np.zeros((0, bundle.twin.dim), np.float32)
    labels = tuple(items.names[code] for code in items.labels)
    return Embeddings(
        ids=items.ids,
        labels=labels,
        vectors=vectors,
        fingerprint=bundle.fingerprint,
        metadata=items.metadata,
    )


def embed_readable(
    bundle: Bundle, items: Items, *, progress: Progress | None = None
) -> tuple[Items, Float[np.ndarray, "n dim"]]:
    """Those of `items` that can be read, and their vectors; the others are named in a warning, `LeftOut`.

    Raises:
        UnreadableInput: none of them can be read.
    """
    reasons: dict[int, str] = {}
    kept: list[int] = []
    vectors: list[np.ndarray] = []
    for start in range(0, len(items), READ_AT_ONCE):
        places = range(start, min(start + READ_AT_ONCE, len(items)))
        read = _readable(bundle.twin.input, [items.values[place] for place in places])
        reasons |= {
            place: each for place, each in zip(places, read, strict=True) if isinstance(each, str)
        }
        kept += [place for place in places if place not in reasons]
        vectors.append(embed_read(bundle, [each for each in read if not isinstance(each, str)]))
        if progress:
            progress(places.stop, len(items))
    if items and not kept:
        raise UnreadableInput(f"none of {len(items)} items can be read; the first: {reasons[0]}")
    if reasons:
        said = f"{len(reasons)} of {len(items)} items cannot be read and are left out ({some(reasons.values(), 20)})"
        warnings.warn(said, LeftOut, stacklevel=3)
        notes = items.notes
        items = replace(items.take(kept), notes=notes)
    return items, np.concatenate(vectors) if vectors else np.zeros((0, bundle.twin.dim), np.float32)


def embed_readable_pairs(
    bundle: Bundle, pairs: Pairs, *, progress: Progress | None = None
) -> tuple[Pairs, Float[np.ndarray, "things dim"]]:
    """The pairs of which both things can be read, and the vectors of their things; else as `embed_readable`.

    Raises:
        UnreadableInput: no pair is left.
    """
    things, vectors = embed_readable(bundle, things_of(pairs), progress=progress)
    if len(things) == len(pairs.ids):
        return pairs, vectors
    place = {name: row for row, name in enumerate(things.ids)}
    known = np.array([name in place for name in pairs.ids])
    kept = pairs.take(np.flatnonzero(known[pairs.index_a] & known[pairs.index_b])).alone()
    if not len(kept):
        raise UnreadableInput(
            f"each of {len(pairs)} pairs has a file that cannot be read: repair the files, or "
            f"give others"
        )
    return kept, vectors[[place[name] for name in kept.ids]]


def _readable(input: Input, values: Sequence[Any], threads: int = 2) -> list[np.ndarray | str]:
    """What `input.read` returns of each value, or why it cannot be read."""

    def read(value: Any) -> np.ndarray | str:
        try:
            return read_named(input, value)
        except UnreadableInput as error:
            return str(error)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(read, values))


def read_named(input: Input, value: Any) -> np.ndarray:
    """`input.read`; what it says of a file that cannot be read begins with the name of the file.

    Raises:
        UnreadableInput: as `input.read`.
    """
    try:
        return input.read(value)
    except UnreadableInput as error:
        if not isinstance(value, Path) or value.name in str(error):
            raise
        raise UnreadableInput(f"{value.name}: {error}") from error


def embed_values(bundle: Bundle, values: Sequence[Any]) -> Float[np.ndarray, "n dim"]:
    """The vectors of raw things (paths, bytes, arrays), float32."""
    return embed_read(bundle, list(read_all(bundle.twin.input, values)))


def embed_read(bundle: Bundle, arrays: Sequence[np.ndarray]) -> Float[np.ndarray, "n dim"]:
    """The vectors of what `bundle.twin.input.read` returned, float32; with the warped copies that the recipe wants."""
    recipe, input = bundle.recipe, bundle.twin.input
    warps = recipe.copies > 1
    augment = build.augmentation(recipe, input, strength=recipe.copies_strength) if warps else None
    return embed_arrays(bundle.twin, arrays, augment=augment, copies=recipe.copies)


def embed_arrays(
    twin: Twin,
    arrays: Sequence[np.ndarray],
    *,
    augment: Augmentation | None = None,
    copies: int = 1,
    batch_size: int | None = None,
    precision: str = "float32",
) -> Float[np.ndarray, "n dim"]:
    """The vectors of what `twin.input.read` returned: the mean over `copies`, of which all but the first are warped.

    The same warps serve every item, so that a vector depends on its item alone. Where the twin's
    vectors have unit length, their mean is brought back to it. On a processor, several batches of
    one of our encoders are run side by side by a folded copy: the same vectors to float rounding,
    some 1e-7.

    What the input divides into windows has the mean of their vectors, brought back to unit length
    where theirs is.

    Args:
        batch_size: None: as many as are fast on the twin's device.
    """
    divided = [windows_of(twin.input, array) for array in arrays]
    if sum(map(len, divided)) > len(arrays):
        parts = [part for each in divided for part in each]
        settings = {"augment": augment, "copies": copies, "batch_size": batch_size}
        vectors = embed_arrays(twin, parts, precision=precision, **settings)
        return _averaged(vectors, [len(each) for each in divided])
    rows = batch_size or _at_once(twin, arrays)
    # things of like length beside each other, so that a batch holds little padding
    order = np.argsort([len(array) for array in arrays], kind="stable")
    batches = [
        [arrays[place] for place in order[start : start + rows]]
        for start in range(0, len(arrays), rows)
    ]
    run = folded(twin.encoder) if len(batches) > 1 and twin.device.type == "cpu" else None
    used = twin if run is None else Twin(twin.input, run, comparison=twin.comparison)

    def work(batch: Sequence[np.ndarray]) -> Float[np.ndarray, "n dim"]:
        halved = torch.autocast(twin.device.type, torch.bfloat16, enabled=precision == "bfloat16")
        with torch.inference_mode(), halved:
            return _mean_of_copies(used, batch, augment, copies)

    training = twin.training
    twin.eval()
    try:
        parts = [work(batch) for batch in batches] if run is None else _side_by_side(work, batches)
    finally:
        twin.train(training)
    vectors = np.zeros((len(arrays), twin.dim), np.float32)
    if parts:
        vectors[order] = np.concatenate(parts)
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise TrainingError(
            f"the encoder gave a vector with NaN or infinity for input {row}: its weights are "
            f"spoilt"
        )
    return vectors


def _averaged(
    vectors: Float[np.ndarray, "windows dim"], counts: Sequence[int]
) -> Float[np.ndarray, "n dim"]:
    """The mean of each item's vectors; that of a single one is itself, to the last digit."""
    starts = np.cumsum([0, *counts[:-1]])
    means = np.add.reduceat(vectors, starts, axis=0) / np.array(counts, np.float32)[:, None]
    several = np.flatnonzero(np.array(counts) > 1)
    if bool((np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-2).all()):
        means[several] /= np.linalg.norm(means[several], axis=1, keepdims=True)
    return means


def _side_by_side(work: Callable[[Any], np.ndarray], batches: Sequence[Any]) -> list[np.ndarray]:
    """`work` of every batch, as many at once as torch has threads, with one thread for each.

    Threads that share an operation wait for each other at its end: with other work on the machine,
    for long.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, batches))
    finally:
        torch.set_num_threads(threads)  # also a default for all threads to come


def _at_once(twin: Twin, arrays: Sequence[np.ndarray]) -> int:
    if not len(arrays) or twin.device.type != "cpu":
        return EMBEDDED_AT_ONCE
    return max(1, min(EMBEDDED_AT_ONCE, IN_CACHE // max(1, max(array.nbytes for array in arrays))))


def _mean_of_copies(
    twin: Twin, arrays: Sequence[np.ndarray], augment: Augmentation | None, copies: int
) -> Float[np.ndarray, "n dim"]:
    batch = twin.input.stack(arrays)
    total = first = twin.embed(batch.to(twin.device)).float()
    for copy in range(1, copies):
        keys = np.tile(np.array([0, copy, 0, 0]), (len(arrays), 1))
        warped = augment(batch, keys) if augment else batch
        total = total + twin.embed(warped.to(twin.device)).float()
    if copies > 1 and bool((torch.linalg.vector_norm(first, dim=1) - 1).abs().max() < 1e-2):
        total = nn.functional.normalize(total) * copies
    return (total / copies).cpu().numpy()


def read_all(input: Input, values: Sequence[Any], threads: int = 2) -> Iterator[np.ndarray]:
    """`input.read` of every value, in order; decoders release the interpreter, so threads help."""
    if len(values) == 1 or (len(values) and isinstance(values[0], np.ndarray)):
        # nothing is decoded: threads would cost more than they give
        yield from (read_named(input, value) for value in values)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(partial(read_named, input), values)


def deciding(bundle: Bundle, vectors: Float[np.ndarray, "n dim"]) -> ScoreBlock:
    """The scores that verdicts go by, of any of the vectors with any: normalised where the calibration has a cohort."""

    comparison = bundle.twin.comparison
    among = None
    if isinstance(comparison, Plain) and vectors.nbytes <= PREPARED:
        writable = np.require(vectors, requirements="W")
        among = comparison.within(torch.from_numpy(writable).to(bundle.twin.device))

    def plain(
        rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]
    ) -> Float[np.ndarray, "rows cols"]:
        if among is None:
            return scores(bundle.twin, vectors[rows], vectors[cols])
        with torch.inference_mode():
            distance = among(rows, cols)
        return score_from_distance(comparison.name, distance.cpu().numpy().astype(np.float64))

    statistics = cohort_of(bundle, vectors)
    return plain if statistics is None else as_norm(plain, statistics, side=_side(bundle))


def cohort_of(
    bundle: Bundle, vectors: Float[np.ndarray, "n dim"]
) -> Float[np.ndarray, "n 2"] | None:
    """Mean and deviation of each vector's best scores with the bundle's cohort; None where it has none."""
    known, cohort = bundle.calibration and bundle.calibration.normalised, bundle.cohort
    if known is None or cohort is None:
        return None

    def score(
        rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]
    ) -> Float[np.ndarray, "rows cols"]:
        return scores(bundle.twin, vectors[rows], cohort[cols])

    return cohort_statistics(score, len(vectors), np.arange(len(cohort)), top=known.top)


def scores(
    twin: Twin, a: Float[np.ndarray, "rows dim"], b: Float[np.ndarray, "cols dim"]
) -> Float[np.ndarray, "rows cols"]:
    """Scores (larger = more alike), float64, of every row of `a` with every row of `b`, by the twin's comparison."""
    with torch.inference_mode():
        distance = twin.comparison.block(
            torch.from_numpy(a).to(twin.device), torch.from_numpy(b).to(twin.device)
        )
    return score_from_distance(twin.comparison.name, distance.cpu().numpy().astype(np.float64))


def pair_scores(
    bundle: Bundle, a: Float[np.ndarray, "n dim"], b: Float[np.ndarray, "n dim"]
) -> Float[np.ndarray, "n"]:
    """Score of a[i] and b[i] by the bundle's comparison, float64; normalised where the calibration has a cohort."""
    device, comparison = bundle.twin.device, bundle.twin.comparison
    with torch.inference_mode():
        distance = comparison.pairs(torch.from_numpy(a).to(device), torch.from_numpy(b).to(device))
    found = score_from_distance(comparison.name, distance.cpu().numpy().astype(np.float64))
    if bundle.cohort is None:
        return found
    sides = [cohort_of(bundle, each) for each in (a, b)]
    if sides[0] is None or sides[1] is None:
        return found
    return normalised(found, sides[0], sides[1], side=_side(bundle))


def _side(bundle: Bundle) -> Side:
    known = bundle.calibration and bundle.calibration.normalised
    return "both" if known is None else known.side

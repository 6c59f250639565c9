"""Near-duplicates: a million vectors, a set that grows, and pictures that were attacked, beside the usual hashes.

    python bench/dedup.py [--data DIR] [--train DIR] [--quick]

1. 10^6 vectors of 128 numbers in 20,000 Gaussian clusters, 100,000 of them moved to a cosine of 0.9 to 1 with another:
   groups of them by `dedup_vectors`, everything included, in a process of its own (its peak is the process's). With
   --quick 20,000.
2. The same after a tenth of new vectors, with what the first call has kept.
3. A folder of picture files, 64 to 96 pixels a side, cut from those of --data, a tenth of them copies of others
   (recompressed, smaller, or the same): `twofold dedup FOLDER` without a network, from the files to the groups, in a
   process of its own. 20,000 files; with --quick 300.
4. Pictures: each original is attacked (bench/attacks.py: JPEG 75 to 3, crops of 10 to 80 %, resizing, blur, text,
   rotation, all at once), and every attacked picture is compared with every original and with distractors. Of a way to
   compare, a family's figure is the share of attacked pictures whose original it finds before one answer in a hundred
   is wrong (recall at a precision of .99, over all pairs of the family).

Ours are the candidates and the rule of `twofold dedup pretrained`, and of `twofold dedup` without vectors; the rule was
fitted on pictures of --train (`--train` prints it anew), and --data must be others. imagehash's four hashes and the
cosine of the network alone are measured on the same pictures in the same run. Without --data the pictures are invented,
which says little about photographs.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image

from attacks import FAMILIES, attacked
from last_line import print_last_line, row
from twofold import Items
from twofold.apps.dedup import dedup, dedup_vectors
from twofold.bundle import Bundle
from twofold.copies.alignment import SIDE, signatures
from twofold.copies.candidates import evidence, rule
from twofold.copies.hashing import grey_plane
from twofold.copies.near_pairs import near_pairs
from twofold.embedding import embed_arrays

HASHES = ("phash", "dhash", "average_hash", "whash")
NAMES = {"average_hash": "ahash"}
LOOKED_AT = 10
PRECISION = 0.99
FITTED = 400

Planes = np.ndarray


def main() -> None:
    """Vectors, growth, pictures, and the last line."""
    parser = argparse.ArgumentParser(description="Near-duplicates")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="folders of pictures, at any depth")
    parser.add_argument("--train", type=Path, help="a folder of other pictures: fit the rule and print it")
    parser.add_argument("--originals", type=int, default=300)
    parser.add_argument("--distractors", type=int, default=1500)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--only", choices=["vectors", "collection", "pictures"])
    parser.add_argument("--files", type=int, default=20_000, help="of the folder that is looked through")
    parser.add_argument("--quick", action="store_true", help="20,000 vectors, 300 files, 8 originals, 16 distractors")
    options = parser.parse_args()
    clock = time.monotonic()
    if options.train:
        print(json.dumps(fitted(pictures_of([options.train], FITTED), 120)))
        return
    results = []
    if options.only in (None, "vectors"):
        results += vectors(20_000 if options.quick else 1_000_000, named="20k" if options.quick else "1m")
    if options.only in (None, "collection"):
        results += collection(options.data, 300 if options.quick else options.files)
    if options.only in (None, "pictures"):
        originals, distractors = (8, 16) if options.quick else (options.originals, options.distractors)
        results += pictures(options.data, originals, distractors, options.families)
    for result in results:
        print(f"{result['name']:55} {result['value']:.4f}  {result['anchor']}")
    line = print_last_line("dedup", clock, results)
    if not options.quick and not options.only:
        target = Path(__file__).parent / "results" / "dedup.json"
        target.write_text(json.dumps(line, indent=1) + "\n", encoding="utf-8")


def vectors(count: int, *, named: str) -> list[dict]:
    """Time, recall and memory, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        told = pool.apply(groups_of_planted, (count,))
    anchor = (
        f"{count:,} x 128, {count // 10:,} planted pairs at cosine .9 to 1, {told['cells']} cells, each vector in "
        f"{told['probes']}; {told['cpu']:.0f} processor seconds"
    )
    grown = (
        f"{count // 10:,} new beside {count - count // 10:,}, from what the first call kept; the same pairs as from "
        "scratch, of which .19 have a new end"
    )
    return [
        row(f"dedup_{named}_seconds", told["seconds"], unit="s", goal=180, anchor=anchor, seed=0),
        row(f"dedup_{named}_recall", told["recall"], goal=0.99, anchor=anchor, seed=0),
        row(f"dedup_{named}_peak_mb", told["peak"], unit="MB", goal=2000, anchor="of the process, vectors included"),
        row(f"dedup_{named}_own_recall", told["told"], anchor="what the product says of itself, from 512 searches"),
        row("incremental_seconds", told["grown_seconds"], unit="s", anchor=grown, seed=0),
        row("incremental_over_scratch", told["grown_seconds"] / told["whole_seconds"], anchor=grown, seed=0),
        row("incremental_same_pairs", told["same"], goal=0.99, anchor=grown, seed=0),
    ]


def groups_of_planted(count: int) -> dict[str, float]:
    """Everything about one set of vectors."""
    rows, first, second = planted(count, np.random.default_rng(0))
    began, processor = time.perf_counter(), time.process_time()
    found = dedup_vectors(rows, threshold=0.9)
    told: dict[str, float] = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - processor,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "told": found.recall.value if found.recall else 1.0,
    }
    pairs = near_pairs(rows, 0.9, check=False)
    told |= {"cells": len(pairs.cells.pivots), "probes": pairs.cells.probes}
    told["recall"] = float(np.isin(coded(first, second), coded(pairs.first, pairs.second)).mean())
    # the last tenth is new: its partners are among the old ones and among itself
    old = near_pairs(rows[: count - count // 10], 0.9, check=False)
    began = time.perf_counter()
    new = near_pairs(rows, 0.9, known=old.cells, check=False)
    told["grown_seconds"] = time.perf_counter() - began
    began = time.perf_counter()
    whole = near_pairs(rows, 0.9, check=False)
    told["whole_seconds"] = time.perf_counter() - began
    both = np.concatenate([coded(old.first, old.second), coded(new.first, new.second)])
    wanted = coded(whole.first, whole.second)
    told["same"] = len(np.intersect1d(both, wanted)) / len(np.union1d(both, wanted))
    return told


def planted(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors about centres, and a tenth of them moved to a cosine of .9 to 1 with one of the others."""
    centres = generator.standard_normal((count // 50, 128), dtype=np.float32)
    rows = generator.standard_normal((count, 128), dtype=np.float32)
    rows *= 0.9
    rows += centres[generator.integers(0, len(centres), count)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    order = generator.permutation(count)
    first, second = order[: count // 10], order[count // 10 : count // 5]
    share = generator.uniform(0.9, 1.0, len(first)).astype(np.float32)[:, None] + np.float32(1e-6)
    away = generator.standard_normal((len(first), 128), dtype=np.float32)
    away -= (away * rows[first]).sum(axis=1, keepdims=True) * rows[first]
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    rows[second] = share * rows[first] + np.sqrt(np.maximum(1 - share**2, 0)) * away
    return rows, first, second


def coded(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A pair as one number, whichever way round."""
    low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other).astype(np.int64)
    return high << 32 | low


def collection(folders: Sequence[Path], count: int) -> list[dict]:
    """Files to groups, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as place:
        copies = written(Path(place), pictures_of(folders, 400), count)
        with context.Pool(1) as pool:
            told = pool.apply(groups_of_files, (place, copies))
    anchor = (
        f"{count:,} JPEG files of 64 to 96 pixels, {len(copies):,} of them copies, to {told['groups']:.0f} groups, on "
        f"{os.cpu_count()} processors; {told['cpu']:.0f} processor seconds, {told['reading']:.0f} of them reading"
    )
    process = "of the process, 4 kB a picture kept"
    return [
        row("collection_items_per_second", count / told["seconds"], unit="items/s", anchor=anchor, seed=0),
        row("collection_items_per_processor_second", count / told["cpu"], unit="items/s", anchor=anchor, seed=0),
        row("collection_copies_found", told["found"], anchor="share of the copies, in a group with what they were of"),
        row("collection_peak_mb", told["peak"], unit="MB", anchor=process, seed=0),
    ]


def written(place: Path, shown: Sequence[PIL.Image.Image], count: int) -> dict[str, str]:
    """Many small files out of few pictures: each a blend of two cut-outs. Names of copies -> what they are of."""
    copies: dict[str, str] = {}
    for number in range(count):
        own = np.random.default_rng((0, number))
        of = int(own.integers(number)) if number and own.random() < 0.1 else number
        picture = blended(shown, np.random.default_rng((1, of)))
        if of != number:
            copies[f"{number:07}.jpg"] = f"{of:07}.jpg"
            picture = picture.reduce(2) if own.integers(2) else picture
        quality = int(own.integers(20, 60)) if of != number and own.integers(2) else 85
        picture.save(place / f"{number:07}.jpg", quality=quality)
    return copies


def blended(shown: Sequence[PIL.Image.Image], generator: np.random.Generator) -> PIL.Image.Image:
    """A picture that nobody took: two cut-outs, the second shining through."""
    size = tuple(int(side) for side in generator.integers(64, 97, 2))
    parts = []
    for place in generator.integers(len(shown), size=2):
        picture, kept = shown[place], generator.uniform(0.4, 0.9)
        left, top = generator.uniform(0, 1 - kept, 2) * picture.size
        box = (left, top, left + kept * picture.width, top + kept * picture.height)
        parts.append(picture.resize(size, PIL.Image.Resampling.BILINEAR, box=box))
    return PIL.Image.blend(parts[0], parts[1], float(generator.uniform(0.2, 0.5)))


def groups_of_files(place: str, copies: dict[str, str]) -> dict[str, float]:
    """Everything about one folder of files."""
    reading = [0.0]

    def watch(what: str, done: int, total: int) -> None:
        if what == "reading":
            reading[0] = time.process_time() - processor

    began, processor = time.perf_counter(), time.process_time()
    found = dedup(Items.from_folder(place, levels=0), watch=watch)
    told = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - processor, "reading": reading[0]}
    group = {name: number for number, each in enumerate(found.groups) for name in (each.kept, *each.copies)}
    together = [name in group and group[name] == group.get(of) for name, of in copies.items()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return told | {"peak": peak, "found": float(np.mean(together)), "groups": float(len(found.groups))}


def pictures_of(folders: Sequence[Path], most: int) -> list[PIL.Image.Image]:
    """Pictures of the folders by turns, drawn by chance; without folders invented ones."""
    if not folders:
        return [invented(seed) for seed in range(most)]
    drawn: list[list[Path]] = []
    for folder in folders:
        items = Items.from_folder(folder, levels=0, suffixes=frozenset({".jpg", ".jpeg", ".png"}))
        order = np.random.default_rng(11).permutation(len(items))
        drawn.append([items.values[place] for place in order])
    share = -(-most // len(drawn))
    chosen = [path for paths in drawn for path in paths[:share]]
    return [PIL.Image.open(path).convert("RGB") for path in chosen[:most]]


def invented(seed: int) -> PIL.Image.Image:
    """Squares of many sizes: a spectrum like a photograph's."""
    generator, side = np.random.default_rng((9, seed)), 160
    picture = np.zeros((side, side, 3))
    for width in (80, 40, 20, 10, 5):
        small = generator.standard_normal((side // width, side // width, 3)) * width
        picture += np.kron(small, np.ones((width, width, 1)))
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    return PIL.Image.fromarray(picture.astype(np.uint8))


class Known:
    """Pictures as ours sees them: planes, signatures, vectors."""

    def __init__(self, bundle: Bundle, shown: Sequence[PIL.Image.Image]) -> None:
        arrays = [bundle.twin.input.read(picture) for picture in shown]
        self.planes = np.stack([grey_plane(array, SIDE) for array in arrays])
        self.vectors = embed_arrays(bundle.twin, arrays)
        self.signatures = signatures(self.planes)


def pictures(folders: Sequence[Path], originals: int, distractors: int, families: Sequence[str]) -> list[dict]:
    """Every family, every way to compare."""
    shown = pictures_of(folders, originals + distractors)
    bundle = Bundle.pretrained()
    base = Known(bundle, shown)
    hashes = {name: hashed(name, shown) for name in HASHES}
    where = ", ".join(folder.name for folder in folders) or "invented pictures"
    results = []
    for family in families:
        queries = attacked(family, shown[:originals], seed=1)
        ours = Known(bundle, queries)
        with_vectors, without = rule_scores(ours, base)
        scored: dict[str, np.ndarray] = {
            "": with_vectors,
            "_pixels_alone": without,
            "_net_alone": ours.vectors @ base.vectors.T,
        }
        for name in HASHES:
            distance = (hashed(name, queries)[:, None] ^ hashes[name][None]).view(np.uint8)
            bits = np.unpackbits(distance.reshape(originals, len(shown), -1), axis=2).sum(axis=2)
            scored[f"_{NAMES.get(name, name)}_imagehash"] = -bits.astype(np.float64)
        best = max(found_at(scores) for name, scores in scored.items() if name)
        for name, scores in scored.items():
            anchor = f"{originals} attacked, {len(shown)} to compare with, of {where}"
            goal = best if not name else None
            figure = f"{family}_recall_at_precision_99{name}"
            results.append(row(figure, found_at(scores), goal=goal, anchor=anchor, seed=1))
        print(family, {name: round(found_at(scores), 3) for name, scores in scored.items()}, flush=True)
    return results


def hashed(name: str, shown: Sequence[PIL.Image.Image]) -> np.ndarray:
    """imagehash's 64 bits of each picture, as one number."""
    import imagehash

    hasher: Callable[[PIL.Image.Image], imagehash.ImageHash] = getattr(imagehash, name)
    bits = np.stack([hasher(picture).hash.ravel() for picture in shown])
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def looked_up(query: Known, base: Known) -> np.ndarray:
    """(query, base) pairs whose pixels are compared: the most alike by signature and by vector."""
    near = [ours @ theirs.T for ours, theirs in ((query.signatures, base.signatures), (query.vectors, base.vectors))]
    count = min(LOOKED_AT, len(base.planes))
    place = np.concatenate([np.argsort(-scores, axis=1)[:, :count] for scores in near], axis=1)
    row = np.repeat(np.arange(len(place)), place.shape[1])
    return np.unique(np.stack([row, place.ravel()], axis=1), axis=0)


def rule_scores(query: Known, base: Known) -> tuple[np.ndarray, np.ndarray]:
    """The rule's scores of the pairs that are looked at, with vectors and without; -1 for the others."""
    pairs = looked_up(query, base)
    told = told_by(query, base, pairs)
    scores = np.full((2, len(query.planes), len(base.planes)), -1.0)
    scores[0, pairs[:, 0], pairs[:, 1]] = rule(told, with_vectors=True)
    scores[1, pairs[:, 0], pairs[:, 1]] = rule(told[:, :-1], with_vectors=False)
    return scores[0], scores[1]


def told_by(query: Known, base: Known, pairs: np.ndarray) -> np.ndarray:
    """The evidence of (query, base) pairs."""
    planes = np.concatenate([query.planes, base.planes])
    vectors = np.concatenate([query.vectors, base.vectors])
    behind = np.stack([pairs[:, 0], pairs[:, 1] + len(query.planes)], axis=1)
    with ThreadPoolExecutor() as pool:
        parts = pool.map(
            lambda start: evidence(planes, vectors, behind[start : start + 256]), range(0, len(pairs), 256)
        )
        return np.concatenate(list(parts))


def found_at(scores: np.ndarray, precision: float = PRECISION) -> float:
    """Share of rows whose own column stands above the score from which on so many pairs are right; ties all count."""
    truth = np.eye(*scores.shape, dtype=bool).ravel()
    values = scores.ravel()
    order = np.argsort(-values, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.diff(values[order]) != 0, True) & (values[order] > -1 if values.min() == -1 else True)
    good = last & (hits >= precision * np.arange(1, len(order) + 1))
    return float(hits[good][-1] / len(scores)) if good.any() else 0.0


def fitted(shown: Sequence[PIL.Image.Image], originals: int) -> dict[str, tuple[list[float], float]]:
    """The rule of `copies.candidates`, fitted anew: weights and constant, with vectors and without."""
    from sklearn.linear_model import LogisticRegression

    bundle = Bundle.pretrained()
    base = Known(bundle, shown)
    told, same = [], []
    for family in FAMILIES:
        query = Known(bundle, attacked(family, list(shown[:originals]), seed=7))
        own = np.stack([np.arange(originals)] * 2, axis=1)
        pairs = np.unique(np.concatenate([looked_up(query, base), own]), axis=0)
        told.append(told_by(query, base, pairs))
        same.append(pairs[:, 0] == pairs[:, 1])
    columns = np.arctanh(np.clip(np.concatenate(told), -0.99, 0.99))
    truth = np.concatenate(same)
    rules = {}
    for name, kept in (("with vectors", columns), ("without", columns[:, :-1])):
        model = LogisticRegression(C=10, max_iter=3000).fit(kept, truth)
        rules[name] = ([round(float(w), 2) for w in model.coef_[0]], round(float(model.intercept_[0]), 2))
    return rules


if __name__ == "__main__":
    main()

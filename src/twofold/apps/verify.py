"""Verify two things, identify one among the enrolled; what comes back is a verdict, never a bare distance (law 5)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from twofold.apps.search import check_searchable, search_vectors
from twofold.bundle import Bundle
from twofold.contract import Calibration, OpenSet
from twofold.data.pairs import Pairs
from twofold.embedding import cohort_of, embed_values
from twofold.errors import NotCalibrated, StoreError, UsageError
from twofold.metrics.cohort import normalised
from twofold.results import Embeddings, Erasure, Identification, Verdict
from twofold.store.index import Index

__all__ = ["enrol", "forget", "identify", "verify", "verify_pairs"]

BATCH = 256
RESCORED = 100  # the best identities by plain scores, among whom the best by normalised ones is looked for
SAME_THING = 1e-3  # relative: how far two embeddings of one file may lie apart, since batches differ


def verify(bundle: Bundle, a: Any, b: Any, *, group: str | None = None) -> Verdict:
    """Are two things the same?

    Args:
        a, b: raw things that the bundle's input reads: a path, bytes, an array.
        group: which group both belong to, where each has a threshold of its own; "any": that of all pairs together.

    Raises:
        NotCalibrated: the bundle has no threshold yet.
        UnknownName: the group has no threshold, or there are groups and none was given.
        UnreadableInput: names what cannot be decoded.
    """
    calibration = calibration_of(bundle).of_group(group)
    vectors = embed_values(bundle, [a, b])
    return judge(calibration, pair_scores(bundle, vectors[:1], vectors[1:])[0], group=group)


def verify_pairs(bundle: Bundle, pairs: Pairs, *, group: str | None = None) -> list[Verdict]:
    """A verdict for each pair of a table; a thing that stands in many pairs is embedded once.

    Args:
        group: as in `verify`, of all pairs; None: that which the table gives each pair, if it does.

    Raises:
        NotCalibrated: the bundle has no threshold yet.
        UnknownName: a group has no threshold, or there are groups and a pair has none.
        UnreadableInput: names the file that cannot be decoded.
    """
    calibration = calibration_of(bundle)
    given = pairs.groups if group is None else None
    groups = (group,) * len(pairs) if given is None else given
    by_group = {each: calibration.of_group(each) for each in dict.fromkeys(groups)}
    vectors = embed_all(bundle, pairs.values)
    verdicts = []
    for start in range(0, len(pairs.index_a), BATCH):
        part = slice(start, start + BATCH)
        found = pair_scores(bundle, vectors[pairs.index_a[part]], vectors[pairs.index_b[part]])
        verdicts += [judge(by_group[each], score, group=each) for each, score in zip(groups[part], found, strict=True)]
    return verdicts


def identify(
    bundle: Bundle, index: Index, query: Any, *, candidates: int = 5, group: str | None = None
) -> Identification:
    """Who is this? The best enrolled identity, or nobody when none reaches the threshold.

    One enrolled example an identity is enough; with more, the best of them counts. After `calibrate_gallery` the
    threshold is the one for as many enrolled as were asked for, and `warning` says when there are more by now.

    Args:
        query: a raw thing that the bundle's input reads.
        candidates: how many identities to name, accepted or not.
        group: as in `verify`, of the query; the threshold is then that of one comparison inside the group.

    Raises:
        NotCalibrated: the bundle has no threshold yet.
        UnknownName: the group has no threshold, or there are groups and none was given.
        FingerprintMismatch: the index holds vectors of another model.
        StoreError: nobody is enrolled, or `candidates` is below 1.
        UnreadableInput: the query cannot be decoded.
    """
    calibration = calibration_of(bundle).of_group(group)
    check_searchable(bundle, index)
    vector = embed_values(bundle, [query])
    wanted = candidates if bundle.cohort is None or candidates < 1 else max(candidates, RESCORED)
    (hits,) = search_vectors(bundle, index, vector, k=wanted, identities=True)
    hits = rescored(bundle, index, vector, hits)[:candidates]
    verdict, many = judge(calibration, hits[0].score, group=group), calibration.open_set
    threshold = calibration.threshold if many is None else many.threshold
    decision = calibration.decide(verdict.score, threshold=threshold)
    return Identification(
        label=hits[0].label if decision == "same" else None,
        decision=decision,
        score=verdict.score,
        probability=verdict.probability,
        threshold=threshold,
        far=verdict.far,
        certified=calibration.certified if many is None else many.certified,
        gallery=len(index.labels),
        candidates=tuple(hits),
        fpir=None if many is None else many.fpir,
        warning=None if many is None else outgrown(many, index),
    )


def rescored(bundle: Bundle, index: Index, vector: Float[np.ndarray, "1 dim"], hits: Sequence[Hit]) -> list[Hit]:
    """The hits by the scores that verdicts go by, best first; as they are, where these are the index's own."""
    if bundle.cohort is None:
        return list(hits)
    enrolled = index.get([hit.id for hit in hits]).vectors
    found = pair_scores(bundle, np.repeat(vector, len(hits), axis=0), enrolled)
    fair = [replace(hit, score=float(score)) for hit, score in zip(hits, found, strict=True)]
    return sorted(fair, key=lambda hit: -hit.score)


def outgrown(many: OpenSet, index: Index) -> str | None:
    """Why the rate that the threshold was set for does not hold for this index; None if it does."""
    names, items = len(index.labels), len(index)
    if names <= many.size and items <= many.size * many.enrolled:
        return None
    return (
        f"{names} identities are enrolled with {items} items; the rate {many.fpir:g} was measured for {many.size} with "
        f"{many.enrolled} each, and is larger here: calibrate again, twofold calibrate BUNDLE DATA "
        f"--set fpir={many.fpir:g} --set gallery={names}"
    )


def enrol(
    bundle: Bundle, index: Index, label: str, files: Sequence[Any] | Path, *, ids: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Remember an identity by the embeddings of some things of its; the things themselves are not kept (law 7).

    Args:
        label: who or what it is; enrolling more of a known label adds to it.
        files: raw things that the bundle's input reads, or one path.
        ids: a name for each; by default `label/file name`.

    Returns:
        The ids, under which the embeddings stand in the index.

    Raises:
        NotCalibrated: the bundle has no threshold yet, so that nobody could be identified.
        FingerprintMismatch: the index holds vectors of another model.
        UsageError: no files; two of one name; or something that is no file and has no id.
        StoreError: an id is taken by other content, or the disk does not take it. Nobody is enrolled then.
        UnreadableInput: names the file that cannot be decoded.
    """
    calibration_of(bundle)
    index.refuse_other(bundle.fingerprint)
    values = [files] if isinstance(files, str | bytes | Path) else list(files)
    names = tuple(ids) if ids is not None else tuple(name_of(label, value) for value in values)
    check_names(label, values, names)
    vectors = embed_all(bundle, values)
    if bundle.contract.distance == "cosine":  # an encoder without unit_norm is compared by direction too
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    refuse_taken(index, names, vectors)
    index.add(Embeddings(ids=names, labels=(label,) * len(names), vectors=vectors, fingerprint=bundle.fingerprint))
    return names


def forget(bundle: Bundle, index: Index, label: str) -> Erasure:
    """Delete an identity from an index and overwrite its every byte; the same as `index.forget(label)`.

    Raises:
        FingerprintMismatch: the index belongs to another bundle.
        UnknownLabel: nobody of that name is enrolled.
        StoreError: the disk is in the way, or another process reads (then it is made up for at the next open).
    """
    index.refuse_other(bundle.fingerprint)
    return index.forget(label)


def calibration_of(bundle: Bundle) -> Calibration:
    """The bundle's calibration, or an error: without one there is no verdict (law 5)."""
    if bundle.calibration is None:
        raise NotCalibrated(
            "this bundle has no threshold yet, so it can give no verdict: "
            "run `twofold calibrate BUNDLE DATA --far 1e-2` on identities that it has not seen"
        )
    return bundle.calibration


def embed_all(bundle: Bundle, values: Sequence[Any]) -> Float[np.ndarray, "n dim"]:
    """Vectors of any number of raw things, a batch at a time."""
    starts = range(0, max(1, len(values)), BATCH)
    return np.concatenate([embed_values(bundle, values[start : start + BATCH]) for start in starts])


def judge(calibration: Calibration, score: float, *, group: str | None = None) -> Verdict:
    """A score as a verdict.

    Raises:
        UsageError: the score is NaN.
    """
    if np.isnan(score):
        raise UsageError("the score is NaN, which is no answer: look at the vectors that were compared")
    return Verdict(
        decision=calibration.decide(float(score)),
        score=float(score),
        probability=calibration.probability(float(score)),
        threshold=calibration.threshold,
        far=calibration.far,
        certified=calibration.certified,
        reject_threshold=calibration.reject_threshold,
        frr=None if calibration.rejection is None else calibration.rejection.frr,
        group=group,
    )


def pair_scores(bundle: Bundle, a: Float[np.ndarray, "n dim"], b: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n"]:
    """Score of a[i] and b[i] by the bundle's comparison, float64; normalised where the calibration has a cohort."""
    device = bundle.twin.device
    with torch.inference_mode():
        distance = bundle.twin.comparison.pairs(torch.from_numpy(a).to(device), torch.from_numpy(b).to(device))
    found = bundle.contract.score(distance.cpu().numpy().astype(np.float64))
    sides = [cohort_of(bundle, each) for each in (a, b)]
    return found if sides[0] is None or sides[1] is None else normalised(found, sides[0], sides[1])


def name_of(label: str, value: Any) -> str:
    """The id of an enrolled file."""
    if isinstance(value, str | Path):
        return f"{label}/{Path(value).name}"
    raise UsageError(f"a {type(value).__name__} has no file name to be called by: give ids=[...], one for each thing")


def check_names(label: str, values: Sequence[Any], names: Sequence[str]) -> None:
    """Refuse nothing at all, too few ids, and files of one name."""
    if not values:
        raise UsageError(f"nothing to enrol {label!r} by: give at least one file")
    if len(values) != len(names):
        raise UsageError(f"{len(names)} ids for {len(values)} things: give one for each")
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise UsageError(f"{twice[0]!r} would stand for two things: rename a file, or give ids=[...]")


def refuse_taken(index: Index, names: Sequence[str], vectors: Float[np.ndarray, "n dim"]) -> None:
    """Refuse to put a thing in the place of another one that happens to have the same name."""
    for name, vector in zip(names, vectors, strict=True):
        if name not in index:
            continue
        (old,) = index.get([name]).vectors
        if np.linalg.norm(old - vector) > SAME_THING * np.linalg.norm(old):
            raise StoreError(
                f"{name!r} is enrolled already, by other content: rename the file, or index.remove([{name!r}]) first"
            )

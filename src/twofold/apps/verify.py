"""Verify two things, or one with several references: a verdict comes back, never a bare distance (law 5)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from twofold.apps.indexing import read_or_why
from twofold.apps.templates import scores_with
from twofold.bundle import Bundle
from twofold.contract import Calibration
from twofold.data.pairs import Pairs
from twofold.embedding import embed_read, embed_values, pair_scores
from twofold.errors import NotCalibrated, UnreadableInput, UsageError
from twofold.fusion import mean_embedding
from twofold.results import Verdict

__all__ = [
    "calibration_of",
    "score_of",
    "score_readable_pairs",
    "verify",
    "verify_pairs",
    "verify_readable_pairs",
]

THINGS_AT_ONCE = 256
"""Things that are read before they are embedded; their arrays stay in memory until then."""


def verify(
    bundle: Bundle,
    a: Any,
    b: Any = None,
    *,
    references: Sequence[Any] = (),
    group: str | None = None,
) -> Verdict:
    """Are two things the same? Or: is `a` the same as what all these references show?

    Args:
        a, b: raw things that the bundle's input reads: a path, bytes, an array.
        references: in the place of `b`, several things of one identity. The threshold is that for
            so many (`calibrate_references`).
        group: which group both belong to, where each has a threshold of its own; "any": that of all
            pairs together.

    Raises:
        NotCalibrated: the bundle has no threshold yet.
        UnknownName: the group has no threshold, or there are groups and none was given; or there is
            no threshold for so many references.
        UnreadableInput: names what cannot be decoded.
        UsageError: neither `b` nor references are given, or both.
    """
    if (b is None) != (len(references) > 0):
        raise UsageError("give two things to compare, or one thing and references=[...]")
    if len(references) > 1:
        return _by_references(bundle, a, references, group=group)
    calibration = calibration_of(bundle).of_group(group)
    vectors = embed_values(bundle, [a, b if b is not None else references[0]])
    return judge(calibration, pair_scores(bundle, vectors[:1], vectors[1:])[0], group=group)


def _by_references(
    bundle: Bundle, probe: Any, references: Sequence[Any], *, group: str | None
) -> Verdict:
    """A verdict about a probe and several references, at the threshold for so many."""
    if group is not None:
        raise UsageError(
            f"group {group!r}: thresholds of groups are for two things; leave the group out, or "
            "compare with one reference"
        )
    known = calibration_of(bundle).of_references(len(references))
    vectors = embed_values(bundle, [probe, *references])
    (score,) = scores_with(bundle, vectors[:1], vectors[None, 1:], known)
    return replace(judge(known.calibration, score), references=known.count)


def score_of(bundle: Bundle, probe: Any, references: Sequence[Any]) -> float:
    """How alike a probe and one reference are, or the mean embedding of several. This needs no threshold.

    Raises:
        UnreadableInput: names what cannot be decoded.
    """
    vectors = embed_values(bundle, [probe, *references])
    known = vectors[1:]
    if len(references) > 1:
        known = mean_embedding(known, bundle.twin.comparison.name)[None]
    return float(pair_scores(bundle, vectors[:1], known)[0])


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
    for each in dict.fromkeys(pairs.groups if group is None and pairs.groups else (group,)):
        calibration.of_group(each)  # refuse an unknown group before anything is embedded
    return _verdicts(bundle, pairs, embed_all(bundle, pairs.values), group=group)


def verify_readable_pairs(
    bundle: Bundle, pairs: Pairs, *, group: str | None = None
) -> tuple[Pairs, list[Verdict], dict[str, str]]:
    """As `verify_pairs`, but pairs with a thing that cannot be decoded are left out and named.

    Returns:
        the pairs that have a verdict, their verdicts, and why each unreadable thing could not be
        read.

    Raises:
        UnreadableInput: not one of the pairs can be read. As `verify_pairs` else.
    """
    calibration_of(bundle)
    rest, vectors, unreadable = _readable(bundle, pairs)
    return rest, _verdicts(bundle, rest, vectors, group=group), unreadable


def score_readable_pairs(
    bundle: Bundle, pairs: Pairs
) -> tuple[Pairs, Float[np.ndarray, " pairs"], dict[str, str]]:
    """Scores in place of verdicts, which need no threshold; else as `verify_readable_pairs`.

    Returns:
        the pairs that have a score, their scores, and why each unreadable thing could not be read.
    """
    rest, vectors, unreadable = _readable(bundle, pairs)
    ends = zip(spans(rest.index_a), spans(rest.index_b), strict=True)
    found = [pair_scores(bundle, vectors[a], vectors[b]) for a, b in ends]
    return rest, np.concatenate(found), unreadable


def spans(index: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " m"]]:
    """The index, a batch at a time."""
    return [index[start : start + THINGS_AT_ONCE] for start in range(0, len(index), THINGS_AT_ONCE)]


def _readable(
    bundle: Bundle, pairs: Pairs
) -> tuple[Pairs, Float[np.ndarray, "things dim"], dict[str, str]]:
    """The pairs of which both things can be read, the vectors of all things, and why some cannot be read."""
    vectors, unreadable = np.zeros((len(pairs.values), bundle.twin.dim), dtype=np.float32), {}
    for start in range(0, len(pairs.values), THINGS_AT_ONCE):
        things = read_or_why(bundle, list(pairs.values[start : start + THINGS_AT_ONCE]))
        whole = {place: thing for place, thing in enumerate(things) if not isinstance(thing, str)}
        unreadable |= {
            pairs.ids[start + n]: thing for n, thing in enumerate(things) if isinstance(thing, str)
        }
        if whole:
            vectors[start + np.array(list(whole))] = embed_read(bundle, list(whole.values()))
    gone = np.isin(np.array(pairs.ids), list(unreadable))
    left = np.flatnonzero(~gone[pairs.index_a] & ~gone[pairs.index_b])
    if not len(left):
        raise UnreadableInput(
            f"none of {len(pairs)} pairs can be read; the first: {next(iter(unreadable.values()))}"
        )
    return pairs.take(left), vectors, unreadable


def _verdicts(
    bundle: Bundle, pairs: Pairs, vectors: Float[np.ndarray, "n dim"], *, group: str | None
) -> list[Verdict]:
    """A verdict for each pair of embedded things."""
    calibration = calibration_of(bundle)
    given = pairs.groups if group is None else None
    groups = (group,) * len(pairs) if given is None else given
    by_group = {each: calibration.of_group(each) for each in dict.fromkeys(groups)}
    verdicts = []
    for start in range(0, len(pairs.index_a), THINGS_AT_ONCE):
        part = slice(start, start + THINGS_AT_ONCE)
        found = pair_scores(bundle, vectors[pairs.index_a[part]], vectors[pairs.index_b[part]])
        verdicts += [
            judge(by_group[each], score, group=each)
            for each, score in zip(groups[part], found, strict=True)
        ]
    return verdicts


def calibration_of(bundle: Bundle) -> Calibration:
    """The bundle's calibration, or an error: without one there is no verdict (law 5)."""
    if bundle.calibration is None:
        raise NotCalibrated(
            "this bundle has no threshold yet, so it can give no verdict: "
            "run `twofold calibrate BUNDLE DATA --far 1e-2` on identities that it has not seen, "
            "or ask for scores "
            "alone (`twofold verify BUNDLE --pairs TABLE --scores-only`)"
        )
    return bundle.calibration


def embed_all(bundle: Bundle, values: Sequence[Any]) -> Float[np.ndarray, "n dim"]:
    """Vectors of any number of raw things, a batch at a time."""
    starts = range(0, max(1, len(values)), THINGS_AT_ONCE)
    return np.concatenate(
        [embed_values(bundle, values[start : start + THINGS_AT_ONCE]) for start in starts]
    )


def judge(calibration: Calibration, score: float, *, group: str | None = None) -> Verdict:
    """A score as a verdict.

    Raises:
        UsageError: the score is NaN.
    """
    if np.isnan(score):
        raise UsageError(
            "the score is NaN, which is not an answer: check the vectors that were compared"
        )
    return Verdict(
        decision=calibration.decide(float(score)),
        score=float(score),
        probability=calibration.probability(float(score)),
        threshold=calibration.threshold,
        far=calibration.far,
        standing=calibration.standing,
        reject_threshold=calibration.reject_threshold,
        frr=None if calibration.rejection is None else calibration.rejection.frr,
        group=group,
        prior=calibration.prior,
    )

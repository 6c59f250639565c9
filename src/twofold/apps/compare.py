"""Is bundle B better than bundle A? The same unseen identities for both, and one interval for the difference."""

from collections.abc import Callable
from typing import Any

import numpy as np

from twofold.bundle import Bundle
from twofold.data.items import Items
from twofold.data.scores import Scores
from twofold.embedding import deciding, embed_readable
from twofold.errors import DataError, IdentityOverlap
from twofold.metrics.crossfit import CrossFit
from twofold.metrics.paired import differences
from twofold.metrics.pairs import AllPairs, OneKind
from twofold.results import Difference

__all__ = ["compare", "compare_scores"]


def compare(
    a: Bundle,
    b: Bundle,
    items: Items,
    *,
    far: float = 1e-2,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Difference, ...]:
    """How much better `b` is than `a` on identities that neither has seen, each number with the interval of its gain.

    Of data that a bundle was trained from, the identities kept aside as "test" are used (those of
    both, if both know the data). If both were cross-fitted on it, in the same folds, their
    cross-fitted scores are compared. If both are calibrated on other identities, error rates at
    their thresholds are compared, too.

    Args:
        far: false-accept rate at which true-accept rates are compared, each at its own threshold.
        seed: deals identities to groups if there are more than 2,000.
        progress: called with (done, total) items embedded, once for each bundle.

    Raises:
        IdentityOverlap: identities were trained on by one of the two.
        NotEnoughData: no genuine or no impostor pairs, or a single identity.
    """
    settings: dict[str, Any] = {"far": far, "confidence": confidence, "seed": seed}
    if (judged := _crossfitted(a, b, items)) is not None:
        return tuple(differences(*judged, **settings).values())
    part = b.part(a.part(items, "test"), "test")
    a.refuse_trained(part)
    sides = [_pairs(bundle, part, progress) for bundle in (a, b)]
    thresholds = [
        bundle.calibration.deciding.threshold
        for bundle in (a, b)
        if bundle.calibration and _fresh(bundle, part)
    ]
    found = differences(
        sides[0],
        sides[1],
        thresholds=(thresholds[0], thresholds[1]) if len(thresholds) == 2 else None,
        **settings,
    )
    return tuple(found.values())


def _crossfitted(a: Bundle, b: Bundle, items: Items) -> tuple[CrossFit, CrossFit] | None:
    """The cross-fitted scores of both, if neither kept identities of this data aside; None: some may be left.

    Raises:
        IdentityOverlap: only one of the two was cross-fitted.
        DataError: they were cross-fitted in other folds, which have other pairs.
    """
    judged = tuple(
        bundle.crossfit_of(items) for bundle in (a, b) if "test" not in bundle.provenance.parts
    )
    known = [each for each in judged if each is not None]
    if not known:
        return None
    if len(known) == 1:
        raise IdentityOverlap(
            "one of the two was cross-fitted on this data and has seen every "
            "identity of it, the other was not: compare them on DATA of other "
            "identities, or train the other on this data with the same --seed"
        )
    first, second = known
    if not all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("fold", "first", "second")
    ):
        raise DataError(
            "the two were cross-fitted in other folds, so their scores are "
            "of other pairs: compare them on DATA of other identities, or "
            "train both with the same --seed and the same split.folds"
        )
    return first, second


def compare_scores(
    a: Scores, b: Scores, *, far: float = 1e-2, confidence: float = 0.95, seed: int = 0
) -> tuple[Difference, ...]:
    """As `compare`, for the scores that any two models gave to the same pairs.

    Raises:
        DataError: the two are not of the same pairs, or one says whose they are and the other does
            not.
    """
    if a.unit != b.unit:
        raise DataError(
            "only one of the two gives the identities of its "
            f"pairs ({a.unit}, {b.unit}): give them with both"
        )
    return tuple(
        differences(
            a.pairs, b.pairs, far=far, confidence=confidence, unit=a.unit, seed=seed
        ).values()
    )


def _fresh(bundle: Bundle, part: Items) -> bool:
    """Whether none of these identities found the bundle's threshold."""
    return not bundle.calibrated(part)


def _pairs(bundle: Bundle, part: Items, progress: Callable[[int, int], None] | None) -> OneKind:
    part, vectors = embed_readable(bundle, part, progress=progress)
    score, own = deciding(bundle, vectors), {"forged": part.forged, "source": part.source}
    return OneKind(AllPairs(score, part.labels, identity=part.identity, **own), "random")

"""Masks of change against the truth: pixels and regions, by scene and pooled, with intervals by scene.

Scenes are independent, pixels are not: intervals resample whole scenes (law 2).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt16

from twofold.errors import UsageError
from twofold.metrics.guarantee import largest_rate
from twofold.metrics.regions import regions
from twofold.results import Estimate

__all__ = [
    "LEVELS",
    "NOTHING",
    "SCORES",
    "Counts",
    "Table",
    "best_threshold",
    "certificate_scenes",
    "counted",
    "estimates",
    "histogram",
    "level_of",
    "levels_of",
    "of_histogram",
    "pooled",
    "probabilities_of",
    "scores",
]

LEVELS = 50_000
"""Steps from 0 to 1 that are kept of a probability: 0.00002, in 16 bits."""

NOTHING = 65_535
"""The level of a pixel without a value in one of the dates."""

Table = Int[np.ndarray, "2 levels"]
"""Pixels of one scene at each level of probability: unchanged ones, changed ones."""

SCORES = ("f1", "iou", "precision", "recall", "kappa", "object_recall", "false_change_rate")

FOUND = 0.5
"""Share of a region's pixels from which on it counts as found."""

DRAWS = 2000
"""Bootstrap draws of scenes: the ends of a 95 % interval are then known to about a hundredth of its length."""

LEAST_RATE = 1e-4
"""A rate below is taken for this one: hundred thousands of scenes are out of reach anyway."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Pixels of one scene, or of several, by what is true and what was said; and regions of change.

    Attributes:
        hits, false, missed, quiet: changed and found, unchanged and called changed, changed and not
            found, and neither. regions, regions_found: connected regions of change.
    """

    hits: int
    false: int
    missed: int
    quiet: int
    regions: int = 0
    regions_found: int = 0

    @property
    def pixels(self) -> int:
        """How many were judged."""
        return self.hits + self.false + self.missed + self.quiet


def counted(
    mask: Bool[np.ndarray, "height width"],
    truth: Bool[np.ndarray, "_ _"],
    valid: Bool[np.ndarray, "_ _"],
) -> Counts:
    """The counts of one scene; pixels that are not valid count nowhere.

    Raises:
        UsageError: maps of different sizes.
    """
    if not mask.shape == truth.shape == valid.shape:
        raise UsageError(
            f"maps of one size are needed, not {mask.shape}, {truth.shape} and {valid.shape}"
        )
    changed, said = truth & valid, mask & valid
    hits = int((changed & said).sum())
    false, missed = int(said.sum()) - hits, int(changed.sum()) - hits
    labels = regions(changed)
    sizes = np.bincount(labels.ravel())[1:]
    found = np.bincount(labels[said].ravel(), minlength=len(sizes) + 1)[1:]
    return Counts(
        hits=hits,
        false=false,
        missed=missed,
        quiet=int(valid.sum()) - hits - false - missed,
        regions=len(sizes),
        regions_found=int((found >= FOUND * sizes).sum()),
    )


def pooled(parts: Iterable[Counts]) -> Counts:
    """The sum over scenes."""
    listed = list(parts)
    names = ("hits", "false", "missed", "quiet", "regions", "regions_found")
    return Counts(**{name: sum(getattr(part, name) for part in listed) for name in names})


def scores(counts: Counts) -> dict[str, float]:
    """Every name of `SCORES`; NaN where nothing can be said.

    f1 = 2 hits / (2 hits + false + missed), iou = hits / (hits + false + missed), kappa = (agreed -
    by chance) / (1 - by chance) (Cohen 1960).
    """
    hits, false, missed, quiet = counts.hits, counts.false, counts.missed, counts.quiet
    pixels = counts.pixels
    agreed = _share(hits + quiet, pixels)
    by_chance = _share(
        (hits + false) * (hits + missed) + (missed + quiet) * (false + quiet), pixels * pixels
    )
    return {
        "f1": _share(2 * hits, 2 * hits + false + missed),
        "iou": _share(hits, hits + false + missed),
        "precision": _share(hits, hits + false),
        "recall": _share(hits, hits + missed),
        "kappa": _share(agreed - by_chance, 1 - by_chance),
        "object_recall": _share(counts.regions_found, counts.regions),
        "false_change_rate": _share(false, false + quiet),
    }


def estimates(
    parts: Sequence[Counts], *, confidence: float = 0.95, seed: int = 0
) -> dict[str, Estimate]:
    """Each score of the pooled pixels, with a bootstrap interval over scenes.

    `false_change_rate` is the mean over scenes: it is a rate of scenes, large and small alike. With
    one scene the interval is all of [0, 1]: a scene says nothing of others.
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(parts), size=(DRAWS, len(parts)))
    told = scores(pooled(parts)) | {"false_change_rate": _mean_false(parts)}
    drawn = []
    for draw in draws if len(parts) > 1 else []:
        chosen = [parts[place] for place in draw]
        drawn.append(scores(pooled(chosen)) | {"false_change_rate": _mean_false(chosen)})
    ends = ((1 - confidence) / 2, (1 + confidence) / 2)
    found = {}
    for name, value in told.items():
        values = np.array([each[name] for each in drawn])
        values = values[np.isfinite(values)]
        low, high = np.quantile(values, ends).tolist() if len(values) else (0.0, 1.0)
        found[name] = Estimate(
            name=name,
            value=value,
            low=low,
            high=high,
            confidence=confidence,
            unit="scene",
            resampled=len(parts),
        )
    return found


def levels_of(
    probabilities: Float[np.ndarray, "rows columns"],
) -> UInt16[np.ndarray, "rows columns"]:
    """Probabilities in steps; `NOTHING` where they are not a number."""
    found = np.rint(np.clip(np.nan_to_num(probabilities), 0, 1) * LEVELS).astype(np.uint16)
    found[np.isnan(probabilities)] = NOTHING
    return found


def probabilities_of(levels: UInt16[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Steps as probabilities in [0, 1]; NaN where there is no value."""
    return np.where(levels == NOTHING, np.nan, levels / LEVELS).astype(np.float32)


def level_of(threshold: float) -> int:
    """The lowest level that a threshold calls changed; level 0 never is."""
    return max(1, math.ceil(round(threshold * LEVELS, 6)))


def histogram(
    probabilities: Float[np.ndarray, "height width"],
    truth: Bool[np.ndarray, "height width"],
    valid: Bool[np.ndarray, "height width"],
) -> Table:
    """Pixels of one scene by level: unchanged ones, changed ones."""
    levels = levels_of(np.nan_to_num(probabilities))  # weights that blow up say nothing
    return np.stack(
        [
            np.bincount(levels[valid & (truth == kind)], minlength=LEVELS + 1)
            for kind in (False, True)
        ]
    )


def of_histogram(table: Table, threshold: float) -> Counts:
    """The counts of pixels that a threshold makes."""
    cut = level_of(threshold)
    (quiet, missed), (false, hits) = table[:, :cut].sum(1), table[:, cut:].sum(1)
    return Counts(hits=int(hits), false=int(false), missed=int(missed), quiet=int(quiet))


def best_threshold(tables: Sequence[Table]) -> tuple[float, float]:
    """The threshold of the best F1 of pooled pixels, and that F1; 0.5 and 0 where nothing changed.

    Of several equal ones the one nearest to 0.5.
    """
    false, hits = np.sum(tables, axis=0)[:, ::-1].cumsum(1)[:, ::-1].astype(np.float64)
    if not hits[0]:
        return 0.5, 0.0
    f1 = 2 * hits / (hits + false + hits[0])
    # level 0 would call everything changed, and a threshold lies below 1
    best = 1 + np.flatnonzero(f1[1:LEVELS] >= f1[1:LEVELS].max() - 1e-12)
    place = best[np.argmin(np.abs(best - LEVELS / 2))]
    return float(place / LEVELS), float(f1[place])


def certificate_scenes(rate: float, *, confidence: float = 0.95) -> int:
    """Scenes that a certificate of twice this rate of false change would take, if they went on like that.

    The rate of a scene is a number in [0, 1], and scenes are independent: the bound of
    `metrics.guarantee`.
    """
    rate = max(rate, LEAST_RATE)
    if 2 * rate >= 1:
        return 1

    def enough(scenes: int) -> bool:
        largest = largest_rate(2 * rate, scenes, confidence=confidence)
        return largest is not None and largest >= rate

    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
    while high - low > max(1, low // 100):  # to one part in a hundred: it is said, not used
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _mean_false(parts: Sequence[Counts]) -> float:
    rates = [scores(part)["false_change_rate"] for part in parts]
    finite = [rate for rate in rates if math.isfinite(rate)]
    return float(np.mean(finite)) if finite else math.nan


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan

"""The threshold of change: one probability for all scenes, or one relative to what each scene says of itself.

Light and season move the logits of a whole scene. So a relative threshold lies a fixed number of logits
above the scene's *background*, the quantile `QUANTILE` of its own logits:

    logit(t) = background + above, held between `lowest` and `highest`.

The bounds come from the validation scenes. Without the lower one a scene in which nothing changed
would show its own most unlike pixels as change; so it also stays above whatever the network says of
scenes that are compared with themselves.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from twofold.metrics import spatial
from twofold.metrics.spatial import LEVELS, Counts, Table
from twofold.results.change import ChangeThreshold, RelativeThreshold

__all__ = ["QUANTILE", "background", "best", "cut", "notes", "of_scene"]

QUANTILE = 0.95
"""Of a scene's logits: mostly less than a twentieth has changed; .90 and .98 were no better (docs/LOG.md)."""

SPARE = 4.0
"""Logits that a scene's threshold may lie beyond those of the validation scenes. Three cities had backgrounds up to 4.3
apart, and two of them do not show the third's: 1 cost .05 of F1, 2 .03 (docs/LOG.md)."""

STEP = 0.02
"""Logits between the offsets that are tried."""

FARTHEST = 12.0
"""Logits: half a level is 11.5 from the middle."""


def of_scene(known: ChangeThreshold, counts: Int[np.ndarray, "levels"]) -> float:
    """The probability that a scene is cut at.

    Args:
        counts: of the scene's pixels with a value, at each level of probability.
    """
    if known.relative is None or not counts.sum():
        return known.probability
    return _followed(known.relative, counts)


def cut(
    known: ChangeThreshold,
    probabilities: Float[np.ndarray, "height width"],
    valid: Bool[np.ndarray, "height width"],
) -> tuple[float, Bool[np.ndarray, "height width"]]:
    """The probability that a scene in memory is cut at, and its mask."""
    levels = spatial.levels_of(probabilities)
    found = of_scene(known, np.bincount(levels[valid], minlength=LEVELS + 1)[: LEVELS + 1])
    return found, (levels >= spatial.level_of(found)) & valid


def notes(known: ChangeThreshold, counts: Int[np.ndarray, "levels"]) -> tuple[str, ...]:
    """What a reader must know of a scene whose threshold is held at a bound."""
    if (told := known.relative) is None or not counts.sum():
        return ()
    wanted = background(counts, told.quantile) + told.above
    if wanted > told.highest:
        return (
            "more of this scene stands out than of the scenes that chose the threshold: look at "
            "the probabilities, and give --threshold if changes are missed",
        )
    if wanted < told.lowest:
        return (
            "little of this scene stands out: its threshold is the lowest that the bundle allows",
        )
    return ()


def background(counts: Int[np.ndarray, "levels"], quantile: float = QUANTILE) -> float:
    """The logit that this share of a scene's pixels does not exceed."""
    reached = np.cumsum(counts)
    level = int(np.searchsorted(reached, quantile * reached[-1]))
    return _logit(level / LEVELS)


def best(tables: Sequence[Table], *, still: float = 0.0) -> ChangeThreshold:
    """The threshold of the best F1 of the pooled pixels of some scenes.

    Both kinds are tried with one scene left out at a time, cut by what the others chose. The
    relative one is taken if it does as well. Where fewer than two scenes changed there is no saying.

    Args:
        still: the largest probability in scenes that were compared with themselves: a relative
            threshold stays above it.
    """
    usable = [table for table in tables if table.sum()]
    plain, relative = spatial.best_threshold(usable or tables)[0], None
    if _follows(usable):
        relative = _best_relative(usable, still)
    cuts = [_cut(plain, relative, table) for table in tables]
    counts = [spatial.of_histogram(*each) for each in zip(tables, cuts, strict=True)]
    each = [spatial.scores(one) for one in counts]
    rate = float(np.nanmean([one["false_change_rate"] for one in each]))
    f1 = spatial.scores(spatial.pooled(counts))["f1"]
    return ChangeThreshold(
        probability=plain,
        f1=0.0 if math.isnan(f1) else f1,
        false_change_rate=rate,
        scenes=len(tables),
        certificate_scenes=spatial.certificate_scenes(rate),
        relative=relative,
    )


def _cut(plain: float, relative: RelativeThreshold | None, table: Table) -> float:
    return plain if relative is None else _followed(relative, table.sum(0))


def _followed(told: RelativeThreshold, counts: Int[np.ndarray, "levels"]) -> float:
    wanted = background(counts, told.quantile) + told.above
    return _probability(min(max(wanted, told.lowest), told.highest))


def _follows(tables: Sequence[Table]) -> bool:
    """Whether relative thresholds do as well as plain ones on scenes that did not choose them."""
    if sum(bool(table[1].sum()) for table in tables) < 2:
        return False
    kinds: list[list[Counts]] = [[], []]
    for place, table in enumerate(tables):
        others = [*tables[:place], *tables[place + 1 :]]
        plain = spatial.best_threshold(others)[0]
        tried = plain, _cut(plain, _best_relative(others), table)
        for counts, threshold in zip(kinds, tried, strict=True):
            counts.append(spatial.of_histogram(table, threshold))
    one, other = (spatial.scores(spatial.pooled(counts))["f1"] for counts in kinds)
    return other >= one


def _best_relative(tables: Sequence[Table], still: float = 0.0) -> RelativeThreshold:
    """The offset above the background with the best F1; of equal ones the smallest."""
    offsets = np.arange(-FARTHEST, FARTHEST + STEP / 2, STEP)
    backgrounds = [background(table.sum(0)) for table in tables]
    false, hits, changed = np.zeros(len(offsets)), np.zeros(len(offsets)), 0
    for table, ground in zip(tables, backgrounds, strict=True):
        above = table[:, ::-1].cumsum(1)[:, ::-1]
        cuts = [spatial.level_of(each) for each in _probabilities(ground + offsets).tolist()]
        false += above[0, cuts]
        hits += above[1, cuts]
        changed += int(table[1].sum())
    f1 = 2 * hits / (hits + false + changed)
    equal = offsets[f1 >= f1.max() - 1e-12]
    offset = float(equal[np.argmin(np.abs(equal))])
    highest = max(backgrounds) + offset + SPARE
    # half a level more, so that what was as probable is not called changed
    lowest = max(min(backgrounds) + offset - SPARE, _logit(still + 0.5 / LEVELS))
    return RelativeThreshold(
        quantile=QUANTILE, above=offset, lowest=min(lowest, highest), highest=highest
    )


def _logit(probability: float) -> float:
    held = min(max(probability, 0.5 / LEVELS), 1 - 0.5 / LEVELS)
    return math.log(held / (1 - held))


def _probability(logit: float) -> float:
    return float(_probabilities(np.array([logit]))[0])


def _probabilities(logits: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """In (0, 1), at least half a level from either end."""
    return (1 / (1 + np.exp(-logits))).clip(0.5 / LEVELS, 1 - 0.5 / LEVELS)

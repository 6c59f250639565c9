"""Which losses, arguments and comparisons make sense together; seen before any data is read (law 6)."""

import math
from typing import Any

from twofold import distances
from twofold.comparison import Comparison
from twofold.config import Piece
from twofold.errors import RecipeError

__all__ = ["check_pairing", "largest_distance"]

LARGEST_MARGIN = 1e6
"""Margin of a distance without bound: beyond it float32 rounds distances of usual size away."""

CROSS_ENTROPIES = ("binary_cross_entropy", "pair_cross_entropy")
PROXIES = ("ArcFace", "ProxyAnchor")
HINGES = ("contrastive", "pair_contrastive", "roadmap")
MARGINS = {
    "contrastive": (0.0, 1.0),
    "pair_contrastive": (0.0, 1.0),
    "roadmap": (0.1, 0.4),
}
"""What positive_margin and negative_margin are where the recipe does not say."""


BOUNDED = {"cosine": 2.0, "ExpL1": 1.0, "Warping": 2.0}
"""Largest distances, whatever the vectors."""


def largest_distance(comparison: Comparison, *, dim: int, unit: bool | None) -> float:
    """The largest distance that two embeddings can have; infinity where there is no bound.

    Args:
        unit: embeddings have length 1.
    """
    if comparison.name in BOUNDED:
        return BOUNDED[comparison.name]
    if not unit or comparison.name not in distances.__all__:
        return math.inf
    return {"euclidean": 2.0, "squared_euclidean": 4.0, "manhattan": 2.0 * math.sqrt(dim)}[
        comparison.name
    ]


def check_pairing(loss: Piece, comparison: Comparison, *, dim: int, unit: bool | None) -> None:
    """Raise RecipeError where a loss can learn nothing, or not what is meant, with this comparison.

    Args:
        unit: embeddings have length 1; None: the encoder does not say.
    """
    plain = comparison.name in distances.__all__
    if loss.name in CROSS_ENTROPIES and (plain or comparison.name in BOUNDED):
        raise RecipeError(
            f"loss {loss.name!r} takes a distance for a logit, and {comparison.name} distances "
            f"are never negative: no "
            "pair could ever be called the same. Take comparison = 'WeightedL1' or 'Matching', or "
            "a loss for plain distances "
            f"({'pair_contrastive' if loss.name.startswith('pair_') else 'supcon or contrastive'})"
        )
    if loss.name in PROXIES and not plain:
        raise RecipeError(
            f"loss {loss.name!r} compares with its proxies by angle, so the weights of "
            f"{comparison.name} would learn "
            "nothing: take comparison = 'cosine'"
        )
    if loss.name in PROXIES and comparison.name != "cosine" and unit is False:
        raise RecipeError(
            f"loss {loss.name!r} teaches angles only, and {comparison.name} distances of "
            f"embeddings of any length "
            "depend on the length, too: take comparison = 'cosine', or an encoder with unit_norm "
            "= true"
        )
    largest = min(largest_distance(comparison, dim=dim, unit=unit), LARGEST_MARGIN)
    _check_margins(loss, comparison.name, largest, plain=plain)


def _check_margins(loss: Piece, comparison: str, largest: float, *, plain: bool) -> None:
    """Hinges that are never, or always, active."""
    given = loss.arguments
    bounds: dict[str, Any] = {"most": largest, "comparison": comparison}
    if loss.name in HINGES:
        near, far = (
            _number(given.get(name, usual))
            for name, usual in zip(
                ("positive_margin", "negative_margin"), MARGINS[loss.name], strict=True
            )
        )
        _within(loss, "negative_margin", far, above=0.0 if plain else -LARGEST_MARGIN, **bounds)
        _within(loss, "positive_margin", near, above=None if plain else -LARGEST_MARGIN, **bounds)
    if loss.name == "triplet" and not given.get("soft", False):
        margin = _number(given.get("margin", 0.2))
        lowest = 0.0 if given.get("mining") == "semi_hard" else None
        _within(loss, "margin", margin, above=lowest, **bounds)


def _within(
    loss: Piece, name: str, value: float, *, above: float | None, most: float, comparison: str
) -> None:
    """Above `above` (at least 0 where that is None), and at most `most`."""
    if (value >= 0 if above is None else value > above) and value <= most:
        return
    bounds = f"from 0 to {most:g}" if above is None else f"above {above:g} and at most {most:g}"
    reason = (
        "no pair can be that far apart"
        if value > most
        else "with it there would be nothing to learn"
    )
    raise RecipeError(
        f"loss.{name} = {value:g}: distances by {comparison} take a margin {bounds}; {reason} "
        f"(loss {loss.name!r})"
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecipeError(f"a margin of a loss is a number, not {value!r}")
    return float(value)

"""Margins that grow: a training begins with what is easy, and ends with the recipe's margin."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from twofold.config import Recipe
from twofold.errors import RecipeError

__all__ = ["growing"]

MARGINS = {"margin": 1e-3, "negative_margin": 0.5}
"""Settings of losses that can grow, and the share of each to begin with.

Losses refuse a margin of 0. Where the margin alone drives impostors apart, less than half of it lets
all embeddings collapse, for good (docs/LOG.md, 2026-11-29).
"""


def growing(loss: Callable[..., Any], recipe: Recipe) -> Callable[[float], None]:
    """A function that sets the loss's margin for a step at a share of the training, from 0 to 1.

    The margin grows evenly to its setting over `recipe.margin_growth` of the training: `margin` from
    0, `negative_margin` from half (from halfway between `positive_margin` and it).

    Args:
        loss: as `build.loss` makes it: a module with its margin as an attribute, or a function with
            its settings bound.

    Raises:
        RecipeError: the loss has no margin, or the user brought her own.
    """
    if isinstance(loss, nn.Module):
        known, set_to = vars(loss), partial(setattr, loss)
    elif isinstance(loss, partial):
        defaults = inspect.signature(loss).parameters
        known, set_to = {n: p.default for n, p in defaults.items()}, loss.keywords.__setitem__
    else:
        raise RecipeError("margin_growth is for the recipe's own losses: drop it for yours")
    name = next((name for name in MARGINS if name in known), None)
    if name is None:
        raise RecipeError(
            f"loss {recipe.loss.name!r} has no margin that could grow: drop margin_growth"
        )
    first, full, share = known.get("positive_margin", 0.0), known[name], recipe.margin_growth

    def at(progress: float) -> None:
        grown = min(max(progress / share, 0.0), 1.0)
        set_to(name, first + (full - first) * (MARGINS[name] + (1 - MARGINS[name]) * grown))

    return at

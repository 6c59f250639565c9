"""What of an encoder is not trained, and which of its blocks are trained more slowly."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from twofold.errors import RecipeError, nearest
from twofold.nn.blocks import blocks, head
from twofold.twin import Twin

__all__ = ["TRUNK", "frozen", "rate_factors", "stay_still", "whole_trunk"]

TRUNK = "trunk"
"""The word for all blocks below the head, whatever the encoder calls them."""


@contextmanager
def frozen(twin: Twin, freeze: str | int | None) -> Iterator[tuple[nn.Module, ...]]:
    """The modules that do not learn inside: no gradient, no dropout, and norms that keep their statistics.

    Args:
        freeze: "trunk", how many of the lowest blocks, or the name of a module of the encoder.

    Raises:
        RecipeError: nothing of that name, too many blocks, or nothing left that learns.
    """
    chosen = tuple(_chosen(twin.encoder, freeze))
    weights = [
        weight for module in chosen for weight in module.parameters() if weight.requires_grad
    ]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        if chosen and not any(weight.requires_grad for weight in twin.parameters()):
            raise RecipeError(
                f"freeze = {freeze!r} leaves nothing to learn: set encoder.dim, which adds a "
                f"projection on the features, or freeze less"
            )
        yield chosen
    finally:
        for weight in weights:
            weight.requires_grad_(True)


def stay_still(modules: tuple[nn.Module, ...]) -> None:
    """Put frozen modules into eval mode, after all of a twin was put into training mode."""
    for module in modules:
        module.eval()


def _chosen(encoder: nn.Module, freeze: str | int | None) -> list[nn.Module]:
    if freeze is None:
        return []
    lower = blocks(encoder)
    if freeze == TRUNK or freeze == len(lower):
        if not lower:
            raise RecipeError(f"freeze = {freeze!r}: this encoder has no blocks below its head")
        return [module for block in lower for module in block]
    if isinstance(freeze, int):
        if not 0 <= freeze < len(lower):
            raise RecipeError(
                f"freeze = {freeze}: this encoder has {len(lower)} blocks below its head; give 0 "
                f"to {len(lower)}, or 'trunk' for all"
            )
        return [module for block in lower[:freeze] for module in block]
    known = {name: module for name, module in encoder.named_modules() if name}
    if freeze not in known:
        names = [TRUNK, *(name for name in known if "." not in name)]
        raise RecipeError(
            f"freeze = {freeze!r} is not a part of this encoder: {nearest(freeze, names)}"
        )
    return [known[freeze]]


def whole_trunk(encoder: nn.Module, freeze: str | int | None) -> bool:
    """Whether everything below the head is frozen."""
    inside = {id(part) for module in _chosen(encoder, freeze) for part in module.parameters()}
    below = [part for block in blocks(encoder) for module in block for part in module.parameters()]
    return bool(below) and all(id(part) in inside for part in below)


def rate_factors(twin: Twin, layer_decay: float | None) -> dict[int, float]:
    """By what the learning rate of each weight is multiplied, by the weight's `id`: layer_decay for each block below.

    The head learns at the full rate, the highest block at `layer_decay` times it, the next at its
    square, and so on (Clark et al. 2020, section 3.3; Bao et al. 2022).
    """
    if layer_decay is None or layer_decay == 1:
        return {}
    lower = blocks(twin.encoder)
    on_top = {id(weight) for module in head(twin.encoder) for weight in module.parameters()}
    return {
        id(weight): layer_decay ** (len(lower) - place)
        for place, block in enumerate(lower)
        for module in block
        for weight in module.parameters()
        if id(weight) not in on_top
    }

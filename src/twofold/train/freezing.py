"""What of an encoder is not trained, and which of its blocks are trained more slowly."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from twofold.errors import RecipeError
from twofold.nn.blocks import blocks, frozen_parts, head
from twofold.twin import ChangeTwin, TrackTwin, Twin

__all__ = ["frozen", "rate_factors", "stay_still", "still_trunk", "whole_trunk"]


@contextmanager
def frozen(
    twin: Twin | ChangeTwin | TrackTwin, freeze: str | int | None
) -> Iterator[tuple[nn.Module, ...]]:
    """The modules that do not learn inside: no gradient, no dropout, and norms that keep their statistics.

    Args:
        freeze: "trunk", how many of the lowest blocks, or the name of a module of the encoder.

    Raises:
        RecipeError: nothing of that name, too many blocks, or nothing left that learns.
    """
    chosen = tuple(frozen_parts(twin.encoder, freeze))
    weights = [
        weight for module in chosen for weight in module.parameters() if weight.requires_grad
    ]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        _check_learns(twin, freeze)
        yield chosen
    finally:
        for weight in weights:
            weight.requires_grad_(True)


def _check_learns(twin: Twin | ChangeTwin | TrackTwin, freeze: str | int | None) -> None:
    if any(weight.requires_grad for weight in twin.parameters()):
        return
    if freeze is not None:
        raise RecipeError(
            f"freeze = {freeze!r} leaves nothing to learn: set encoder.dim, which adds a "
            f"projection on the features, or freeze less"
        )
    raise RecipeError(
        "this encoder has nothing to learn: embed the data with it (twofold embed), and train the "
        "recipe head on what that writes"
    )


def stay_still(modules: tuple[nn.Module, ...]) -> None:
    """Put frozen modules into eval mode, after all of a twin was put into training mode."""
    for module in modules:
        module.eval()


def whole_trunk(encoder: nn.Module, freeze: str | int | None) -> bool:
    """Whether everything below the head is frozen."""
    inside = {id(part) for module in frozen_parts(encoder, freeze) for part in module.parameters()}
    below = [part for block in blocks(encoder) for module in block for part in module.parameters()]
    return bool(below) and all(id(part) in inside for part in below)


def still_trunk(encoder: nn.Module) -> bool:
    """Whether nothing below the head learns, without being frozen by a recipe: fixed kernels, say."""
    below = [part for block in blocks(encoder) for module in block for part in module.parameters()]
    return bool(below) and not any(part.requires_grad for part in below)


def rate_factors(
    twin: Twin | ChangeTwin | TrackTwin, layer_decay: float | None
) -> dict[int, float]:
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

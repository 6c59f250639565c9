"""The blocks that an encoder is built of, lowest first, and the head on them: for freezing, and for slower rates."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from twofold.errors import RecipeError, nearest

__all__ = ["HEADS", "TRUNK", "OnFeatures", "blocks", "frozen_parts", "head"]

HEADS = ("head", "project", "pool")
"""What our encoders call the layers on their trunk."""

TRUNK = "trunk"
"""The word for all blocks below the head, whatever the encoder calls them."""

BESIDE = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
"""Norms belong to the layer before them."""


@runtime_checkable
class OnFeatures(Protocol):
    """An encoder of a trunk and a head, whose head can be run alone.

    Attributes:
        on_features: while it is set, `forward` is given what `features` returned.
    """

    on_features: bool

    def features(self, batch: object) -> Float[Tensor, "batch ..."]:
        """What the trunk makes of a batch."""
        ...


def blocks(encoder: nn.Module) -> list[list[nn.Module]]:
    """What stands on each other below the head; each block is a list of modules.

    The entries of a `Sequential` or `ModuleList` are blocks, and so are those of its entries that
    are such themselves (stages). A norm belongs to the layer before it.
    """
    found: list[list[nn.Module]] = []
    for name, child in encoder.named_children():
        if name not in HEADS:
            for layer in _layers(child):
                if isinstance(layer, BESIDE) and found:
                    found[-1].append(layer)
                else:
                    found.append([layer])
    return found


def head(encoder: nn.Module) -> list[nn.Module]:
    """What stands on the blocks."""
    return [child for name, child in encoder.named_children() if name in HEADS]


def frozen_parts(encoder: nn.Module, freeze: str | int | None) -> list[nn.Module]:
    """The modules of an encoder that a recipe's `freeze` names.

    Args:
        freeze: "trunk", how many of the lowest blocks, or the name of a module; None: none of them.

    Raises:
        RecipeError: nothing of that name, or too many blocks.
    """
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
        names = sorted({TRUNK, *(name for name in known if "." not in name)})
        raise RecipeError(
            f"freeze = {freeze!r} is not a part of this encoder: {nearest(freeze, names)}"
        )
    return [known[freeze]]


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Layers with weights, from below; a module that holds a list of layers is looked into."""
    listed = isinstance(module, nn.Sequential | nn.ModuleList)
    if listed or any(isinstance(part, nn.ModuleList) for part in module.modules()):
        for child in module.children():
            if isinstance(child, nn.Sequential | nn.ModuleList) or not listed:
                yield from _layers(child)
            elif any(True for _ in child.parameters()):
                yield child
    elif any(True for _ in module.parameters()):
        yield module

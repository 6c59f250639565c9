"""What lets a bundle rebuild an encoder: the builder's name and its flat arguments, kept on the module."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, overload

from torch import nn

__all__ = ["PICTURES", "builder", "built_from", "kinds_of"]

Arguments = ParamSpec("Arguments")


PICTURES = ("pictures",)
"""What an encoder takes, and an input gives, that says nothing of it."""


@overload
def builder(function: Callable[Arguments, nn.Module], /) -> Callable[Arguments, nn.Module]: ...
@overload
def builder(
    *, kinds: tuple[str, ...]
) -> Callable[[Callable[Arguments, nn.Module]], Callable[Arguments, nn.Module]]: ...
def builder(
    function: Callable[..., nn.Module] | None = None, /, *, kinds: tuple[str, ...] = PICTURES
) -> Any:
    """Make the modules that `function` returns remember how they were built.

    Args:
        kinds: what the modules take: see `facts()["kind"]` of an input type.
    """
    if function is None:
        return functools.partial(_remembering, kinds=kinds)
    return _remembering(function, kinds=kinds)


def _remembering(
    function: Callable[..., nn.Module], *, kinds: tuple[str, ...]
) -> Callable[..., nn.Module]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def build(*args: Any, **kwargs: Any) -> nn.Module:
        module = function(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # a bundle brings its own weights, so where they started from does not rebuild a module
        arguments = {name: value for name, value in bound.arguments.items() if name != "weights"}
        arguments |= getattr(module, "learned", {})  # what was found beside the weights
        module.built_from = {"name": function.__name__, **arguments}  # type: ignore[assignment]
        return module

    build.kinds = kinds  # type: ignore[attr-defined]
    return build


def kinds_of(function: Callable[..., nn.Module]) -> tuple[str, ...]:
    """The kinds of things that a builder's modules take."""
    return getattr(function, "kinds", PICTURES)


def built_from(module: nn.Module) -> dict[str, Any] | None:
    """`{"name": ..., argument: value, ...}`, or None for a module that none of our builders made."""
    known = getattr(module, "built_from", None)
    return dict(known) if isinstance(known, dict) else None

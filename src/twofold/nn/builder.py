"""What lets a bundle rebuild an encoder: the builder's name and its flat arguments, kept on the module."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec

from torch import nn

__all__ = ["builder", "built_from"]

Arguments = ParamSpec("Arguments")


def builder(function: Callable[Arguments, nn.Module]) -> Callable[Arguments, nn.Module]:
    """Make the modules that `function` returns remember how they were built."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def build(*args: Arguments.args, **kwargs: Arguments.kwargs) -> nn.Module:
        module = function(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # where weights started from is no part of what rebuilds a module: a bundle brings its own
        arguments = {name: value for name, value in bound.arguments.items() if name != "weights"}
        module.built_from = {"name": function.__name__, **arguments}  # type: ignore[assignment]
        return module

    return build


def built_from(module: nn.Module) -> dict[str, Any] | None:
    """`{"name": ..., argument: value, ...}`, or None for a module that none of our builders made."""
    known = getattr(module, "built_from", None)
    return dict(known) if isinstance(known, dict) else None

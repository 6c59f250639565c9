"""--encoder MODULE:FUNCTION --trust-code, with every command: code of the user's own makes the encoder."""

import importlib
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from twofold.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ENCODER", "TRUST", "with_own_encoder"]

ENCODER, TRUST = "--encoder", "--trust-code"


def with_own_encoder(words: list[str], stack: ExitStack) -> list[str]:
    """The words without --encoder MODULE:FUNCTION and --trust-code, which hold until the stack is closed.

    Raises:
        UsageError: one without the other, or nothing there that makes a torch module.
    """
    kept, spec = [], None
    rest = iter(words)
    for word in rest:
        if word == ENCODER or word.startswith(f"{ENCODER}="):
            spec = word.partition("=")[2] or next(rest, "")
        else:
            kept.append(word)
    trusted = TRUST in kept
    kept = [word for word in kept if word != TRUST]
    if spec is None:
        if trusted:
            raise UsageError(f"{TRUST} is for {ENCODER} MODULE:FUNCTION: give both, or neither")
        return kept
    if ":" not in spec:
        raise UsageError(
            f"{ENCODER} {spec}: one of twofold's encoders is chosen with --set "
            f"encoder.name={spec or 'NAME'}; code of "
            f"your own with {ENCODER} MODULE:FUNCTION {TRUST}"
        )
    if not trusted:
        raise UsageError(
            f"{ENCODER} {spec} runs code on this machine: if you trust it, add {TRUST}"
        )
    from twofold import build

    stack.enter_context(build.own_encoder(_maker(spec)))
    return kept


def _maker(spec: str) -> Any:
    """What makes the encoder: called for each twin."""
    name, _, attribute = spec.partition(":")
    found = _found(spec, name, attribute)

    def make() -> "nn.Module":
        from torch import nn

        try:
            made = found()
        except Exception as error:
            raise UsageError(
                f"{ENCODER} {spec} failed ({type(error).__name__}: {error}): it takes no arguments"
            ) from error
        if not isinstance(made, nn.Module):
            raise UsageError(
                f"{ENCODER} {spec} returned a {type(made).__name__}: it must return a "
                f"torch.nn.Module"
            )
        return made

    return make


def _found(spec: str, name: str, attribute: str) -> Any:
    here = os.getcwd()  # noqa: PTH109 (as sys.path has it)
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise UsageError(
            f"{ENCODER} {spec}: the module {name!r} cannot be imported ({type(error).__name__}: "
            f"{error}); it is looked "
            "for in this folder and where Python finds packages"
        ) from error
    finally:
        sys.path.remove(here)
    found = getattr(module, attribute, None)
    if not callable(found):
        raise UsageError(
            f"{ENCODER} {spec}: {name} has no function or class {attribute!r} that makes the "
            f"encoder"
        )
    return found

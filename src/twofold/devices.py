"""Where a twin runs: `cpu`, `cuda`, `cuda:1` or `mps`, checked in one place before anything is loaded or read."""

from collections.abc import Sequence

import torch

from twofold.errors import UsageError

__all__ = ["available", "device_of", "training_device"]


def available() -> list[str]:
    """The devices of this machine, by the names that `--device` takes; the processor comes first."""
    names = ["cpu"]
    if torch.cuda.is_available():
        cards = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        names += ["cuda", *cards] if len(cards) > 1 else ["cuda"]
    return [*names, "mps"] if torch.backends.mps.is_available() else names


def device_of(asked: str | torch.device | None = None) -> torch.device:
    """The device that was asked for; None: a CUDA card if there is one, else the processor.

    Apple's GPU is taken only when it is asked for: no test of ours runs on one.

    Raises:
        UsageError: this machine has no such device; the message lists those that it has.
    """
    known = available()
    if asked is None:
        return torch.device("cuda" if "cuda" in known else "cpu")
    name = str(asked).strip().lower()
    # one card is listed as cuda, and cuda:0 names it too
    if name in known or (name == "cuda:0" and "cuda" in known):
        return torch.device(name)
    raise UsageError(
        f"--device {asked}: {_reason(name, known)}. This machine has: {', '.join(known)}"
    )


def training_device(asked: str | torch.device | None = None) -> torch.device:
    """The device to train on.

    Raises:
        UsageError: this machine has no such device, or it cannot add up a loss.
    """
    device = device_of(asked)
    if device.type == "mps":
        raise UsageError(
            "--device mps: losses are added up in float64, which Apple's GPUs lack; train with "
            "--device cpu. "
            "A trained bundle embeds on mps"
        )
    return device


def _reason(name: str, known: Sequence[str]) -> str:
    kind, _, index = name.partition(":")
    if kind == "cuda" and not torch.cuda.is_available():
        return (
            "torch finds no CUDA card here"
            if torch.version.cuda
            else "this torch was built without CUDA"
        )
    if kind == "cuda" and index.isdecimal():
        return f"there is no card number {index}"
    if kind == "mps" and "mps" not in known:
        return "torch finds no Apple GPU here"
    return "no such device"

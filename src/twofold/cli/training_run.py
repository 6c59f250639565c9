"""How a command trains: with a bar, in the processes that torchrun has started, until a signal asks it to end."""

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from twofold.cli.options import say
from twofold.errors import Interrupted

if TYPE_CHECKING:
    from twofold.train.checkpoint import Checkpoints

__all__ = ["run"]

Made = TypeVar("Made")


def run(
    train: Callable[..., Made], kept: "Checkpoints", *, device: str | None, quiet: bool
) -> Made | None:
    """What training makes; None in all processes but the first.

    Args:
        train: called with `device`, `checkpoints` and `watch`.
        kept: where the states of the training are.
        quiet: no bar is shown.
    """
    from twofold.terminal import bars, interruption
    from twofold.train.distributed import started

    with (
        started(device) as (processes, device),
        bars.training(quiet=quiet or not processes.first) as watch,
        interruption.ending() as ending,
    ):
        try:
            made = train(device=device, checkpoints=replace(kept, asked=ending), watch=watch)
        except Interrupted as ended:
            if ending() == signal.SIGINT:
                raise KeyboardInterrupt(str(ended)) from None
            raise
        except KeyboardInterrupt:
            if states := kept.states:
                say(
                    f"{states[-1]} holds the state of the training: run the same command with "
                    f"--resume to continue"
                )
            raise
    return made if processes.first else None

"""Ending a long piece of work by a signal, where it can be continued."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["ending"]


@contextmanager
def ending() -> Iterator[Callable[[], int]]:
    """Inside, work can be asked to end where it can be gone on with; what is yielded says by which signal (0: none).

    SIGTERM only takes a note. So does the first Ctrl-C once the work has begun to ask; before that,
    and the second time, it ends at once.
    """
    came: list[int] = []
    asks = 0

    def note(number: int, frame: object) -> None:
        if number == signal.SIGINT and (not asks or signal.SIGINT in came):
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            os.write(2, b"twofold: the state is kept after this step; Ctrl-C again ends at once\n")
        came.append(number)

    def asked() -> int:
        nonlocal asks
        asks += 1
        return came[0] if came else 0

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

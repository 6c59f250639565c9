"""Work that is shared by threads which meet once, at its end.

Torch's own threads meet after each operation. Beside other work every meeting waits for the thread
that was put aside: small operations then take several times as long as with one thread.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

__all__ = ["LANES", "few_threads", "in_lanes"]

LANES = 2
"""In so many parts the work is divided, however many threads there are: sums of floats depend on their parts, so this
keeps a loss the same with one thread and with two. More parts would need more memory for sums."""

Part = TypeVar("Part")


@contextmanager
def few_threads() -> Iterator[int]:
    """Inside, torch uses the threads of one lane in this thread; gives how many it used outside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // LANES))
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def in_lanes(work: Callable[[int], Part], lanes: int = LANES) -> list[Part]:
    """`work` of each lane, at once where torch may use more than one thread; without gradient."""

    alone = torch.no_grad()(work)
    with few_threads() as threads:
        if threads == 1 or lanes == 1:
            return [alone(lane) for lane in range(lanes)]
        with ThreadPoolExecutor(
            lanes - 1, initializer=torch.set_num_threads, initargs=(threads // LANES,)
        ) as pool:
            others = [pool.submit(alone, lane) for lane in range(1, lanes)]
            return [alone(0), *(other.result() for other in others)]

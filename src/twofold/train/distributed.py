"""Several processes, one training: each embeds its part of every batch, and all see the loss of the whole batch.

`torchrun --nproc-per-node N -m twofold train ...` starts them. After every step all hold the same
weights: gradients are summed, not averaged, since each is a part of one loss (decision 020).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn

from twofold.errors import UsageError

__all__ = ["Processes", "started"]

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: which one it is; the first writes files and speaks.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def present(cls) -> "Processes":
        """Those of the process group that is open; one where none is."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def first(self) -> bool:
        return self.rank == 0

    def total(self, x: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count == 1:
            return x
        summed = x.detach().clone()
        distributed.all_reduce(summed)
        return summed

    def gather(
        self, rows: Float[Tensor, "n dim"], sizes: Sequence[int]
    ) -> Float[Tensor, "all dim"]:
        """The rows of all processes in the order of their ranks; process r has sizes[r] of them."""
        if self.count == 1:
            return rows
        padded = rows.new_zeros(max(sizes), rows.shape[1])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sums the gradients of all processes, in one message for each dtype."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for some in _by_dtype(gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in some])
            distributed.all_reduce(flat)
            _spread(flat, some)

    def average(self, buffers: Iterable[Tensor]) -> None:
        """Puts the mean over all processes into each: running statistics of batch normalisation."""
        if self.count == 1:
            return
        for some in _by_dtype([buffer for buffer in buffers if buffer.is_floating_point()]):
            flat = torch.cat([buffer.reshape(-1) for buffer in some])
            distributed.all_reduce(flat)
            _spread(flat / self.count, some)

    def agreed(self, value: T) -> T:
        """What the first process says."""
        if self.count == 1:
            return value
        said = [value]
        distributed.broadcast_object_list(said)
        return said[0]


@contextmanager
def started(device: str | None) -> Iterator[tuple[Processes, str | None]]:
    """Joins the processes that torchrun has started, if it has: they and this one's device; leaves them at the end.

    Raises:
        UsageError: fewer GPUs than processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        yield Processes.present(), device
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available() and (device or "cuda").startswith("cuda")
    if cuda and local >= torch.cuda.device_count():
        raise UsageError(
            f"process {local} of this machine has no GPU of its own, there are "
            f"{torch.cuda.device_count()}: "
            "lower --nproc-per-node, or train with --device cpu"
        )
    if cuda:
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes.present(), f"cuda:{local}" if cuda else device
    finally:
        distributed.destroy_process_group()


def _by_dtype(tensors: list[Tensor]) -> list[list[Tensor]]:
    kinds = dict.fromkeys(tensor.dtype for tensor in tensors)
    return [[tensor for tensor in tensors if tensor.dtype == kind] for kind in kinds]


@torch.no_grad()
def _spread(flat: Tensor, tensors: list[Tensor]) -> None:
    for tensor, part in zip(
        tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True
    ):
        tensor.copy_(part.view(tensor.shape))

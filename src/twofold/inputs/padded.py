"""Batches of things of unequal length: the values, padded to the longest, and how long each thing is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from twofold.errors import UsageError

__all__ = ["Padded", "changed_each", "padded"]

Rows = slice | Int[Tensor, "rows"]


@dataclass(frozen=True, eq=False)
class Padded:
    """A batch with `len`, slicing and `.to(device)`, like a tensor. Encoders mask what lies beyond a length.

    Attributes:
        values: (items, longest, ...); what stands beyond an item's length has no meaning.
        lengths: of each item, at least 1.
    """

    values: Shaped[Tensor, "items longest ..."]
    lengths: Int[Tensor, "items"]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: Rows) -> "Padded":
        """Some of the items, padded to the longest of these."""
        lengths = self.lengths[rows]
        longest = int(lengths.max()) if len(lengths) else 0
        return Padded(self.values[rows][:, :longest], lengths)

    def to(self, device: torch.device | str) -> "Padded":
        """The same on another device."""
        return Padded(self.values.to(device), self.lengths.to(device))

    @property
    def mask(self) -> Bool[Tensor, "items longest"]:
        """True where a value counts."""
        places = torch.arange(self.values.shape[1], device=self.lengths.device)
        return places < self.lengths[:, None]


def padded(arrays: Sequence[np.ndarray]) -> Padded:
    """Arrays of shape (length, ...), which differ in length only, as one batch; integers become int64.

    Raises:
        UsageError: no arrays, an array of length 0, or arrays that differ in more than their
            length.
    """
    if not arrays:
        raise UsageError("a batch needs at least one item")
    first = arrays[0]
    lengths = [len(array) for array in arrays]
    if min(lengths) == 0:
        raise UsageError(
            f"item {lengths.index(0)} of the batch has length 0: every item needs at least one "
            f"value"
        )
    if other := [array for array in arrays if array.shape[1:] != first.shape[1:]]:
        raise UsageError(
            f"items of shapes {first.shape[1:]} and {other[0].shape[1:]} do not fit into one batch"
        )
    kind = np.int64 if np.issubdtype(first.dtype, np.integer) else first.dtype
    values = np.zeros((len(arrays), max(lengths), *first.shape[1:]), kind)
    for row, array in zip(values, arrays, strict=True):
        row[: len(array)] = array
    return Padded(torch.from_numpy(values), torch.tensor(lengths))


def changed_each(
    batch: Padded,
    keys: Int[np.ndarray, "items 4"],
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray],
) -> Padded:
    """The batch with each item changed by a function, whose random numbers depend on the item's key alone.

    Args:
        keys: (seed, epoch, item, variant) of each item.
        change: an item without its padding, and its random numbers -> the item changed.
    """
    rows = zip(batch.values.cpu().numpy(), batch.lengths.tolist(), keys, strict=True)
    changed = [change(row[:n], np.random.default_rng(np.abs(key))) for row, n, key in rows]
    return padded(changed).to(batch.values.device)

"""Dynamic time warping as a comparison: embeddings that are sequences of frames, aligned before they are compared."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from twofold.errors import UsageError

__all__ = ["Warping"]

Frames = Float[Tensor, "n frames width"]

PAIRS = 1 << 12
"""Pairs that are aligned at once: with 32 frames their costs take 16 MB."""


@dataclass(frozen=True)
class Warping:
    """The mean angle between frames along the best alignment (dynamic time warping; Sakoe & Chiba 1978).

    An embedding is a sequence of `frames` vectors, one behind the other. The cost of two frames is
    1 - cos of their angle. A path goes from the first frames to the last ones by steps (1, 0),
    (0, 1) and (1, 1), at most `band` frames off the diagonal; the distance is the smallest sum of
    costs along a path, over both lengths, 2 frames. Equal sequences have distance 0, and the
    distance is symmetric. A frame of zeros has no direction: it is at 1 from every other.

    Args:
        dim: numbers of an embedding, a multiple of `frames`.
        frames: of each embedding.
        band: how far a path may leave the diagonal; 0 compares frame by frame.

    Raises:
        UsageError: numbers that do not fit.
    """

    dim: int
    frames: int = 32
    band: int = 8
    name: ClassVar[str] = "Warping"

    def __post_init__(self) -> None:
        for field, least in (("frames", 1), ("band", 0)):
            value = getattr(self, field)
            if type(value) is not int or value < least:
                raise UsageError(
                    f"comparison.{field} = {value!r}: a whole number of at least {least}"
                )
        if self.dim % self.frames:
            raise UsageError(
                f"comparison.frames = {self.frames}: an embedding of {self.dim} numbers is no "
                "such number of frames; take encoder.frames for both"
            )

    def pairs(self, a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
        """Distance between a[i] and b[i]."""
        one, other = self._split(a), self._split(b)
        found = [
            aligned(1 - some @ others.mT, band=self.band)
            for some, others in zip(one.split(PAIRS), other.split(PAIRS), strict=True)
        ]
        return torch.cat(found) if found else a.new_zeros(0)

    def block(
        self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]
    ) -> Float[Tensor, "rows cols"]:
        """Distance between every a[i] and every b[j], some rows at a time: no cube."""
        if not len(a) or not len(b):
            return a.new_zeros(len(a), len(b))
        one, other = self._split(a), self._split(b)
        rows = max(1, PAIRS // len(b))
        found = []
        for some in one.split(rows):
            costs = 1 - some[:, None] @ other[None].mT
            found.append(aligned(costs.flatten(0, 1), band=self.band).view(len(some), len(b)))
        return torch.cat(found)

    def arguments(self) -> dict[str, Any]:
        """Frames and band."""
        return {"frames": self.frames, "band": self.band}

    def _split(self, vectors: Float[Tensor, "n dim"]) -> Frames:
        """Frames of length 1, at least in float32."""
        kind = torch.promote_types(vectors.dtype, torch.float32)
        frames = vectors.to(kind).unflatten(1, (self.frames, -1))
        return torch.nn.functional.normalize(frames, dim=2)


def aligned(costs: Float[Tensor, "n rows cols"], *, band: int) -> Float[Tensor, "n"]:
    """The smallest mean cost of a path from one corner to the other, over both lengths.

    Diagonals across the table are worked out one after the other, each at once.
    """
    costs = costs.clamp(min=0)
    rows, cols = costs.shape[1:]
    beyond = costs.new_full((len(costs), rows + 1), torch.inf)
    before, last = beyond, beyond  # of the two diagonals before: the cell of row i is at i + 1
    for diagonal in range(rows + cols - 1):
        low = max(0, diagonal - cols + 1, -(-(diagonal - band) // 2))
        high = min(diagonal, rows - 1, (diagonal + band) // 2)
        places = torch.arange(low, high + 1, device=costs.device)
        here = costs[:, places, diagonal - places]
        if diagonal:
            left, above, corner = last[:, places + 1], last[:, places], before[:, places]
            here = here + torch.minimum(torch.minimum(left, above), corner)
        before, last = last, beyond.index_copy(1, places + 1, here)
    return last[:, rows] / (rows + cols)

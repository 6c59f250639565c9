"""What turns two embeddings into a distance: a plain one, or a head that is learned with the encoder (law 1: smaller
is more alike)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from twofold import distances
from twofold.errors import UnknownName, UsageError, nearest
from twofold.map_matching import CrossAttention, Relation
from twofold.warping import Warping

__all__ = [
    "Bilinear",
    "Comparison",
    "CrossAttention",
    "ExpL1",
    "Matching",
    "Plain",
    "Relation",
    "Warping",
    "WeightedL1",
    "named",
]


@runtime_checkable
class Comparison(Protocol):
    """Two embeddings in, a distance out. The names of `distances.__all__` are kept for the plain distances."""

    @property
    def name(self) -> str:
        """What the bundle writes down; `named(name, dim=..., **arguments())` builds it again."""
        ...

    def pairs(self, a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
        """Distance between a[i] and b[i]."""
        ...

    def block(
        self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]
    ) -> Float[Tensor, "rows cols"]:
        """Distance between every a[i] and every b[j]."""
        ...

    def arguments(self) -> dict[str, Any]:
        """Flat arguments that build it again, the dimension apart."""
        ...


@dataclass(frozen=True)
class Plain:
    """A distance without weights, one of `distances.__all__`.

    Raises:
        UnknownName: no such distance.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in distances.__all__:
            raise UnknownName(
                f"no distance is called {self.name!r}: {nearest(self.name, distances.__all__)}"
            )

    def pairs(self, a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
        """Distance between a[i] and b[i]."""
        return distances.pairs(self.name, a, b)

    def block(
        self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]
    ) -> Float[Tensor, "rows cols"]:
        """Distance between every a[i] and every b[j]."""
        return distances.block(self.name, a, b)

    def within(
        self, vectors: Float[Tensor, "n dim"]
    ) -> Callable[[Int[np.ndarray, "rows"], Int[np.ndarray, "cols"]], Float[Tensor, "rows cols"]]:
        """Distances among some vectors, by their places.

        These are the numbers of `block`, with what each vector needs done once. No gradient. A
        Euclidean block is centred by its own vectors, so it is worked out by itself.
        """
        if self.name != "cosine" or not len(vectors):
            return lambda rows, cols: self.block(vectors[places(rows)], vectors[places(cols)])
        prepared, _ = distances.prepare(self.name, vectors)
        kernel = distances.kernel(self.name, prepared)
        turned = kernel.turned(prepared)
        return lambda rows, cols: kernel.distances(
            turned[places(rows)], prepared[places(cols)], None
        ).clamp_(min=0)

    def arguments(self) -> dict[str, Any]:
        """Nothing beyond the name."""
        return {}


def places(index: Int[np.ndarray, "m"]) -> slice | Tensor:
    """Places that follow each other as a slice, so that nothing is copied."""
    if len(index) and index[-1] - index[0] == len(index) - 1 and bool((np.diff(index) == 1).all()):
        return slice(int(index[0]), int(index[-1]) + 1)
    return torch.from_numpy(index)


class WeightedL1(nn.Module):
    """A learned head: which differences count, and how much (Koch et al. 2015, section 3.1).

    P(same) = sigmoid(bias - sum_k w_k |a_k - b_k|), and the distance is minus that logit, so
    P(same) = sigmoid(-distance) and the distance may be negative. Train it with
    `losses.binary_cross_entropy`. Koch's own formula has the sign inside the weights and no bias.

    Args:
        dim: length of an embedding.
    """

    name = "WeightedL1"

    def __init__(self, dim: int) -> None:
        super().__init__()
        # At the start a mean absolute difference of 1/2 is undecided: P(same) is spread over both
        # sides.
        self.weight = nn.Parameter(torch.full((dim,), 2.0 / dim))
        self.bias = nn.Parameter(torch.ones(()))

    def pairs(self, a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
        """Distance between a[i] and b[i]."""
        with torch.autocast(a.device.type, enabled=False):
            weight = self.weight.to(torch.promote_types(a.dtype, self.weight.dtype))
            return ((a - b).to(weight.dtype).abs() @ weight) - self.bias

    def block(
        self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]
    ) -> Float[Tensor, "rows cols"]:
        """Distance between every a[i] and every b[j], as Manhattan distances of stretched vectors: no cube.

        w |a - b| is |w a - w b| for w >= 0, so positive and negative weights take one block each.
        """
        positive = self.weight.detach() >= 0
        weighted = self._stretched(a, b, positive)
        if not bool(positive.all()):
            weighted = weighted - self._stretched(a, b, ~positive)
        return weighted - self.bias

    def arguments(self) -> dict[str, Any]:
        """Nothing beyond the dimension."""
        return {}

    def _stretched(self, a: Tensor, b: Tensor, chosen: Tensor) -> Tensor:
        weight = self.weight[chosen].abs()
        return distances.block("manhattan", a[:, chosen] * weight, b[:, chosen] * weight)


@dataclass(frozen=True)
class ExpL1:
    """The similarity exp(-rate * |a - b|_1) of MaLSTM (Mueller & Thyagarajan 2016, eq. 4).

    The distance is 1 minus that, so that `losses.pair_regression` compares the similarity itself
    with the grade. It ranks as the Manhattan distance does.

    Args:
        rate: 1 in the paper, for 50 numbers of an LSTM's last state. Vectors of unit length are
            nearer to each other by L1 the more numbers they have.

    Raises:
        UsageError: the rate is not a positive number.
    """

    rate: float = 1.0
    name: ClassVar[str] = "ExpL1"

    def __post_init__(self) -> None:
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float) or self.rate <= 0:
            raise UsageError(f"comparison.rate = {self.rate!r}: a number above 0 belongs there")

    def pairs(self, a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
        """Distance between a[i] and b[i]."""
        return -torch.expm1(-self.rate * distances.pairs("manhattan", a, b))

    def block(
        self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]
    ) -> Float[Tensor, "rows cols"]:
        """Distance between every a[i] and every b[j]."""
        return -torch.expm1(-self.rate * distances.block("manhattan", a, b))

    def arguments(self) -> dict[str, Any]:
        """The rate."""
        return {"rate": self.rate}


class Matching(nn.Module):
    """A learned match: a network on what differs and what is shared (Tai et al. 2015, eq. 15).

    distance = 1 - cosine(a, b) - v . relu(W [|a - b|, a * b] + c). Before training v is 0, so the
    match is the cosine, and vectors that others have trained keep what they say; the network then
    learns where the cosine is wrong. It is symmetric. The paper has a sigmoid layer and no cosine.

    Args:
        dim: length of an embedding.
        width: of the hidden layer.

    Raises:
        UsageError: the width is not a positive whole number.
    """

    name = "Matching"

    def __init__(self, dim: int, width: int = 32) -> None:
        super().__init__()
        if type(width) is not int or not 1 <= width <= WIDEST:
            raise UsageError(f"comparison.width = {width!r}: a whole number from 1 to {WIDEST:,}")
        self.hidden, self.last = nn.Linear(2 * dim, width), nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.last.weight)

    def pairs(self, a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
        """Distance between a[i] and b[i]."""
        with torch.autocast(a.device.type, enabled=False):
            return distances.pairs("cosine", a, b) - self._learned(a, b)

    def block(
        self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]
    ) -> Float[Tensor, "rows cols"]:
        """Distance between every a[i] and every b[j], some rows at a time: no cube."""
        rows = max(1, NUMBERS // max(1, 2 * b.numel()))
        with torch.autocast(a.device.type, enabled=False):
            learned = [self._learned(some[:, None], b[None]) for some in a.split(rows)]
            return distances.block("cosine", a, b) - torch.cat(learned)

    def arguments(self) -> dict[str, Any]:
        """The width."""
        return {"width": self.hidden.out_features}

    def _learned(self, a: Tensor, b: Tensor) -> Tensor:
        kind = torch.promote_types(torch.promote_types(a.dtype, b.dtype), self.last.weight.dtype)
        a, b = a.to(kind), b.to(kind)
        found = torch.cat([(a - b).abs(), a * b], dim=-1)
        return self.last(torch.relu(self.hidden(found)))[..., 0]


class Bilinear(nn.Module):
    """A learned match by products of all numbers with each other: what goes with what, not only with itself.

    distance = 1 - cosine(a, b) - a' M b with a symmetric M, which is 0 before training: the match
    starts as the cosine. M = (W + W') / 2 (bilinear scoring; Socher et al. 2013 without a tensor).

    Args:
        dim: length of an embedding.
    """

    name = "Bilinear"

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim, dim))

    def pairs(self, a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
        """Distance between a[i] and b[i]."""
        with torch.autocast(a.device.type, enabled=False):
            turned = self._turned(a)
            return distances.pairs("cosine", a, b) - (turned * b.to(turned.dtype)).sum(1)

    def block(
        self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]
    ) -> Float[Tensor, "rows cols"]:
        """Distance between every a[i] and every b[j]: two matrix products."""
        with torch.autocast(a.device.type, enabled=False):
            turned = self._turned(a)
            return distances.block("cosine", a, b) - turned @ b.to(turned.dtype).mT

    def arguments(self) -> dict[str, Any]:
        """Nothing beyond the dimension."""
        return {}

    def _turned(self, a: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        weight = (self.weight + self.weight.mT) / 2
        kind = torch.promote_types(a.dtype, weight.dtype)
        return a.to(kind) @ weight.to(kind)


WIDEST = 4096
"""Hidden numbers of a match: a match with more would outweigh the encoder that it compares for."""

NUMBERS = 1 << 22
"""Numbers of pairs that stand beside each other in a block of `Matching`: 16 MB of float32."""

LEARNED: dict[str, Callable[..., Any]] = {
    "Bilinear": Bilinear,
    "CrossAttention": CrossAttention,
    "ExpL1": lambda dim, **arguments: ExpL1(**arguments),
    "Matching": Matching,
    "Relation": Relation,
    "Warping": Warping,
    "WeightedL1": WeightedL1,
}
"""Comparisons that an index finds candidates for by the Euclidean distance."""

ON_MAPS = ("maps", "height", "width", "channels", "hidden")

ARGUMENTS = {
    "CrossAttention": ON_MAPS,
    "ExpL1": ("rate",),
    "Matching": ("width",),
    "Relation": ON_MAPS,
    "Warping": ("frames", "band"),
}


def named(name: str, *, dim: int, **arguments: Any) -> Comparison:
    """The comparison that a recipe or a bundle names.

    Args:
        name: one of `distances.__all__`, or a learned one: "WeightedL1", "Matching", "Bilinear",
            "Relation", "CrossAttention"; "Warping" or "ExpL1".
        dim: length of an embedding.
        arguments: what `arguments()` of the comparison said.

    Raises:
        UnknownName: no such comparison.
        UsageError: arguments that it does not have, or that do not fit.
    """
    if name not in (*distances.__all__, *LEARNED):
        known = nearest(name, (*distances.__all__, *LEARNED))
        raise UnknownName(f"no comparison is called {name!r}: {known}")
    takes = ARGUMENTS.get(name, ())
    if unknown := sorted(arguments.keys() - set(takes)):
        said = f"takes {', '.join(takes)} alone" if takes else "takes no arguments"
        raise UsageError(f"comparison {name!r} {said}, but got {', '.join(unknown)}")
    return LEARNED[name](dim, **arguments) if name in LEARNED else Plain(name)

"""What turns two embeddings into a distance: a plain one, or a head that is learned with the encoder (law 1: smaller
is more alike)."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twofold import distances
from twofold.errors import UnknownName, UsageError, nearest

__all__ = ["Comparison", "Plain", "WeightedL1", "named"]


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

    def arguments(self) -> dict[str, Any]:
        """Nothing beyond the name."""
        return {}


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


def named(name: str, *, dim: int, **arguments: Any) -> Comparison:
    """The comparison that a recipe or a bundle names.

    Args:
        name: one of `distances.__all__`, or "WeightedL1".
        dim: length of an embedding.
        arguments: what `arguments()` of the comparison said.

    Raises:
        UnknownName: no such comparison.
        UsageError: arguments that it does not have.
    """
    if name not in (*distances.__all__, "WeightedL1"):
        known = nearest(name, (*distances.__all__, "WeightedL1"))
        raise UnknownName(f"no comparison is called {name!r}: {known}")
    if arguments:
        raise UsageError(
            f"comparison {name!r} takes no arguments, but got {', '.join(sorted(arguments))}"
        )
    return WeightedL1(dim) if name == "WeightedL1" else Plain(name)

"""The one door for losses that are not ours (pytorch-metric-learning's, say)."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from twofold.comparison import Comparison
from twofold.errors import BatchError, UsageError
from twofold.losses.pairing import References, check

__all__ = ["external", "name_of"]


def external(
    loss: Callable[..., Any], *, miner: Callable[[Tensor, Tensor], Any] | None = None
) -> nn.Module:
    """Any `loss(embeddings, labels) -> scalar` as a batch loss; its own weights, if it has some, are trained too.

    Which distance it works with is its own affair: give the twin the same.

    Args:
        miner: what the loss takes as its third argument, miner(embeddings, labels): one of
            pytorch-metric-learning's. A miner of the recipe does for it, too.
    """
    return _External(loss, miner)


def name_of(thing: object) -> str:
    """Where a function or the class of an object comes from, and how it is called."""
    name = getattr(thing, "__qualname__", type(thing).__qualname__)
    return f"{thing.__module__}.{name}"


class _External(nn.Module):
    def __init__(
        self, loss: Callable[..., Any], miner: Callable[[Tensor, Tensor], Any] | None
    ) -> None:
        super().__init__()
        self.loss, self.miner = loss, miner

    @property
    def called(self) -> str:
        """What the loss is, in words: a bundle says it."""
        return name_of(self.loss) + ("" if self.miner is None else f" with {name_of(self.miner)}")

    def forward(
        self,
        embeddings: Float[Tensor, "n dim"],
        labels: Int[Tensor, "n"],
        *,
        comparison: Comparison | None = None,
        references: References = None,
        triplets: Any = None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch.

        Raises:
            BatchError: a batch that is not fit (see `pairing.check`), or an answer that is no
                finite number.
            UsageError: references, which an external loss cannot see.
        """
        check(embeddings, labels)
        if references is not None:
            raise UsageError("an external loss sees the batch only: leave the references out")
        chosen = triplets if self.miner is None else self.miner(embeddings.detach(), labels)
        value = (
            self.loss(embeddings, labels)
            if chosen is None
            else self.loss(embeddings, labels, tuple(chosen))
        )
        if not isinstance(value, Tensor) or value.ndim or not bool(value.isfinite()):
            raise BatchError(f"the external loss must return one finite number, not {value}")
        return value

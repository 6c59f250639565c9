"""The one door for losses that are not ours (pytorch-metric-learning's, say)."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from twofold.errors import BatchError, UsageError
from twofold.pairing import Comparison, References, check

__all__ = ["external"]


def external(loss: Callable[[Tensor, Tensor], Any]) -> nn.Module:
    """Any `loss(embeddings, labels) -> scalar` as a batch loss; its own weights, if it has some, are trained too.

    Which distance it works with is its own affair: give the twin the same.
    """
    return _External(loss)


class _External(nn.Module):
    def __init__(self, loss: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.loss = loss

    def forward(
        self,
        embeddings: Float[Tensor, "n dim"],
        labels: Int[Tensor, "n"],
        *,
        comparison: Comparison | None = None,
        references: References = None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch.

        Raises:
            BatchError: a batch that is not fit (see `pairing.check`), or an answer that is no finite number.
            UsageError: references, which an external loss cannot see.
        """
        check(embeddings, labels)
        if references is not None:
            raise UsageError("an external loss sees the batch only: leave the references out")
        value = self.loss(embeddings, labels)
        if not isinstance(value, Tensor) or value.ndim or not bool(value.isfinite()):
            raise BatchError(f"the external loss must return one finite number, not {value}")
        return value

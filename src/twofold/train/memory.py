"""Cross-batch memory: embeddings of past batches as further columns of the loss (Wang et al. 2020)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from twofold.losses.pairing import References

__all__ = ["Memory"]


class Memory:
    """The last `size` embeddings and their labels, in a ring; none of them gets a gradient.

    Weights drift slowly, so an embedding of some steps ago is nearly what it would be now (the
    paper's "slow drift"): a small batch is compared with many more items than it holds.
    """

    def __init__(self, size: int, dim: int, device: torch.device) -> None:
        self.embeddings = torch.zeros(size, dim, device=device)
        self.labels = torch.zeros(size, dtype=torch.int64, device=device)
        self.written = 0

    @property
    def references(self) -> References:
        """What is remembered, as a loss takes it; None at first."""
        known = min(self.written, len(self.labels))
        return (self.embeddings[:known], self.labels[:known]) if known else None

    @torch.no_grad()
    def add(self, embeddings: Float[Tensor, "n dim"], labels: Int[Tensor, "n"]) -> None:
        """Remember a batch in the place of the oldest."""
        size = len(self.labels)
        embeddings, labels = embeddings[-size:], labels[-size:]
        place = (self.written + torch.arange(len(labels), device=labels.device)) % size
        self.embeddings[place] = embeddings.to(self.embeddings)
        self.labels[place] = labels
        self.written += len(labels)

    def state(self) -> dict[str, Tensor]:
        """All of it, to be saved."""
        return {
            "embeddings": self.embeddings,
            "labels": self.labels,
            "written": torch.tensor(self.written),
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Stand where `state` stood."""
        self.embeddings.copy_(state["embeddings"])
        self.labels.copy_(state["labels"])
        self.written = int(state["written"])

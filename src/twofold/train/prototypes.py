"""Prototypes: one vector per class, kept up to date from the training batches, to find the classes that look alike."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from twofold.data.hard_classes import look_alikes, near_groups

__all__ = ["Prototypes"]


class Prototypes:
    """A moving average of each class's unit-length embeddings, and how near its items are to it.

    The embeddings are those that the training step has computed anyway. After a batch that holds
    class c, m_c <- decay m_c + (1 - decay) mean of the batch's unit embeddings of c; the first
    batch sets m_c. The prototype is m_c at unit length. How near the items are is measured before
    they enter it, and averaged in the same way.

    Attributes:
        means: m, float32; zeros for classes that have not been seen.
        within: mean cosine similarity of a class's items to its prototype; 1 at first.
        seen: how many batches held the class.
    """

    def __init__(self, classes: int, dim: int, *, decay: float = 0.8) -> None:
        self.decay = decay
        self.means = torch.zeros(classes, dim)
        self.within = torch.ones(classes)
        self.seen = torch.zeros(classes, dtype=torch.int64)

    @torch.no_grad()
    def update(self, embeddings: Float[Tensor, "batch dim"], labels: Int[Tensor, "batch"]) -> None:
        """Takes note of one batch; on the processor, where sums have one order on every machine."""
        unit = F.normalize(embeddings.detach().float().cpu())
        codes, rows, counts = torch.unique(labels.cpu(), return_inverse=True, return_counts=True)
        old, known = self.means[codes], self.seen[codes] > 0
        fresh = torch.zeros_like(old).index_add_(0, rows, unit) / counts[:, None]
        # the mean over items of (item . prototype) is (mean of the items . prototype)
        near = (fresh * F.normalize(old)).sum(dim=1)
        before = torch.where(self.seen[codes] > 1, self.within[codes], near)
        self.within[codes] = torch.where(
            known, torch.lerp(near, before, self.decay), self.within[codes]
        )
        self.means[codes] = torch.where(known[:, None], torch.lerp(fresh, old, self.decay), fresh)
        self.seen[codes] += 1

    def groups(self, size: int, *, seed: int, epoch: int) -> Int[np.ndarray, "classes"]:
        """The group of each class: each stands with its nearest, except those that may be the same (`near_groups`)."""
        return near_groups(
            self._unit(), size=size, seed=seed, epoch=epoch, within=self.within.numpy()
        )

    def suspects(self, names: Sequence[str]) -> list[tuple[str, str, float]]:
        """Classes that may be one identity under two labels, most alike first, by name, with their similarity."""
        pairs, similarity = look_alikes(self._unit(), self.within.numpy())
        return [
            (names[int(a)], names[int(b)], float(score))
            for (a, b), score in zip(pairs, similarity, strict=True)
        ]

    def state(self) -> dict[str, Tensor]:
        """All of it, to be saved."""
        return {"means": self.means, "within": self.within, "seen": self.seen}

    def load(self, state: dict[str, Tensor]) -> None:
        """Stand where `state` stood."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    def _unit(self) -> Float[np.ndarray, "classes dim"]:
        return F.normalize(self.means).numpy()

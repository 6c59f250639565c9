"""How a training run does on identities that it does not learn from."""

import copy

import numpy as np
from torch import Tensor

from twofold.data.decoded import decoded
from twofold.data.items import Items
from twofold.embedding import embed_arrays, scores
from twofold.errors import NotEnoughData
from twofold.inputs import Input
from twofold.metrics.pairs import AllPairs, Impostors, OneKind
from twofold.metrics.retrieval import recall_at_k
from twofold.metrics.verification import eer, tally
from twofold.train.feed import Stored
from twofold.twin import Twin

__all__ = ["Validation"]

MOST = 2000
"""Items that are looked at; of larger validation sets whole identities are left out, the same ones each time."""


class Validation:
    """Validation items, decoded once, and a second twin to try weights on."""

    def __init__(self, valid: Items, input: Input) -> None:
        items = _capped(valid)
        if np.bincount(items.labels).max() < 2 or len(items.names) < 2:
            raise NotEnoughData(
                f"the validation part has {len(items.names)} classes and no two items of one class: no error rate can "
                "be measured on it; give more identities, or a larger split.valid"
            )
        self.items = items
        self.stored = Stored(input, items.values, known=decoded(items, input))
        self.twin: Twin | None = None

    def measure(self, twin: Twin, weights: dict[str, Tensor], *, precision: str) -> dict[str, float]:
        """Equal error rate and recall@1 of `twin` with `weights`, without warped copies, embedded as in training."""
        if self.twin is None:
            self.twin = copy.deepcopy(twin)
        self.twin.load_state_dict(weights)
        everything = np.arange(len(self.items))
        trial = self.twin
        vectors = embed_arrays(trial, self.stored.take(everything), precision=precision)

        def score(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
            return scores(trial, vectors[rows], vectors[cols])

        items = self.items
        pairs = AllPairs(score, items.labels, identity=items.identity, forged=items.forged)
        # the worse of both kinds of impostors: pooled, the many random ones would hide what skilled forgeries do
        kinds: tuple[Impostors, ...] = ("random", "skilled") if items.forged.any() else ("random",)
        error = max(float(eer(tally(OneKind(pairs, kind)))) for kind in kinds)
        return {"eer": error, "recall_at_1": float(recall_at_k(score, self.items.labels, k=1))}


def _capped(valid: Items) -> Items:
    kept, count = [], 0
    sizes = np.bincount(valid.identity, minlength=len(valid.identities))
    for name, size in zip(valid.identities, sizes, strict=True):
        if count + size > MOST and count:
            continue
        kept.append(name)
        count += int(size)
    return valid.where(identities=kept)

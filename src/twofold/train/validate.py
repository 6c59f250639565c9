"""How a training run does on identities, or on pairs, that it does not learn from."""

import copy
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from twofold.contract import score_from_distance
from twofold.data.components import components
from twofold.data.decoded import decoded
from twofold.data.items import Items, paired_identities
from twofold.data.pairs import Pairs, things_of
from twofold.embedding import embed_arrays, scores
from twofold.errors import NotEnoughData
from twofold.inputs import Input
from twofold.metrics.correlation import pearson, spearman
from twofold.metrics.pairs import AllPairs, Impostors, OneKind, PairList
from twofold.metrics.retrieval import recall_at_k
from twofold.metrics.verification import auc, eer, tally
from twofold.train.stored import Stored
from twofold.twin import Twin

__all__ = ["Looking", "PairValidation", "Validation", "validation_of"]

MOST = 2000
"""Items that are looked at; of larger validation sets whole identities are left out, the same ones each time."""


QUICK = 200
"""Items of a look for which there is no time, and whose number is compared with no other: about a second."""


class Looking(Protocol):
    """What a run asks after each epoch."""

    def measure(
        self, twin: Any, weights: dict[str, Tensor], *, precision: str, quick: bool = False
    ) -> dict[str, float]:
        """The numbers of `twin` with `weights`; see `Recipe.monitor`."""
        ...


def validation_of(valid: Items | Pairs, input: Input, *, seconds: float | None = None) -> Looking:
    """The look at items, or at pairs; pairs that are all the same are looked at as items, each component a class."""
    if isinstance(valid, Pairs) and not valid.positive:
        return PairValidation(valid, input, seconds=seconds)
    return Validation(_linked(valid) if isinstance(valid, Pairs) else valid, input, seconds=seconds)


def _linked(pairs: Pairs) -> Items:
    """What stands in the pairs, with the components that they make as classes."""
    classes = components(len(pairs.ids), pairs.index_a, pairs.index_b)
    return Items.from_arrays(pairs.values, [pairs.ids[code] for code in classes], ids=pairs.ids)


class PairValidation:
    """Validation pairs, decoded once, and a second twin to try weights on.

    Args:
        seconds: what is left of the training's time; None: no limit.
    """

    def __init__(self, valid: Pairs, input: Input, *, seconds: float | None = None) -> None:
        self.pairs = valid if len(valid) <= MOST else valid.take(np.arange(MOST)).alone()
        known = decoded(things_of(self.pairs), input)
        self.stored = Stored(input, self.pairs.values, seconds=seconds, known=known)
        self.twin: Twin | None = None

    def measure(
        self, twin: Twin, weights: dict[str, Tensor], *, precision: str, quick: bool = False
    ) -> dict[str, float]:
        """Equal error rate and AUC of pairs, the correlations of graded ones; embedded as in training.

        Args:
            quick: of the first pairs alone.
        """
        if self.twin is None:
            self.twin = copy.deepcopy(twin)
        self.twin.load_state_dict(weights)
        rows = np.arange(len(self.pairs))[: QUICK if quick else None]
        ends = np.stack([self.pairs.index_a[rows], self.pairs.index_b[rows]])
        places, index = np.unique(ends, return_inverse=True)
        vectors = torch.from_numpy(
            embed_arrays(self.twin, self.stored.take(places), precision=precision)
        )
        a, b = (vectors[side].to(self.twin.device) for side in index.reshape(2, -1))
        with torch.inference_mode():
            distances = self.twin.comparison.pairs(a, b).double().cpu().numpy()
        found, answers = (
            score_from_distance(self.twin.comparison.name, distances),
            self.pairs.targets[rows],
        )
        if self.pairs.graded:
            return {"spearman": spearman(found, answers), "pearson": pearson(found, answers)}
        counts = tally(
            PairList(found, answers == 1.0, first=ends[0], second=ends[1], weigh="pairs")
        )
        return {"eer": float(eer(counts)), "auc": float(auc(counts))}


class Validation:
    """Validation items, decoded once, and a second twin to try weights on.

    Args:
        seconds: what is left of the training's time; None: no limit.
    """

    def __init__(self, valid: Items, input: Input, *, seconds: float | None = None) -> None:
        items = _capped(valid)
        if np.bincount(items.labels).max() < 2 or len(items.names) < 2:
            raise NotEnoughData(
                f"the validation part has {len(items.names)} classes and no two items of one "
                f"class: no error rate can "
                "be measured on it; give more identities, or a larger split.valid"
            )
        self.items = items
        self.stored = Stored(input, items.values, seconds=seconds, known=decoded(items, input))
        self.twin: Twin | None = None

    def measure(
        self, twin: Twin, weights: dict[str, Tensor], *, precision: str, quick: bool = False
    ) -> dict[str, float]:
        """Equal error rate and recall@1 of `twin` with `weights`, without warped copies, embedded as in training.

        Args:
            quick: of some of the items, where there are many.
        """
        if self.twin is None:
            self.twin = copy.deepcopy(twin)
        self.twin.load_state_dict(weights)
        places = self._few() if quick else np.arange(len(self.items))
        trial, items = (
            self.twin,
            self.items if len(places) == len(self.items) else self.items.take(places),
        )
        vectors = embed_arrays(trial, self.stored.take(places), precision=precision)

        def score(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
            return scores(trial, vectors[rows], vectors[cols])

        pairs = AllPairs(score, items.labels, identity=items.identity, forged=items.forged)
        # the worse of both kinds of impostors: pooled, the many random ones would hide what skilled
        # forgeries do
        kinds: tuple[Impostors, ...] = ("random", "skilled") if items.forged.any() else ("random",)
        error = max(float(eer(tally(OneKind(pairs, kind)))) for kind in kinds)
        return {"eer": error, "recall_at_1": float(recall_at_k(score, items.labels, k=1))}

    def _few(self) -> Int[np.ndarray, "few"]:
        """Whole identities of few items, those with a genuine pair first; all where two of them do not fit."""
        items = self.items
        paired = paired_identities(items)
        sizes = np.bincount(items.identity, minlength=len(items.identities))
        order = np.argsort(~paired, kind="stable")
        chosen = order[np.cumsum(sizes[order]) <= QUICK]
        if paired[chosen].sum() < 2:
            return np.arange(len(items))
        return np.flatnonzero(np.isin(items.identity, chosen))


def _capped(valid: Items) -> Items:
    kept, count = [], 0
    sizes = np.bincount(valid.identity, minlength=len(valid.identities))
    for name, size in zip(valid.identities, sizes, strict=True):
        if count + size > MOST and count:
            continue
        kept.append(name)
        count += int(size)
    return valid.where(identities=kept)

"""Losses by name: what a recipe may call `loss` (law 12).

Batch losses: `loss(embeddings, labels, *, comparison, references=None, ...)`, all pairs of the
batch. Those with weights are modules, built as `ArcFace(dim, classes, ...)` and called alike. Pair
losses, `pair_*`: `loss(distances, targets, ...)`. `external` wraps any `loss(embeddings, labels)`
that is not ours.
"""

from twofold.losses.external import external as external
from twofold.losses.pairs import (
    binary_cross_entropy,
    contrastive,
    pair_contrastive,
    pair_cosent,
    pair_cross_entropy,
    pair_regression,
)
from twofold.losses.prototypes import prototypical
from twofold.losses.proxies import ArcFace, ProxyAnchor
from twofold.losses.ranking import roadmap, smooth_ap
from twofold.losses.softmax import circle, multi_similarity, nt_xent, supcon
from twofold.losses.triplets import triplet

__all__ = [
    "ArcFace",
    "ProxyAnchor",
    "binary_cross_entropy",
    "circle",
    "contrastive",
    "multi_similarity",
    "nt_xent",
    "pair_contrastive",
    "pair_cosent",
    "pair_cross_entropy",
    "pair_regression",
    "prototypical",
    "roadmap",
    "smooth_ap",
    "supcon",
    "triplet",
]

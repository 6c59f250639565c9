"""What an identity with several items is compared by: their mean, or a rule for their scores."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from twofold.apps.feature_maps import rows_of
from twofold.bundle import Bundle
from twofold.contract import OfReferences
from twofold.embedding import pair_scores
from twofold.fusion import Fusion, agreements, mean_embedding
from twofold.store.index import Index

__all__ = ["IdentitySets", "Template", "means", "scores_with", "sets_of_identities"]

Template = Fusion

IdentitySets = dict[OfReferences | None, tuple[list[str], Float[np.ndarray, "identities n dim"]]]
"""Names and embeddings of identities, by what decides about as many references as they have; None: a
single one."""


def means(bundle: Bundle, index: Index) -> tuple[list[str], Float[np.ndarray, "identities row"]]:
    """Names of the identities that count, and the mean embedding of each, float32; of length 1 for the cosine.

    Every item is read, a block at a time.
    """
    totals: dict[str, tuple[np.ndarray, int]] = {}
    nothing = np.zeros(bundle.twin.dim), 0
    for block in index.blocks():
        rows = rows_of(bundle, index, block).astype(np.float64)
        for label, vector in zip(block.labels, rows, strict=True):
            total, count = totals.get(label, nothing)
            totals[label] = total + vector, count + 1
    distance = index.contract.distance
    found = [mean_embedding((total / count)[None], distance) for total, count in totals.values()]
    return list(totals), np.array(found, dtype=np.float32).reshape(-1, bundle.twin.dim)


def sets_of_identities(bundle: Bundle, index: Index, known: Sequence[OfReferences]) -> IdentitySets:
    """The references of every identity that counts; of more than thresholds are known for, the first ones.

    The embeddings of all identities are held in memory, up to the largest known number of each.
    """
    by_count = {each.count: each for each in known}
    most = max(by_count)
    vectors: dict[str, list[np.ndarray]] = {}
    for block in index.blocks():
        for label, vector in zip(block.labels, rows_of(bundle, index, block), strict=True):
            mine = vectors.setdefault(label, [])
            if len(mine) < most:
                mine.append(vector)
    by_size: dict[OfReferences | None, list[str]] = {}
    for label, mine in vectors.items():
        by_size.setdefault(by_count.get(len(mine)), []).append(label)
    return {
        size: (labels, np.stack([np.stack(vectors[label]) for label in labels]).astype(np.float32))
        for size, labels in by_size.items()
    }


def scores_with(
    bundle: Bundle,
    probe: Float[np.ndarray, "1 dim"],
    references: Float[np.ndarray, "identities n dim"],
    known: OfReferences,
) -> Float[np.ndarray, "identities"]:
    """Scores of a probe with the references of each identity, by the rule that was calibrated."""
    identities, count, dim = references.shape
    if known.rule.fusion == "mean":
        distance = bundle.twin.comparison.name
        means = np.stack([mean_embedding(each, distance) for each in references])
        return pair_scores(bundle, np.repeat(probe, identities, axis=0), means)
    one_by_one = references.reshape(-1, dim)
    each = pair_scores(bundle, np.repeat(probe, len(one_by_one), axis=0), one_by_one)
    scores = each.reshape(identities, count)
    if known.rule.fusion != "relative":
        return known.rule.fused(scores)
    own = pair_scores(
        bundle,
        np.repeat(one_by_one, count, axis=0),
        np.repeat(references, count, axis=0).reshape(-1, dim),
    )
    return known.rule.fused(scores, agreements(own.reshape(identities, count, count)))

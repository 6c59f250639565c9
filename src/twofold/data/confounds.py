"""What should not tell who is who, and does: trivial traits, measured as if they were a model's scores."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int, Shaped

from twofold.errors import NotEnoughData
from twofold.metrics import verification
from twofold.metrics.pairs import PairList, PairSource
from twofold.metrics.sampled_pairs import SampledPairs
from twofold.results import Estimate

__all__ = ["BOUND", "confounds", "forgery_confounds"]

BOUND = 0.75
"""From here on (the interval's lower end) a trait is called a confound: chance is 0.5."""

MOST_PAIRS = 1 << 18
"""Impostor and genuine pairs of each kind, drawn by chance: an AUC is then known to some thousandths."""

ITEMS_EACH = 32
"""Items of an identity that take part: more of one identity tell nothing new of a trait."""


def confounds(
    traits: Mapping[str, Shaped[np.ndarray, "n _"]],
    labels: Int[np.ndarray, "n"],
    *,
    identity: Int[np.ndarray, "n"],
    seed: int = 0,
) -> dict[str, Estimate]:
    """How well each trait alone tells genuine from impostor pairs: the AUC of minus the traits' Euclidean distance.

    Whole numbers are names (of a source): two are equal or not. Of many pairs some are drawn;
    intervals leave identities out. Traits that are the same for all are left out, and all of them
    where there is no genuine or no impostor pair.
    """
    found = {}
    for name, values in traits.items():

        def score(rows: np.ndarray, cols: np.ndarray, values: np.ndarray = values) -> np.ndarray:
            return -_apart(values[rows, None], values[None, cols])

        pairs = SampledPairs(score, labels, identity=identity, seed=seed, most=MOST_PAIRS)
        if np.ptp(values, axis=0).any() and pairs.genuine and pairs.impostor and pairs.units > 2:
            found[name] = _auc(pairs, seed)
    return found


def forgery_confounds(
    traits: Mapping[str, Shaped[np.ndarray, "n _"]],
    labels: Int[np.ndarray, "n"],
    *,
    identity: Int[np.ndarray, "n"],
    forged: Bool[np.ndarray, "n"],
    seed: int = 0,
) -> dict[str, Estimate]:
    """The same for skilled forgeries: do a writer's genuine items differ in the trait from forgeries of that writer?

    At most 32 items per writer take part, drawn by chance.
    """
    first, second = _within(identity, forged, np.random.default_rng(seed))
    same = labels[first] == labels[second]
    if not same.any() or same.all() or len(np.unique(identity[first])) < 3:
        return {}
    found = {}
    for name, values in traits.items():
        if np.ptp(values, axis=0).any():
            scores = -_apart(values[first], values[second])
            found[name] = _auc(
                PairList(scores, same, first=identity[first], second=identity[second]), seed
            )
    return found


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if np.issubdtype(a.dtype, np.integer):
        return (a != b).any(axis=-1).astype(np.float64)
    return np.sqrt(np.square(a - b).sum(axis=-1))


def _auc(pairs: PairSource, seed: int) -> Estimate:
    try:
        return verification.estimates(pairs, seed=seed)["auc"]
    except NotEnoughData as error:
        raise NotEnoughData(f"no AUC of a trait: {error}") from error


def _within(
    identity: Int[np.ndarray, "n"], forged: Bool[np.ndarray, "n"], generator: np.random.Generator
) -> tuple[Int[np.ndarray, "m"], Int[np.ndarray, "m"]]:
    """Pairs within each identity that has forgeries, of which one item at least is genuine."""
    first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for code in np.unique(identity[forged]):
        members = generator.permutation(np.flatnonzero(identity == code))[:ITEMS_EACH]
        low, high = np.triu_indices(len(members), 1)
        kept = ~(forged[members[low]] & forged[members[high]])
        first.append(members[low[kept]])
        second.append(members[high[kept]])
    return np.concatenate(first), np.concatenate(second)

"""Sites of labelled items: identities that were recruited together, and whether that shows in their scores."""

from contextlib import suppress

import numpy as np
from jaxtyping import Int

from twofold.data.items import Items
from twofold.errors import DataError
from twofold.metrics.pairs import AllPairs, PairSource, ScoreBlock
from twofold.metrics.sites import MOST, BySite, Dependence, dependence, sites_of_identities

__all__ = ["pairs_of", "site_dependence"]

ITEMS_EACH = 4
"""Items of an identity that tell whether its site matters: their mean is known well enough beside other identities."""


def pairs_of(part: Items, score: ScoreBlock) -> PairSource:
    """Every pair of the items: items of one recording count as one, and identities of one site belong together.

    Raises:
        DataError: an identity stands at two sites.
    """
    pairs = AllPairs(
        score, part.labels, identity=part.identity, forged=part.forged, source=part.source
    )
    if part.site is None:
        return pairs
    return BySite(pairs, sites_of_identities(part.identity, part.site, part.identities))


def site_dependence(part: Items, score: ScoreBlock, *, seed: int = 0) -> Dependence | None:
    """Whether the site of identities, or else their group, tells anything about impostor scores.

    Returns:
        None where the items have neither, or where identities stand in several groups.
    """
    codes = part.group if part.site is None else part.site
    if codes is None:
        return None
    with suppress(DataError):  # an identity in several groups was recruited in none of them
        sites = sites_of_identities(part.identity, codes, part.identities)
        rows = _few_of_each(part, seed=seed)
        pairs = AllPairs(lambda a, b: score(rows[a], rows[b]), part.identity[rows])
        return dependence(pairs, sites[np.unique(part.identity[rows])], seed=seed)
    return None


def _few_of_each(part: Items, *, seed: int) -> Int[np.ndarray, "some"]:
    """Four genuine items of each of some hundreds of identities, drawn by chance: what `dependence` looks at."""
    generator = np.random.default_rng(seed)
    dealt = generator.permutation(np.flatnonzero(~part.forged))
    dealt = dealt[np.argsort(part.identity[dealt], kind="stable")]
    owner = part.identity[dealt]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    chosen = generator.permutation(np.unique(owner))[:MOST]
    return np.sort(dealt[(rank < ITEMS_EACH) & np.isin(owner, chosen)])

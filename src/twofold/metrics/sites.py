"""Identities recruited together (at one clinic, in one school, as one family) are not independent of each other.

Law 2 says that what is resampled is the identity; where identities have sites, it is the site.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import DataError
from twofold.metrics.pairs import PairBlock, PairSource

__all__ = ["CHANCE", "MOST", "BySite", "Dependence", "dependence", "sites_of_identities"]

CHANCE = 0.01
"""p-value up to which identities of one site are reported as dependent: one false alarm in a
hundred data sets."""

MOST = 600
"""Identities that the test of dependence uses; of more a random sample. They see a site effect of a
fifth of the identities' own spread, and their couples fill 3 MB."""

LOTS = 499
"""Random permutations of the sites: a p-value is known to 1/500."""


class BySite:
    """The same pairs with the same weights; their units are the sites of the identities.

    Pairs inside a site are impostors like all others, since people at a site are compared with each
    other.

    Args:
        pairs: of identities; impostor pairs of one kind (see `OneKind`).
        sites: the site of each unit of `pairs`, any integers.
    """

    def __init__(self, pairs: PairSource, sites: Int[np.ndarray, "identities"]) -> None:
        names, self._site = np.unique(sites, return_inverse=True)
        self.pairs, self.sites, self._units = pairs, sites, len(names)

    @property
    def identities(self) -> int:
        """How many identities the sites have."""
        return self.pairs.units

    @property
    def units(self) -> int:
        """How many sites there are."""
        return self._units

    @property
    def crossed(self) -> int:
        """0: couples of sites do not count once."""
        return 0

    def __iter__(self) -> Iterator[PairBlock]:
        for block in self.pairs:
            yield replace(block, first=self._site[block.first], second=self._site[block.second])


def sites_of_identities(
    identity: Int[np.ndarray, "items"], site: Int[np.ndarray, "items"], names: Sequence[str]
) -> Int[np.ndarray, "identities"]:
    """The site of each identity, from those of its items; `names` are the identities'.

    Raises:
        DataError: an identity has items of two sites; names it.
    """
    known = np.unique(np.stack([np.unique(identity, return_inverse=True)[1], site]), axis=1)
    torn = np.flatnonzero(np.bincount(known[0]) > 1)
    if len(torn):
        raise DataError(
            f"{len(torn)} identities have several sites "
            f"({names[torn[0]]!r} at {int((known[0] == torn[0]).sum())}): "
            "give each one site, the one where it was recruited"
        )
    return known[1]


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """What the site tells about impostor scores.

    Attributes:
        explained: share of the variance of identities' mean impostor scores that lies between
            sites, less what chance would give.
        within: how much more impostor pairs of one site score than those of two sites, beyond what
            their identities score with everybody, in standard deviations of such scores.
        p_value: probability of as much of either by chance, were the sites dealt to the identities
            by lot.
    """

    explained: float
    within: float
    p_value: float


def dependence(
    pairs: PairSource, sites: Int[np.ndarray, "identities"], *, seed: int = 0
) -> Dependence | None:
    """Test whether identities of one site score alike with strangers, or higher with each other.

    A permutation test of both (Bonferroni): sites are permuted among the identities 499 times. Of
    more than 600 identities a random 600 are used.

    Returns:
        None where there is nothing to compare: a single site, each identity at its own, or impostor
            pairs missing.
    """
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.permutation(pairs.units)[:MOST])
    names, site = np.unique(sites[chosen], return_inverse=True)
    if not 1 < len(names) < len(chosen):
        return None
    scores = _couples(pairs, chosen)
    size = len(chosen)
    if not np.isfinite(scores[~np.eye(size, dtype=bool)]).all():
        return None
    np.fill_diagonal(scores, 0.0)
    means = scores.sum(axis=1) / (size - 1)
    # what couples score beyond both of their identities:
    # the additive fit of a square without its diagonal
    effect = (size - 1) / (size - 2) * (means - means.mean())
    left = scores - means.mean() - effect[:, None] - effect
    np.fill_diagonal(left, 0.0)
    seen = np.array(_between_and_within(means, left, site))
    lots = np.array(
        [_between_and_within(means, left, generator.permutation(site)) for _ in range(LOTS)]
    )
    chances = (1 + (lots >= seen - 1e-12).sum(axis=0)) / (LOTS + 1)
    spread = float(np.sqrt((left**2).sum() / (size * (size - 1))))
    return Dependence(
        explained=max(float(seen[0] - lots[:, 0].mean()), 0.0),
        within=float(seen[1]) / max(spread, 1e-300),
        p_value=min(2.0 * float(chances.min()), 1.0),
    )


def _couples(pairs: PairSource, chosen: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some some"]:
    """Mean impostor score of every two of the chosen identities; NaN if not compared."""
    size = len(chosen)
    place = np.full(pairs.units, -1)
    place[chosen] = np.arange(size)
    sums, counts = np.zeros(size * size), np.zeros(size * size)
    for block in pairs:
        low, high = place[block.first], place[block.second]
        kept = ~block.same & (low >= 0) & (high >= 0) & (low != high)
        at = np.minimum(low, high)[kept] * size + np.maximum(low, high)[kept]
        sums += np.bincount(at, weights=block.scores[kept], minlength=size * size)
        counts += np.bincount(at, minlength=size * size)
    sums, counts = (
        each.reshape(size, size) + each.reshape(size, size).T for each in (sums, counts)
    )
    return np.divide(sums, counts, out=np.full((size, size), np.nan), where=counts > 0)


def _between_and_within(
    means: Float[np.ndarray, "some"],
    left: Float[np.ndarray, "some some"],
    site: Int[np.ndarray, "some"],
) -> tuple[float, float]:
    """Share of the means' variance between sites; mean residual of couples inside sites."""
    counts = np.bincount(site)
    moved = means - means.mean()
    between = float((np.bincount(site, weights=moved) ** 2 / counts).sum()) / max(
        float((moved**2).sum()), 1e-300
    )
    order = np.argsort(site, kind="stable")
    inside = 0.0
    for members in np.split(order, np.cumsum(counts)[:-1]):
        inside += float(left[np.ix_(members, members)].sum())
    couples = int((counts * (counts - 1)).sum())
    return between, inside / max(couples, 1)

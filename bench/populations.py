"""Invented populations whose true false-accept rate is known, and fast counting of their pairs.

An item scores `effect of its identity + effect of its own`; a pair of items scores the sum of both,
and `kin` more where the identities are of one family. Effects are whole numbers of `QUANTUM`, so
that sums are exact. All pairs above a threshold are then counted in O(n log n), which allows
populations of thousands of identities.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from twofold.metrics.pairs import AllPairs

__all__ = [
    "MANY",
    "NOISE",
    "POPULATIONS",
    "QUANTUM",
    "Counted",
    "People",
    "Population",
    "Truth",
    "lowest",
]

QUANTUM = 2.0**-16
EFFECT, ITEM = math.sqrt(0.15), 0.3
NOISE = math.sqrt(0.7)
"""Standard deviations of identities, of items and of single pairs: an impostor score has the variance 1.18."""

SPAN = 1 << 44
"""Families are counted apart by adding a multiple of this to effects: more than any two of them differ by."""

TRUTH = 1 << 17
"""Identities of the sample that the true rate is computed on: one from each of so many equally likely strata."""

MANY = 1200

GENUINE = 1 << 30
"""What genuine pairs score more, in quanta."""


@dataclass(frozen=True, kw_only=True)
class People:
    """Items of a calibration, those of an identity side by side.

    Attributes:
        level: effect of each item, in quanta.
        identity: its identity, 0-based.
        family: the family of its identity.
        kin: what two items of one family score more, in quanta.
        site: where each identity was recruited.
    """

    level: np.ndarray
    identity: np.ndarray
    family: np.ndarray
    site: np.ndarray
    kin: int = 0

    @property
    def weights(self) -> np.ndarray:
        """Every identity counts once."""
        return 1.0 / np.bincount(self.identity)[self.identity]

    def pairs(self, *, noise: float = 0.0, seed: int = 0) -> AllPairs:
        """Every pair for the product, with noise of single pairs if that is given."""
        size = len(self.level)
        extra = noise * np.random.default_rng((seed, 7)).normal(
            size=(size, size) if noise else (1, 1)
        )

        def score(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
            found = self.level[rows][:, None] + self.level[cols]
            found = found + self.kin * (self.family[rows][:, None] == self.family[cols])
            found = found + GENUINE * (self.identity[rows][:, None] == self.identity[cols])
            return found * QUANTUM + (extra[np.ix_(rows, cols)] if noise else 0.0)

        return AllPairs(score, self.identity)


class Counted:
    """The weights of impostor pairs at or above a threshold; what is sorted is sorted once."""

    def __init__(self, people: People) -> None:
        self._people, self._weights = people, people.weights
        self._identities = int(people.identity[-1]) + 1
        self._parts = [_Sorted(people.level, self._weights, np.zeros_like(people.level))]
        if people.kin:
            self._parts.append(_Sorted(people.level, self._weights, people.family))
        self._own = None
        if len(people.level) > self._identities:
            self._own = _Sorted(people.level, self._weights, people.identity)

    def rate(self, threshold: int) -> float:
        """The false-accept rate: the mean over couples of identities of the share of their pairs that are accepted."""
        found = float(self._weights @ self.beyond(threshold))
        return found / (self._identities * (self._identities - 1.0))

    def beyond(self, threshold: int) -> np.ndarray:
        """For each item the weight of items of others with which it reaches the threshold."""
        kin = self._people.kin
        found = self._parts[0].beyond(threshold)
        for family in self._parts[1:]:
            found = found - family.beyond(threshold) + family.beyond(threshold - kin)
        if self._own is None:
            return found - self._weights * (2 * self._people.level >= threshold - kin)
        return found - self._own.beyond(threshold - kin)


class _Sorted:
    """Items by family and effect."""

    def __init__(self, level: np.ndarray, weights: np.ndarray, family: np.ndarray) -> None:
        self._order = np.lexsort((level, family))
        self._level, self._family = level[self._order], family[self._order] * SPAN
        self._keys = self._family + self._level
        self._weights = np.append(0.0, np.cumsum(weights[self._order]))
        self._end = self._weights[np.searchsorted(self._keys, self._family + SPAN // 2)]

    def beyond(self, threshold: int) -> np.ndarray:
        """For each item, in the order given: the weight of items of its family that reach the threshold with it."""
        wanted = self._family + np.clip(threshold - self._level, -SPAN // 2, SPAN // 2)
        found = np.empty(len(self._order))
        found[self._order] = self._end - self._weights[np.searchsorted(self._keys, wanted)]
        return found


def lowest(people: People, allowed: float) -> float:
    """The lowest threshold at which the measured rate is at most `allowed`, by bisection over whole numbers."""
    counted = Counted(people)
    top = 2 * int(people.level.max()) + people.kin + 1
    low, step = top - 1, 1 << 12
    while counted.rate(low) <= allowed:
        low, step = low - step, 2 * step
    high = min(low + step, top)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if counted.rate(middle) <= allowed else (middle, high)
    return high * QUANTUM


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Evenly spread items, one of each identity; `together`: how likely two identities are of one family."""

    level: np.ndarray
    kin: int
    together: float

    def rate(self, threshold: float, *, noise: float = 0.0) -> float:
        """The true rate; noise of single pairs is integrated by Gauss and Hermite's rule."""
        if noise:
            nodes, shares = np.polynomial.hermite_e.hermegauss(24)
            found = [self.rate(threshold - noise * node) for node in nodes]
            return float(np.dot(found, shares) / shares.sum())
        at = math.ceil(threshold / QUANTUM)
        apart = self._reached(at)
        return (
            apart
            if not self.kin
            else (1 - self.together) * apart + self.together * self._reached(at - self.kin)
        )

    def _reached(self, at: int) -> float:
        return 1.0 - float(np.searchsorted(self.level, (at - self.level)[::-1]).mean()) / len(
            self.level
        )


def two(uniform: np.ndarray) -> np.ndarray:
    """Two items of everybody."""
    return np.full(len(uniform), 2)


def one(uniform: np.ndarray) -> np.ndarray:
    """One item of everybody."""
    return np.ones(len(uniform), np.int64)


def one_family(far: float) -> np.ndarray:
    """Nobody is kin to nobody in particular."""
    return np.ones(1)


@dataclass(frozen=True, kw_only=True)
class Population:
    """How an identity's effect, its number of items and its family follow from chance.

    Attributes:
        effect: from an evenly distributed number of each identity, and the asked rate.
        items: numbers of items, from the same numbers.
        item: standard deviation of an item's own effect, which `burst` items share.
        step: what scores are rounded to.
        families: their probabilities at the asked rate; `kin`: what two of one family score more.
        sites: identities come from so many sites (0: each alone), whose effects have the deviation
            `site`.
        covered: whether the assumption of a certificate holds.
    """

    effect: Callable[[np.ndarray, float], np.ndarray]
    items: Callable[[np.ndarray], np.ndarray] = two
    item: float = ITEM
    burst: int = 1
    step: float = 0.0
    families: Callable[[float], np.ndarray] = one_family
    kin: float = 0.0
    sites: int = 0
    site: float = 0.0
    covered: bool = True

    def draw(self, identities: int, far: float, generator: np.random.Generator) -> People:
        """Those of a calibration."""
        uniform = generator.random(identities)
        site = np.arange(identities) % self.sites if self.sites else np.arange(identities)
        return self._made(uniform, self.items(uniform), site, far=far, generator=generator)

    def lowest(self, identities: int, far: float, allowed: float, seed: int) -> float:
        """The lowest threshold at which the measured rate of a calibration is at most `allowed`.

        Of more than 1,200 identities with two items each one is taken, which makes rates vary more.
        """
        some = replace(self, items=one) if self.items is two and identities > MANY else self
        return lowest(some.draw(identities, far, np.random.default_rng(seed)), allowed)

    def pairs(self, identities: int, far: float, seed: int) -> AllPairs:
        """Every pair of a calibration for the product, with noise of single pairs."""
        return self.draw(identities, far, np.random.default_rng(seed)).pairs(noise=NOISE, seed=seed)

    def truth(self, far: float) -> Truth:
        """What scores are like in the whole population."""
        uniform, each = (np.arange(TRUTH) + 0.5) / TRUTH, np.arange(TRUTH)
        people = self._made(
            uniform, np.ones_like(each), each, far=far, generator=np.random.default_rng(0)
        )
        shares = self.families(far)
        return Truth(level=np.sort(people.level), kin=people.kin, together=float((shares**2).sum()))

    def _made(
        self,
        uniform: np.ndarray,
        sizes: np.ndarray,
        site: np.ndarray,
        *,
        far: float,
        generator: np.random.Generator,
    ) -> People:
        identity = np.repeat(np.arange(len(uniform)), sizes)
        shares = self.families(far)
        family = generator.choice(len(shares), len(uniform), p=shares)
        own = self.item * generator.normal(size=len(identity))
        place = np.arange(len(identity)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        own = own[np.arange(len(identity)) - place % self.burst]
        level = (
            self.effect(uniform, far) + self.site * generator.normal(size=int(site.max()) + 1)[site]
        )
        level = level[identity] + own
        if self.step:
            level = self.step * np.round(level / self.step)
        return People(
            level=np.round(level / QUANTUM).astype(np.int64),
            identity=identity,
            family=family[identity],
            kin=int(self.kin / QUANTUM),
            site=site,
        )


def normal(uniform: np.ndarray, far: float) -> np.ndarray:
    """Effects of people who differ as most things do."""
    return EFFECT * stats.norm.ppf(uniform)


def hubs(uniform: np.ndarray, far: float) -> np.ndarray:
    """One in twenty is near everybody."""
    rest = np.where(uniform < 0.05, uniform / 0.05, (uniform - 0.05) / 0.95)
    return normal(rest, far) + np.where(uniform < 0.05, 1.5, 0.0)


def skewed(uniform: np.ndarray, far: float) -> np.ndarray:
    """Lognormal effects with the variance of the others."""
    spread = 0.75
    scale = math.sqrt((math.exp(spread**2) - 1) * math.exp(spread**2))
    return EFFECT * np.exp(spread * stats.norm.ppf(uniform)) / scale


def heavy(uniform: np.ndarray, far: float) -> np.ndarray:
    """Student's t at 3 degrees, with the variance of the others."""
    return EFFECT * stats.t.ppf(uniform, 3) / math.sqrt(3.0)


def cauchy(uniform: np.ndarray, far: float) -> np.ndarray:
    """Tails without a mean."""
    return EFFECT * np.tan(math.pi * (uniform - 0.5))


def doubles(uniform: np.ndarray, far: float) -> np.ndarray:
    """A few are accepted as anybody, and make a rate just above the asked one: the worst that there is."""
    return np.where(uniform < 1.0 - math.sqrt(1.0 - NEAR * far), 20.0, 0.0)


NEAR = 1.05
"""The rate that the worst populations have, as a share of the asked one."""


def from_one_to_twenty(uniform: np.ndarray) -> np.ndarray:
    """Numbers of items: most have few."""
    return np.floor(20.0 ** rank(uniform)).astype(np.int64)


def rank(uniform: np.ndarray) -> np.ndarray:
    """An evenly distributed number that the effect does not follow."""
    return (uniform * 1024.0) % 1.0


def easier(uniform: np.ndarray, far: float) -> np.ndarray:
    """Those who have more items are easier to tell apart."""
    return normal(uniform, far) - 0.4 * np.log(from_one_to_twenty(uniform))


def a_tenth(uniform: np.ndarray) -> np.ndarray:
    """One identity has a tenth of all items."""
    return _with_first(two(uniform), 1.0 / 9.0)


def a_half(uniform: np.ndarray) -> np.ndarray:
    """One identity has as many items as all others together."""
    return _with_first(two(uniform), 1.0)


def six(uniform: np.ndarray) -> np.ndarray:
    """Six items of everybody."""
    return np.full(len(uniform), 6)


def _with_first(sizes: np.ndarray, of_others: float) -> np.ndarray:
    return np.append(round(of_others * sizes[1:].sum()), sizes[1:])


def look_alikes(far: float) -> np.ndarray:
    """As many families as make a third of the false accepts."""
    return np.full(round(1.0 / far), far)


def halves(far: float) -> np.ndarray:
    """Two families."""
    return np.full(2, 0.5)


def clans(far: float) -> np.ndarray:
    """Whoever is of one clan is accepted; half of the rate is a single clan's."""
    first = math.sqrt(NEAR * far / 2.0)
    others = round((1.0 - first) ** 2 / (NEAR * far / 2.0))
    return np.append(first, np.full(others, (1.0 - first) / others))


POPULATIONS = {
    "even": Population(effect=normal),
    "hubs": Population(effect=hubs),
    "families": Population(effect=normal, families=look_alikes, kin=1.5),
    "blocks": Population(effect=normal, families=halves, kin=0.5),
    "ties": Population(effect=normal, step=0.25),
    "bursts": Population(effect=normal, items=six, burst=3),
    "a_tenth": Population(effect=normal, items=a_tenth),
    "a_half": Population(effect=normal, items=a_half),
    "unequal": Population(effect=easier, items=from_one_to_twenty),
    "skewed": Population(effect=skewed, covered=False),
    "heavy_tails": Population(effect=heavy, covered=False),
    "sites": Population(effect=normal, sites=8, site=0.25, covered=False),
    "cauchy": Population(effect=cauchy, covered=False),
    "doubles": Population(effect=doubles, covered=False),
    "clans": Population(effect=normal, families=clans, kin=20.0, covered=False),
}
"""Nine kinds that the assumption of a certificate covers, and six that it does not; the last three are our own."""

"""Are scores still what they were? Production against calibration, with a stated rate of false alarms.

Nobody knows the share of genuine pairs in production, so that is left open: drift is what no share
can explain. Law 2: pairs share identities, and variances count identities.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.errors import UsageError
from twofold.metrics.intervals import student_quantile
from twofold.metrics.jackknife import Involved
from twofold.metrics.verification import Tally
from twofold.results import Reference

__all__ = ["Production", "Shift", "reference", "reference_scores", "shift"]

IMPOSTOR = (0.5, 0.2, 0.05, 0.01)
GENUINE = (0.95, 0.8, 0.5, 0.2)
"""Shares of impostor and of genuine pairs that score at least as much as the scores at which they
are compared."""

FEWEST = 30
"""Fewest units that tell anything (decision 022)."""

SEEN = 5.0
"""Fewest independent pairs on either side of a score that is judged."""

STEPS, ROUNDS = 200, 4
"""Steps of the grid of shares, and how often it is refined about the best: to less than 1e-6 of its
range."""


Quantile = Callable[[Float[np.ndarray, "shares scores"]], Float[np.ndarray, "shares scores"]]


@dataclass(frozen=True, kw_only=True)
class Production:
    """Scores, and the units of either side of each pair (codes; both the same for a pair that shares nobody).

    `unowned`: how many things there are if every pair of them is here and it is unknown which are
    of one person.
    """

    scores: Float[np.ndarray, "n"]
    first: Int[np.ndarray, "n"]
    second: Int[np.ndarray, "n"]
    unowned: bool = False


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How far production is from calibration, at the share of genuine pairs that explains it best.

    Attributes:
        ratio: distance over the largest that chance explains; above 1 is drift. None: nothing could
            be judged.
        score, seen, expected, smallest: as in `Moved`.
        genuine_share: lowest and highest share of genuine pairs that explains what was seen; None:
            none does.
        units: independent things that take part; about the number of persons if owners are unknown.
    """

    ratio: float | None
    score: float | None
    seen: float | None
    expected: float | None
    smallest: float | None
    genuine_share: tuple[float, float] | None
    units: int


def reference_scores(counted: Tally, threshold: float) -> Float[np.ndarray, "scores"]:
    """About nine scores at which production is compared with calibration, and `threshold`."""
    at = [
        counted.thresholds[int(np.argmax(counted.false_match_rate <= level))] for level in IMPOSTOR
    ]
    at += [
        counted.thresholds[int(np.argmax(counted.false_non_match_rate > 1.0 - level)) - 1]
        for level in GENUINE
    ]
    return np.unique(np.append(at, threshold))


def reference(scores: Float[np.ndarray, "scores"], found: Involved) -> Reference:
    """What is kept of the calibration's scores: the scores, and eight numbers for each.

    Variances are those of leaving identities out one at a time, with Satterthwaite's degrees (see
    `jackknife`).

    Args:
        scores: `reference_scores`.
        found: pairs counted at minus infinity and at these scores.
    """
    genuine, moved_genuine = _influence(found.genuine, found.genuine_with)
    impostor, moved_impostor = _influence(found.impostor, found.impostor_with)
    units = len(moved_genuine)
    scale = units / (units - 1)
    columns = {
        "scores": scores,
        "genuine": genuine,
        "impostor": impostor,
        "genuine_variance": scale * (moved_genuine**2).sum(axis=0),
        "impostor_variance": scale * (moved_impostor**2).sum(axis=0),
        "covariance": scale * (moved_genuine * moved_impostor).sum(axis=0),
        "genuine_freedom": _freedom(moved_genuine),
        "impostor_freedom": _freedom(moved_impostor),
    }
    return Reference(
        **{name: tuple(float(each) for each in column) for name, column in columns.items()}
    )


def _influence(reached: np.ndarray, reached_with: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares at and above each score, and what every identity adds to their error."""
    share = reached[1:] / reached[0]
    return share, (reached_with[:, 1:] - share * reached_with[:, :1]) / reached[0]


def _freedom(moved: Float[np.ndarray, "units scores"]) -> Float[np.ndarray, "scores"]:
    """Degrees of freedom of a sum of squares (Satterthwaite 1946), from the kurtosis of what the units add."""
    squares = moved**2
    total = squares.sum(axis=0)
    kurtosis = len(moved) * (squares**2).sum(axis=0) / np.maximum(total**2, 1e-300)
    return np.clip(2.0 * len(moved) / np.maximum(kurtosis - 1.0, 1e-9), 1.0, len(moved) - 1.0)


def shift(
    known: Reference,
    found: Production,
    *,
    false_alarms: float,
    genuine: tuple[float, float] = (0.0, 1.0),
) -> Shift:
    """Compare production with calibration at each score of the reference.

    With the share q of genuine pairs, the share `q * genuine + (1 - q) * impostor` is expected at
    and above a score. At the true q its distance to what is seen, over its standard error, stays
    within Student's quantile at `false_alarms / (2 * scores)` except in a share `false_alarms` of
    cases (Bonferroni). Drift is reported if no q within `genuine` does.

    If the owners of n things are unknown, each person has about `m = 1 + q (n - 1)` of them, since
    q of all pairs are genuine. Things of one person may be nearly equal, so the variance is up to m
    times that of independent things (the design effect of clusters of m, Kish 1965), and n / m
    persons take part.

    Args:
        false_alarms: how often drift may be reported if there is none.
        genuine: lowest and highest share of genuine pairs that production may have; (1, 1): all are
            known to be.

    Raises:
        UsageError: `false_alarms` is not inside (0, 1), or `genuine` is not a range of shares.
    """
    low, high = genuine
    if not 0.0 < false_alarms < 1.0 or not 0.0 <= low <= high <= 1.0:
        raise UsageError(
            f"false_alarms is {false_alarms} and the share of genuine pairs {low} to {high}: a "
            "rate lies between 0 and 1 (usual: 0.01), and shares rise from 0 to 1"
        )
    test = _seen(found, known)
    if (units := test.units) < FEWEST:
        return _nothing(units)
    quantile = _quantiles(1.0 - false_alarms / (2.0 * len(known.scores)))
    persons = float(units)
    shares, ratios = _explored(lambda grid: test.ratios(grid, quantile), low, high)
    if found.unowned:
        persons = units / (1.0 + float(shares[np.argmin(ratios.max(axis=1))]) * (units - 1))
        test = test.clustered(units / max(persons, FEWEST))
        shares, ratios = _explored(lambda grid: test.ratios(grid, quantile), low, high)
    best = int(np.argmin(ratios.max(axis=1)))
    share, each = shares[best : best + 1], ratios[best]
    judged = test.judged(share)[0]
    if not judged.any() or (persons < FEWEST and each.max() <= 1.0):
        return _nothing(round(persons))
    worst = int(np.argmax(np.where(judged, each, -1.0)))
    fits = shares[ratios.max(axis=1) <= 1.0]
    return Shift(
        ratio=float(each[worst]),
        score=known.scores[worst],
        seen=float(test.seen[worst]),
        expected=float(test.expected(share)[0, worst]),
        smallest=float(test.explained(share, quantile)[0, worst]),
        genuine_share=(float(fits.min()), float(fits.max())) if len(fits) else None,
        units=round(persons),
    )


def _nothing(units: int) -> Shift:
    return Shift(
        ratio=None,
        score=None,
        seen=None,
        expected=None,
        smallest=None,
        genuine_share=None,
        units=units,
    )


@lru_cache(maxsize=16)
def _quantiles(share: float) -> Quantile:
    """Student's quantile as a function of the degrees of freedom, from a table: exact to a thousandth."""
    freedom = np.geomspace(1.0, 1e4, 64)
    known = np.log([student_quantile(share, each) for each in freedom])
    return lambda wanted: np.exp(np.interp(np.log(wanted), np.log(freedom), known))


def _explored(
    ratios: Callable[[Float[np.ndarray, "shares"]], Float[np.ndarray, "shares scores"]],
    low: float,
    high: float,
) -> tuple[Float[np.ndarray, "tried"], Float[np.ndarray, "tried scores"]]:
    """Shares of genuine pairs and their ratios: an even grid, ever finer about the best."""
    shares, found = np.empty(0), []
    left, right = low, high
    for _ in range(ROUNDS):
        grid = np.unique(np.linspace(left, right, STEPS + 1))
        shares, found = np.append(shares, grid), [*found, ratios(grid)]
        best, step = shares[np.argmin(np.concatenate(found).max(axis=1))], (right - left) / STEPS
        left, right = max(low, best - step), min(high, best + step)
    return shares, np.concatenate(found)


@dataclass(frozen=True, kw_only=True)
class _Test:
    """Shares seen at each score with their variance, against a reference, for several shares of genuine pairs."""

    known: Reference
    seen: Float[np.ndarray, "scores"]
    variance: Float[np.ndarray, "scores"]
    freedom: Float[np.ndarray, "scores"]
    pairs: int
    units: int

    def clustered(self, size: float) -> "_Test":
        """The same where units come in clusters of this size, whose members may be equal."""
        freedom = np.minimum(self.freedom, max(self.units / size - 1.0, 1.0))
        return replace(self, variance=self.variance * size, freedom=freedom)

    def expected(self, share: Float[np.ndarray, "shares"]) -> Float[np.ndarray, "shares scores"]:
        """Share of pairs that score at least so much, if the share `share` is genuine."""
        return share[:, None] * np.array(self.known.genuine) + (1.0 - share[:, None]) * np.array(
            self.known.impostor
        )

    def judged(self, share: Float[np.ndarray, "shares"]) -> Bool[np.ndarray, "shares scores"]:
        """Scores with enough expected pairs on both sides."""
        expected = self.expected(share)
        spread = np.maximum(self.variance, 1e-300)
        independent = np.minimum(self.seen * (1.0 - self.seen) / spread, self.pairs)
        independent = np.where(self.variance > 0, independent, self.pairs)
        return independent * np.minimum(expected, 1.0 - expected) >= SEEN

    def explained(
        self, share: Float[np.ndarray, "shares"], quantile: Quantile
    ) -> Float[np.ndarray, "shares scores"]:
        """How far chance moves the share at and above each score; degrees of freedom after Welch (1947).

        The variance of production is at least that of independent pairs.
        """
        part, known, expected = share[:, None], self.known, self.expected(share)
        own = np.maximum(self.variance, expected * (1.0 - expected) / self.pairs)
        genuine, impostor = (
            part**2 * np.array(known.genuine_variance),
            (1 - part) ** 2 * np.array(known.impostor_variance),
        )
        both = 2.0 * part * (1.0 - part) * np.array(known.covariance)
        total = np.maximum(own + genuine + impostor + both, 1e-24)
        parts = (
            (own, self.freedom),
            (genuine, known.genuine_freedom),
            (impostor, known.impostor_freedom),
        )
        freedom = total**2 / np.maximum(
            sum(each**2 / np.array(degrees) for each, degrees in parts), 1e-300
        )
        return np.sqrt(total) * quantile(np.clip(freedom, 1.0, 1e4))

    def ratios(
        self, share: Float[np.ndarray, "shares"], quantile: Quantile
    ) -> Float[np.ndarray, "shares scores"]:
        """Distance over what chance explains; 0 if too few pairs are on one side of a score."""
        distance = np.abs(self.seen - self.expected(share))
        return np.where(self.judged(share), distance / self.explained(share, quantile), 0.0)


def _seen(found: Production, known: Reference) -> _Test:
    """Shares of production at and above each score of the reference, with their variances and degrees of freedom.

    Two pairs are dependent where they share a unit: `V = (sum_units e^2 - sum_couples e^2) / n^2`
    with e the summed residuals, pairs of the same two units being counted once (Aronow, Samii &
    Assenova 2015).
    """
    count = len(found.scores)
    _, codes = np.unique(np.concatenate([found.first, found.second]), return_inverse=True)
    first, second = codes[:count], codes[count:]
    units, apart = int(codes.max()) + 1 if count else 0, first != second
    low, high = np.minimum(first, second)[apart], np.maximum(first, second)[apart]
    _, couple = np.unique(low * units + high, return_inverse=True)
    seen, variance, freedom = (np.zeros(len(known.scores)) for _ in range(3))
    for place, score in enumerate(known.scores):
        hit = (found.scores >= score).astype(np.float64)
        seen[place] = hit.mean() if count else 0.0
        left = hit - seen[place]
        moved = np.bincount(first, weights=left, minlength=units)
        moved += np.bincount(second[apart], weights=left[apart], minlength=units)
        twice = np.bincount(couple, weights=left[apart])
        variance[place] = (
            max((moved**2).sum() - (twice**2).sum(), (left**2).sum()) / max(count, 1) ** 2
        )
        freedom[place] = _freedom(moved[:, None])[0] if units > 1 else 1.0
    variance *= units / max(units - 1, 1)
    return _Test(
        known=known, seen=seen, variance=variance, freedom=freedom, pairs=count, units=units
    )

"""From scores to a probability: Platt's curve or an isotonic one, whichever predicts unseen identities better."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from twofold.errors import CannotCertify, NoMeaning, UsageError
from twofold.metrics.bins import reached
from twofold.metrics.pairs import PairSource
from twofold.metrics.verification import Tally, spread

__all__ = ["ProbabilityMap", "isotonic", "platt", "probability_map", "refuse_distances"]

FOLDS = 5
"""Folds of the cross-validation that chooses a curve: each is fitted to four fifths of the
identities."""

STEPS = 1024
"""Thresholds, about, for cross-validation and the isotonic curve."""


@dataclass(frozen=True, kw_only=True)
class ProbabilityMap:
    """Log-odds of "same" by score, at the prior that was asked for.

    Attributes:
        slope, intercept: of Platt's curve, always there.
        knots: scores and log-odds of the isotonic curve, linear between and level outside; None:
            Platt's is better.
        platt_log_loss, isotonic_log_loss: on pairs of identities that the curve was not fitted to,
            both kinds weighted the same; None: too few identities to tell.
    """

    slope: float
    intercept: float
    knots: tuple[Float[np.ndarray, "k"], Float[np.ndarray, "k"]] | None
    platt_log_loss: float | None
    isotonic_log_loss: float | None


def probability_map(
    pairs: PairSource, counted: Tally, *, prior: float = 0.5, seed: int = 0
) -> ProbabilityMap:
    """Platt's curve, and the isotonic one if it predicts better.

    Identities are dealt to five folds; a curve is fitted to the pairs of identities of four and
    judged by the log loss of the pairs of identities of the fifth, so that no identity is on two
    sides (law 2; pairs across are left out). The isotonic curve is taken where its mean loss is
    smaller by more than one standard error of the folds' differences, and then fitted to all pairs:
    a table replaces two numbers only for a reason.

    Args:
        counted: the tally of `pairs`.
        prior: share of genuine pairs for which the probability holds.
        seed: deals the identities.

    Raises:
        UsageError: `prior` is not inside (0, 1).
        CannotCertify: genuine pairs do not score higher than impostor pairs.
    """
    slope, intercept = platt(counted, prior=prior, identities=pairs.units)
    coarse = counted.thresholds[spread(counted, STEPS)]
    losses = _validated(pairs, coarse, seed=seed)
    if not losses:
        return ProbabilityMap(
            slope=slope,
            intercept=intercept,
            knots=None,
            platt_log_loss=None,
            isotonic_log_loss=None,
        )
    by_platt, by_steps = np.mean(losses, axis=0)
    gains = np.array([platts - steps for platts, steps in losses])
    clear = len(gains) > 1 and gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains))
    knots = isotonic(_at(counted, coarse), prior=prior, identities=pairs.units) if clear else None
    return ProbabilityMap(
        slope=slope,
        intercept=intercept,
        knots=knots,
        platt_log_loss=float(by_platt),
        isotonic_log_loss=float(by_steps),
    )


def _at(counted: Tally, thresholds: np.ndarray) -> Tally:
    places = np.searchsorted(counted.thresholds, thresholds)
    return Tally(
        thresholds=thresholds, genuine=counted.genuine[places], impostor=counted.impostor[places]
    )


def _validated(
    pairs: PairSource, thresholds: np.ndarray, *, seed: int
) -> list[tuple[float, float]]:
    """Log loss of Platt's and of the isotonic curve on each fold whose pairs are of both kinds."""
    fold = np.random.default_rng(seed).permutation(pairs.units) % FOLDS
    size = len(thresholds)
    counts = np.zeros((FOLDS, FOLDS, 2, size))
    for block in pairs:
        bins = np.maximum(reached(thresholds, block.scores) - 1, 0)
        place = ((fold[block.first] * FOLDS + fold[block.second]) * 2 + block.same) * size + bins
        counts += np.bincount(place, weights=block.weights, minlength=counts.size).reshape(
            counts.shape
        )
    losses = []
    for held in range(FOLDS):
        others = np.flatnonzero(np.arange(FOLDS) != held)
        fitted, unseen = counts[np.ix_(others, others)].sum(axis=(0, 1)), counts[held, held]
        if (fitted.sum(axis=1) > 0).all() and (unseen.sum(axis=1) > 0).all():
            known = Tally(
                thresholds=thresholds, genuine=_reached(fitted[1]), impostor=_reached(fitted[0])
            )
            losses.append(_losses(known, unseen, identities=int((fold != held).sum())))
    return losses


def _reached(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts[::-1])[::-1]


def _losses(known: Tally, unseen: np.ndarray, *, identities: int) -> tuple[float, float]:
    scores = _middles(known.thresholds)
    try:
        slope, intercept = platt(known, identities=identities)
    except CannotCertify:
        slope, intercept = 0.0, 0.0
    curves = (
        slope * scores + intercept,
        np.interp(scores, *isotonic(known, identities=identities)),
    )
    shares = unseen / unseen.sum(axis=1, keepdims=True)
    platts, steps = (
        float(
            0.5 * shares[1] @ np.logaddexp(0.0, -curve) + 0.5 * shares[0] @ np.logaddexp(0.0, curve)
        )
        for curve in curves
    )
    return platts, steps


def _middles(thresholds: np.ndarray) -> np.ndarray:
    return np.append((thresholds[:-1] + thresholds[1:]) / 2.0, thresholds[-1])


def isotonic(
    counted: Tally, *, prior: float = 0.5, identities: int
) -> tuple[Float[np.ndarray, "k"], Float[np.ndarray, "k"]]:
    """Scores and log-odds of the rising step curve that fits best (pool adjacent violators; Zadrozny & Elkan 2002).

    Each pool is described by its first and last score. Log-odds end at `log(m + 1)` for m =
    identities on either side, like Platt's targets: m people cannot show more certainty.
    """
    genuine, impostor = (
        -np.diff(each, append=0.0) / each[0] for each in (counted.genuine, counted.impostor)
    )
    scores = _middles(counted.thresholds)
    kept = np.flatnonzero(genuine + impostor > 0)
    # genuine weight, all weight, first and last place
    pools: list[tuple[float, float, int, int]] = []
    for place in kept:
        pool = (
            float(genuine[place]),
            float(genuine[place] + impostor[place]),
            int(place),
            int(place),
        )
        while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
            above = pools.pop()
            pool = (above[0] + pool[0], above[1] + pool[1], above[2], pool[3])
        pools.append(pool)
    share, most = np.array([part / whole for part, whole, _, _ in pools]), np.log(identities + 1.0)
    with np.errstate(divide="ignore"):
        odds = (
            np.clip(np.log(share) - np.log1p(-share), -most, most)
            + np.log(prior)
            - np.log1p(-prior)
        )
    ends = np.array([[first, last] for _, _, first, last in pools])
    where, height = scores[ends].ravel(), np.repeat(odds, 2)
    new = np.append(True, np.diff(where) > 0)
    return where[new], height[new]


def platt(counted: Tally, *, prior: float = 0.5, identities: int) -> tuple[float, float]:
    """Slope and intercept of `P(same | score) = 1 / (1 + exp(-(slope * score + intercept)))`, Platt 1999.

    Genuine pairs weigh `prior` in all, impostor pairs `1 - prior`, however many there are of each.
    Targets are `(m + 1) / (m + 2)` and `1 / (m + 2)` with m = identities, not pairs: m people
    cannot show a probability nearer to 1 than that. Newton's method; with these targets the minimum
    is unique and finite.

    Raises:
        UsageError: `prior` is not inside (0, 1).
        CannotCertify: genuine pairs do not score higher than impostor pairs.
    """
    if not 0.0 < prior < 1.0:
        raise UsageError(
            f"prior is {prior}: the share of genuine pairs lies between 0 and 1, both excluded"
        )
    genuine, impostor = (
        share * -np.diff(counts, append=0.0) / counts[0]
        for share, counts in ((prior, counted.genuine), (1.0 - prior, counted.impostor))
    )
    weight, low = genuine + impostor, 1.0 / (identities + 2.0)
    target = (genuine * (1.0 - low) + impostor * low) / np.where(weight > 0, weight, 1.0)
    centre = np.average(counted.thresholds, weights=weight)
    scale = np.sqrt(np.average((counted.thresholds - centre) ** 2, weights=weight)) or 1.0
    slope, intercept = _logistic((counted.thresholds - centre) / scale, target, weight)
    if slope <= 0.0:
        refuse_distances(counted)
        raise NoMeaning(f"{NO_MEANING}look at the labels; if the model is your own, train longer")
    return float(slope / scale), float(intercept - slope * centre / scale)


LOWER = 0.35
"""Area under the ROC curve below which scores are taken for distances, not just for poor scores."""

NO_MEANING = "genuine pairs do not score higher than impostor pairs, so no score can mean 'same': "


def refuse_distances(counted: Tally) -> None:
    """Raise CannotCertify if genuine pairs score clearly lower, as distances do."""
    at_least = counted.genuine / counted.genuine[0]
    higher = np.append(at_least[1:], 0.0)
    impostors = -np.diff(counted.impostor, append=0.0) / counted.impostor[0]
    area = float(impostors @ (higher + at_least) / 2.0)
    if area < LOWER:
        raise NoMeaning(
            f"{NO_MEANING}they score lower in {1.0 - area:.0%} of all comparisons with one, as "
            "distances do. A score must be larger for what is more alike, so negate distances (-d "
            "in place of d); else look at the labels"
        )


def _logistic(x: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted logistic regression of one variable: Newton's steps, halved until the loss falls."""
    design = np.stack([x, np.ones_like(x)], axis=1)

    def loss(at: np.ndarray) -> float:
        logit = design @ at
        return float((weight * (np.logaddexp(0.0, logit) - target * logit)).sum())

    found = np.zeros(2)
    for _ in range(100):
        share = 0.5 * (1.0 + np.tanh(design @ found / 2.0))
        gradient = design.T @ (weight * (share - target))
        curvature = (
            design * (weight * share * (1.0 - share))[:, None]
        ).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while loss(found - step) > loss(found) and np.abs(step).max() > 1e-12:
            step = step / 2.0
        found = found - step
        if np.abs(step).max() < 1e-10:
            break
    return float(found[0]), float(found[1])

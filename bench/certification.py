"""Do certified thresholds hold, and do intervals cover? Re-calibrations on invented identities of known truth.

    python bench/certification.py [--quick]

Scores of impostor pairs are identity effect + identity effect + item effects + noise, all normal, so that the true rate
at a threshold is known exactly; in "wolves" one identity in twenty is shifted by 1.5. A refusal is no violation, and is
counted. Coverage: 95 % intervals of 50 identities against the truth of the same population.
"""

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from last_line import print_last_line, row
from twofold.errors import CannotCertify
from twofold.metrics.calibration import certify, fewest_identities
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import estimates, estimates_at

ITEMS = 4
EFFECT, ITEM, BONUS = 0.15, 0.3, 3.0
NOISE = math.sqrt(1.0 - 2.0 * EFFECT)
WOLVES = {"even": 0.0, "wolves": 0.05}
SHIFT = 1.5

Truth = Callable[[float], float]


def main() -> None:
    """Certify and cover, then the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few repeats, to see that everything runs")
    options = parser.parse_args()
    started = time.monotonic()
    repeats = 20 if options.quick else 300
    results = []
    for far in (1e-2,) if options.quick else (1e-2, 1e-3):
        for name in WOLVES:
            results += certified(name, far, repeats)
    results += covered(20 if options.quick else 500)
    print_last_line("certification", started, results)


def certified(name: str, far: float, repeats: int) -> list[dict[str, Any]]:
    """Violations and the median true rate of `repeats` calibrations with the fewest identities that may certify."""
    identities = fewest_identities(far)
    shares = []
    for seed in range(repeats):
        try:
            threshold = certify(people(identities, WOLVES[name], seed), far).threshold
            shares.append(impostor_rate(threshold, WOLVES[name]) / far)
        except CannotCertify:
            shares.append(math.nan)
    violations = float(np.mean(np.array(shares) > 1.0))
    refused = float(np.mean(np.isnan(shares)))
    interval = stats.binomtest(round(violations * repeats), repeats).proportion_ci()
    said = f"{name}, {identities} identities, {repeats} calibrations, {refused:.0%} refused"
    print(f"far {far:g}, {said}: {violations:.1%} violations, median share {np.nanmedian(shares):.2f}")
    suffix = f"{far:.0e}".replace("e-0", "e-") + ("" if name == "even" else f"_{name}")
    return [
        row(
            f"far_violation_rate_{suffix}",
            violations,
            interval=(float(interval.low), float(interval.high)),
            goal=0.05,
            anchor=said,
        ),
        row(f"far_median_share_of_target_{suffix}", float(np.nanmedian(shares)), goal=0.4, anchor=said),
    ]


def covered(repeats: int) -> list[dict[str, Any]]:
    """Share of intervals that hold the truth."""
    threshold = float(stats.norm.isf(0.01)) * spread()
    # a genuine pair holds one identity's effect twice, an impostor pair two effects once: the spreads differ
    genuine = math.sqrt(spread() ** 2 + 2.0 * EFFECT)
    steps = np.linspace(0.0, BONUS, 100_001)
    missed = stats.norm.cdf((steps - BONUS) / genuine)
    truth = {
        "eer": float(missed[np.argmin(np.abs(missed - stats.norm.sf(steps / spread())))]),
        "false_non_match_rate": float(stats.norm.cdf((threshold - BONUS) / genuine)),
    }
    share = 50 * ITEMS * (ITEMS - 1) / (50 * ITEMS * (50 * ITEMS - 1))
    truth["accuracy"] = share * (1.0 - truth["false_non_match_rate"]) + (1.0 - share) * 0.99
    inside = dict.fromkeys(truth, 0)
    for seed in range(repeats):
        pairs = people(50, 0.0, 10_000 + seed)
        found = estimates(pairs, replicates=500) | estimates_at(pairs, threshold, replicates=500)
        for name, value in truth.items():
            inside[name] += found[name].low <= value <= found[name].high
    names = {"false_non_match_rate": "fnmr_at_fmr"}
    rows = []
    for name, count in inside.items():
        interval = stats.binomtest(count, repeats).proportion_ci()
        print(f"coverage of {name}: {count / repeats:.1%} of {repeats}")
        rows.append(
            row(
                f"coverage_{names.get(name, name)}",
                count / repeats,
                interval=(float(interval.low), float(interval.high)),
                goal=0.95,
                anchor=f"50 identities x {ITEMS}, {repeats} repeats, at a fixed threshold",
            )
        )
    return rows


def people(identities: int, wolves: float, seed: int) -> AllPairs:
    """All pairs of invented items of invented identities."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), ITEMS)
    effect = math.sqrt(EFFECT) * generator.normal(size=identities) + SHIFT * (generator.random(identities) < wolves)
    items = effect[labels] + ITEM * generator.normal(size=len(labels))

    def score(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        # the noise of a pair is drawn from its place, so that every pass sees the same scores
        noise = np.stack([np.random.default_rng((seed, int(r))).normal(size=len(labels))[cols] for r in rows])
        same = labels[rows][:, None] == labels[cols][None, :]
        return items[rows][:, None] + items[cols][None, :] + NOISE * noise + BONUS * same

    return AllPairs(score, labels)


def spread() -> float:
    """Standard deviation of an impostor score without wolves."""
    return math.sqrt(2.0 * EFFECT + 2.0 * ITEM**2 + NOISE**2)


def impostor_rate(threshold: float, wolves: float) -> float:
    """True false-accept rate at a threshold."""
    shares = np.array([(1 - wolves) ** 2, 2 * wolves * (1 - wolves), wolves**2])
    return float(shares @ stats.norm.sf((threshold - SHIFT * np.arange(3)) / spread()))


if __name__ == "__main__":
    main()

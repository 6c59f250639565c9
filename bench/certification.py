"""Do certified thresholds hold, and do intervals cover? Re-calibrations on invented identities of known truth.

    python bench/certification.py [--quick]

Scores of impostor pairs are identity effect + identity effect + item effects + noise, all normal, so that the true rate
at a threshold is known exactly; in "wolves" one identity in twenty is shifted by 1.5. A refusal is no violation, and is
counted. Open set: strangers at galleries of 1,000 and 10,000, against fresh strangers at fresh galleries. Coverage:
95 % intervals of 50 identities against the truth of the same population.
"""

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from last_line import print_last_line, row
from twofold.errors import CannotCertify
from twofold.metrics.calibration import certify, fewest_identities
from twofold.metrics.openset import galleries, open_set
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import estimates

ITEMS = 4
EFFECT, ITEM, BONUS = 0.15, 0.3, 3.0
NOISE = math.sqrt(1.0 - 2.0 * EFFECT)
WOLVES = {"even": 0.0, "wolves": 0.05}
SHIFT = 1.5
FMR, FEW = 0.01, 50
FPIR = 0.05

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
    sizes = ((50, 200, 10),) if options.quick else ((1000, 1500, 200), (10_000, 11_000, 5))
    for size, identities, calibrations in sizes:
        results += guarded(size, identities, calibrations)
    results += covered(50 if options.quick else 2000)
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


def guarded(size: int, identities: int, repeats: int) -> list[dict[str, Any]]:
    """Strangers taken for one of `size` enrolled: is the true rate above the stated bound, and how far below the asked?

    The truth is measured on 40,000 fresh strangers at fresh galleries.
    """
    generator = np.random.default_rng(99)
    fresh = []
    for _ in range(20):
        gallery, strangers = faces(size, 1, generator), faces(2000, 1, generator)
        fresh.append((strangers @ gallery.T).max(axis=1))
    truth = np.sort(np.concatenate(fresh))
    above, shares, refused = [], [], 0
    for seed in range(repeats):
        vectors = faces(identities, 2, np.random.default_rng(seed))
        labels = np.repeat(np.arange(identities), 2)
        tried = galleries(partial(cosines, vectors), labels, size=size, seed=seed)
        try:
            told = open_set(tried, FPIR)
        except CannotCertify:
            refused += 1
            continue
        rate = 1.0 - np.searchsorted(truth, told.threshold) / len(truth)
        above.append(rate > told.upper_bound)
        shares.append(rate / FPIR)
    kept = max(len(above), 1)
    interval = stats.binomtest(int(np.sum(above)), kept).proportion_ci()
    said = f"{size} enrolled of {identities} identities, FPIR {FPIR:g}, {repeats} calibrations, {refused} refused"
    median = float(np.median(shares)) if shares else math.nan
    print(f"{said}: {np.sum(above) / kept:.1%} above the bound, median share {median:.2f}")
    suffix = "" if size == 1000 else f"_{size}"
    return [
        row(
            f"fpir_bound_violation_rate{suffix}",
            float(np.sum(above) / kept),
            interval=(float(interval.low), float(interval.high)),
            goal=0.05,
            anchor=said,
        ),
        row(f"fpir_median_share_of_target{suffix}", median, goal=0.4, anchor=said),
    ]


def faces(identities: int, items: int, generator: np.random.Generator) -> np.ndarray:
    """Unit vectors of invented identities of uneven difficulty, float32."""
    centres = generator.normal(size=(identities, 16))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    spreads = 0.12 * np.exp(0.5 * generator.normal(size=identities))
    found = np.repeat(centres, items, axis=0)
    found += np.repeat(spreads, items)[:, None] * generator.normal(size=found.shape)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def cosines(vectors: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Cosine similarities of some of the vectors."""
    return vectors[rows] @ vectors[cols].T


def covered(repeats: int) -> list[dict[str, Any]]:
    """Share of intervals that hold the truth."""
    threshold = float(stats.norm.isf(FMR)) * spread()
    # a genuine pair holds one identity's effect twice, an impostor pair two effects once: the spreads differ
    genuine = math.sqrt(spread() ** 2 + 2.0 * EFFECT)
    steps = np.linspace(0.0, BONUS, 100_001)
    missed = stats.norm.cdf((steps - BONUS) / genuine)
    non_match = float(stats.norm.cdf((threshold - BONUS) / genuine))
    share = FEW * ITEMS * (ITEMS - 1) / (FEW * ITEMS * (FEW * ITEMS - 1))
    truth = {
        "eer": float(missed[np.argmin(np.abs(missed - stats.norm.sf(steps / spread())))]),
        "fnmr_at_fmr": non_match,
        "accuracy": share * (1.0 - non_match) + (1.0 - share) * (1.0 - FMR),
        "fmr": FMR,
        "fnmr": non_match,
    }
    inside = dict.fromkeys(truth, 0)
    for seed in range(repeats):
        found = estimates(held(FEW, 10_000 + seed), far=FMR, threshold=threshold)
        missed_at = found["tar_at_far"]
        ends = {
            "eer": (found["eer"].low, found["eer"].high),
            "fnmr_at_fmr": (1.0 - missed_at.high, 1.0 - missed_at.low),
            "accuracy": (found["accuracy"].low, found["accuracy"].high),
            "fmr": (found["false_match_rate"].low, found["false_match_rate"].high),
            "fnmr": (found["false_non_match_rate"].low, found["false_non_match_rate"].high),
        }
        for name, (low, high) in ends.items():
            inside[name] += low <= truth[name] <= high
    rows = []
    for name, count in inside.items():
        interval = stats.binomtest(count, repeats).proportion_ci()
        print(f"coverage of {name}: {count / repeats:.1%} of {repeats}")
        how = "at the threshold of these very pairs" if name == "fnmr_at_fmr" else "at a fixed threshold"
        rows.append(
            row(
                f"coverage_{name}",
                count / repeats,
                interval=(float(interval.low), float(interval.high)),
                goal=0.95,
                anchor=f"{FEW} identities x {ITEMS}, {repeats} repeats" + ("" if name == "eer" else f", {how}"),
            )
        )
    return rows


def held(identities: int, seed: int) -> AllPairs:
    """The same people as `people` without wolves, all noise drawn at once: small, and quick."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), ITEMS)
    items = (math.sqrt(EFFECT) * generator.normal(size=identities))[labels] + ITEM * generator.normal(size=len(labels))
    scores = items[:, None] + items[None, :] + NOISE * generator.normal(size=(len(labels),) * 2)
    scores += BONUS * (labels[:, None] == labels[None, :])
    return AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels)


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

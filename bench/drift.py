"""Does `monitor` raise false alarms as rarely as it says, and what does it see? Simulated streams of known truth.

    python bench/drift.py [--jobs 2] [--quick]

Scores are identity effect + identity effect + item effects + noise, all normal; genuine pairs score
3 higher, by an amount that differs from person to person. Each run draws the people of a
calibration (four items each) and other people for production, of whom some come much more often
than others, with any share of genuine pairs; so the false alarms contain the calibration's own
luck. "wolves": one identity in twenty is shifted by 1.5. Shifted: all scores, or those of genuine
pairs, move by so many standard deviations of an impostor's noise.
"""

import argparse
import math
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from last_line import print_last_line, row
from twofold.metrics.drift import Production, reference, reference_scores, shift
from twofold.metrics.jackknife import involved
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import tally, threshold_at_far

EFFECT, ITEM, BONUS, KIN, ITEMS, WOLF = 0.15, 0.3, 3.0, 0.3, 4, 1.5
RATES = (0.01, 0.05)
NOISE = math.sqrt(1.0 - 2.0 * EFFECT)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One setting: how much there is to calibrate on and in production, and what has moved."""

    name: str
    share: float
    calibrated: int = 110
    people: int = 300
    pairs: int = 3000
    wolves: float = 0.0
    moved: float = 0.0
    genuine_moved: float = 0.0
    known: bool = False


def main() -> None:
    """Count alarms, then the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--quick", action="store_true", help="few repeats, to see that everything runs"
    )
    options = parser.parse_args()
    started, results = time.monotonic(), []
    with ProcessPoolExecutor(options.jobs) as pool:
        for case, repeats in cases(quick=options.quick):
            found = np.array(
                list(
                    pool.map(
                        ratio, [case] * repeats, range(repeats), chunksize=max(repeats // 64, 1)
                    )
                )
            )
            results += [told(case, found[:, place], rate) for place, rate in enumerate(RATES)]
    for rate in RATES:
        worst = max(each["value"] for each in results if each["goal"] == rate)
        told_of = f"the largest of {sum(each['goal'] == rate for each in results)} settings"
        results.insert(
            0, row(f"false_alarm_rate_worst_case_at_{rate:g}", worst, goal=rate, anchor=told_of)
        )
    print_last_line("drift", started, results)


def cases(*, quick: bool) -> list[tuple[Case, int]]:
    """Healthy streams, then shifted ones."""
    healthy, shifted = (4, 4) if quick else (300, 60)
    listed = []
    for wolves in (0.0, 0.05):
        for share in (0.0, 0.5, 1.0) if quick else (0.0, 0.1, 0.5, 0.95, 1.0):
            for people, pairs in ((300, 3000),) if quick else ((40, 1000), (300, 3000)):
                name = "healthy_wolves" if wolves else "healthy"
                case = Case(name=name, share=share, people=people, pairs=pairs, wolves=wolves)
                listed.append((case, healthy))
    for whole, kin in (
        ((0.0, -1.0),) if quick else ((0.3, 0.0), (0.6, 0.0), (0.0, -0.5), (0.0, -1.0))
    ):
        moved = Case(
            name=f"all_{whole:g}_genuine_{kin:g}", share=0.95, moved=whole, genuine_moved=kin
        )
        listed.append((moved, shifted))
        if not quick:
            others = [replace(moved, share=share) for share in (0.0, 0.5)]
            others += [replace(moved, share=share, known=True) for share in (0.0, 1.0)]
            listed += [(each, shifted) for each in (*others, replace(moved, calibrated=400))]
    return listed


def told(case: Case, ratios: np.ndarray, rate: float) -> dict[str, Any]:
    """One figure."""
    alarms = ratios > 1.0
    interval = stats.binomtest(int(alarms.sum()), len(alarms)).proportion_ci()
    truth = "known to be" if case.known else "unknown which"
    said = (
        f"{case.calibrated} people calibrate, {case.people} in production with {case.pairs} "
        f"pairs, {case.share:.0%} "
        f"genuine ({truth}), stated {rate:g}, {len(alarms)} runs"
    )
    print(f"{case.name}: {alarms.mean():.1%} alarms; {said}", flush=True)
    return row(
        f"alarms_{case.name}_at_{rate:g}",
        float(alarms.mean()),
        interval=(float(interval.low), float(interval.high)),
        goal=rate if case.name.startswith("healthy") else None,
        anchor=said,
    )


def ratio(case: Case, seed: int) -> list[float]:
    """How far one run is from calibration, over what chance explains at each of the stated rates."""
    pairs = calibration(case, np.random.default_rng((seed, 0)))
    counted = tally(pairs)
    at = reference_scores(counted, float(threshold_at_far(counted, 1e-2)))
    known = reference(at, involved(pairs, np.append(-np.inf, at)))
    found = production(case, np.random.default_rng((seed, 1)))
    share = (case.share, case.share) if case.known else (0.0, 1.0)
    return [shift(known, found, false_alarms=rate, genuine=share).ratio or 0.0 for rate in RATES]


def effects(
    identities: int, wolves: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """How near each identity is to everybody, and how much more its own items are alike."""
    near = math.sqrt(EFFECT) * generator.normal(size=identities) + WOLF * (
        generator.random(identities) < wolves
    )
    return near, KIN * generator.normal(size=identities)


def calibration(case: Case, generator: np.random.Generator) -> AllPairs:
    """All pairs of the items of those who calibrate."""
    labels = np.repeat(np.arange(case.calibrated), ITEMS)
    near, kin = effects(case.calibrated, case.wolves, generator)
    items = near[labels] + ITEM * generator.normal(size=len(labels))
    scores = NOISE * generator.normal(size=(len(labels),) * 2) + items[:, None] + items[None, :]
    scores += (labels[:, None] == labels[None, :]) * (BONUS + kin[labels][:, None])
    return AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels)


def production(case: Case, generator: np.random.Generator) -> Production:
    """Pairs of other people."""
    near, kin = effects(case.people, case.wolves, generator)
    a = (case.people * generator.random(case.pairs) ** 1.5).astype(np.int64)
    same = generator.random(case.pairs) < case.share
    b = np.where(same, a, (a + generator.integers(1, case.people, case.pairs)) % case.people)
    scores = NOISE * generator.normal(size=case.pairs) + near[a] + near[b] + case.moved
    scores += ITEM * (generator.normal(size=case.pairs) + generator.normal(size=case.pairs))
    return Production(
        scores=scores + same * (BONUS + kin[a] + case.genuine_moved), first=a, second=b
    )


if __name__ == "__main__":
    main()

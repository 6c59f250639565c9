"""Do 95 % intervals cover? Few and many identities, with equal and with unequal numbers of items.

    python bench/coverage.py [--quick]

Scores are identity effect + identity effect + item effects + noise, all normal, so that every true
number is known. With unequal numbers half of the identities have two items and the other half six,
and those with six score .6 less with everybody: were items counted in place of identities, every
number would be another one.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

from last_line import print_last_line, row
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import estimates

EFFECT, ITEM, BONUS, FMR = 0.15, 0.3, 3.0, 0.01
NOISE = math.sqrt(1.0 - 2.0 * EFFECT)
IMPOSTOR = math.sqrt(2.0 * EFFECT + 2.0 * ITEM**2 + NOISE**2)
GENUINE = math.sqrt(4.0 * EFFECT + 2.0 * ITEM**2 + NOISE**2)
"""A genuine pair holds one identity's effect twice, an impostor pair two effects once."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Kinds of identities, equally frequent: (items, mean effect)."""

    name: str
    identities: int
    kinds: tuple[tuple[int, float], ...]

    def match(self, threshold: float) -> float:
        """True false-match rate: every two kinds equally often."""
        means = np.add.outer(*[[mean for _, mean in self.kinds]] * 2)
        return float(stats.norm.sf((threshold - means) / IMPOSTOR).mean())

    def non_match(self, threshold: float) -> float:
        """True false-non-match rate: every kind equally often."""
        means = np.array([BONUS + 2.0 * mean for _, mean in self.kinds])
        return float(stats.norm.cdf((threshold - means) / GENUINE).mean())

    def pairs(self, seed: int) -> AllPairs:
        """All pairs of drawn identities."""
        generator = np.random.default_rng(seed)
        kind = generator.integers(0, len(self.kinds), self.identities)
        sizes, means = (np.array(column)[kind] for column in zip(*self.kinds, strict=True))
        labels = np.repeat(np.arange(self.identities), sizes)
        effect = means + math.sqrt(EFFECT) * generator.normal(size=self.identities)
        items = effect[labels] + ITEM * generator.normal(size=len(labels))
        scores = NOISE * generator.normal(size=(len(labels),) * 2) + items[:, None] + items[None, :]
        scores += BONUS * (labels[:, None] == labels[None, :])
        return AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels)


EQUAL, UNEQUAL = ((4, 0.0),), ((2, 0.3), (6, -0.3))
CASES = {
    case: repeats
    for identities, repeats in ((50, 400), (200, 200))
    for case, repeats in (
        (Case(name=f"equal_{identities}", identities=identities, kinds=EQUAL), repeats),
        (Case(name=f"unequal_{identities}", identities=identities, kinds=UNEQUAL), repeats),
    )
}


def main() -> None:
    """Every case, then the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="few repeats, to see that everything runs"
    )
    options = parser.parse_args()
    started, results = time.monotonic(), []
    for case, repeats in CASES.items():
        if not options.quick or case.identities == 50:
            results += covered(case, 5 if options.quick else repeats)
    print_last_line("coverage", started, results)


def root(change: Callable[[float], float]) -> float:
    """Where the sign changes between scores 0 and 6."""
    found: Any = optimize.brentq(change, 0.0, 6.0)
    return float(found)


def covered(case: Case, repeats: int) -> list[dict[str, Any]]:
    """Share of intervals that hold the truth."""
    threshold = root(lambda at: case.match(at) - FMR)
    equal = root(lambda at: case.match(at) - case.non_match(at))
    truth = {"eer": case.match(equal), "fmr": FMR, "fnmr": case.non_match(threshold)}
    truth["fnmr_at_fmr"] = truth["fnmr"]
    inside = dict.fromkeys((*truth, "accuracy"), 0)
    for seed in range(repeats):
        pairs = case.pairs(seed)
        found = estimates(pairs, far=FMR, threshold=threshold)
        genuine = np.mean(np.concatenate([block.same for block in pairs]))
        right = {"accuracy": 1.0 - genuine * truth["fnmr"] - (1.0 - genuine) * FMR}
        ends = {name: (found[key].low, found[key].high) for name, key in NAMES.items()}
        ends["fnmr_at_fmr"] = (1.0 - found["tar_at_far"].high, 1.0 - found["tar_at_far"].low)
        for name, (low, high) in ends.items():
            inside[name] += bool(low <= (truth | right)[name] <= high)
    return [told(name, case, count, repeats) for name, count in inside.items()]


NAMES = {
    "eer": "eer",
    "accuracy": "accuracy",
    "fmr": "false_match_rate",
    "fnmr": "false_non_match_rate",
}


def told(name: str, case: Case, count: int, repeats: int) -> dict[str, Any]:
    """One figure."""
    ends = stats.binomtest(count, repeats).proportion_ci()
    print(f"coverage of {name}, {case.name}: {count / repeats:.1%} of {repeats}", flush=True)
    where = {"eer": "", "fnmr_at_fmr": ", at the threshold of these very pairs"}.get(
        name, ", at a fixed threshold"
    )
    anchor = f"{case.identities} identities with {' or '.join(str(size) for size, _ in case.kinds)} items{where}"
    interval = (float(ends.low), float(ends.high))
    return row(
        f"coverage_{name}_{case.name}", count / repeats, interval=interval, goal=0.95, anchor=anchor
    )


if __name__ == "__main__":
    main()

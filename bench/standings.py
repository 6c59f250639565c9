"""Whether the three standings keep their promises, on made-up populations whose true rate is known.

    python bench/standings.py [--only guaranteed] [--quick]

Each part draws people (populations.py), finds a threshold, and compares the true rate there with
the asked one. Parts: "guaranteed" counts pairs in O(n log n), without the noise of single pairs, so
that identities matter more; "certified" calls `certify` on every pair, with noise, and checks the
warnings; "sites" certifies by site. A refusal is counted, but does not break a promise. With --only
the last line has one part.
"""

import argparse
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from last_line import print_last_line, row
from populations import MANY, NOISE, POPULATIONS, Truth
from twofold.errors import CannotCertify
from twofold.metrics.certification import certify
from twofold.metrics.diagnostics import symptoms
from twofold.metrics.guarantee import largest_rate
from twofold.metrics.pairs import PairSource
from twofold.metrics.sites import BySite
from unit_vectors import Sphere, UnitVectors

SIZES = {1e-2: {600: 400, 1200: 400, 4800: 200}, 1e-3: {6000: 200, 12_000: 100}}
"""Numbers of identities for each rate, and how many calibrations of so many."""

CERTIFIED = {1e-2: (101, 200), 1e-3: (317, 40)}
"""As few identities as may certify a rate, and how many calibrations."""

RARE = ("even", "hubs", "unequal", "skewed", "heavy_tails")
"""The kinds that are certified at 1e-3 too: every pair of 634 items takes its time."""

POINTS = 40
EVERYBODY = POPULATIONS | {"unit_vectors": UnitVectors()}
REPORTED = {1e-2: 1200, 1e-3: 12_000}
"""The numbers of identities whose median share of the asked rate is a figure of its own."""


def main() -> None:
    """Every part, then the last line."""
    parts = {"guaranteed": guaranteed, "certified": certified, "sites": by_site}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=sorted(parts), help="one part")
    parser.add_argument(
        "--quick", action="store_true", help="few repeats, to see that everything runs"
    )
    options = parser.parse_args()
    started, results = time.monotonic(), []
    for name, part in parts.items():
        if options.only in (None, name):
            began = time.process_time()
            results += part(quick=options.quick)
            print(f"{name}: {time.process_time() - began:.0f} s of processor time", flush=True)
    print_last_line("standings", started, results)


def guaranteed(*, quick: bool) -> list[dict[str, Any]]:
    """Thresholds that are guaranteed, on every kind of population."""
    rows, least = [], []
    for name, population in EVERYBODY.items():
        for far, sizes in SIZES.items():
            shares = {}
            for size, repeats in list(sizes.items())[:1] if quick else sizes.items():
                allowed = largest_rate(far, size // 2)
                assert allowed is not None, f"{size} identities guarantee nothing at {far:g}"
                # each of its pairs has to be scored
                every = isinstance(population, UnitVectors) and size > MANY
                seeds = range(5 if quick else repeats // 5 if every else repeats)
                found = [population.lowest(size, far, allowed, seed) for seed in seeds]
                shares[size] = against(population.truth(far), found, far)
            # people from sites are not independent: without naming the sites nothing is promised
            named = not isinstance(population, UnitVectors) and population.sites
            rows += told("guaranteed", name, far, shares, goal=None if named else 0.05)
            at = REPORTED[far]
            if at in shares:
                median = float(np.nanmedian(shares[at]))
                least.append((median, name, far))
                rows.append(
                    row(f"guaranteed_share_{name}_{said(far)}", median, anchor=f"{at} identities")
                )
    if least:
        rows += [least_share(least, far) for far in SIZES]
    return rows


def least_share(found: list[tuple[float, str, float]], far: float) -> dict[str, Any]:
    """The smallest median share of the asked rate among the populations."""
    share, name, _ = min(each for each in found if each[2] == far)
    anchor = f"{REPORTED[far]} identities, the smallest of all populations: {name}"
    suffix = "" if far == 1e-2 else f"_{said(far)}"
    return row(f"guaranteed_share{suffix}", share, goal=0.25, anchor=anchor)


def certified(*, quick: bool) -> list[dict[str, Any]]:
    """Thresholds that the product certifies, with noise of single pairs, and what it warns about."""
    rows, warned = [], {}
    for name, population in EVERYBODY.items():
        for far, (size, repeats) in CERTIFIED.items():
            if far < 1e-2 and (quick or name not in RARE):
                continue
            found = [
                certificate(population.pairs(size, far, seed), far)
                for seed in range(5 if quick else repeats)
            ]
            shares = against(
                population.truth(far), [threshold for threshold, _ in found], far, noise=NOISE
            )
            rows += told(
                "certified", name, far, {size: shares}, goal=0.05 if population.covered else None
            )
            warned[name, far] = list(zip(shares, [symptom for _, symptom in found], strict=True))
    covered = [
        each
        for each in rows
        if each["name"].startswith("certified_share") and each["goal"] is not None
    ]
    least = min(covered, key=lambda each: each["value"])
    rows.append(
        row("certified_share", least["value"], goal=0.4, anchor=f"the smallest: {least['name']}")
    )
    return [*rows, *diagnosed(warned)]


def diagnosed(warned: dict[tuple[str, float], list[tuple[float, bool]]]) -> list[dict[str, Any]]:
    """How often calibrations that break the promise are warned about, and how often those that need no warning are."""
    rows, recalled, worst = [], [], (0.0, "")
    for (name, far), found in warned.items():
        fired = np.array([symptom for _, symptom in found])
        if EVERYBODY[name].covered:
            worst = max(worst, (float(fired.mean()), f"{name}, {far:g}"))
            rows.append(row(f"diagnostic_false_{name}_{said(far)}", float(fired.mean()), goal=0.1))
            continue
        broken = fired[np.array([share > 1.0 for share, _ in found])]
        recalled += broken.tolist()
        if len(broken):
            anchor = f"of {len(broken)} calibrations above the asked rate; {fired.mean():.0%} of all warned"
            rows.append(
                row(
                    f"diagnostic_recall_{name}_{said(far)}",
                    float(broken.mean()),
                    goal=0.9,
                    anchor=anchor,
                )
            )
    rows.append(
        row(
            "diagnostic_false",
            worst[0],
            goal=0.1,
            anchor=f"the largest of covered populations: {worst[1]}",
        )
    )
    if recalled:
        anchor = f"of {len(recalled)} calibrations above the asked rate, of populations that are not covered"
        rows.append(row("diagnostic_recall", float(np.mean(recalled)), goal=0.9, anchor=anchor))
    for each in rows:
        print(f"{each['name']}: {each['value']:.1%} {each['anchor']}", flush=True)
    return rows


def by_site(*, quick: bool) -> list[dict[str, Any]]:
    """Certificates by site, of people from few and many sites."""
    rows, far, size = [], 1e-2, 200
    for sites in (8, 20, 60):
        population = replace(POPULATIONS["sites"], sites=sites)
        found = []
        for seed in range(3 if quick else 80):
            people = population.draw(size, far, np.random.default_rng(seed))
            found.append(
                certificate(BySite(people.pairs(noise=NOISE, seed=seed), people.site), far)[0]
            )
        shares = against(population.truth(far), found, far, noise=NOISE)
        rows += told("site", f"{sites}_sites", far, {size: shares})
    worst = max(rows, key=lambda each: each["value"])
    ends = (worst["low"], worst["high"])
    anchor = f"the largest: {worst['name']}; by identity: certified_violation_sites_1e-2"
    return [*rows, row("site_violation", worst["value"], interval=ends, goal=0.05, anchor=anchor)]


def certificate(pairs: PairSource, far: float) -> tuple[float, bool]:
    """The threshold, NaN if it was refused; and whether the user is warned about the data."""
    try:
        threshold = certify(pairs, far).threshold
    except CannotCertify:
        return math.nan, True
    return threshold, bool(symptoms(pairs, threshold).warnings(certified=True, needed=0))


def told(
    kind: str, name: str, far: float, shares: dict[int, list[float]], *, goal: float | None = 0.05
) -> list[dict[str, Any]]:
    """How often the true rate was above the asked one, over all sizes, and its median share."""
    each = {size: np.array(found) for size, found in shares.items()}
    every = np.concatenate(list(each.values()))
    above, tries = int((every > 1.0).sum()), len(every)
    interval = stats.binomtest(above, tries).proportion_ci()
    by_size = ", ".join(
        f"{size:,}: {np.mean(found > 1.0):.1%} of {len(found)}, median share "
        f"{np.nanmedian(found):.2f}"
        if np.isfinite(found).any()
        else f"{size:,}: all {len(found)} refused"
        for size, found in each.items()
    )
    refused = f"; {np.isnan(every).mean():.1%} refused" if np.isnan(every).any() else ""
    anchor = f"identities {by_size}{refused}"
    print(f"{kind} {name} {far:g}: {above / tries:.1%}; {anchor}", flush=True)
    ends = (float(interval.low), float(interval.high))
    rows = [
        row(
            f"{kind}_violation_{name}_{said(far)}",
            above / tries,
            interval=ends,
            goal=goal,
            anchor=anchor,
        )
    ]
    if np.isfinite(every).any() and kind == "certified":
        share = float(np.nanmedian(every))
        rows.append(
            row(
                f"certified_share_{name}_{said(far)}",
                share,
                goal=goal and 0.4,
                anchor="median, all sizes",
            )
        )
    return rows


def said(far: float) -> str:
    """A rate in a figure's name."""
    return f"{far:.0e}".replace("e-0", "e-")


def against(
    truth: Truth | Sphere, thresholds: list[float], far: float, *, noise: float = 0.0
) -> list[float]:
    """True rates at the thresholds as shares of the asked one; NaN where it was refused.

    With noise the rate is smooth: its logarithm is interpolated between 40 thresholds.
    """
    known = sorted({each for each in thresholds if not math.isnan(each)})
    if noise and len(known) > POINTS:
        grid = np.linspace(known[0], known[-1], POINTS)
        logs = np.log([max(truth.rate(each, noise=noise), 1e-300) for each in grid])
        rates = dict(zip(known, np.exp(np.interp(known, grid, logs)) / far, strict=True))
    else:
        rates = {each: truth.rate(each, noise=noise) / far for each in known}
    return [rates.get(each, math.nan) for each in thresholds]


if __name__ == "__main__":
    main()

"""Fast counting and the product agree on small populations; truths are those of a loop; quick runs name figures."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from twofold.metrics.guarantee import guarantee, largest_rate
from twofold.metrics.verification import rates_at, tally

ROOT = Path(__file__).parents[2]
KINDS = ("even", "families", "ties", "bursts", "a_half", "unequal", "cauchy", "clans", "sites")


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        yield importlib.import_module("populations")
    finally:
        sys.path.remove(str(ROOT / "bench"))


@pytest.mark.parametrize("name", KINDS)
def test_the_threshold_is_the_products(bench, name):
    people = bench.POPULATIONS[name].draw(70, 0.1, np.random.default_rng(3))
    pairs = people.pairs()
    found = guarantee(pairs, 0.1)
    counted = tally(pairs)
    below = float(counted.thresholds[np.searchsorted(counted.thresholds, found.threshold) - 1])
    quick = bench.lowest(people, largest_rate(0.1, 35))
    # the product takes the next score, the bench the lowest number: nothing scores in between
    assert below < quick <= found.threshold
    at = round(quick / bench.QUANTUM)
    assert bench.Counted(people).rate(at) == pytest.approx(
        float(rates_at(counted, found.threshold)[0])
    )


@pytest.mark.parametrize("name", ["even", "families", "unequal"])
def test_the_true_rate_is_that_of_a_large_sample(bench, name):
    population = bench.POPULATIONS[name]
    people = population.draw(4000, 0.05, np.random.default_rng(1))
    counted, truth = bench.Counted(people), population.truth(0.05)
    for threshold in (0.8, 1.2):
        assert counted.rate(round(threshold / bench.QUANTUM)) == pytest.approx(
            truth.rate(threshold), rel=0.1
        )
    assert truth.rate(1.2, noise=bench.NOISE) > truth.rate(1.2)


def test_unit_vectors(bench):
    vectors = importlib.import_module("unit_vectors")
    people = vectors.UnitVectors()
    threshold = people.lowest(600, 0.05, 0.02, 0)
    drawn = vectors.directions(600, 1, 0)
    scores = (drawn @ drawn.T)[np.triu_indices(600, 1)]
    assert (scores >= threshold).mean() <= 0.02 < (scores >= threshold - 1e-3).mean()
    assert (scores >= 0.4).mean() == pytest.approx(people.truth(0.05).rate(0.4), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("standings", "guaranteed_violation_heavy_tails_1e-2"),
        ("coverage", "coverage_eer_unequal_50"),
    ],
)
def test_quick_run(name, figure):
    command = [sys.executable, str(ROOT / "bench" / f"{name}.py"), "--quick"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert figure in {
        result["name"] for result in json.loads(done.stdout.splitlines()[-1])["results"]
    }

"""What the benchmarks of certification and drift count is what a loop counts; their quick runs name their figures."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def test_rates_of_the_characters_left_out(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    bench = importlib.import_module("certification")
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(45, 3, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    drawings = bench.Drawings(vectors=vectors, **bench.alike(vectors.reshape(135, 4), 3, cut=0.3))
    rest = sorted(set(range(45)) - set(drawings.chosen(10, 7).tolist()))
    scores = [
        float(a @ b) for i in rest for j in rest if i < j for a in vectors[i] for b in vectors[j]
    ]
    assert drawings.rate(0.8, 7, left_out=10) == pytest.approx(np.mean(np.array(scores) >= 0.8))
    assert drawings.rate(0.1, 7, left_out=10) == 1.0 and np.isnan(
        drawings.rate(np.nan, 7, left_out=10)
    )
    assert drawings.pairs(10, 7).units == 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "figure"),
    [("certification", "coverage_eer"), ("drift", "false_alarm_rate_worst_case_at_0.01")],
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

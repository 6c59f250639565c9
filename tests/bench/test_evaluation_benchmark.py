"""The benchmark of evaluation runs, agrees with its peer, and names its figures; figures are not looked at."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_quick_run():
    command = [sys.executable, str(ROOT / "bench" / "evaluation.py"), "--quick", "--threads", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    line = json.loads(done.stdout.splitlines()[-1])
    names = {result["name"]: result for result in line["results"]}
    assert {
        "evaluation_3k_time_ratio",
        "evaluation_3k_peak_mb",
        "evaluation_3k_error_rates_seconds",
    } <= set(names)
    assert "EXTRAPOLATED" in names["evaluation_3k_default_time_ratio_extrapolated"]["anchor"]

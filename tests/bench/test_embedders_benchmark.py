"""The benchmark of embedders runs on few small pictures; times are not looked at, vectors are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_it_runs_and_imported_models_give_their_own_vectors():
    pytest.importorskip("onnxruntime")
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "embedders.py"), "--quick"],
        capture_output=True,
        text=True,
        check=True,
    )
    line = json.loads(done.stdout.splitlines()[-1])
    found = {row["name"]: row["value"] for row in line["results"]}
    assert found["onnx_import_difference"] <= 1e-6
    assert found["cached_head_difference"] <= 1e-4

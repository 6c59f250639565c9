"""The benchmark of engines runs and names its figures; figures are not looked at."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_quick_run():
    for package in ("psycopg", "pgvector", "pymilvus", "milvus_lite"):
        pytest.importorskip(package)
    command = [sys.executable, str(ROOT / "bench" / "engines.py"), "--quick"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = {result["name"] for result in json.loads(done.stdout.splitlines()[-1])["results"]}
    for engine in ("local", "postgresql", "milvus-lite"):
        assert {
            f"{engine}_1500_search_ms",
            f"{engine}_1500_recall_at_10",
            f"{engine}_exact_slope",
        } <= found

"""Figures of older code are marked: the hash of what a benchmark measures, and what the page of figures says."""

import importlib
import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("measured_code")


def test_every_path_is_there(bench):
    for name, paths in bench.MEASURED.items():
        missing = [path for path in paths if not (ROOT / path).exists()]
        assert not missing or name not in {
            path.stem for path in (ROOT / "bench" / "results").glob("*.json")
        }, name


def test_the_hash_follows_code_and_not_comments_or_layout(bench, tmp_path):
    (tmp_path / "package").mkdir()
    place = tmp_path / "package" / "a.py"
    place.write_text("x = 1\n", encoding="utf-8")
    first = bench.hashed(["package"], root=tmp_path)
    place.write_text(
        '"""What it holds."""\n\n# why\nx = (\n    1\n)\n"""What x is."""\n', encoding="utf-8"
    )
    assert bench.hashed(["package"], root=tmp_path) == first
    place.write_text("x = 2\n", encoding="utf-8")
    changed = bench.hashed(["package"], root=tmp_path)
    (tmp_path / "package" / "b.py").write_text("x = 2\n", encoding="utf-8")
    gone = bench.hashed(["package", "c.py"], root=tmp_path)
    assert len({first, changed, bench.hashed(["package"], root=tmp_path), gone}) == 4
    assert bench.measured_code("nobody's") is None


def test_figures_of_other_code_are_marked_stale(bench, tmp_path):
    page = runpy.run_path(str(ROOT / "docs" / "figures.py"), run_name="figures")
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    line = {"code": {"paths": ["a.py"], "sha256": bench.hashed(["a.py"], root=tmp_path)}}
    assert page["age"](line, root=tmp_path) == ""
    (tmp_path / "a.py").write_text("x = 3\n", encoding="utf-8")
    assert page["age"](line, root=tmp_path) == ", *stale*"
    assert page["age"]({"commit": "1234567"}) == ", *of unknown code*"


def test_a_last_line_records_its_code(bench, capsys):
    last_line = importlib.import_module("last_line")
    last_line.print_last_line("drift", 0.0, [])
    printed = json.loads(capsys.readouterr().out)
    assert (
        printed["code"] == bench.measured_code("drift")
        and "src/twofold/metrics/drift.py" in printed["code"]["paths"]
    )

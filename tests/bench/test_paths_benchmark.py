"""The path of a search stays short: the script that counts functions and files, and its goal."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_search_visits_no_more_than_its_goal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    paths = importlib.import_module("paths")
    with paths.filled(tmp_path / "index") as (index, query):
        visited = paths.counted(lambda: index.search(query, 10))
    functions, files = paths.GOALS["search"]
    assert ("store/index.py", "Index.search") in visited
    assert len(visited) <= functions, sorted(visited)
    assert len({file for file, _ in visited}) <= files, sorted(visited)

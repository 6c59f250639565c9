"""Paths stay as straight as they are: the functions and files that a call visits, counted by `bench/paths.py`."""

import importlib
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"

MOST = {"verify": (53, 15), "fit_step": (80, 21), "dedup": (163, 28)}
"""Functions and files today (53 in 14, 79 in 21, 161 in 27) and a few more; the goals are smaller (decision 061)."""


@pytest.fixture(scope="module")
def paths():
    sys.path.insert(0, str(BENCH))
    try:
        yield importlib.import_module("paths")
    finally:
        sys.path.remove(str(BENCH))


def counts(visited) -> tuple[int, int]:
    return len(visited), len({file for file, _ in visited})


def test_a_search_visits_no_more_than_was_asked_for(paths, tmp_path: Path) -> None:
    with paths.filled(tmp_path / "index") as (index, query):
        visited = paths.counted(lambda: index.search(query, 10))
    functions, files = counts(visited)
    assert ("store/index.py", "Index.search") in visited
    assert functions <= paths.GOALS["search"][0] and files <= paths.GOALS["search"][1]


@pytest.mark.parametrize("name", MOST)
def test_no_hop_is_added(paths, tmp_path: Path, name: str) -> None:
    items = paths.pictures(tmp_path / "pictures")
    one, other = items.values[:2]
    bundle = paths.small_bundle()
    calls = {
        "verify": lambda: paths.counted(lambda: paths.verify(bundle, one, other)),
        "fit_step": lambda: paths.one_step(items),
        "dedup": lambda: paths.counted(lambda: paths.dedup(items)),
    }
    visited = calls[name]()
    functions, files = counts(visited)
    assert functions <= MOST[name][0] and files <= MOST[name][1], sorted(visited)

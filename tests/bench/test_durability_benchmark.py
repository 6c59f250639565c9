"""The durability benchmark in small: here its figures are looked at, since none of them may be anything but zero."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def durability(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCH))
    yield importlib.import_module("durability")
    for name in ("durability", "crash_states", "damaged_files", "index_calls", "last_line"):
        sys.modules.pop(name, None)


def values(rows: list[dict]) -> dict[str, float]:
    return {line["name"]: line["value"] for line in rows}


def test_power_cuts_lose_nothing(durability: ModuleType, tmp_path: Path) -> None:
    assert values(durability.cut_rows(tmp_path, True)) == {
        "crash_states": 150,
        "crash_states_lost": 0,
    }


def test_power_cuts_would_be_noticed(durability: ModuleType, tmp_path: Path) -> None:
    """Without syncs something is lost: the states are not all harmless."""
    durable, events, truths = durability.a_run(tmp_path / "run", steps=4)
    unsynced = [event for event in events if event.kind != "sync"]
    lost = 0
    for number, (place, files) in enumerate(durability.states(durable, unsynced, 60, seed=0)):
        found = importlib.import_module("damaged_files").answer(
            tmp_path / str(number), files, cached=False
        )
        done = sum(event.kind == "note" for event in unsynced[:place])
        lost += (
            found is None
            or dict(zip(found[0][0], found[0][1], strict=True)) not in truths[done : done + 2]
        )
    assert lost > 5


def test_damage_is_detected_or_harmless(durability: ModuleType, tmp_path: Path) -> None:
    found = values(durability.damage_rows(tmp_path, True))
    assert found == {"corruptions": 180, "corruptions_silent": 0, "corruption_crashes": 0}


def test_a_full_disk_loses_nothing(durability: ModuleType, tmp_path: Path) -> None:
    assert values(durability.full_rows(tmp_path, True)) == {"full_disk_lost": 0}


def test_a_small_limit_of_file_sizes_loses_nothing(
    durability: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        durability.subprocess,
        "run",
        lambda *words, **more: durability.subprocess.CompletedProcess(words, 1),
    )
    assert values(durability.full_rows(tmp_path, True)) == {"full_disk_lost": 0}


def test_the_forgotten_leave_nothing(durability: ModuleType, tmp_path: Path) -> None:
    found = values(durability.forget_rows(tmp_path, True))
    assert (found["erased_bytes_left"], found["forgotten"]) == (0, 40)


def test_kills_lose_nothing(
    durability: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(BENCH.parent / "src"))
    path = tmp_path / "store"
    durability.Index.create(path, durability.contract(16)).close()
    assert durability.killed(path, 8, seed=0) == (0, 0, 0)


def test_events_are_what_was_written(durability: ModuleType, tmp_path: Path) -> None:
    """All events taken together give the files as they stand."""
    durable, events, truths = durability.a_run(tmp_path / "run", steps=3)
    disk = importlib.import_module("crash_states").Disk(dict(durable))
    for event in events:
        if event.kind != "note":
            disk.take(event)
    whole = disk.cut(np.random.default_rng(3))
    standing = (tmp_path / "run" / "truth.sqlite").read_bytes()
    assert whole["truth.sqlite"] == standing
    assert set(durability.read(tmp_path / "run")[0]) == set(truths[-1])

"""`check` finds what is damaged, stale or unfinished; a repair keeps all that is whole, and says what it dropped."""

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exit_codes import Run
from twofold.contract import Contract
from twofold.errors import DamagedIndex, StoreError
from twofold.results import Embeddings
from twofold.store import Index, salvage
from twofold.store.salvage import Seen, salvaged
from twofold.store.sqlite.database import Database
from twofold.store.upkeep import inspect

Make = Callable[..., Embeddings]
ITEMS = [f"person-{number % 8}/{number}" for number in range(40)]


@pytest.fixture
def written(tmp_path: Path, make: Make, contract: Contract) -> Path:
    """The folder of an index with 40 items and something forgotten, closed."""
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(["gone/1"]))
        index.add(make(ITEMS))
        index.forget("gone")
    return tmp_path / "store"


def change(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "truth.sqlite") as connection:
        connection.execute(statement)
    connection.close()


def codes(folder: Path) -> set[str]:
    return {finding.code for finding in inspect(folder).findings}


def test_an_index_that_is_well(written: Path) -> None:
    found = inspect(written)
    assert (found.sound, found.items, found.findings) == (True, 40, ())
    with Index.open(written) as index:
        assert index.check() == found
        assert index.check(repair=True).repaired == ()


def test_a_damaged_item_is_dropped_and_all_others_stay(written: Path, make: Make) -> None:
    file, given = written / "truth.sqlite", make(ITEMS)
    content, vector = file.read_bytes(), given.vectors[11].tobytes()
    file.write_bytes(content.replace(vector, vector[:9] + bytes([vector[9] ^ 4]) + vector[10:]))
    with pytest.raises(DamagedIndex, match="twofold check INDEX --repair"):
        Index.open(written)
    found = inspect(written)
    assert not found.sound
    assert {finding.code for finding in found.findings} == {"damaged-rows", "lost-rows"}
    found = inspect(written, repair=True)
    assert found.sound
    assert found.dropped == ("row 13 (b'person-3/11')",)
    with Index.open(written) as index:
        kept = [place for place in range(40) if place != 11]
        assert index.ids == tuple(ITEMS[place] for place in kept)
        np.testing.assert_array_equal(index.get(index.ids).vectors, given.vectors[kept])
        assert index.add(given) == 1
        assert [entry.event for entry in index.audit()] == ["forget", "erased"]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DELETE FROM items WHERE row = 5", "lost-rows"),
        ("UPDATE state SET items = 7", "damaged-state"),
        ("DELETE FROM state", "damaged-state"),
        ("UPDATE items SET label = 'x' WHERE row = 9", "damaged-rows"),
    ],
)
def test_what_a_repair_mends(written: Path, statement: str, code: str) -> None:
    change(written, statement)
    assert code in codes(written)
    found = inspect(written, repair=True)
    assert found.sound
    assert found.repaired
    with Index.open(written) as index:
        assert len(index) == found.items >= 39
        assert (
            index.add(
                Embeddings(
                    ids=(), labels=(), vectors=np.zeros((0, 16), np.float32), fingerprint="1" * 64
                )
            )
            == 0
        )


def test_rows_between_lost_pages_are_found_and_a_hopeless_search_ends(
    written: Path, monkeypatch
) -> None:
    lost, tried = range(11, 19), []

    def read(_: Database, low: int, high: int):
        tried.append((low, high))
        for row in range(low + 1, min(high, 41) + 1):
            if row in lost:
                raise sqlite3.DatabaseError("database disk image is malformed")
            yield [(row,)]
        if high > 41 and state_is_lost:
            raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(salvage, "read", read)
    monkeypatch.setattr(
        salvage, "whole", lambda block, seen: setattr(seen, "items", seen.items + 1) or block
    )
    state_is_lost = False
    with contextlib.closing(Database.open(written)) as database:
        seen = Seen()
        found = [block[0][0] for block in salvaged(database, seen)]
        assert sorted(set(found)) == [row for row in range(1, 42) if row not in lost]
        assert seen.unreachable == [f"row {row}" for row in lost] and len(tried) < 50
        monkeypatch.setattr(salvage, "last_row", lambda _: None)
        monkeypatch.setattr(salvage, "MOST_FAILED", 200)
        state_is_lost = True
        seen = Seen()
        assert {row for block in salvaged(database, seen) for row in block[0]} >= set(range(1, 11))
        assert seen.unreachable[-1].startswith("rows ")


def test_what_a_repair_cannot_mend(written: Path) -> None:
    change(written, "UPDATE pinned SET contract = '{}'")
    assert codes(written) == {"damaged-contract"}
    change(written, "UPDATE audit SET event = 'enrol'")
    # without what it is pinned to the log cannot be checked
    assert codes(written) == {"damaged-contract"}
    (written / "truth.sqlite").write_text("dear diary, " * 1000)
    assert codes(written) == {"unreadable"}
    assert not inspect(written, repair=True).sound


def test_a_changed_audit_log_is_told(written: Path) -> None:
    change(written, "UPDATE audit SET items = 9")
    found = inspect(written)
    assert [finding.code for finding in found.findings] == ["broken-audit"]
    assert found.sound  # of the index itself nothing is wrong


def test_an_unfinished_erasure_is_finished(written: Path, make: Make) -> None:
    with Index.open(written) as index:
        index.add(make(["anna-surname/1"]))
        reader = sqlite3.connect(written / "truth.sqlite", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        index.engine.database.connection.execute("PRAGMA busy_timeout=50")
        with pytest.raises(StoreError, match="not yet overwritten"):
            index.forget("anna-surname")
        index.close()
        reader.close()
    assert codes(written) == {"unfinished-erasure"}
    found = inspect(written, repair=True)
    assert (found.findings, found.dropped) == ((), ())
    assert not any(b"anna-surname" in file.read_bytes() for file in written.iterdir())


@pytest.mark.parametrize("seed", range(6))
def test_a_torn_page_costs_only_what_stood_in_it(
    tmp_path: Path, make: Make, contract: Contract, seed: int
) -> None:
    names = [f"p{number % 50}/{number}" for number in range(400)]
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(names))
    file = tmp_path / "store" / "truth.sqlite"
    content = bytearray(file.read_bytes())
    random = np.random.default_rng(seed)
    page = int(random.integers(1, len(content) // 8192))
    content[page * 8192 : (page + 1) * 8192] = random.bytes(8192)
    file.write_bytes(bytes(content))
    found = inspect(tmp_path / "store", repair=True)
    if found.sound:
        with Index.open(tmp_path / "store") as index:
            assert len(index) == found.items >= 300
            assert set(index.ids) <= set(names)
    else:
        assert {finding.code for finding in found.findings} & {"damaged-contract", "unreadable"}


def test_the_command(written: Path, run: Run) -> None:
    assert run("check", written)[:2] == (0, "40 whole items, all as it was written\n")
    change(written, "DELETE FROM items WHERE row = 5")
    code, out, _ = run("check", written)
    assert code == 1 and "39 whole items are left of 40 that were written" in out.replace("\n", " ")
    code, out, _ = run("check", written, "--repair", "--json")
    told = json.loads(out)
    assert (code, told["items"], told["findings"]) == (0, 39, [])
    code, _, err = run("check", written / "nothing")
    assert code == 2 and "is not an index" in err

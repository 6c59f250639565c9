"""A protected index: the same answers, nothing to read without the key, and keys that can be changed at any moment."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import twofold
from twofold.contract import Contract
from twofold.errors import DamagedIndex, StoreError, UsageError, WrongKey
from twofold.results import Embeddings
from twofold.store import Index
from twofold.store.protection.protect import Key, new_key
from twofold.store.sqlite.rows import Row, record_of, xor
from twofold.store.upkeep import inspect

Make = Callable[..., Embeddings]
KEY = Key(bytes(range(32)))
PEOPLE = ["anna-surname/1", "anna-surname/2", "bert-surname/1", "bert-surname/2", "carl-surname/1"]


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWOFOLD_KEY", raising=False)
    monkeypatch.delenv("TWOFOLD_KEY_FILE", raising=False)


@pytest.fixture
def index(tmp_path: Path, contract: Contract, make: Make) -> Iterator[Index]:
    with Index.create(tmp_path / "store", contract, protect=KEY) as index:
        index.add(make(PEOPLE))
        yield index


def files_with(folder: Path, pieces: list[bytes]) -> list[str]:
    return [
        f.name
        for f in folder.rglob("*")
        if f.is_file() and any(piece in f.read_bytes() for piece in pieces)
    ]


def parts_of(vectors: np.ndarray) -> list[bytes]:
    """Every eight bytes of vectors."""
    content = vectors.astype("<f4").tobytes()
    return [content[place : place + 8] for place in range(0, len(content), 8)]


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean", "manhattan"])
def test_it_answers_as_an_open_one_does(
    tmp_path: Path, contract: Contract, make: Make, distance: str
) -> None:
    contract, given, query = (
        replace(contract, distance=distance),
        make(PEOPLE),
        make(["q"], seed=9).vectors,
    )
    with (
        Index.create(tmp_path / "open", contract) as plain,
        Index.create(tmp_path / "s", contract, protect=KEY) as one,
    ):
        for index in (plain, one):
            index.add(given)
        for search in (lambda i: i.search(query, 4), lambda i: i.search_range(query, -99.0)):
            for a, b in zip(search(plain)[0], search(one)[0], strict=True):
                assert (a.id, a.label) == (b.id, b.label)
                assert a.score == pytest.approx(b.score, abs=1e-6)
        assert one.protected
        np.testing.assert_allclose(one.get(PEOPLE).vectors, given.vectors, atol=1e-7)
        np.testing.assert_allclose(next(one.blocks()).vectors, given.vectors, atol=1e-7)
        assert one.add(given) == 0


def test_no_vector_can_be_read_in_its_files(index: Index, make: Make) -> None:
    pieces = parts_of(make(PEOPLE).vectors) + parts_of(
        index.engine.rotation.turn(make(PEOPLE).vectors)
    )
    assert files_with(index.path, pieces) == []
    index.close()
    assert files_with(index.path, pieces) == []
    assert files_with(index.path, [KEY.secret, KEY.text.encode(), KEY.secret.hex().encode()]) == []
    # names stay readable, as is said
    assert files_with(index.path, [b"anna-surname"]) == ["truth.sqlite"]


def test_it_opens_with_its_key_only(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.close()
    with pytest.raises(WrongKey, match="is protected and no key is given"):
        Index.open(index.path)
    with pytest.raises(WrongKey, match="is not the one this index was protected with"):
        Index.open(index.path, key=new_key())
    (tmp_path / "my.key").write_text(KEY.text)
    (tmp_path / "my.key").chmod(0o600)
    monkeypatch.setenv("TWOFOLD_KEY_FILE", str(tmp_path / "my.key"))
    for opened in (Index.open(index.path), Index.open(index.path, key=tmp_path / "my.key")):
        with opened:
            assert len(opened) == 5


def test_a_key_for_nothing(tmp_path: Path, contract: Contract) -> None:
    Index.create(tmp_path / "open", contract).close()
    with pytest.raises(StoreError, match="is not protected, no key opens it: leave it out"):
        Index.open(tmp_path / "open", key=KEY)
    with pytest.raises(WrongKey, match="no key is given"):
        Index.create(tmp_path / "other", contract, protect=True)
    with pytest.raises(UsageError, match="manhattan changes when vectors are rotated"):
        Index.create(
            tmp_path / "other", replace(contract, distance="manhattan"), protect=KEY, rotate=True
        )
    assert not (tmp_path / "other").exists()


def forge(index: Index, change: Callable[[Row], Row]) -> None:
    """What somebody with the files and this code, but without the key, could write: all hashes are right."""
    database = index.engine.database
    with database.writing():
        rows = [change(row) for row in database.rows()]
        database.connection.execute("DELETE FROM items")
        hashes = database.write_records(list(map(record_of, rows)))
        database.write_state(replace(database.state(), checksum=xor(hashes)))
    index.close()


def test_rows_cannot_be_swapped(index: Index) -> None:
    """An impostor's template under another's name would open every door."""
    found = {row.id: row.vector for row in index.engine.database.rows()}
    swap = {"anna-surname/1": "bert-surname/1", "bert-surname/1": "anna-surname/1"}
    forge(index, lambda row: row._replace(vector=found[swap.get(row.id, row.id)]))
    with pytest.raises(
        DamagedIndex, match=r"is sealed for \('anna-surname/1', 'anna-surname'\) does not open"
    ):
        Index.open(index.path, key=KEY)


@pytest.mark.parametrize("field", ["id", "label"])
def test_a_row_cannot_be_given_another_name(index: Index, field: str) -> None:
    names = {"anna-surname/1": "x", "anna-surname": "bert-surname"}
    forge(
        index,
        lambda row: row._replace(**{field: names.get(getattr(row, field), getattr(row, field))}),
    )
    with pytest.raises(DamagedIndex, match="does not open"):
        Index.open(index.path, key=KEY)


def test_subjects_keys_cannot_be_swapped_or_lost(index: Index) -> None:
    index.close()
    with sqlite3.connect(index.path / "truth.sqlite") as connection:
        keys = dict(connection.execute("SELECT label, key FROM subjects").fetchall())
        assert sorted(keys) == ["anna-surname", "bert-surname", "carl-surname"]
        connection.execute(
            "UPDATE subjects SET key = ? WHERE label = 'anna-surname'", (keys["bert-surname"],)
        )
    with pytest.raises(DamagedIndex, match="does not open"):
        Index.open(index.path, key=KEY)
    with sqlite3.connect(index.path / "truth.sqlite") as connection:
        connection.execute("DELETE FROM subjects WHERE label = 'anna-surname'")
    with pytest.raises(
        DamagedIndex,
        match=r"the key of 'anna-surname' in .* is gone, and 'anna-surname/1' cannot be",
    ):
        Index.open(index.path, key=KEY)
    connection.close()


def test_a_flipped_bit_is_found(index: Index) -> None:
    index.close()
    file = index.path / "truth.sqlite"
    content = file.read_bytes()
    random, answers = np.random.default_rng(0), set()
    for place, bit in zip(
        random.integers(0, len(content), 150), random.integers(0, 8, 150), strict=True
    ):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << bit
        file.write_bytes(bytes(spoilt))
        try:
            with Index.open(index.path, key=KEY) as opened:
                answers.add(opened.get(opened.ids).vectors.tobytes())
        except StoreError as error:
            answers.add(type(error).__name__)
    assert {each for each in answers if isinstance(each, str)} <= {
        "DamagedIndex",
        "StoreError",
        "WrongKey",
    }
    assert len([each for each in answers if isinstance(each, bytes)]) == 1


def test_forgetting_destroys_the_key_too(index: Index) -> None:
    with index.engine.database.reading():
        rows = [row for row in index.engine.database.rows() if row.label == "anna-surname"]
        (wrapped,) = index.engine.database.connection.execute(
            "SELECT key FROM subjects ORDER BY label"
        ).fetchone()
    pieces = [
        b"anna-surname",
        wrapped[:8],
        wrapped[-8:],
        *(row.vector[at : at + 8] for row in rows for at in (0, 20, 60)),
    ]
    assert files_with(index.path, pieces)
    assert index.forget("anna-surname").left == 0
    assert files_with(index.path, pieces) == []
    assert index.labels == ("bert-surname", "carl-surname")
    assert [entry.event for entry in index.audit("anna-surname")] == ["forget", "erased"]
    index.close()
    with Index.open(index.path, key=KEY) as again:
        assert [entry.event for entry in again.audit("anna-surname")] == ["forget", "erased"]
        assert files_with(index.path, pieces) == []


def test_the_key_of_the_log_is_in_no_file(index: Index) -> None:
    index.forget("anna-surname")
    key = index.engine.database.seal.audit_key(index.engine.database.pinned())
    assert len(key) == 32
    index.close()
    assert files_with(index.path, [key, key.hex().encode()]) == []


@pytest.mark.parametrize("rotate", [False, True])
def test_rekey(index: Index, make: Make, rotate: bool) -> None:
    index.enrol(make(["dora-surname/1"], seed=7), expires="2999-01-01")
    index.revoke("carl-surname")
    before, query = index.get(index.ids), make(["q"], seed=4).vectors
    hits, people = index.search(query, 9)[0], index.enrolled()
    sealed = {row.id: row.vector for row in index.engine.database.rows()}
    wrapped = index.engine.database.connection.execute("SELECT key FROM subjects").fetchall()
    other = new_key()
    index.rekey(other, rotate=rotate)
    for opened in (index, Index.open(index.path, key=other)):
        np.testing.assert_allclose(opened.get(before.ids).vectors, before.vectors, atol=3e-7)
        assert opened.ids == before.ids
        assert opened.enrolled() == people
        for a, b in zip(opened.search(query, 9)[0], hits, strict=True):
            assert (a.id, a.label) == (b.id, b.label)
            assert a.score == pytest.approx(b.score, abs=1e-6)
        assert [entry.event for entry in opened.audit()] == ["enrol", "revoke", "rekey"]
        same = {row.id: row.vector == sealed[row.id] for row in opened.engine.database.rows()}
        assert set(same.values()) == {not rotate}
        # after a rotation the last digits differ
        assert rotate or opened.add(make(PEOPLE[:2])) == 0
        opened.close()
    assert files_with(index.path, [key[:16] for (key,) in wrapped]) == []
    if rotate:
        assert files_with(index.path, [vector[:16] for vector in sealed.values()]) == []
    with pytest.raises(WrongKey, match="is not the one this index was protected with"):
        Index.open(index.path, key=KEY)


def test_rotated_templates_match_nothing_of_before(index: Index, make: Make) -> None:
    vectors = make(PEOPLE).vectors
    before = index.engine.rotation.turn(vectors)
    index.rekey(KEY, rotate=True)
    after = index.engine.rotation.turn(vectors)
    np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-6)
    assert np.abs(np.einsum("nd,nd->n", before, after)).max() < 0.9


def test_an_open_index_gets_protection(tmp_path: Path, contract: Contract, make: Make) -> None:
    given = make(PEOPLE)
    with Index.create(tmp_path / "store", contract) as index:
        index.add(given)
        index.enrol(make(["dora-surname/1"]))
        index.rekey(KEY)
        assert index.protected
        assert files_with(index.path, parts_of(given.vectors)) == []
        assert [(entry.event, entry.items) for entry in index.audit("dora-surname")] == [
            ("enrol", 1)
        ]
        assert [entry.event for entry in index.audit()] == ["enrol", "protect"]
        np.testing.assert_allclose(index.get(PEOPLE).vectors, given.vectors, atol=1e-7)
    assert files_with(index.path, parts_of(given.vectors)) == []
    with pytest.raises(WrongKey):
        Index.open(index.path)
    Index.open(index.path, key=KEY).close()


def test_another_process_with_the_old_key_is_told(index: Index, make: Make) -> None:
    with Index.open(index.path, key=KEY) as other:
        other.search(make(["q"]).vectors, 1)
        index.rekey(new_key())
        for call in (
            lambda: other.search(make(["q"]).vectors, 1),
            lambda: other.add(make(["emil/1"])),
            lambda: other.get(PEOPLE),
            lambda: other.rekey(new_key()),
        ):
            with pytest.raises(
                WrongKey, match="was given another key since it was opened: open it again with that"
            ):
                call()
        assert len(index) == 5


def test_a_label_that_comes_back_gets_another_key(index: Index, make: Make) -> None:
    with Index.open(index.path, key=KEY) as other:
        assert len(other.search(make(["q"]).vectors, 9)[0]) == 5
        find = "SELECT key FROM subjects WHERE label = 'anna-surname'"
        (old,) = index.engine.database.connection.execute(find).fetchone()
        index.forget("anna-surname")
        index.add(make(["anna-surname/1"], seed=8))
        (new,) = index.engine.database.connection.execute(find).fetchone()
        assert old != new
        assert len(other.search(make(["q"]).vectors, 9)[0]) == 4


REKEYS = """
import sys
from twofold.store import Index
from twofold.store.protection.protect import Key
one, other = Key(bytes(range(32))), Key(bytes(range(1, 33)))
index = Index.open(sys.argv[1], key=one)
print("ready", flush=True)
while True:
    for key in (other, one):
        index.rekey(key, rotate=True)
        print("done", flush=True)
"""


@pytest.mark.parametrize("kills", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_a_kill_during_rekey_leaves_the_old_or_the_new(
    tmp_path: Path, contract: Contract, make: Make, kills: int
) -> None:
    ids = [f"person-{number % 40}/{number}" for number in range(400)]
    given, other = make(ids), Key(bytes(range(1, 33)))
    with Index.create(tmp_path / "store", contract, protect=KEY) as index:
        index.add(given)
    environment = dict(
        os.environ, PYTHONPATH=str(Path(twofold.__file__).parents[1]), OMP_NUM_THREADS="1"
    )
    random = np.random.default_rng(0)
    for _ in range(kills):
        command = [sys.executable, "-c", REKEYS, str(tmp_path / "store")]
        with subprocess.Popen(command, stdout=-1, env=environment, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(int(random.integers(1, 4))):
                writer.stdout.readline()
            time.sleep(float(random.uniform(0, 0.2)))
            os.kill(writer.pid, signal.SIGKILL)
            writer.stdout.read()
        fits = []
        for key in (KEY, other):
            try:
                with Index.open(tmp_path / "store", key=key) as index:
                    assert index.ids == tuple(ids)
                    np.testing.assert_allclose(index.get(ids).vectors, given.vectors, atol=1e-5)
                    index.rekey(KEY)
                    fits.append(key)
                    break
            except WrongKey:
                continue
        assert len(fits) == 1


def test_a_check_looks_at_the_log_if_a_key_is_at_hand(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.forget("anna-surname")
    index.close()
    with sqlite3.connect(index.path / "truth.sqlite") as connection:
        connection.execute("UPDATE audit SET items = 0")
    connection.close()
    assert inspect(index.path).findings == ()
    monkeypatch.setenv("TWOFOLD_KEY", KEY.text)
    (finding,) = inspect(index.path).findings
    assert finding.message == "the audit log is not what was written from entry 1 on"


def test_many_vectors_of_a_protected_index_are_searched_in_memory(
    tmp_path: Path, contract: Contract, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.store.large.EXACT_ROWS", 1000)
    ids = [f"p{number // 3}/{number}" for number in range(1500)]
    given = make(ids)
    pieces = parts_of(given.vectors[:50])
    with Index.create(tmp_path / "vault", contract, protect=KEY) as index:
        index.add(given)
        assert index.search(given.vectors[:1], 1)[0][0].id == ids[0]
        assert [entry.name for entry in index.path.iterdir() if entry.is_dir()] == []
    with Index.create(tmp_path / "open", contract) as index:
        index.add(given)
        assert index.search(given.vectors[:1], 1)[0][0].id == ids[0]
        assert (index.path / "cache").is_dir()
        index.rekey(KEY)  # what it had in the clear goes
        assert not (index.path / "cache").exists()
        assert index.search(given.vectors[:1], 1)[0][0].id == ids[0]
        assert not (index.path / "cache").exists()
        assert files_with(index.path, pieces) == []

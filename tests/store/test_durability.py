"""What an index must survive: any order of calls, kills, flipped bits; and what must not survive in it."""

import contextlib
import importlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from twofold.contract import Contract
from twofold.errors import DamagedIndex, LongRead, NewerFormat, StoreError, TwofoldError
from twofold.results import Embeddings
from twofold.store import Index
from twofold.store.sqlite import connection, database

Make = Callable[..., Embeddings]
DIM, FINGERPRINT = 16, "1" * 64


class IndexMachine(RuleBasedStateMachine):
    """Any order of add, update, remove, forget and reopen, against a dictionary and brute force."""

    names = st.lists(
        st.sampled_from([f"{label}/{n}" for label in "abc" for n in range(4)]),
        max_size=5,
        unique=True,
    )
    folder: Path  # set by the test

    @initialize(number=st.integers(0, 2**40))
    def start(self, number: int) -> None:
        self.random = np.random.default_rng(number)
        self.path = self.folder / f"{number}-{len(list(self.folder.iterdir()))}"
        contract = Contract(fingerprint=FINGERPRINT, dim=DIM, distance="euclidean")
        self.index, self.truth = Index.create(self.path, contract), {}

    @rule(names=names, label=st.sampled_from(["x", "y", "z"]))
    def add(self, names: list[str], label: str) -> None:
        vectors = self.random.normal(size=(len(names), DIM)).astype(np.float32)
        added = Embeddings(
            ids=tuple(names), labels=(label,) * len(names), vectors=vectors, fingerprint=FINGERPRINT
        )
        assert self.index.add(added) == len(names)
        assert self.index.add(added) == 0
        # a new row goes behind
        self.truth = {name: row for name, row in self.truth.items() if name not in names}
        self.truth.update(
            {name: (label, vector) for name, vector in zip(names, vectors, strict=True)}
        )

    @rule(names=names)
    def remove(self, names: list[str]) -> None:
        if all(name in self.truth for name in names):
            self.index.remove(names)
            self.truth = {name: row for name, row in self.truth.items() if name not in names}
        else:
            with pytest.raises(StoreError, match="holds no item"):
                self.index.remove(names)

    @precondition(lambda self: self.truth)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        label = data.draw(st.sampled_from(sorted({label for label, _ in self.truth.values()})))
        receipt = self.index.forget(label)
        assert set(receipt.ids) == {name for name, row in self.truth.items() if row[0] == label}
        self.truth = {name: row for name, row in self.truth.items() if row[0] != label}

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.index = Index.open(self.path)

    @invariant()
    def holds_the_truth(self) -> None:
        if not hasattr(self, "truth"):
            return
        assert self.index.ids == tuple(self.truth)
        assert self.index.labels == tuple(sorted({label for label, _ in self.truth.values()}))
        if self.truth:
            vectors = np.stack([vector for _, vector in self.truth.values()])
            query = self.random.normal(size=(1, DIM)).astype(np.float32)
            order = np.argsort(np.linalg.norm(vectors.astype(float) - query, axis=1), kind="stable")
            (hits,) = self.index.search(query, 3)
            assert [hit.id for hit in hits] == [list(self.truth)[place] for place in order[:3]]

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.index.close()


def test_any_order_of_calls(tmp_path: Path) -> None:
    machine = type("Machine", (IndexMachine,), {"folder": tmp_path})
    case = machine.TestCase
    case.settings = settings(
        max_examples=20, stateful_step_count=15, deadline=None, derandomize=True, database=None
    )
    case("runTest").runTest()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The writers of the durability benchmark, and what they are held to."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    yield importlib.import_module("index_calls")
    sys.modules.pop("index_calls", None)


def test_kills_lose_nothing_that_was_acknowledged(tmp_path: Path, calls: ModuleType) -> None:
    Index.create(tmp_path / "store", calls.contract(16)).close()
    assert calls.killed(tmp_path / "store", 20, seed=0) == (0, 0, 0)


@pytest.mark.slow
def test_many_kills_lose_nothing_that_was_acknowledged(tmp_path: Path, calls: ModuleType) -> None:
    for round_number in range(8):  # a fresh index now and then: each kill reads all of it again
        path = tmp_path / str(round_number)
        Index.create(path, calls.contract(16)).close()
        assert calls.killed(path, 25, seed=round_number + 1) == (0, 0, 0)


def pieces_left(folder: Path, pieces: list[bytes]) -> list[str]:
    """Files of a folder in which one of the pieces stands."""
    return [
        str(file.name)
        for file in folder.iterdir()
        if any(piece in file.read_bytes() for piece in pieces)
    ]


# pages split and rows move; a row is spread over pages
@pytest.mark.parametrize("dim", [704, 2400])
def test_the_forgotten_leaves_no_byte(
    tmp_path: Path, make: Make, contract: Contract, dim: int
) -> None:
    random = np.random.default_rng(0)
    wide = replace(contract, dim=dim, distance="euclidean")

    def photos(person: str) -> Embeddings:
        ids = tuple(f"{person}/{number}.jpg" for number in range(int(random.integers(1, 6))))
        vectors = random.normal(size=(len(ids), dim)).astype(np.float32)
        return replace(make(ids, [person] * len(ids)), vectors=vectors)

    with Index.create(tmp_path / "store", wide) as index:
        people = [f"person-{number:03}-surname" for number in range(60)]
        given = {person: photos(person) for person in people}
        for person in people:
            index.add(given[person])
        for person in people[::3]:  # earlier photos of theirs, which an update replaced
            old = given[person].vectors[0]
            given[person] = replace(given[person], vectors=np.roll(given[person].vectors, 1) + 1)
            index.add(given[person])
            given[person] = replace(given[person], vectors=np.vstack([given[person].vectors, old]))
        index.remove([given[people[0]].ids[0]])
        for person in people[:40]:
            vectors = [
                bytes(row)
                for row in given[person].vectors.astype("<f4").view(np.uint8).reshape(-1, 32)
            ]
            pieces = [person.encode(), *vectors[:: dim // 80]]
            assert pieces_left(index.path, pieces)
            index.forget(person)
            assert pieces_left(index.path, pieces) == []
        assert index.labels == tuple(people[40:])
        np.testing.assert_array_equal(
            index.get(given[people[50]].ids).vectors, given[people[50]].vectors
        )


def test_a_reader_delays_an_erasure_and_it_is_made_up_for(
    tmp_path: Path, make: Make, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.05)
    given = make(["anna-surname/1", "bert/1"])
    with Index.create(tmp_path / "store", contract) as index:
        index.add(given)
        reader = sqlite3.connect(index.path / "truth.sqlite", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        with pytest.raises(
            StoreError, match=r"the rows are deleted, but their bytes are not yet overwritten: "
        ):
            index.forget("anna-surname")
        assert index.labels == ("bert",)
        assert pieces_left(index.path, [b"anna-surname"])
        reader.close()
        with Index.open(index.path) as again:
            assert pieces_left(index.path, [b"anna-surname"]) == []
            assert again.labels == ("bert",)


READER = """
import sys, time, warnings
from twofold.store import Index
from twofold.store.sqlite import connection, database
connection.WAIT_SECONDS = database.WAIT_SECONDS = 0.2
with Index.open(sys.argv[1]) as index, warnings.catch_warnings(record=True) as told:
    if sys.argv[2] == "blocks":
        blocks = index.blocks(rows=2)
        print(next(blocks).ids, flush=True)
        sys.stdin.readline()
        print([name for block in blocks for name in block.ids], told, flush=True)
    else:
        with index.engine.database.reading():
            print(len(index), flush=True)
            sys.stdin.readline()
        print(*[each.message for each in told], flush=True)
    print(len(index), flush=True)
"""


@contextlib.contextmanager
def reader(place: Path, how: str) -> Iterator[subprocess.Popen]:
    """Another process that has begun to read, and goes on when it is written a line."""
    source = Path(connection.__file__).parents[3]
    command = [sys.executable, "-c", READER, str(place), how]
    environment = os.environ | {"PYTHONPATH": str(source)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process


def test_reading_in_blocks_delays_no_erasure(
    tmp_path: Path, make: Make, contract: Contract
) -> None:
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(["a/1", "a/2", "b/1", "anna-surname/1", "c/1"]))
        with reader(index.path, "blocks") as other:
            assert other.stdout
            assert other.stdout.readline() == "('a/1', 'a/2')\n"
            assert index.forget("anna-surname").left == 0
            assert pieces_left(index.path, [b"anna-surname"]) == []
            out, _ = other.communicate("on\n")
            assert out == "['b/1', 'c/1'] []\n4\n"


def test_who_reads_too_long_delays_an_erasure_and_both_are_told(
    tmp_path: Path, make: Make, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.2)
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(["anna-surname/1", "bert/1", "carl/1"]))
    with Index.open(tmp_path / "store") as index:
        with reader(index.path, "long") as other:
            assert other.stdout
            assert other.stdout.readline() == "3\n"
            message = (
                rf"bytes are not yet overwritten: process {other.pid} \(.*\) reads .*: "
                "let it end. The next one to"
            )
            with pytest.raises(StoreError, match=message):
                index.forget("anna-surname")
            out, _ = other.communicate("on\n")
        assert "this read of" in out
        assert (
            "an erasure waits 0.2: rows were deleted meanwhile whose bytes are not yet overwritten"
            in out
        )
        assert out.endswith("\n2\n")
        # an erasure that comes later ends this one, too: its own pieces are not all there is to
        # look for
        index.forget("bert")
        assert pieces_left(index.path, [b"anna-surname", b"bert"]) == []
        assert index.check().findings == ()


def test_a_thread_that_reads_is_named_as_one(
    tmp_path: Path, make: Make, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.05)
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(["anna-surname/1", "bert/1"]))
        with (
            Index.open(index.path) as other,
            pytest.warns(LongRead, match="Open the index again, which does it"),
            other.engine.database.reading(),
        ):
            assert len(other) == 2
            with pytest.raises(StoreError, match="another thread of this process reads"):
                index.forget("anna-surname")


def test_a_second_writer_is_told(
    tmp_path: Path, make: Make, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.05)
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(["anna/1"]))
        writer = sqlite3.connect(index.path / "truth.sqlite", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        for call in (lambda: index.add(make(["bert/1"])), lambda: index.forget("anna")):
            with pytest.raises(
                StoreError,
                match=r"process \d+ \(.*\) is writing to .*, and did not finish in 0.05 s: try",
            ):
                call()
        assert [hit.id for hit in index.search(make(["q"]).vectors)[0]] == ["anna/1"]
        writer.close()
        assert index.add(make(["bert/1"])) == 1


def test_a_full_disk_keeps_what_stood(tmp_path: Path, make: Make, contract: Contract) -> None:
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(["anna/1"]))
        index.engine.database.connection.execute(
            "PRAGMA max_page_count=12"
        )  # SQLite then says what a full disk makes it say
        with pytest.raises(
            StoreError, match="is full: this call was not kept, all before it was; make room"
        ):
            index.add(make([f"bert/{number}" for number in range(2000)]))
        assert index.ids == ("anna/1",)
        index.engine.database.connection.execute("PRAGMA max_page_count=100000")
        assert index.add(make([f"bert/{number}" for number in range(2000)])) == 2000
    with Index.open(tmp_path / "store") as index:
        assert len(index) == 2001


@pytest.fixture
def written(tmp_path: Path, make: Make, contract: Contract) -> Path:
    """The file of an index with 40 items, closed."""
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make([f"person-{number % 8}/{number}" for number in range(40)]))
    return tmp_path / "store" / "truth.sqlite"


def test_a_changed_vector_names_its_row(written: Path) -> None:
    with Index.open(written.parent) as index:
        vector = index.get(["person-3/11"]).vectors.tobytes()
    content = written.read_bytes()
    written.write_bytes(content.replace(vector, vector[:9] + bytes([vector[9] ^ 4]) + vector[10:]))
    with pytest.raises(
        DamagedIndex,
        match=r"1 row is not as written .*: row 12 \(b'person-3/11'\): restore it from a copy",
    ):
        Index.open(written.parent)


def test_a_lost_row_is_missed(written: Path) -> None:
    with sqlite3.connect(written) as connection:
        connection.execute("DELETE FROM items WHERE row = 5")
    connection.close()
    with pytest.raises(
        DamagedIndex, match="holds 39 whole rows where 40 were written: some are lost or foreign"
    ):
        Index.open(written.parent)


def damage(written: Path, content: bytes) -> str:
    """What an index with this content says: "same" where it reads as before, else the kind of error."""
    written.write_bytes(content)
    try:
        with Index.open(written.parent) as index:
            found = index.get(index.ids)
        return f"{found.ids} {found.labels} {found.vectors.tobytes()!r} {index.contract}"
    except TwofoldError as error:
        return type(error).__name__


@pytest.mark.parametrize("flips", [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_found_or_harmless(written: Path, flips: int) -> None:
    content = written.read_bytes()
    truth = damage(written, content)
    random = np.random.default_rng(0)
    answers = []
    for place, bit in zip(
        random.integers(0, len(content), flips), random.integers(0, 8, flips), strict=True
    ):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << bit
        answers.append(damage(written, bytes(spoilt)))
    assert set(answers) <= {truth, "DamagedIndex", "StoreError"}
    assert "DamagedIndex" in answers


def test_a_cut_file_is_found(written: Path) -> None:
    content = written.read_bytes()
    for length in np.linspace(0, len(content) - 1, 12).astype(int):
        assert damage(written, content[:length]) in {"DamagedIndex", "StoreError"}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("PRAGMA application_id=7", r"is a database of something else \(application 7\), no index"),
        ("PRAGMA user_version=3", r"store has format 3, this twofold reads 2: upgrade twofold"),
        (
            "PRAGMA user_version=1",
            r"store has format 1, never released; this twofold reads 2: build it again",
        ),
        (
            "CREATE TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items; END",
            r"the tables of .* are not those of",
        ),
        ("UPDATE pinned SET contract = '{}'", r"what .* is pinned to is not what was written"),
        ("UPDATE state SET items = 3", r"the state of .* is not what was written"),
        ("DELETE FROM state", r"the state of .* is not what was written"),
    ],
)
def test_a_foreign_hand_is_noticed(written: Path, statement: str, message: str) -> None:
    with sqlite3.connect(written) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(StoreError, match=message):
        Index.open(written.parent)


def test_a_file_that_is_no_database(written: Path) -> None:
    written.write_text("dear diary, " * 1000)
    with pytest.raises(
        DamagedIndex,
        match=r"truth.sqlite is not a readable database any more \(file is not a database\)",
    ):
        Index.open(written.parent)


def test_a_contract_of_a_later_format(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {**contract.to_dict(), "format": 99}
    monkeypatch.setattr(Contract, "to_dict", lambda self: plain)
    with pytest.raises(NewerFormat, match="the contract has format 99"):
        Index.create(tmp_path / "store", contract)

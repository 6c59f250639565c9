"""Adding to the local index: what stands there already, what comes in between, and what a failed call leaves."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.errors import DamagedIndex, StoreError
from twofold.results import Embeddings
from twofold.store import Index
from twofold.store.protection.protect import new_key
from twofold.store.sqlite.rows import Row, State, record_of, xor

Make = Callable[..., Embeddings]


@pytest.fixture(params=["open", "protected"])
def index(
    request: pytest.FixtureRequest, tmp_path: Path, contract: Contract, make: Make
) -> Iterator[Index]:
    protect = new_key() if request.param == "protected" else False
    with Index.create(tmp_path / "store", contract, protect=protect) as index:
        index.add(make(["a/1", "a/2", "b/1"]))
        yield index


def test_new_changed_and_standing_items_in_one_call(index: Index, make: Make) -> None:
    before = make(["a/1", "a/2", "b/1"])
    both = make(["c/1", "a/2", "b/1", "c/2"], seed=1)
    both.vectors[2] = before.vectors[2]
    assert index.add(both) == 3
    assert index.ids == ("a/1", "b/1", "c/1", "a/2", "c/2")  # in the order of the last writing
    np.testing.assert_allclose(index.get(both.ids).vectors, both.vectors, atol=1e-6)
    np.testing.assert_allclose(index.get(["a/1"]).vectors, before.vectors[:1], atol=1e-6)
    state = index.engine.database.state()
    assert (state.items, state.generation) == (5, 2)
    assert state.checksum == xor(row.digest() for row in index.engine.database.rows())
    assert len(index.search(before.vectors[:1], 9)[0]) == 5


def test_what_stands_there_is_not_written(index: Index, make: Make) -> None:
    state = index.engine.database.state()
    assert index.add(make(["a/1", "a/2", "b/1"])) == 0
    assert index.add(make([])) == 0
    assert index.engine.database.state() is state
    assert index.add(make(["a/1"], ["b"])) == 1  # the label alone
    assert index.get(["a/1"]).labels == ("b",)


def test_a_date_is_kept_unless_another_is_given(index: Index, make: Make) -> None:
    assert index.enrol(make(["a/1"]), expires="2099-01-01") == 1
    assert index.add(make(["a/1"])) == 0
    assert index.add(make(["a/1", "d/1"], seed=2)) == 2
    assert index.dates(["a/1", "d/1"]) == {"a/1": "2099-01-01T00:00:00+00:00"}
    assert index.enrol(make(["a/1", "d/1"], seed=2), expires="2098-01-01") == 2
    assert set(index.dates(["a/1", "d/1"]).values()) == {"2098-01-01T00:00:00+00:00"}


def test_a_revoked_item_that_gets_another_label_stands(index: Index, make: Make) -> None:
    index.revoke("a")
    with pytest.raises(StoreError, match="'a' is revoked since"):
        index.add(make(["x/1", "a/9"]))
    assert index.add(make(["a/1"], ["b"])) == 1
    assert [row.revoked for row in index.enrolled()][1] is None


def test_another_writers_rows_are_counted(index: Index, make: Make) -> None:
    """The state is kept in memory; another connection's writes must be seen before the next number is given."""
    if index.protected:
        pytest.skip("the same for both")
    with Index.open(index.path) as other:
        for number in range(3):
            index.add(make([f"mine/{number}"]))
            other.add(make([f"theirs/{number}"]))
        other.remove(["theirs/1"])
        index.add(make(["mine/3"]))
        assert len(index) == len(other) == 9
    numbers = index.engine.database.numbers()
    assert len(set(numbers.tolist())) == 9
    index.close()
    Index.open(index.path).close()  # every row against its hash, all of them against the state


def test_a_call_that_fails_leaves_the_state_as_it_was(
    index: Index, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = index.engine.database.state()

    def fail(self: object, state: State) -> State:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(index.engine.database), "pruned", fail)
        index.add(make(["d/1"]))
    with pytest.raises(KeyboardInterrupt), index.engine.database.writing():
        index.engine.database.write_state(replace(state, generation=99))
        raise KeyboardInterrupt
    assert index.engine.database.state() == state
    assert index.engine.database.mark.read() == state.generation
    assert index.add(make(["d/1"])) == 1
    assert index.engine.database.state().generation == state.generation + 1


def test_a_number_that_is_taken_is_damage(index: Index, make: Make) -> None:
    """Only an id may stand there already."""
    with index.engine.database.writing():
        index.engine.database.write_state(replace(index.engine.database.state(), last=1))
    with pytest.raises(
        DamagedIndex,
        match=r"is not a readable database any more \(UNIQUE constraint failed: items.row",
    ):
        index.add(make(["d/1"]))


def test_a_record_says_what_the_row_does() -> None:
    row = Row(3, 2, "a/1", "a", "2026-01-01", None, "2026-02-01", "{}", b"1234")
    plain = row._replace(revoked=None)
    assert record_of(row) == (
        3,
        2,
        "a/1",
        "a",
        "2026-01-01",
        "{}",
        b"1234",
        row.digest(),
        None,
        "2026-02-01",
    )
    assert record_of(plain) == (3, 2, "a/1", "a", "2026-01-01", "{}", b"1234", plain.digest())
    assert record_of((*row[:8], bytearray(b"1234"))) == record_of(row)
    assert (
        len(
            {
                row._replace(**change).digest()
                for change in ({}, {"number": 4}, {"id": "a", "label": "/1a"})
            }
        )
        == 3
    )


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_vectors_of_other_kinds_are_looked_at_as_float32(
    tmp_path: Path, make: Make, kind: type
) -> None:
    contract = Contract(fingerprint="1" * 64, dim=3, distance="euclidean")
    names = ["a/1", "a/2"]
    with Index.create(tmp_path / "store", contract) as index:
        fine = np.array([[1, 2, 3], [4, 5, 6]], kind)
        assert index.add(replace(make(names), vectors=fine)) == 2
        np.testing.assert_array_equal(index.get(names).vectors, fine)
        for number in [np.inf, np.nan] if kind is np.float16 else [np.nan, 1.1e15, -1e30]:
            wrong = fine.copy()
            wrong[1, 2] = number
            with pytest.raises(
                StoreError, match=r"the vector of 'a/2' has NaN, infinity or more than 1e\+15"
            ):
                index.add(replace(make(names), vectors=wrong))
        if kind is np.float64:
            with pytest.raises(StoreError, match="the vector of 'a/2' has NaN"):
                index.add(replace(make(names), vectors=np.array([[1, 2, 3], [4, 5, 1e300]])))
        if kind in (np.float32, np.float64):  # their squares together are more than one may have
            assert index.add(replace(make(names), vectors=np.full((2, 3), 9e14, kind))) == 2

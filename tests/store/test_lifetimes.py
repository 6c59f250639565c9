"""The life of identities: ended by a date, revoked, restored, replaced, purged; and the log that tells of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.errors import StoreError, UnknownLabel, UsageError
from twofold.results import Embeddings
from twofold.store import Index, audit, lifetimes
from twofold.store.arguments import utc

Make = Callable[..., Embeddings]
PEOPLE = ["anna/1", "anna/2", "anna/3", "bert/1", "bert/2", "carl/1"]
PAST, FUTURE = "2020-01-01", "2999-12-31"


@pytest.fixture
def index(tmp_path: Path, contract: Contract, make: Make) -> Iterator[Index]:
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(PEOPLE))
        yield index


def found(index: Index, make: Make) -> set[str]:
    """Who can be found, by every way there is."""
    query = make(PEOPLE).vectors[:1]
    hits = {hit.label for hit in index.search(query, 99)[0]}
    assert {hit.label for hit in index.search_range(query, -2.0)[0]} == hits
    assert {hit.label for hit in index.search_identities(query, 99)[0]} == hits
    assert {hit.label for hit in index.search(query, 99, exact=True)[0]} == hits
    assert {label for block in index.blocks() for label in block.labels} == hits
    assert index.standing() == (
        len(hits),
        sum(each.items for each in index.enrolled() if each.label in hits),
    )
    return hits


def test_who_is_expired_is_neither_found_nor_counted(index: Index, make: Make) -> None:
    assert index.expire("anna", FUTURE) == 3
    assert found(index, make) == {"anna", "bert", "carl"}
    assert index.expire("anna", PAST) == 3
    assert index.expire("anna", PAST) == 0
    assert found(index, make) == {"bert", "carl"}
    assert (len(index), index.labels) == (6, ("anna", "bert", "carl"))  # until they are purged
    assert index.enrolled()[0].expires == "2020-01-01T00:00:00+00:00"
    index.close()
    with Index.open(index.path) as again:
        assert found(again, make) == {"bert", "carl"}
        assert again.expire("anna", None) == 3
        assert found(again, make) == {"anna", "bert", "carl"}


def test_it_ends_at_the_moment_and_not_before(
    index: Index, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from twofold.store import local

    index.expire("carl", "2030-06-01T12:00:00+02:00")
    for now, who in [("2030-06-01T09:59:59+00:00", True), ("2030-06-01T10:00:00+00:00", False)]:
        for module in (local, lifetimes):
            monkeypatch.setattr(module, "clock", lambda precision="seconds", now=now: now)
        assert ("carl" in found(index, make)) is who


def test_who_is_revoked_is_kept_and_not_matched_until_restored(index: Index, make: Make) -> None:
    assert index.revoke(["anna", "carl"]) == 4
    assert index.revoke("anna") == 0
    assert found(index, make) == {"bert"}
    assert index.get(["anna/1"]).labels == ("anna",)
    assert [each.label for each in index.enrolled() if each.revoked] == ["anna", "carl"]
    with pytest.raises(
        StoreError, match=r"'anna' is revoked since 20.*: restore it first, or forget it"
    ):
        index.add(make(["anna/9"]))
    with pytest.raises(StoreError, match="'anna' is revoked since"):
        index.add(make(["anna/1"]))  # nor does adding the same again bring it back
    with pytest.raises(StoreError, match="'anna' is revoked since"):
        index.enrol(make(["anna/9"]), whole=True)
    assert index.restore("anna") == 3
    assert index.restore("anna") == 0
    assert found(index, make) == {"anna", "bert"}
    np.testing.assert_array_equal(index.get(PEOPLE).vectors, make(PEOPLE).vectors)


def test_all_revoked_is_an_empty_answer(index: Index, make: Make) -> None:
    index.revoke(["anna", "bert", "carl"])
    assert found(index, make) == set()


def test_adding_again_keeps_the_date_and_enrolling_can_change_it(index: Index, make: Make) -> None:
    index.expire("anna", FUTURE)
    assert index.add(make(PEOPLE)) == 0
    assert index.add(make(["anna/1"], seed=3)) == 1
    assert index.enrolled()[0].expires == "2999-12-31T00:00:00+00:00"
    assert index.enrol(make(["anna/4"]), expires=date(2050, 1, 1)) == 1
    assert index.enrolled()[0].expires == "2999-12-31T00:00:00+00:00"  # when the last of hers does
    index.enrol(make(["anna/5"]))
    assert index.enrolled()[0].expires is None


def test_an_identity_is_replaced_whole(index: Index, make: Make) -> None:
    new = make(["anna/2", "anna/7"], seed=5)
    assert index.enrol(new, whole=True) == 2
    assert index.ids == ("bert/1", "bert/2", "carl/1", "anna/2", "anna/7")
    np.testing.assert_array_equal(index.get(["anna/2", "anna/7"]).vectors, new.vectors)
    before = index.ids
    with pytest.raises(StoreError, match="'bert/1' belongs to 'bert' already: give another id"):
        index.enrol(make(["anna/1", "bert/1"], ["anna", "anna"]), whole=True)
    with pytest.raises(StoreError, match="2 labels: one is replaced at a time"):
        index.enrol(make(["anna/1", "bert/1"]), whole=True)
    assert index.ids == before


def test_what_is_expired_is_purged(index: Index, make: Make) -> None:
    assert index.purge() is None
    index.expire("anna", PAST)
    index.enrol(make(["bert/3"]), expires=PAST)
    receipt = index.purge()
    assert receipt is not None
    assert receipt.labels == ("anna",)  # bert has others
    assert receipt.ids == ("anna/1", "anna/2", "anna/3", "bert/3")
    assert receipt.left == 0
    assert index.ids == ("bert/1", "bert/2", "carl/1")
    assert index.purge() is None
    vectors = make(PEOPLE).vectors[:3]
    for file in index.path.iterdir():
        content = file.read_bytes()
        assert not any(vector.tobytes()[:12] in content for vector in vectors)
        assert b"anna" not in content


@pytest.mark.parametrize("call", ["expire", "revoke", "restore"])
def test_nobody_of_that_name(index: Index, call: str) -> None:
    arguments = [FUTURE] if call == "expire" else []
    with pytest.raises(UnknownLabel, match=r"nobody called 'ana' is in .*did you mean 'anna'\?"):
        getattr(index, call)(["bert", "ana"], *arguments)
    assert index.audit() == ()


def test_dates(index: Index) -> None:
    assert utc(None) is None
    assert utc("2027-12-31") == utc(date(2027, 12, 31)) == "2027-12-31T00:00:00+00:00"
    assert utc("2027-12-31T18:00:00+01:00") == "2027-12-31T17:00:00+00:00"
    assert (
        utc(datetime(2027, 1, 1, 5, tzinfo=UTC) + timedelta(microseconds=7))
        == "2027-01-01T05:00:00+00:00"
    )
    for wrong in ("tomorrow", "31.12.2027", ""):
        with pytest.raises(UsageError, match=f"{wrong!r} is not a date: write it as 2027-12-31"):
            index.expire("anna", wrong)


def test_the_log_tells_what_happened_and_names_nobody(index: Index, make: Make) -> None:
    index.enrol(make(["dora/1", "dora/2"]))
    index.enrol(make(["dora/3"]), whole=True)
    index.expire("dora", FUTURE)
    index.revoke("dora")
    index.restore("dora")
    index.forget("dora")
    index.forget("anna")
    events = [(entry.event, entry.items) for entry in index.audit("dora")]
    assert events == [
        ("enrol", 2),
        ("update", 1),
        ("expire", 1),
        ("revoke", 1),
        ("restore", 1),
        ("forget", 1),
        ("erased", 1),
    ]
    assert [entry.number for entry in index.audit()] == list(range(1, 10))
    assert [(entry.event, entry.items) for entry in index.audit("anna")] == [
        ("forget", 3),
        ("erased", 3),
    ]
    assert index.audit("nobody") == ()
    assert all(len(entry.subject) == 64 for entry in index.audit())
    index.close()
    assert b"dora" not in (index.path / "truth.sqlite").read_bytes()
    with Index.open(index.path) as again:
        assert [(entry.event, entry.items) for entry in again.audit("dora")] == events


@pytest.mark.parametrize(
    ("statement", "first"),
    [
        ("UPDATE audit SET items = 9 WHERE number = 2", 2),
        ("UPDATE audit SET at = '2020-01-01T00:00:00+00:00' WHERE number = 1", 1),
        ("UPDATE audit SET event = 'revoke' WHERE number = 3", 3),
        ("UPDATE audit SET subject = x'00' WHERE number = 2", 2),
        ("UPDATE audit SET items = 'many' WHERE number = 2", 2),
        ("UPDATE audit SET event = NULL WHERE number = 2", None),
        ("DELETE FROM audit WHERE number = 2", 2),
        ("DELETE FROM audit WHERE number = 3", 3),
        ("DELETE FROM audit", 1),
        (
            "INSERT INTO audit SELECT 4, at, event, subject, items, hash FROM audit WHERE number "
            "= 3",
            4,
        ),
    ],
)
def test_a_changed_log_shows(index: Index, make: Make, statement: str, first: int | None) -> None:
    for name in ("dora/1", "emil/1", "fred/1"):
        index.enrol(make([name]))
    database = index.engine.database
    key = database.seal.audit_key(database.pinned())
    with database.reading():
        assert audit.broken(database.connection, database.state(), key=key) is None
    try:
        database.connection.execute(statement)
    except Exception:  # the table refuses it
        assert first is None
        return
    with database.reading():
        assert audit.broken(database.connection, database.state(), key=key) == first


def test_a_change_that_is_refused_is_not_logged(index: Index, make: Make) -> None:
    index.revoke("anna")
    with pytest.raises(StoreError):
        index.enrol(make(["anna/9"]))
    assert [entry.event for entry in index.audit()] == ["revoke"]


def test_forgetting_somebody_whose_items_are_gone_is_logged_too(index: Index, make: Make) -> None:
    index.remove(["carl/1"])
    assert index.forget("carl").ids == ()
    assert [(entry.event, entry.items) for entry in index.audit("carl")] == [
        ("forget", 0),
        ("erased", 0),
    ]

"""One index, several threads; an index that is closed, moved or in trouble: said as what it is."""

import inspect
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.errors import DamagedIndex, StoreError
from twofold.results import Embeddings
from twofold.store import Index
from twofold.store.filters import conditions
from twofold.store.sqlite.connection import explained

Make = Callable[..., Embeddings]


def together(*calls: Callable[[], None]) -> None:
    """Run calls at once, and raise what one of them raised."""
    errors: list[BaseException] = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_search_while_others_add_and_forget(
    tmp_path: Path, make: Make, contract: Contract
) -> None:
    first = make([f"first/{number}" for number in range(50)])
    with Index.create(tmp_path / "store", contract) as index:
        index.add(first)

        def search() -> None:
            for number in range(40):
                hits = index.search(first.vectors[number : number + 1], 3)[0]
                assert hits[0].id == f"first/{number}"
                assert len(index.get([hits[0].id]).ids) == 1
                assert {name for block in index.blocks(16) for name in block.ids} >= set(first.ids)

        def add(name: str) -> None:
            for number in range(15):
                index.add(make([f"{name}/{number}"], seed=100 + number))

        def forget() -> None:
            for number in range(5):
                index.add(make([f"gone-{number}/1"], seed=200 + number))
                assert index.forget(f"gone-{number}").left == 0

        together(search, search, lambda: add("x"), lambda: add("y"), forget)
        assert len(index) == 80
        assert index.check().findings == ()


def test_a_call_of_another_thread_that_fails_changes_nothing(
    tmp_path: Path, make: Make, contract: Contract
) -> None:
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(["a/1"]))

        def fail() -> None:
            for _ in range(20):
                with pytest.raises(StoreError, match="holds no item"):
                    index.remove(["a/1", "nobody"])

        together(fail, lambda: [index.add(make([f"b/{number}"])) for number in range(20)] and None)
        assert len(index) == 21


ARGUMENTS: dict[str, Any] = {
    "labels": "a",
    "label": None,
    "ids": ["a/1"],
    "k": 1,
    "items": 1,
    "score": 0.5,
    "when": None,
    "rows": 10,
    "watch": lambda *_: None,
    "seed": 0,
    "filters": conditions({"colour": "red"}),
}
OPEN_AFTERWARDS = {"close", "create", "open", "found"}
KNOWN_WITHOUT_FILES = {"path", "contract", "notes", "refuse_other", "keeps_dates", "check_dates"}


def public(index: Index) -> list[str]:
    names = {name for name in dir(type(index)) if not name.startswith("_")} | {
        "__len__",
        "__contains__",
        "__enter__",
    }
    return sorted(names - OPEN_AFTERWARDS - KNOWN_WITHOUT_FILES)


def use(index: Index, name: str, make: Make, key: Path) -> None:
    """Read an attribute, or call a method with arguments that fit."""
    known = {
        **ARGUMENTS,
        "embeddings": make(["a/1"]),
        "vectors": make(["a/1"]).vectors,
        "key": key,
        "name": "a/1",
    }
    found = getattr(index, name)
    if not callable(found):
        return
    wanted = inspect.signature(found).parameters.values()
    given = {
        each.name: known[each.name] for each in wanted if each.default is inspect.Parameter.empty
    }
    result = found(**given) if not name.startswith("__") else found(*given.values())
    list(result) if inspect.isgenerator(result) else None


def test_a_closed_index_says_so_whatever_is_asked(
    tmp_path: Path, make: Make, contract: Contract
) -> None:
    from twofold.store.protection.protect import new_key

    index = Index.create(tmp_path / "store", contract)
    index.add(make(["a/1"]))
    names = public(index)
    assert {"search", "add", "forget", "blocks", "audit", "rekey", "ids", "__len__"} <= set(names)
    key = tmp_path / "key"
    key.write_text(new_key().text)
    key.chmod(0o600)
    index.close()
    index.close()
    for name in names:
        with pytest.raises(StoreError, match=r"the index .*store is closed: open it again"):
            use(index, name, make, key)
    assert index.contract == contract


def test_a_replaced_or_deleted_index_is_not_written_to(
    tmp_path: Path, make: Make, contract: Contract
) -> None:
    index = Index.create(tmp_path / "store", contract)
    index.add(make(["a/1"]))
    (tmp_path / "store").rename(tmp_path / "moved")
    for call in (lambda: index.add(make(["b/1"])), lambda: index.ids):
        with pytest.raises(
            StoreError, match=r"store was moved, deleted or replaced .*: open it again"
        ):
            call()
    Index.create(tmp_path / "store", contract).close()
    with pytest.raises(StoreError, match="open it again"):
        index.forget("a")
    index.close()
    with Index.open(tmp_path / "moved") as moved:
        assert moved.ids == ("a/1",)


def coded(kind: type[sqlite3.Error], name: str, text: str) -> sqlite3.Error:
    error = kind(text)
    error.sqlite_errorname = name  # type: ignore[misc]
    return error


@pytest.mark.parametrize(
    ("error", "damaged", "message"),
    [
        (coded(sqlite3.OperationalError, "SQLITE_BUSY", "locked"), False, "did not finish in"),
        (
            coded(sqlite3.OperationalError, "SQLITE_FULL", "full"),
            False,
            "is full: this call was not kept",
        ),
        (
            coded(sqlite3.OperationalError, "SQLITE_READONLY_DBMOVED", "moved"),
            False,
            "open the index again",
        ),
        (
            coded(sqlite3.OperationalError, "SQLITE_READONLY", "read-only"),
            False,
            "cannot be written",
        ),
        (
            coded(sqlite3.OperationalError, "SQLITE_PERM", "permission"),
            False,
            "may not be used by this user",
        ),
        (
            coded(sqlite3.OperationalError, "SQLITE_PROTOCOL", "locking protocol"),
            False,
            "a network disk?",
        ),
        (coded(sqlite3.OperationalError, "SQLITE_NOMEM", "memory"), False, "too little memory"),
        (coded(sqlite3.DataError, "SQLITE_TOOBIG", "too big"), False, "an item is too large"),
        (
            coded(sqlite3.DatabaseError, "SQLITE_CORRUPT", "malformed"),
            True,
            "is not a readable database any more",
        ),
        (
            coded(sqlite3.DatabaseError, "SQLITE_NOTADB", "not a database"),
            True,
            "is not a readable database any more",
        ),
        (
            sqlite3.ProgrammingError("Cannot operate on a closed database."),
            False,
            "is closed: open it again",
        ),
        (
            sqlite3.ProgrammingError("SQLite objects created in a thread"),
            False,
            "nothing of this call was kept",
        ),
        (
            coded(sqlite3.OperationalError, "SQLITE_MISMATCH", "something new"),
            False,
            "SQLITE_MISMATCH: something new",
        ),
        (
            UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
            True,
            "is not a readable database any more",
        ),
    ],
)
def test_an_error_of_sqlite_is_told_as_what_it_is(
    error: Exception, damaged: bool, message: str
) -> None:
    found = explained(Path("store/truth.sqlite"), error)
    assert message in str(found)
    assert isinstance(found, DamagedIndex) is damaged
    assert ("--repair" in str(found)) is damaged


def test_a_folder_that_may_not_be_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, **_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    for call in (Index.open, Index.found):
        with pytest.raises(StoreError, match="may not be opened by this user"):
            call(tmp_path / "store")


def test_answers_do_not_depend_on_the_thread(
    tmp_path: Path, make: Make, contract: Contract
) -> None:
    given = make([f"a/{number}" for number in range(200)])
    with Index.create(tmp_path / "store", contract) as index:
        index.add(given)
        alone = index.search(given.vectors[:20], 5)
        found: dict[int, Any] = {}
        together(
            *[lambda n=n: found.update({n: index.search(given.vectors[:20], 5)}) for n in range(4)]
        )
        assert all(each == alone for each in found.values())
        assert np.isfinite([hit.score for hits in alone for hit in hits]).all()

"""What only the engine on PostgreSQL does: its graph, its hashes, its errors, a password that nobody sees."""

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.errors import DamagedIndex, MissingExtra, NewerFormat, StoreError
from twofold.results import Embeddings
from twofold.store import Index

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("pgvector")
postgres = importlib.import_module("twofold.store.remote.postgres")
table = importlib.import_module("twofold.store.remote.postgres_table")
server = importlib.import_module("twofold.store.remote.postgres_server")

Make = Callable[..., Embeddings]
SECRET = "s3cr@t/word"


@pytest.fixture
def place(postgresql: str, request: pytest.FixtureRequest) -> str:
    return f"{postgresql}&table={request.node.originalname[:45]}"


@pytest.fixture
def index(place: str, contract: Contract) -> Iterator[Index]:
    with Index.create(place, contract) as index:
        yield index


@pytest.fixture
def admin(postgresql: str) -> Iterator[Any]:
    with psycopg.connect(postgresql, autocommit=True) as connection:
        yield connection


def many(make: Make, number: int, seed: int = 0) -> Embeddings:
    metadata = tuple({"n": place, "rare": place % 100 == 0} for place in range(number))
    return replace(
        make([f"{place % 50}/{place}" for place in range(number)], seed=seed), metadata=metadata
    )


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "manhattan"])
def test_a_graph_is_built_and_misses_little(
    place: str, contract: Contract, make: Make, monkeypatch: pytest.MonkeyPatch, distance: str
) -> None:
    monkeypatch.setattr(postgres, "EXACT_UP_TO", 1500)
    with Index.create(f"{place[:-12]}_{distance}", replace(contract, distance=distance)) as index:
        index.add(many(make, 1500))
        assert not index.engine.table.graph_is_built()
        index.add(make(["one/more"], seed=7))
        assert index.engine.table.graph_is_built()
        assert index.recall(10, sample=100).value > 0.95
        given = many(make, 1500)
        queries = make(["q"] * 20, seed=9).vectors
        exact = index.search(queries, 5, exact=True)
        alone = [index.search(query[None], 5, exact=True)[0] for query in queries]
        # one pass over all rows here, one scan each there
        for together, single in zip(exact, alone, strict=True):
            assert [hit.id for hit in together] == [hit.id for hit in single]
            assert [hit.score for hit in together] == pytest.approx(
                [hit.score for hit in single], abs=1e-9
            )
        for hits in index.search(queries, 12, where={"rare": True}):
            assert len(hits) == 12
            assert all(hit.metadata == {"n": given.ids.index(hit.id), "rare": True} for hit in hits)
        for hits in index.search(queries, 12, where={"n": [3, 4]}):
            assert {hit.id for hit in hits} == {"3/3", "4/4"}


def test_the_graph_answers_and_not_a_scan(
    index: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "EXACT_UP_TO", 2000)
    index.add(many(make, 2001))
    index.engine.table.connection.execute("SET enable_seqscan = off")  # the test's table is small
    inner = "SELECT row, {columns} FROM {table} WHERE {condition} ORDER BY {vector} {operator} {query} LIMIT 5"
    statement = index.engine.table.named(
        f"EXPLAIN SELECT * FROM unnest(%s::vector[]) AS q(v), LATERAL ({inner}) r",
        index.engine.table.graph,
    )
    plan = index.engine.table.connection.execute(statement, [[make(["q"]).vectors[0]]]).fetchall()
    assert any("_graph" in line for (line,) in plan)


def test_a_graph_that_cannot_be_built_is_said_and_loses_nothing(
    index: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "EXACT_UP_TO", 10)
    monkeypatch.setattr(postgres, "BUILD_MEMORY", "no memory")
    with pytest.raises(
        StoreError, match="the items are kept, but their graph is not built, so searches scan: "
    ):
        index.add(many(make, 11))
    assert len(index) == 11
    assert len(index.search(make(["q"]).vectors, 3)[0]) == 3


def test_a_changed_row_is_never_served(index: Index, admin: Any, make: Make) -> None:
    given = make(["a", "b", "c"])
    index.add(given)
    admin.execute("UPDATE test_a_changed_row_is_never_served SET label = 'b' WHERE id = 'a'")
    message = r"the row 'a' of postgresql:.* is not what was written \(SHA-256\)"
    for look in (
        lambda: index.get(["a"]),
        lambda: list(index.blocks()),
        lambda: index.search(given.vectors, 3),
    ):
        with pytest.raises(DamagedIndex, match=message):
            look()
    found = index.check()
    assert (found.items, found.sound, found.findings[0].level) == (2, False, "fatal")
    assert "'a'" in found.findings[0].message
    found = index.check(repair=True)
    assert (found.items, found.sound, found.dropped) == (2, True, ("a",))
    assert index.check().findings == ()
    assert index.add(given) == 1


def test_a_call_is_kept_whole_or_not_at_all(index: Any, admin: Any, make: Make) -> None:
    admin.execute("ALTER TABLE test_a_call_is_kept_whole_or_not_at_all ADD CHECK (label <> 'bad')")
    with pytest.raises(StoreError, match=r"PostgreSQL refuses: .*check constraint"):
        index.add(make(["a", "b"], ["good", "bad"]))
    assert len(index) == 0
    assert index.add(make(["a", "b"])) == 2  # the connection goes on


def test_writers_at_once_lose_nothing(place: str, index: Index, make: Make) -> None:
    def write(number: int) -> None:
        with Index.open(place) as own:
            for step in range(5):
                own.add(make([f"{number}/{step}/{each}" for each in range(20)], seed=number))

    writers = [threading.Thread(target=write, args=[number]) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(index) == len(set(index.ids)) == 300


def test_order_is_that_of_the_last_writing(index: Index, make: Make) -> None:
    index.add(make(["a", "b", "c"]))
    index.add(make(["a"], seed=4))
    assert index.ids == ("b", "c", "a")


def test_a_later_format_is_refused(index: Index, place: str, admin: Any) -> None:
    admin.execute(
        "UPDATE twofold_indexes SET format = 99 WHERE name = 'test_a_later_format_is_refused'"
    )
    with pytest.raises(
        NewerFormat, match="has format 99, this twofold reads up to 1: upgrade twofold"
    ):
        Index.open(place)


def test_a_table_that_is_gone_is_said(index: Index, admin: Any, make: Make) -> None:
    admin.execute("DROP TABLE test_a_table_that_is_gone_is_said")
    with pytest.raises(
        StoreError, match=r"the table is gone .* restore it from a backup, or build it again"
    ):
        index.add(make(["a"]))


def test_a_broken_connection_is_said(index: Any, admin: Any, make: Make) -> None:
    admin.execute(
        "SELECT pg_terminate_backend(%s)", [index.engine.table.connection.info.backend_pid]
    )
    with pytest.raises(
        StoreError, match=r"the connection broke .* Open the index again and repeat it"
    ):
        index.add(make(["a"]))
    with pytest.raises(StoreError, match="the connection broke"):
        len(index)


def test_a_user_without_rights_is_told(index: Index, place: str, admin: Any, make: Make) -> None:
    admin.execute("DROP ROLE IF EXISTS reader")
    admin.execute("CREATE ROLE reader LOGIN")
    admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    try:
        with Index.open(place.replace("postgres:@", "reader:@")) as reader:
            assert len(reader) == 0
            with pytest.raises(
                StoreError,
                match=r"permission denied .* check the rights of the user in the address",
            ):
                reader.add(make(["a"]))
    finally:
        admin.execute("DROP OWNED BY reader")
        admin.execute("DROP ROLE reader")


def test_names_too_long_for_a_key_are_refused(index: Index, make: Make) -> None:
    with pytest.raises(
        StoreError, match="is not a valid id or label for this engine: give at most 1024 bytes"
    ):
        index.add(make(["x" * 1025]))
    assert "a\0b" not in index
    with pytest.raises(StoreError, match="holds no item"):
        index.get(["a\0b"])
    index.add(make(["x" * 1024]))
    assert len(index) == 1


def test_a_password_is_never_shown(contract: Contract) -> None:
    place = "postgresql://anna:s3cr%40t%2Fword@127.0.0.1:9/faces?table=one&connect_timeout=2"
    for try_it in (
        lambda: Index.open(place),
        lambda: Index.create(place, contract),
        lambda: Index.found(place),
    ):
        with pytest.raises(
            StoreError, match=r"postgresql://127.0.0.1:9/faces\?table=one cannot be reached"
        ) as caught:
            try_it()
        told = f"{caught.value!r} {caught.value.__cause__!r}"
        assert SECRET not in told
        assert "s3cr" not in told
    assert "s3cr" not in repr(server.Address.of(place))


@pytest.mark.parametrize(
    "place",
    [
        "postgresql://host/db",
        "postgresql://host/db?table=a;b",
        "postgresql://host/db?table=twofold_indexes",
    ],
)
def test_a_table_needs_a_plain_name(place: str) -> None:
    with pytest.raises(
        StoreError,
        match=r"is not a name for the table of an index: end the address with \?table=NAME",
    ):
        Index.open(place)


def test_an_address_that_is_none_is_not_repeated() -> None:
    for login in (f"anna:{SECRET}", "anna:12/word", "anna:s3cr@t"):
        with pytest.raises(
            StoreError, match="this is not the address of an engine: give one like postgresql://"
        ) as caught:
            Index.open(f"postgresql://{login}@host/db?table=a")
        told = str(caught.value)
        assert not any(part in told for part in ("s3cr", "t/word", "12"))


def test_vectors_too_long_for_the_engine_are_refused(place: str, contract: Contract) -> None:
    with pytest.raises(StoreError, match="vectors of 16001 numbers: pgvector keeps up to 16000"):
        Index.create(place, replace(contract, dim=16_001))


def test_vectors_too_long_for_a_graph_are_scanned(contract: Contract) -> None:
    assert table.graph_of(replace(contract, dim=4000)) == "halfvec"
    assert table.graph_of(replace(contract, dim=4001)) is None
    assert table.graph_of(replace(contract, dim=2001, distance="euclidean")) is None


def test_without_its_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in ("postgres", "postgres_table", "postgres_server"):
        monkeypatch.delitem(sys.modules, f"twofold.store.remote.{name}")
    with pytest.raises(
        MissingExtra, match=r"psycopg and pgvector: pip install 'twofold\[postgres\]'"
    ):
        Index.open("postgresql://host/db?table=a")


def test_tiny_and_huge_vectors_keep_their_order(place: str, contract: Contract, make: Make) -> None:
    given = make(["a", "b", "c", "d"])
    vectors = np.array([[1e-6], [1.0], [1e3], [1e6]], np.float32) * given.vectors
    with Index.create(place, replace(contract, distance="euclidean")) as index:
        index.add(replace(given, vectors=vectors))
        (hits,) = index.search(np.zeros((1, 16)), 4)
        assert [hit.id for hit in hits] == ["a", "b", "c", "d"]
        assert [hit.id for hit in index.search_range(np.zeros((1, 16)), -1.1)[0]] == ["a", "b"]

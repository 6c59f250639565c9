"""What only the engine on Milvus does: kinds of index, addresses, hashes, its errors, a password that nobody sees."""

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from twofold.contract import Contract
from twofold.errors import DamagedIndex, MissingExtra, NewerFormat, StoreError
from twofold.results import Embeddings
from twofold.store import Index

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")
grpc = pytest.importorskip("grpc")
milvus = importlib.import_module("twofold.store.remote.milvus")
server = importlib.import_module("twofold.store.remote.milvus_server")

Make = Callable[..., Embeddings]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"milvus+file:{tmp_path_factory.getbasetemp()}/lite.db?collection={request.node.originalname}"


@pytest.fixture
def index(place: str, contract: Contract) -> Iterator[Any]:
    with Index.create(place, contract) as index:
        yield index


def many(make: Make, number: int, seed: int = 0) -> Embeddings:
    metadata = tuple({"n": place, "rare": place % 100 == 0} for place in range(number))
    return replace(
        make([f"{place % 50}/{place}" for place in range(number)], seed=seed), metadata=metadata
    )


@pytest.mark.parametrize(
    "kind", ["IVF_FLAT", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("FLAT", "HNSW"))]
)
def test_each_kind_of_index_misses_little_and_exactly_nothing(
    place: str, contract: Contract, make: Make, kind: str
) -> None:
    given = many(make, 3000)
    with Index.create(f"{place}_{kind}&index={kind}", contract) as index:
        index.add(given)
        index.engine._client.flush(index.engine._name)  # an index stands over what is flushed
        assert index.recall(10, sample=50).value > 0.9
    with Index.open(f"{place}_{kind}") as index:
        assert index.engine._index == kind
        queries = make(["q"] * 5, seed=9).vectors
        scores = index.contract.scores(queries, given.vectors)
        for hits, row in zip(index.search(queries, 5, exact=True), scores, strict=True):
            assert [given.ids.index(hit.id) for hit in hits] == list((-row).argsort()[:5])
        for hits in index.search(queries, 12, where={"rare": True}):
            assert len(hits) == 12
            assert all(hit.metadata == {"n": given.ids.index(hit.id), "rare": True} for hit in hits)
        assert len(index.search(queries[:1], 500)[0]) == 500
        edge = float(scores[0].mean())
        assert len(index.search_range(queries[:1], edge)[0]) == (scores[0] >= edge).sum()


def test_a_range_beyond_what_milvus_gives_is_read_whole(
    index: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus, "FIRST_HITS", 5)
    monkeypatch.setattr(milvus, "MOST_HITS", 20)
    index.add(many(make, 60))
    (hits,) = index.search_range(make(["q"]).vectors, -1.0)
    assert len(hits) == 60
    assert len(index.search(make(["q"]).vectors, 30)[0]) == 30


def test_a_changed_row_is_never_served(index: Any, make: Make) -> None:
    given = make(["a", "b", "c"])
    index.add(given)
    row = index.engine._client.query(index.engine._name, filter='id == "a"', output_fields=["*"])[0]
    index.engine._client.upsert(index.engine._name, [{**row, "label": "b", "tags": []}])
    message = r"the row 'a' of milvus\+file:.* is not what was written \(SHA-256\)"
    for look in (
        lambda: index.get(["a"]),
        lambda: list(index.blocks()),
        lambda: index.search(given.vectors, 3),
    ):
        with pytest.raises(DamagedIndex, match=message):
            look()
    assert not index.check().sound
    found = index.check(repair=True)
    assert (found.items, found.sound, found.dropped) == (2, True, ("a",))
    assert index.add(given) == 1


def test_large_calls_go_in_parts(index: Any, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus, "MESSAGE", 20_000)
    given = many(make, 200)
    assert index.add(given) == 200
    assert set(index.get(given.ids).ids) == set(given.ids)
    assert len(index.search(given.vectors[:30], 7)) == 30
    assert index.add(given) == 0


def test_what_is_too_large_is_refused(
    place: str, index: Index, contract: Contract, make: Make
) -> None:
    with pytest.raises(
        StoreError, match="is not a valid id or label for this engine: give at most 1024 bytes"
    ):
        index.add(make(["x" * 1025]))
    with pytest.raises(
        StoreError, match="metadata of 60009 letters: Milvus keeps 60000 bytes for an item"
    ):
        index.add(replace(make(["a"]), metadata=({"k": "x" * 60_000},)))
    with pytest.raises(StoreError, match="metadata with 2100 keys: this engine finds up to 2048"):
        index.add(replace(make(["a"]), metadata=({str(number): number for number in range(2100)},)))
    with pytest.raises(StoreError, match="vectors of 32769 numbers: Milvus keeps up to 32768"):
        Index.create(f"{place}_2", replace(contract, dim=32_769))
    assert len(index) == 0


def test_a_later_format_is_refused(index: Any, place: str) -> None:
    row = index.engine._client.query(
        "twofold_indexes", filter=f'id == "{index.engine._name}"', output_fields=["*"]
    )[0]
    index.engine._client.upsert(
        "twofold_indexes", [{**row, "tags": [], "metadata": {"format": 99}}]
    )
    with pytest.raises(
        NewerFormat, match="has format 99, this twofold reads up to 1: upgrade twofold"
    ):
        Index.open(place)


def test_a_password_is_never_shown(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECT_SECONDS", 0.1)
    for login in ("anna:s3cr%40t", "s3cr%40tkey"):
        place = f"milvus://{login}@127.0.0.1:9/faces"
        for try_it in (lambda: Index.open(place), lambda: Index.create(place, contract)):  # noqa: B023
            with pytest.raises(
                StoreError, match=r"milvus://127.0.0.1:9/faces cannot be reached"
            ) as caught:
                try_it()
            assert "s3cr" not in f"{caught.value!r} {caught.value.__cause__!r}"
        assert "s3cr" not in repr(server.Address.of(place))


class Refusal(grpc.RpcError):
    """What gRPC raises."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def code(self) -> Any:
        return grpc.StatusCode[self.kind]


def refusing(monkeypatch: pytest.MonkeyPatch, kinds: list[str]) -> list[dict[str, Any]]:
    """A client that is refused so often before it is let in; returns what each try was called with."""
    tries: list[dict[str, Any]] = []

    kind = server.MilvusClient

    def client(uri: str, **options: Any) -> Any:
        tries.append(options)
        if len(tries) <= len(kinds):
            raise server.MilvusException(message="server unavailable") from Refusal(
                kinds[len(tries) - 1]
            )
        return object.__new__(kind)

    monkeypatch.setattr(server, "MilvusClient", client)
    monkeypatch.setattr(server, "FIRST_PAUSE", 0.001)
    return tries


def test_a_server_that_does_not_answer_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = refusing(monkeypatch, ["UNAVAILABLE"] * 3)
    server.connect(server.Address.of("milvus://host/faces"))
    assert len(tries) == 4
    # what a gRPC server tolerates without a word: nothing more often than every 5 minutes
    for options in tries:
        assert options["grpc_options"]["grpc.keepalive_time_ms"] > 300_000
        assert not options["grpc_options"]["grpc.keepalive_permit_without_calls"]


@pytest.mark.parametrize("kind", ["UNAUTHENTICATED", "UNIMPLEMENTED"])
def test_a_refusal_is_final(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    tries = refusing(monkeypatch, [kind] * 3)
    with pytest.raises(StoreError, match="cannot be reached"):
        server.connect(server.Address.of("milvus://host/faces"))
    assert len(tries) == 1


def test_tries_to_connect_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = refusing(monkeypatch, ["UNAVAILABLE"] * 10_000)
    monkeypatch.setattr(server, "CONNECT_SECONDS", 0.05)
    with pytest.raises(
        StoreError, match=r"milvus://host/faces cannot be reached: server unavailable\. Look at the"
    ):
        server.connect(server.Address.of("milvus://host/faces"))
    assert 1 < len(tries) < 1000


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("milvus://host", "'' is not a name for a collection: letters, digits and _"),
        ("milvus://host/a-b", "'a-b' is not a name for a collection"),
        ("milvus://host/twofold_indexes", "'twofold_indexes' is not a name for a collection"),
        ("milvus+file:lite.db", "'' is not a name for a collection"),
        (
            "milvus+file:lite.sqlite?collection=a",
            "'lite.sqlite' is not a file for milvus-lite: give",
        ),
        ("milvus://host/a?nprobe=3", r"\['nprobe'\] in an address of Milvus mean nothing here"),
        ("milvus://host/a?index=HSNW", "index=HSNW: did you mean 'HNSW'"),
        ("milvus://anna:pass/word@host/a", "in user and password write @ as %40, / as %2F"),
        ("milvus://host:port/a", "this is not the address of an engine: give one like milvus://"),
    ],
)
def test_addresses_that_are_none(place: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Index.open(place)


def test_an_address_says_where_and_as_whom() -> None:
    address = server.Address.of(
        "milvus://anna:a%40b@host/faces?database=shop&secure=true&index=DISKANN"
    )
    assert (address.uri, address.user, address.password) == ("https://host:19530", "anna", "a@b")
    assert (address.database, address.collection, address.kind) == ("shop", "faces", "DISKANN")
    assert server.Address.of("milvus+file:/a%20b/lite.db?collection=faces").uri == "/a b/lite.db"
    assert server.Address.of("milvus+file:///a/lite.db?collection=faces").uri == "/a/lite.db"


def test_a_file_that_another_process_holds_is_said(tmp_path: Path, contract: Contract) -> None:
    place = f"milvus+file:{tmp_path}/lite.db?collection=one"
    hold = (
        "from milvus_lite import MilvusLite; import sys; "
        f"db = MilvusLite({str(tmp_path / 'lite.db')!r}); print('held', flush=True); "
        f"sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="a file is held by one process at a time"):
            Index.create(place, contract)
        assert other.stdin is not None
        other.stdin.close()


def test_without_its_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    for name in ("twofold.store.remote.milvus", "twofold.store.remote.milvus_server"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match=r"needs pymilvus: pip install 'twofold\[milvus\]'"):
        Index.open("milvus://host/a")


def test_a_file_without_milvus_lite_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, contract: Contract
) -> None:
    monkeypatch.setitem(sys.modules, "milvus_lite", None)
    monkeypatch.setitem(sys.modules, "milvus_lite.server_manager", None)
    with pytest.raises(
        MissingExtra, match=r"is a file, which needs milvus-lite: pip install 'twofold\[milvus\]'"
    ):
        Index.create(f"milvus+file:{tmp_path}/lite.db?collection=one", contract)

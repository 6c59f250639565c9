"""The Milvus server of an index: address, client, collections, filters, errors in plain words."""

import contextlib
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from twofold.contract import Contract
from twofold.errors import MissingExtra, NewerFormat, StoreError, TwofoldError, nearest
from twofold.store.filters import Condition, kind
from twofold.store.remote.address import hidden, host_shown, split_address
from twofold.store.remote.milvus_parameters import INDEXES, metric
from twofold.store.remote.records import LONGEST

try:
    import grpc
    from pymilvus import DataType, MilvusClient, MilvusException
    from pymilvus.milvus_client.index import IndexParams
except ImportError as error:
    raise MissingExtra(
        "an index on Milvus needs pymilvus: pip install 'twofold[milvus]'"
    ) from error

__all__ = [
    "WAIT_SECONDS",
    "Address",
    "MilvusClient",
    "collections",
    "connect",
    "create_collection",
    "explain",
    "expression",
    "opened",
    "pinned",
    "quoted",
    "tags",
]

EXAMPLE = "milvus://user:password@host:19530/faces, or milvus+file:/folder/lite.db?collection=faces"
CATALOGUE = "twofold_indexes"
FORMAT = 1
"""Of the catalogue and the collections."""

PORT = 19530  # where Milvus listens unless told otherwise
# for one call: else pymilvus tries again for many minutes when a server has gone
WAIT_SECONDS = 60.0
CONNECT_SECONDS = 15.0  # to connect to a server that does not answer yet: it starts, or is busy
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between two tries to connect, doubled each time
WAKE = {"grpc.keepalive_time_ms": 330_000, "grpc.keepalive_permit_without_calls": 0}
"""pymilvus asks every 10 s whether the server is alive. A gRPC server allows that every 5 minutes
and without a call never, and closes the connection with "too_many_pings"."""
LARGEST_DIM = 32_768  # numbers of a vector that Milvus keeps
LONGEST_CONTRACT = 65_535  # bytes of a text that Milvus keeps
MOST_TAGS = 4096  # elements of an array that Milvus keeps


class Address(NamedTuple):
    """Where an index is: what the client connects to, the collection, and how the place is named in messages."""

    uri: str
    user: str
    password: str
    database: str
    collection: str
    kind: str
    shown: str

    @classmethod
    def of(cls, place: str | Path) -> "Address":
        """Take an address apart.

        Raises:
            StoreError: not an address, no name of a collection, or unknown options.
        """
        parts = split_address(place, EXAMPLE)
        asked = dict(parse_qsl(parts.query))
        lite = parts.scheme == "milvus+file"
        collection = asked.pop("collection", "") if lite else parts.path.removeprefix("/")
        index = asked.pop("index", "IVF_FLAT")
        database = "" if lite else asked.pop("database", "")
        secure = not lite and asked.pop("secure", "") in ("1", "true")
        if asked:
            raise StoreError(
                f"{sorted(asked)} in an address of Milvus mean nothing here. {EXAMPLE}"
            )
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", collection) or collection == CATALOGUE:
            raise StoreError(
                f"{collection!r} is not a name for a collection: "
                f"letters, digits and _, as in {EXAMPLE}"
            )
        if index not in INDEXES:
            raise StoreError(f"index={index}: {nearest(index, INDEXES)}")
        if lite:
            file = file_of(unquote(parts.path))
            return cls(
                file, "", "", "", collection, index, f"milvus+file:{file}?collection={collection}"
            )
        host = host_shown(parts)
        uri = f"{'https' if secure else 'http'}://{host}" + ("" if parts.port else f":{PORT}")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(
            uri, user, password, database, collection, index, f"milvus://{host}/{collection}"
        )

    def __repr__(self) -> str:
        return f"Address({self.shown})"


def file_of(path: str) -> str:
    """The file of milvus-lite, which knows its own by the ending."""
    if not path.endswith(".db"):
        raise StoreError(
            f"{path!r} is not a file for milvus-lite: give a name that ends in .db, as in {EXAMPLE}"
        )
    return path


def connect(address: Address) -> MilvusClient:
    """A client.

    Raises:
        StoreError: nobody answers, the user is refused, or another process holds the file.
        MissingExtra: a file without milvus-lite.
    """
    # it prints a traceback for each error that it raises
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    # an address with a user and no password holds an API key
    login = (
        {"user": address.user, "password": address.password}
        if address.password
        else {"token": address.user}
    )
    try:
        return _answering(address, login)
    except MilvusException as error:
        told = hidden(str(error.message), address.password or address.user)
        if "milvus-lite" in told or "milvus_lite" in told:
            raise MissingExtra(
                f"{address.shown} is a file, which needs "
                f"milvus-lite: pip install 'twofold[milvus]'. {told}"
            ) from None
        raise StoreError(
            f"{address.shown} cannot be reached: {told}. Look at the address, at the server, at "
            "user and password; a file is held by one process at a time"
        ) from None  # the original error can hold the whole address


def _answering(address: Address, login: Mapping[str, str]) -> MilvusClient:
    """A client of a server that answers; a server that does not yet is retried for a while."""
    pause, end = FIRST_PAUSE, time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return MilvusClient(
                address.uri,
                db_name=address.database,
                timeout=WAIT_SECONDS,
                grpc_options=WAKE,
                **login,
            )
        except MilvusException as error:
            if not _unavailable(error) or time.monotonic() + pause > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _unavailable(error: BaseException | None) -> bool:
    """Whether nobody answered, which may pass, as opposed to a refusal."""
    while error is not None:
        if isinstance(error, grpc.RpcError):
            return error.code() == grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
        error = error.__cause__
    return False


@contextlib.contextmanager
def opened(address: Address) -> Iterator[MilvusClient]:
    """A client for a while."""
    with contextlib.closing(connect(address)) as client, explain(address):
        yield client


@contextlib.contextmanager
def explain(address: Address) -> Iterator[None]:
    """Turn the server's errors into what is wrong with this index and what to do."""
    try:
        yield
    except TwofoldError:
        raise
    except MilvusException as error:
        told = hidden(str(error.message), address.password)
        raise StoreError(
            f"{address.shown}: Milvus refuses, or cannot be reached: {told}. Whether a write of "
            "this call was kept is not known: repeat it, nothing comes twice"
        ) from error
    except ValueError as error:  # what pymilvus raises on a client that was closed
        raise StoreError(f"{address.shown}: {hidden(str(error), address.password)}") from error


def create_collection(client: MilvusClient, address: Address, contract: Contract) -> None:
    """Make the collection of an index, and at the end record in the catalogue what it is pinned to.

    Raises:
        StoreError: the name is taken, or the contract is too long to be kept.
    """
    if contract.dim > LARGEST_DIM:
        raise StoreError(f"vectors of {contract.dim} numbers: Milvus keeps up to {LARGEST_DIM}")
    kept = json.dumps(contract.to_dict(), sort_keys=True)
    if len(kept.encode()) > LONGEST_CONTRACT:
        raise StoreError(
            f"a contract of {len(kept)} letters: Milvus keeps texts of {LONGEST_CONTRACT} bytes"
        )
    if client.has_collection(address.collection, timeout=WAIT_SECONDS):
        raise StoreError(
            f"{address.shown} is there already: open it, or choose another name for the collection"
        )
    kept_as = over(client, address.kind, metric(contract))
    make(
        client, address.collection, kept_as, dim=contract.dim, texts={"label": LONGEST, "hash": 64}
    )
    if not client.has_collection(CATALOGUE, timeout=WAIT_SECONDS):
        texts = {"contract": LONGEST_CONTRACT, "index": 64}
        # no collection is without a vector
        make(client, CATALOGUE, over(client, "FLAT", "L2"), dim=2, texts=texts)
    row = {
        "id": address.collection,
        "contract": kept,
        "index": address.kind,
        "metadata": {"format": FORMAT},
    }
    client.upsert(CATALOGUE, [{**row, "tags": [], "vector": [0.0, 0.0]}], timeout=WAIT_SECONDS)


def over(client: MilvusClient, index: str, compared: str) -> IndexParams:
    """An index over the vectors."""
    wanted = client.prepare_index_params()
    wanted.add_index("vector", index_type=index, metric_type=compared, params=INDEXES[index][0])
    return wanted


def make(
    client: MilvusClient, name: str, index: IndexParams, *, dim: int, texts: Mapping[str, int]
) -> None:
    """Make a collection of ids, texts of some bytes, metadata with their tags, and vectors; reads see every write."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=LONGEST)
    for field, length in texts.items():
        schema.add_field(field, DataType.VARCHAR, max_length=length)
    schema.add_field("metadata", DataType.JSON)
    schema.add_field(
        "tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=MOST_TAGS, max_length=32
    )
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    client.create_collection(
        name, schema=schema, index_params=index, consistency_level="Strong", timeout=WAIT_SECONDS
    )
    for field in ("tags", *texts):
        by = client.prepare_index_params()
        by.add_index(field, index_type="INVERTED")
        # milvus-lite has none over arrays; a filter is then a scan
        with contextlib.suppress(MilvusException):
            client.create_index(name, by, timeout=WAIT_SECONDS)


def collections(client: MilvusClient) -> dict[str, tuple[int, str, str]]:
    """The indexes of a database: format, contract and kind of index by collection."""
    if not client.has_collection(CATALOGUE, timeout=WAIT_SECONDS):
        return {}
    client.load_collection(CATALOGUE, timeout=WAIT_SECONDS)
    fields = ["id", "contract", "index", "metadata"]
    rows = client.query(CATALOGUE, filter='id != ""', output_fields=fields, timeout=WAIT_SECONDS)
    return {row["id"]: (row["metadata"]["format"], row["contract"], row["index"]) for row in rows}


def pinned(client: MilvusClient, address: Address) -> tuple[Contract, str]:
    """The contract of an index, and the kind of index over its vectors.

    Raises:
        StoreError: there is none of that name. NewerFormat: a later twofold made it.
    """
    known = collections(client)
    if address.collection not in known:
        there = nearest(address.collection, known) if known else "There is none in this database"
        raise StoreError(
            f"{address.shown} is not an index yet; `twofold "
            f"index` and `twofold enrol` make one. {there}"
        )
    number, contract, index = known[address.collection]
    if number > FORMAT:
        raise NewerFormat(
            f"{address.shown} has format {number}, this "
            f"twofold reads up to {FORMAT}: upgrade twofold"
        )
    return Contract.from_dict(json.loads(contract)), index


def tags(metadata: Mapping[str, Any]) -> list[str]:
    """Tags that a filter looks for: each key's kind, and its value; hashes, so that nothing has to be escaped.

    Milvus compares JSON by rules that its versions do not share (is True 1? is a missing key
    null?); texts it compares as they are.
    """
    found = []
    for key, value in metadata.items():
        if value is not None:
            found += [tag(key, kind(value)), tag(key, kind(value), value)]
    if len(found) > MOST_TAGS:
        raise StoreError(
            f"metadata with {len(metadata)} keys: this engine finds up to {MOST_TAGS // 2}"
        )
    return found


def tag(*parts: Any) -> str:
    """A hash of a key, a kind and a value; 1 and 1.0 are one value."""
    plain = [int(part) if isinstance(part, float) and part.is_integer() else part for part in parts]
    return sha256(json.dumps(plain).encode()).hexdigest()[:32]


def expression(filters: Sequence[Condition]) -> str:
    """The conditions of a filter in Milvus's language; "" lets everything pass."""
    return " and ".join(
        among(each) if each.values is not None else between(each) for each in filters
    )


def among(condition: Condition) -> str:
    """One of several values; null means none of the other kinds."""
    wanted = [
        tag(condition.key, kind(value), value)
        for value in condition.values or ()
        if value is not None
    ]
    parts = [f"array_contains_any(tags, {json.dumps(wanted)})"] if wanted else []
    if None in (condition.values or ()):
        other = [tag(condition.key, each) for each in ("text", "number", "true or false")]
        parts.append(f"not array_contains_any(tags, {json.dumps(other)})")
    return f"({' or '.join(parts)})"


def between(condition: Condition) -> str:
    """A range: values of the bound's kind only."""
    bound = condition.high if condition.low is None else condition.low
    parts = [f"array_contains(tags, {quoted(tag(condition.key, kind(bound)))})"]
    for sign, bound in ((">=", condition.low), ("<=", condition.high)):
        if bound is not None:
            parts.append(
                f"metadata[{quoted(condition.key)}] {sign} {json.dumps(bound, ensure_ascii=False)}"
            )
    return f"({' and '.join(parts)})"


def quoted(text: str) -> str:
    """A text as a literal of Milvus's language, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)

"""An index in a collection of Milvus: a cluster, or milvus-lite's file."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.errors import StoreError
from twofold.results import Embeddings, Erasure, Hit, Inspection
from twofold.store.exact import plain
from twofold.store.filters import Condition, kind
from twofold.store.remote import records
from twofold.store.remote.milvus_parameters import compares, exactly, metric, quickly, radius
from twofold.store.remote.milvus_server import (
    WAIT_SECONDS,
    Address,
    MilvusClient,
    collections,
    connect,
    create_collection,
    explain,
    expression,
    opened,
    pinned,
    quoted,
    tags,
)
from twofold.store.remote.records import Record
from twofold.store.sqlite.connection import closed

__all__ = ["MilvusEngine"]

FIELDS = ["id", "label", "metadata", "vector", "hash"]
NAMES = 1000  # ids in one filter
ROWS_AT_ONCE = 4096  # rows read at once
FIRST_HITS = 200  # hits of a range that are asked for first, of many queries at once
MOST_HITS = 16_384  # hits that Milvus gives to one query
MESSAGE = 16 * 2**20  # bytes of one call; Milvus takes 64 MB
TEXTS = 512  # bytes of a row beside its vector, for a guess of a message's size
LONGEST_METADATA = 60_000  # bytes; Milvus keeps 65,536
NOTE = (
    "the rows are deleted for every reader; Milvus keeps their bytes in segments, logs and object "
    "storage until it compacts and collects its garbage: that is the administrator's"
)


class MilvusEngine:
    """See `Engine`. A call beyond 16 MB is kept in parts: one that fails may be half there, and is repeated."""

    NAME = "Milvus"

    def __init__(
        self, address: Address, client: MilvusClient, contract: Contract, index: str
    ) -> None:
        self.path = address.shown
        self.contract = contract
        self.plain = plain(contract)
        self._address = address
        self._name = address.collection
        self._opened: MilvusClient | None = client
        self._index = index

    @property
    def _client(self) -> MilvusClient:
        """The open client; StoreError after `close`."""
        if self._opened is None:
            raise closed(self.path)
        return self._opened

    @classmethod
    def create(cls, place: str | Path, contract: Contract) -> "MilvusEngine":
        """Make the collection and record what it is pinned to; only then is it an index."""
        address = Address.of(place)
        with opened(address) as client:
            create_collection(client, address, contract)
        return cls.open(place)

    @classmethod
    def open(cls, place: str | Path) -> "MilvusEngine":
        """Connect, and read what the collection is pinned to."""
        address = Address.of(place)
        client = connect(address)
        try:
            with explain(address):
                contract, index = pinned(client, address)
                client.load_collection(address.collection, timeout=WAIT_SECONDS)
        except BaseException:
            client.close()
            raise
        return cls(address, client, contract, index)

    @classmethod
    def found(cls, place: str | Path) -> bool:
        """Whether the database knows an index of that name."""
        address = Address.of(place)
        with opened(address) as client:
            return address.collection in collections(client)

    def close(self) -> None:
        """Let go of the connection; milvus-lite holds its file until the process ends."""
        client, self._opened = self._opened, None
        if client is not None:
            client.close()

    def check_open(self) -> None:
        _ = self._client

    @property
    def gallery(self) -> None:
        """Dates, revocations and an audit log are kept in a folder only."""

    @property
    def notes(self) -> tuple[str, ...]:
        """There is no cache of ours."""
        return ()

    def watch(self, watch: Callable[[str, int, int], None]) -> None:
        """There is no cache of ours to build."""
        self.check_open()

    def count(self, most: int | None = None) -> int:
        """Number of items, at most `most`; Milvus counts them all in any case."""
        found = int(self._rows("", ["count(*)"])[0]["count(*)"])
        return found if most is None else min(most, found)

    def ids(self) -> tuple[str, ...]:
        """Ids of the items, sorted: Milvus keeps no order of writing."""
        return tuple(sorted(row["id"] for row in chain.from_iterable(self._pages(["id"]))))

    def labels(self) -> tuple[str, ...]:
        """Names of the identities, each once, sorted; Milvus has to read all rows for it."""
        return tuple(sorted({row["label"] for row in chain.from_iterable(self._pages(["label"]))}))

    def present(self, ids: Sequence[str]) -> set[str]:
        return {row["id"] for row in self._found(ids, ["id"])}

    def get(self, ids: Sequence[str]) -> Embeddings:
        found = {row["id"]: self._record(row) for row in self._found(ids, FIELDS)}
        records.refuse_missing(ids, found.keys(), str(self.path))
        return records.embeddings(self.contract, [found[name] for name in ids])

    def blocks(self, rows: int) -> Iterator[Embeddings]:
        """All items in blocks, each item once; one that is written meanwhile may be among them or not."""
        for block in self._matching((), rows):
            yield records.embeddings(self.contract, block)

    def sample(self, items: int, *, seed: int) -> Embeddings:
        known = self.ids()
        size = min(items, len(known))
        chosen = np.sort(np.random.default_rng(seed).choice(len(known), size=size, replace=False))
        return self.get([known[place] for place in chosen])

    def metadata_keys(self) -> dict[str, dict[str, int]]:
        """For each key of the metadata how many items have a value of which kind; Milvus has to read all for it."""
        found: dict[str, dict[str, int]] = {}
        for row in chain.from_iterable(self._pages(["metadata"])):
            for key, value in row["metadata"].items():
                kinds = found.setdefault(key, {})
                kinds[kind(value)] = kinds.get(kind(value), 0) + 1
        return found

    def check(self, *, repair: bool) -> Inspection:
        """Compare every row with its hash; with `repair` take out those that are not as they were written."""
        items, wrong = 0, []
        for page in self._pages(FIELDS):
            wrong += [row["id"] for row in page if record(row).digest().hex() != row["hash"]]
            items += len(page)
        if repair:
            self._delete(wrong)
        return records.inspection(
            items - len(wrong), wrong=wrong, place=str(self.path), dropped=repair
        )

    # ---- writing

    def put(
        self, embeddings: Embeddings, vectors: Float[np.ndarray, "n dim"], metadata: Sequence[str]
    ) -> int:
        records.check_long({*embeddings.ids, *embeddings.labels})
        if long := [each for each in metadata if len(each.encode()) > LONGEST_METADATA]:
            raise StoreError(
                f"metadata of {len(long[0])} letters: Milvus "
                f"keeps {LONGEST_METADATA} bytes for an item"
            )
        known = {row["id"]: row["hash"] for row in self._found(embeddings.ids, ["id", "hash"])}
        given = map(Record, embeddings.ids, embeddings.labels, metadata, vectors)
        rows = [row_of(each) for each in given if known.get(each.id) != each.digest().hex()]
        size = self._rows_in_a_message()
        with explain(self._address):
            for start in range(0, len(rows), size):
                self._client.upsert(self._name, rows[start : start + size], timeout=WAIT_SECONDS)
        return len(rows)

    def remove(self, ids: Sequence[str]) -> None:
        records.refuse_missing(ids, {row["id"] for row in self._found(ids, ["id"])}, str(self.path))
        self._delete(ids)

    def unknown(self, labels: Sequence[str]) -> list[str]:
        """Labels that no item has."""
        return [
            label
            for label in labels
            if not self._rows(f"label == {quoted(label)}", ["id"], limit=1)
        ]

    def forget(self, labels: tuple[str, ...]) -> Erasure:
        wanted = f"label in [{', '.join(map(quoted, labels))}]"
        ids = tuple(row["id"] for row in chain.from_iterable(self._pages(["id"], wanted)))
        self._delete(ids)
        return Erasure(
            labels=labels, ids=ids, at=datetime.now(UTC).isoformat(timespec="seconds"), note=NOTE
        )

    # ---- searching

    def search(
        self,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        filters: Sequence[Condition],
        *,
        exact: bool,
    ) -> list[list[Hit]]:
        if not (k := self.count(k)):
            return [[] for _ in queries]
        how = exactly(self._index) if exact else quickly(self._index, k + records.SPARE)
        if how is None or not compares(self.plain) or k + records.SPARE > MOST_HITS:
            return records.scan(self.plain, queries, self._matching(filters), k=k)
        hits = self._ranked(queries, k, filters, how)
        # the probed lists had too few rows that pass the filter
        short = [number for number, one in enumerate(hits) if len(one) < k]
        if short and not exact and self._index != "FLAT":
            again = self.search(queries[short], k, filters, exact=True)
            for number, one in zip(short, again, strict=True):
                hits[number] = one
        return hits

    def _ranked(
        self,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        filters: Sequence[Condition],
        how: Mapping[str, Any],
    ) -> list[list[Hit]]:
        """The best hits of what the server finds; ties at the k-th are all fetched, so that exact scores decide."""
        hits: list[list[Hit]] = [[] for _ in queries]
        todo, asked = list(range(len(queries))), k + records.SPARE
        while todo:
            again, found = [], self._nearest(queries[todo], asked, filters, how)
            for number, near in zip(todo, found, strict=True):
                ranked = records.ranked(self.plain, queries[number], near)
                hits[number] = ranked[:k]
                if len(near) == asked and not records.decided(
                    self.plain, queries[number], near, hits=ranked, k=k
                ):
                    again.append(number)
            if again and asked == MOST_HITS:
                exact = records.scan(self.plain, queries[again], self._matching(filters), k=k)
                for number, one in zip(again, exact, strict=True):
                    hits[number] = one
                break
            todo, asked = again, min(4 * asked, MOST_HITS)
        return hits

    def shortlist(
        self, queries: Float[np.ndarray, "q dim"], items: int, filters: Sequence[Condition]
    ) -> list[Embeddings]:
        hits = self.search(queries, items, filters, exact=False)
        # what another process has removed since is left out
        there = self.present(list({hit.id for one in hits for hit in one}))
        return [self.get([hit.id for hit in one if hit.id in there]) for one in hits]

    def search_range(
        self, queries: Float[np.ndarray, "q dim"], score: float, filters: Sequence[Condition]
    ) -> list[list[Hit]]:
        if not self.count(1):
            return [[] for _ in queries]
        if not compares(self.plain) or (how := exactly(self._index)) is None:
            return records.scan_range(self.plain, queries, self._matching(filters), score)
        how = {**how, "radius": radius(self.plain, records.bound(self.plain, score))}
        found = self._nearest(queries, FIRST_HITS, filters, how)
        full = [number for number, near in enumerate(found) if len(near) == FIRST_HITS]
        again = self._nearest(queries[full], MOST_HITS, filters, how)
        for number, near in zip(full, again, strict=True):
            if len(near) == MOST_HITS:  # there may be more than Milvus gives
                return records.scan_range(self.plain, queries, self._matching(filters), score)
            found[number] = near
        return records.in_range(self.plain, queries, found, score)

    def _nearest(
        self,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        filters: Sequence[Condition],
        how: Mapping[str, Any],
    ) -> list[list[Record]]:
        """The rows nearest to each query as the server counts, in the order of their ids."""
        found: list[list[Record]] = []
        size = max(1, self._rows_in_a_message() // k)
        for start in range(0, len(queries), size):
            with explain(self._address):
                answer = self._client.search(
                    self._name,
                    list(queries[start : start + size]),
                    filter=expression(filters),
                    limit=k,
                    output_fields=FIELDS,
                    search_params={"metric_type": metric(self.plain), "params": dict(how)},
                    timeout=WAIT_SECONDS,
                )
            found += [
                sorted((self._record(hit["entity"]) for hit in one), key=lambda each: each.id)
                for one in answer
            ]
        return found

    # ---- rows

    def _rows_in_a_message(self) -> int:
        return max(1, MESSAGE // (4 * self.contract.dim + TEXTS))

    def _found(self, ids: Sequence[str], fields: list[str]) -> list[dict[str, Any]]:
        """The rows of these ids that are there."""
        # no item has such an id, and Milvus's language cannot write it
        rows, ids = [], [name for name in ids if "\0" not in name]
        size = min(NAMES, self._rows_in_a_message())
        for start in range(0, len(ids), size):
            wanted = f"id in [{', '.join(map(quoted, ids[start : start + size]))}]"
            rows += self._rows(wanted, fields)
        return rows

    def _rows(self, wanted: str, fields: list[str], **more: Any) -> list[dict[str, Any]]:
        """The rows that pass a filter, in one answer."""
        with explain(self._address):
            return self._client.query(
                self._name, filter=wanted, output_fields=fields, timeout=WAIT_SECONDS, **more
            )

    def _pages(
        self, fields: list[str], wanted: str = "", rows: int = ROWS_AT_ONCE
    ) -> Iterator[list[dict[str, Any]]]:
        """All rows that pass a filter, in pages."""
        with explain(self._address):
            pages = self._client.query_iterator(
                self._name,
                batch_size=min(rows, self._rows_in_a_message()),
                filter=wanted,
                output_fields=fields,
                timeout=WAIT_SECONDS,
            )
            while page := pages.next():
                yield page
            pages.close()

    def _matching(
        self, filters: Sequence[Condition], rows: int = ROWS_AT_ONCE
    ) -> Iterator[list[Record]]:
        for page in self._pages(FIELDS, expression(filters), rows):
            yield [self._record(row) for row in page]

    def _record(self, row: dict[str, Any]) -> Record:
        """A row, compared with its hash."""
        return records.checked(record(row), bytes.fromhex(row["hash"]), str(self.path))

    def _delete(self, ids: Sequence[str]) -> None:
        with explain(self._address):
            for start in range(0, len(ids), NAMES):
                wanted = f"id in [{', '.join(map(quoted, ids[start : start + NAMES]))}]"
                self._client.delete(self._name, filter=wanted, timeout=WAIT_SECONDS)


def record(row: dict[str, Any]) -> Record:
    """A row of Milvus, its metadata in the form in which it was hashed."""
    metadata = json.dumps(row["metadata"], sort_keys=True, ensure_ascii=False)
    return Record(row["id"], row["label"], metadata, np.asarray(row["vector"], np.float32))


def row_of(each: Record) -> dict[str, Any]:
    """A record as Milvus keeps it."""
    metadata = json.loads(each.metadata)
    return {
        "id": each.id,
        "label": each.label,
        "metadata": metadata,
        "tags": tags(metadata),
        "vector": each.vector,
        "hash": each.digest().hex(),
    }

"""The engine of a folder: SQLite is the only truth; vectors are searched in memory, or by a cache built from it."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from twofold.contract import Contract
from twofold.errors import StoreError
from twofold.files import new_folder
from twofold.results import AuditEntry, Embeddings, Enrolled, Erasure, Hit, Inspection
from twofold.store import audit, large, lifetimes
from twofold.store.cache.building import Watch
from twofold.store.erasure import erase, receipt
from twofold.store.exact import Found, plain, without
from twofold.store.filters import Condition
from twofold.store.leftovers import pieces_of, sweep
from twofold.store.memory import Follower, vectors_of
from twofold.store.protection.protect import Key, Protection
from twofold.store.protection.sealed import Sealed, opened, rekey, rotation_of
from twofold.store.sqlite.additions import put
from twofold.store.sqlite.connection import closed, explain
from twofold.store.sqlite.database import TRUTH, Database, Seal
from twofold.store.sqlite.deletions import forget, remove
from twofold.store.sqlite.metadata import metadata_keys, passing
from twofold.store.sqlite.rows import Batch, Forgotten, Row, State, clock
from twofold.store.sqlite.tables import check_pages
from twofold.store.upkeep import inspect
from twofold.strict_json import plain_object

__all__ = ["LocalEngine"]

FEW_ENDED = 256  # expired or revoked rows; up to so many are sought too, and left out afterwards
FORGOTTEN_AT_ONCE = 1000  # rows; of more, too many pieces are left to be looked for one by one


class LocalEngine:
    """See `Engine` and `Gallery`. An index in a folder of its own.

    Attributes:
        path: the folder. database: its rows. rotation: of the vectors in the file and in memory, if
            any.
        memory: all rows, if there are few. large: searches many rows.
    """

    def __init__(self, path: Path, database: Database, key: Key | None = None) -> None:
        self.path = path
        self.database = database
        try:
            with explain(path):
                database.check_mark()
            with database.reading():
                pinned = database.pinned()
                self.contract = Contract.from_dict(plain_object(pinned.contract))
                self._begin(database, opened(pinned, self.contract, key))
                state = database.state()
                if not self.large.is_for(state):  # else rows are checked when they are read
                    self.memory.follow(state)
                    check_pages(database.connection, path)
            swept = sweep(path)
            if state.erasing:
                # a reader or a read-only disk: it stays to be done
                with contextlib.suppress(StoreError):
                    self.large.drop()
                    erase(database, whole=True, swept=swept, noted={})
        except BaseException:
            database.close()
            raise

    @classmethod
    def create(
        cls, folder: Path, contract: Contract, *, key: Key | None, rotate: bool | None
    ) -> "LocalEngine":
        """Make an empty index in a new folder, protected where there is a key, and open it."""
        protection = "{}" if key is None else Protection.create(key, contract, rotate=rotate).text
        if (folder / TRUTH).exists():
            raise StoreError(f"{folder} is an index already: open it, or choose another place")
        with new_folder(folder, marker=TRUTH, private=True) as fresh:
            Database.create(fresh, contract, protection=protection)
        return cls.open(folder, key=key)

    @classmethod
    def open(cls, folder: Path, *, key: Key | None) -> "LocalEngine":
        """Open an index, a protected one by a key or that of the environment; rows are checked against their hashes."""
        return cls(folder, Database.open(folder), key)

    def _begin(self, database: Database, seal: Seal) -> None:
        """Start with nothing in memory."""
        self.database = database
        self._keep(seal)
        self._labels: tuple[int, tuple[str, ...]] | None = None
        compared = plain(self.contract)
        self.memory, self.large = Follower(database, compared), large.Large(database, compared)

    def _keep(self, seal: Seal) -> None:
        """Use this seal from now on; vectors in memory are as in the file, rotated or not."""
        self.database.seal = seal
        self.rotation = rotation_of(seal, self.contract.dim)

    def close(self) -> None:
        """Close the files; closing twice does no harm. A call of another thread is waited for."""
        with self.database.lock:
            self.large.close()
            self.database.close()

    def check_open(self) -> None:
        if self.database.closed:
            raise closed(self.path)

    @property
    def gallery(self) -> "LocalEngine":
        return self

    @property
    def protected(self) -> bool:
        """Whether vectors are encrypted in the file; a protected index has no cache on disk."""
        return isinstance(self.database.seal, Sealed)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the cache: that it was rebuilt and why, or why there is none."""
        return tuple(self.large.notes)

    def watch(self, watch: Watch) -> None:
        self.check_open()
        self.large.watch = watch

    # ---- reading

    def count(self, most: int | None = None) -> int:
        """Number of items, expired and revoked ones too; counting costs nothing here."""
        with self.database.reading():
            return self.database.state().items

    def ids(self) -> tuple[str, ...]:
        with self.database.reading():
            return self.database.ids()

    def labels(self) -> tuple[str, ...]:
        """Names of the identities, each once, sorted; kept until somebody writes."""
        with self.database.reading():
            generation = self.database.state().generation
            if self._labels is None or self._labels[0] != generation:
                self._labels = (generation, self.database.labels())
            return self._labels[1]

    def present(self, ids: Sequence[str]) -> set[str]:
        with self.database.reading():
            return self.database.present(ids)

    def get(self, ids: Sequence[str]) -> Embeddings:
        with self.database.reading():
            return self._embeddings(self.database.named(ids))

    def blocks(self, rows: int) -> Iterator[Embeddings]:
        """All items that count, in blocks, each read in a transaction of its own so that no erasure has to wait."""
        last = 0
        while True:
            with self.database.reading():
                standing = "revoked IS NULL AND (expires IS NULL OR expires > ?)"
                condition = f"WHERE row > ? AND {standing} ORDER BY row LIMIT ?"
                found = list(self.database.rows(condition, (last, clock(), rows)))
                if not found:
                    return
                block, last = self._embeddings(found), found[-1].number
            yield block

    def sample(self, items: int, *, seed: int) -> Embeddings:
        with self.database.reading():
            numbers = self.database.numbers()
            size = min(items, len(numbers))
            chosen = np.sort(np.random.default_rng(seed).choice(numbers, size=size, replace=False))
            found = self.database.numbered(chosen.tolist())
            return self._embeddings([found[number] for number in chosen.tolist()])

    def metadata_keys(self) -> dict[str, dict[str, int]]:
        with self.database.reading():
            return metadata_keys(self.database)

    def _embeddings(self, rows: Sequence[Row]) -> Embeddings:
        vectors = vectors_of(self.database, self.contract, rows)
        return Embeddings(
            ids=tuple(row.id for row in rows),
            labels=tuple(row.label for row in rows),
            vectors=vectors if self.rotation is None else self.rotation.back(vectors),
            fingerprint=self.contract.fingerprint,
            metadata=tuple(json.loads(row.metadata) for row in rows),
        )

    # ---- writing: the database alone; memory follows at the next search

    def put(
        self, embeddings: Embeddings, vectors: Float[np.ndarray, "n dim"], metadata: Sequence[str]
    ) -> int:
        return put(self.database, self._batch(embeddings, vectors, metadata))

    def _batch(
        self, embeddings: Embeddings, vectors: Float[np.ndarray, "n dim"], metadata: Sequence[str]
    ) -> Batch:
        """What is given to the database."""
        turned = vectors if self.rotation is None else self.rotation.turn(vectors)
        stored = list(map(bytearray, turned.astype("<f4", copy=False)))
        return Batch(
            ids=embeddings.ids, labels=embeddings.labels, vectors=stored, metadata=metadata
        )

    def remove(self, ids: Sequence[str]) -> None:
        remove(self.database, ids)

    def unknown(self, labels: Sequence[str]) -> list[str]:
        """Labels without an item and without remains: bytes of a deleted one may be left in freed space."""
        with self.database.reading():
            known = {*self.database.loose(), *self.labels()}
        return [label for label in labels if label not in known]

    def forget(self, labels: tuple[str, ...]) -> Erasure:
        """Delete labels and their keys, and overwrite what they leave in the files."""
        with self.database.lock:
            return self._erased(forget(self.database, labels, event="forget"), labels)

    def _erased(self, gone: Forgotten, labels: tuple[str, ...]) -> Erasure:
        """Overwrite what deleted rows have left; returns the receipt.

        The whole cache goes: its centres and codebooks are means over the rows, and a mean of few
        is nearly a row.
        """
        rows, database = gone.rows, self.database
        swept = sweep(database.folder)
        self.large.drop()
        noted = {**dict.fromkeys(labels, 0), **Counter(row.label for row in rows)}
        whole = gone.loose or len(rows) > FORGOTTEN_AT_ONCE
        search = erase(database, pieces_of(rows, gone.keys), whole=whole, swept=swept, noted=noted)
        with database.reading():
            if len(self.memory.rows):
                self.memory.follow(database.state())
        return receipt(search, labels, rows)

    # ---- searching

    def search(
        self,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        filters: Sequence[Condition],
        *,
        exact: bool,
    ) -> list[list[Hit]]:
        with self.database.reading():
            ranked = self._ranked(self._nearest(queries, k, filters, exact=exact), k)
        return [[row.hit(score) for row, score in one] for one in ranked]

    def search_range(
        self, queries: Float[np.ndarray, "q dim"], score: float, filters: Sequence[Condition]
    ) -> list[list[Hit]]:
        with self.database.reading():
            ranked = self._ranked(self._within(queries, score, filters))
        return [[row.hit(score) for row, score in one] for one in ranked]

    def shortlist(
        self, queries: Float[np.ndarray, "q dim"], items: int, filters: Sequence[Condition]
    ) -> list[Embeddings]:
        with self.database.reading():
            ranked = self._ranked(self._nearest(queries, items, filters, exact=False), items)
            return [self._embeddings([row for row, _ in one]) for one in ranked]

    def _nearest(
        self,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        filters: Sequence[Condition],
        *,
        exact: bool,
    ) -> list[Found]:
        """The `k` rows most like each query among those that pass a filter and are neither expired nor revoked."""
        if self.rotation is not None:
            queries = self.rotation.turn(queries)
        state, ended = self.database.state(), self.database.ended(clock())
        # a few that ended are sought too and left out afterwards: quicker than to name all others
        few = not filters and len(ended) <= FEW_ENDED
        allowed, deep = (None, k + len(ended)) if few else (self._allowed(filters, ended), k)
        if state.items > large.EXACT_ROWS and self._by_cache(state):
            found = self.large.search(queries, deep, state=state, allowed=allowed, exact=exact)
        else:
            self.memory.follow(state)
            found = self.memory.rows.search(self.memory.contract, queries, deep, allowed=allowed)
        return [without(each, ended, k) for each in found] if few and len(ended) else found

    def _within(
        self, queries: Float[np.ndarray, "q dim"], score: float, filters: Sequence[Condition]
    ) -> list[Found]:
        """All such rows whose score with a query is at least `score`."""
        if self.rotation is not None:
            queries = self.rotation.turn(queries)
        state, ended = self.database.state(), self.database.ended(clock())
        allowed = self._allowed(filters, ended) if filters or len(ended) else None
        if self._by_cache(state):
            return self.large.search_range(queries, score, state=state, allowed=allowed)
        self.memory.follow(state)
        return self.memory.rows.search_range(self.memory.contract, queries, score, allowed=allowed)

    def _by_cache(self, state: State) -> bool:
        """Whether a cache answers; then memory drops the rows it held while there were fewer, or no cache."""
        if not (self.large.is_for(state) and self.large.ready(state)):
            return False
        if len(self.memory.rows):
            self.memory = Follower(self.database, self.memory.contract)
        return True

    def _allowed(
        self, filters: Sequence[Condition], ended: Int[np.ndarray, "e"]
    ) -> Int[np.ndarray, "m"]:
        """Numbers of the rows that pass the filter and are not `ended`, ascending."""
        numbers = passing(self.database, filters) if filters else self.database.numbers()
        return np.setdiff1d(numbers, ended, assume_unique=True)

    def _ranked(self, found: list[Found], k: int | None = None) -> list[list[tuple[Row, float]]]:
        """Rows with their scores, best first, equal scores in the order of their ids; read by number, and checked."""
        numbers = np.unique(np.concatenate([np.empty(0, np.int64), *(each[0] for each in found)]))
        rows = self.database.numbered(numbers.tolist())
        ranked = []
        for own, scores in found:
            pairs = zip(own.tolist(), scores.tolist(), strict=True)
            order = sorted((-score, rows[number].id, number) for number, score in pairs)[:k]
            ranked.append([(rows[number], -lost) for lost, _, number in order])
        return ranked

    # ---- the life of identities; each of these calls is in the audit log

    def enrol(
        self,
        embeddings: Embeddings,
        vectors: Float[np.ndarray, "n dim"],
        metadata: Sequence[str],
        *,
        expires: str | None,
        whole: bool,
    ) -> int:
        batch = replace(self._batch(embeddings, vectors, metadata), expires=expires)
        if not whole:
            return put(self.database, batch, event="enrol")
        lifetimes.substitute(self.database, embeddings.labels[0], batch)
        return len(batch.ids)

    def enrolled(self) -> tuple[Enrolled, ...]:
        with self.database.reading():
            return lifetimes.enrolled(self.database)

    def dates(self, ids: Sequence[str]) -> dict[str, str]:
        with self.database.reading():
            rows = self.database.named(ids)
        return {row.id: row.expires for row in rows if row.expires is not None}

    def standing(self) -> tuple[int, int]:
        with self.database.reading():
            return lifetimes.standing(self.database)

    def expire(self, labels: Sequence[str], end: str | None) -> int:
        return lifetimes.expire(self.database, labels, end)

    def revoke(self, labels: Sequence[str]) -> int:
        return lifetimes.revoke(self.database, labels)

    def restore(self, labels: Sequence[str]) -> int:
        return lifetimes.restore(self.database, labels)

    def purge(self) -> Erasure | None:
        with self.database.lock:
            gone, labels = lifetimes.drop_expired(self.database)
            return self._erased(gone, labels) if gone.rows else None

    def audit(self, label: str | None) -> tuple[AuditEntry, ...]:
        with self.database.reading():
            key = self.database.seal.audit_key(self.database.pinned())
            own = None if label is None else (key, label)
            return tuple(audit.entries(self.database.connection, own))

    def rekey(self, key: Key, *, rotate: bool) -> None:
        """Put the index under another master key, or under a first one."""
        with self.database.lock:
            self._keep(rekey(self.database, key, self.contract, rotate=rotate))
            self.large.drop()  # of vectors in the clear
            erase(self.database, whole=True, swept=sweep(self.database.folder))

    def check(self, *, repair: bool) -> Inspection:
        self.check_open()
        database, seal = self.database, self.database.seal
        with database.lock:
            found = inspect(database.folder, repair=repair, seal=seal)
            if found.repaired:  # another file may be there now
                self.large.close()
                database.close()
                self._begin(Database.open(database.folder), seal)
        return found

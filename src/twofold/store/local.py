"""The local engine: SQLite is the only truth; vectors are searched in memory, or by a cache that can be built again."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.errors import StoreError
from twofold.files import new_folder
from twofold.results import AuditEntry, Embeddings, Enrolled, Erasure, Hit, Inspection
from twofold.store import audit, life
from twofold.store.cache.building import Watch
from twofold.store.erasure import erase, receipt
from twofold.store.exact import Found
from twofold.store.finding import Finder
from twofold.store.following import vectors_of
from twofold.store.index import Index
from twofold.store.leftovers import pieces_of, sweep
from twofold.store.protection.protect import Key, Protection, find_key
from twofold.store.protection.sealed import Sealed, opened, rekey, rotation_of
from twofold.store.sqlite.adding import put
from twofold.store.sqlite.connection import closed, explain
from twofold.store.sqlite.database import TRUTH, Database, Forgotten, Seal, clock, stands
from twofold.store.sqlite.rows import Batch, Row
from twofold.store.sqlite.tables import check_pages
from twofold.store.upkeep import inspect
from twofold.store.where import Condition
from twofold.strict_json import plain_object

__all__ = ["LocalIndex"]

BLOCK = 4096
MANY = 1000  # rows forgotten at once; of more, too much is left to be looked for piece by piece


class LocalIndex(Index):
    """An index in a folder of its own.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path, database: Database, key: Key | None = None) -> None:
        self.path = path
        self._opened: Database | None = database
        try:
            with explain(path):
                database.check_mark()
            with database.reading():
                pinned = database.pinned()
                self.contract = Contract.from_dict(plain_object(pinned.contract))
                self._begin(opened(pinned, self.contract, key))
                state = database.state()
                if not self._finder.has_many(state):  # else rows are checked when they are read
                    self._finder.all.follow(state)
                    check_pages(database.connection, path)
            swept = sweep(path)
            if state.erasing:
                with contextlib.suppress(StoreError):  # a reader or a read-only disk: it stays to be done
                    self._finder.large.drop()
                    erase(database, whole=True, swept=swept, noted={})
        except BaseException:
            database.close()
            raise

    @property
    def _database(self) -> Database:
        """The open database.

        Raises:
            StoreError: the index is closed.
        """
        if self._opened is None:
            raise closed(self.path)
        return self._opened

    @classmethod
    def create_at(cls, place: str | Path, contract: Contract) -> "LocalIndex":
        """Make an empty index in a new folder and open it."""
        return cls(make(Path(place), contract, "{}"), Database.open(Path(place)))

    @classmethod
    def open_at(cls, place: str | Path) -> "LocalIndex":
        """Open an index, a protected one by the key of the environment; every row is checked against its hash."""
        return cls(Path(place), Database.open(Path(place)))

    @classmethod
    def protect_at(cls, place: str | Path, contract: Contract, key: Key, *, rotate: bool | None) -> "LocalIndex":
        """Make an empty protected index in a new folder and open it."""
        protection = Protection.create(key, contract, rotate=rotate)
        return cls(make(Path(place), contract, protection.text), Database.open(Path(place)), key)

    @classmethod
    def unlock_at(cls, place: str | Path, key: Key) -> "LocalIndex":
        """Open a protected index by its key."""
        return cls(Path(place), Database.open(Path(place)), key)

    def _begin(self, seal: Seal) -> None:
        """Hold nothing in memory yet."""
        self._keep(seal)
        self._labels: tuple[int, tuple[str, ...]] | None = None
        self._finder = Finder(self._database, self.plain)

    def _keep(self, seal: Seal) -> None:
        """Put this between vectors and the file from now on; vectors in memory stand as in the file, rotated or not."""
        self._database.seal = seal
        self._rotation = rotation_of(seal, self.contract.dim)

    @property
    def protected(self) -> bool:
        """Whether vectors are encrypted in the file; a protected index has no cache on disk."""
        return isinstance(self._database.seal, Sealed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was said of the cache: that it was built again and why, or why there is none."""
        return tuple(self._finder.large.notes)

    def watch(self, watch: Watch) -> None:
        """Let a function know how far the building of a cache is: what is done, how much of it, of how much."""
        _ = self._database
        self._finder.large.watch = watch

    @classmethod
    def found_at(cls, place: str | Path) -> bool:
        """Whether a folder looks like an index."""
        return stands(Path(place))

    def __enter__(self) -> "LocalIndex":
        _ = self._database
        return self

    def close(self) -> None:
        """Close the files; closing twice does no harm. A call of another thread is waited for."""
        if (database := self._opened) is None:
            return
        with database.lock:
            self._opened = None
            self._finder.close()
            database.close()

    # ---- what is in it

    def __len__(self) -> int:
        with self._database.reading():
            return self._database.state().items

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the items, in the order in which they were last written."""
        with self._database.reading():
            return self._database.ids()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the identities, each once, sorted."""
        with self._database.reading():
            generation = self._database.state().generation
            if self._labels is None or self._labels[0] != generation:
                self._labels = (generation, self._database.labels())
        return self._labels[1]

    def present(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that are there."""
        with self._database.reading():
            return self._database.present(ids)

    def get(self, ids: Sequence[str]) -> Embeddings:
        """Items by id, as they were added (vectors float32), in the order asked."""
        with self._database.reading():
            return self._embeddings(self._database.named(ids))

    def metadata_keys(self) -> dict[str, dict[str, int]]:
        """For each key of the metadata how many items have a value of which kind under it."""
        with self._database.reading():
            return self._database.metadata_keys()

    def blocks(self, rows: int = BLOCK) -> Iterator[Embeddings]:
        """All items that count in blocks, each read in a moment of its own, so that no erasure waits for the last."""
        last = 0
        while True:
            with self._database.reading():
                standing = "revoked IS NULL AND (expires IS NULL OR expires > ?)"
                condition = f"WHERE row > ? AND {standing} ORDER BY row LIMIT ?"
                found = list(self._database.rows(condition, (last, clock(), rows)))
                if not found:
                    return
                block, last = self._embeddings(found), found[-1].number
            yield block

    def sample(self, items: int, *, seed: int = 0) -> Embeddings:
        """Random items, without repetition; all of them where there are no more."""
        with self._database.reading():
            numbers = self._database.numbers()
            size = min(items, len(numbers))
            chosen = np.sort(np.random.default_rng(seed).choice(numbers, size=size, replace=False))
            found = self._database.numbered(chosen.tolist())
            return self._embeddings([found[number] for number in chosen.tolist()])

    # ---- writing: the database alone; memory follows at the next search

    def _put(self, embeddings: Embeddings, vectors: Float[np.ndarray, "n dim"], metadata: Sequence[str]) -> int:
        return put(self._database, self._batch(embeddings, vectors, metadata))

    # ---- the life of identities; every one of these calls is in the audit log

    def enrol(self, embeddings: Embeddings, *, expires: str | date | None = None, whole: bool = False) -> int:
        """`add`, told to the audit log.

        Args:
            expires: from when on the items are neither found nor counted (2027-12-31, or with a time; UTC where it
                names no zone); None: never, or as it was.
            whole: put the items in the place of all that their one label has.

        Returns:
            How many items are new or changed.

        Raises:
            StoreError: as `add`; a label is revoked; or, with `whole`, several labels, or another's id.
            UsageError: `expires` is no date.
        """
        end = life.utc(expires)
        batch = replace(self._batch(embeddings, *self._looked_at(embeddings)), expires=end)
        if not whole:
            return put(self._database, batch, event="enrol")
        if len(set(embeddings.labels)) != 1:
            raise StoreError(f"{len(set(embeddings.labels))} labels: one is replaced at a time")
        life.substitute(self._database, embeddings.labels[0], batch)
        return len(batch.ids)

    def enrolled(self) -> tuple[Enrolled, ...]:
        """Every identity, sorted by label: how many items it has, when it expires, since when it is revoked."""
        with self._database.reading():
            return life.enrolled(self._database)

    def dates(self, ids: Sequence[str]) -> dict[str, str]:
        """From when on items are neither found nor counted, by id; an item without such a date is not among them."""
        with self._database.reading():
            rows = self._database.named(ids)
        return {row.id: row.expires for row in rows if row.expires is not None}

    def standing(self) -> tuple[int, int]:
        """How many identities and how many items count: neither expired nor revoked."""
        with self._database.reading():
            return life.standing(self._database)

    def expire(self, labels: str | Sequence[str], when: str | date | None) -> int:
        """From when on identities are neither found nor counted; None lifts it. How many items changed.

        Raises:
            UnknownLabel: nobody of that name is there; nothing is changed then. UsageError: `when` is no date.
        """
        end = life.utc(when)
        return life.rewrite(self._database, self.known(labels), "expire", lambda row: row._replace(expires=end))

    def revoke(self, labels: str | Sequence[str]) -> int:
        """Keep identities, but never match them until they are restored. How many items changed; errors as `expire`."""
        now = clock()
        known = self.known(labels)
        return life.rewrite(self._database, known, "revoke", lambda row: row._replace(revoked=row.revoked or now))

    def restore(self, labels: str | Sequence[str]) -> int:
        """Lift a revocation. How many items changed; errors as `expire`."""
        return life.rewrite(self._database, self.known(labels), "restore", lambda row: row._replace(revoked=None))

    def purge(self) -> Erasure | None:
        """Erase every item that is expired, as `forget` does; None: there is none."""
        with self._database.lock:
            gone, labels = life.drop_expired(self._database)
            return self._erased(gone, labels) if gone.rows else None

    def audit(self, label: str | None = None) -> tuple[AuditEntry, ...]:
        """The audit log, oldest first: who was enrolled, changed, forgotten, and when; names as keyed hashes.

        Args:
            label: only what concerns this name, which need not be there any more.
        """
        with self._database.reading():
            key = self._database.seal.audit_key(self._database.pinned())
            return tuple(audit.entries(self._database.connection, None if label is None else (key, label)))

    def rekey(self, key: Key | str | Path, *, rotate: bool = False) -> None:
        """Put a protected index under another master key, whole or not at all; one without protection gets it.

        Keep the old key until this returns: where it is killed, either the old key fits or the new one.

        Args:
            key: the new one, or the path of its file.
            rotate: new keys for all subjects and a new rotation too: every vector is written anew.

        Raises:
            WrongKey: no key there, or another process was faster. StoreError: the disk or another writer is in the way.
        """
        with self._database.lock:
            self._keep(rekey(self._database, find_key(key), self.contract, rotate=rotate))
            self._finder.large.drop()  # of vectors in the clear
            erase(self._database, whole=True, swept=sweep(self._database.folder))

    def known(self, labels: str | Sequence[str]) -> tuple[str, ...]:
        """The labels, each once, if all are there; else UnknownLabel with the nearest name."""
        wanted = (labels,) if isinstance(labels, str) else tuple(dict.fromkeys(labels))
        super()._check_known(wanted)
        return wanted

    def _batch(self, embeddings: Embeddings, vectors: Float[np.ndarray, "n dim"], metadata: Sequence[str]) -> Batch:
        """What is given to the database."""
        stored = list(map(bytearray, self._turned(vectors).astype("<f4", copy=False)))
        return Batch(ids=embeddings.ids, labels=embeddings.labels, vectors=stored, metadata=metadata)

    def _turned(self, vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        """Vectors as they stand in the file."""
        return vectors if self._rotation is None else self._rotation.turn(vectors)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete items by id; all or none."""
        self._database.remove(ids)

    def _check_known(self, labels: Sequence[str]) -> None:
        with self._database.reading():
            loose = self._database.loose()
        super()._check_known([label for label in labels if label not in loose])

    def _forget(self, labels: tuple[str, ...]) -> Erasure:
        with self._database.lock:
            return self._erased(self._database.forget(labels, event="forget"), labels)

    def _erased(self, gone: Forgotten, labels: tuple[str, ...]) -> Erasure:
        """Overwrite what deleted rows have left, and say so.

        The whole cache goes: its centres and codebooks are means over the rows, and a mean of few is nearly a row.
        """
        rows, database = gone.rows, self._database
        swept = sweep(database.folder)
        self._finder.large.drop()
        noted = Counter(dict.fromkeys(labels, 0))
        noted.update(row.label for row in rows)
        whole = gone.loose or len(rows) > MANY
        search = erase(database, pieces_of(rows, gone.keys), whole=whole, swept=swept, noted=noted)
        with database.reading():
            self._finder.forget()
        return receipt(search, labels, rows)

    # ---- searching

    def _search(
        self, queries: Float[np.ndarray, "q dim"], k: int, filters: Sequence[Condition], *, exact: bool
    ) -> list[list[Hit]]:
        with self._database.reading():
            return self._hits(self._finder.nearest(self._turned(queries), k, filters, exact=exact), k)

    def _search_range(
        self, queries: Float[np.ndarray, "q dim"], score: float, filters: Sequence[Condition]
    ) -> list[list[Hit]]:
        with self._database.reading():
            return self._hits(self._finder.within(self._turned(queries), score, filters))

    def _shortlist(
        self, queries: Float[np.ndarray, "q dim"], items: int, filters: Sequence[Condition]
    ) -> list[Embeddings]:
        with self._database.reading():
            found = self._finder.nearest(self._turned(queries), items, filters, exact=False)
            rows = self._rows(found)
            return [self._embeddings([row for row, _ in ordered(each, rows)][:items]) for each in found]

    def _hits(self, found: list[Found], k: int | None = None) -> list[list[Hit]]:
        """Rows as hits, equal scores in the order of their ids; names come from the database, by number, checked."""
        rows = self._rows(found)
        return [[row.hit(score) for row, score in ordered(each, rows)[:k]] for each in found]

    def _rows(self, found: list[Found]) -> dict[int, Row]:
        """All that was found, from the database."""
        numbers = np.unique(np.concatenate([np.empty(0, np.int64), *(each[0] for each in found)]))
        return self._database.numbered(numbers.tolist())

    def check(self, *, repair: bool = False) -> Inspection:
        """Look at every row, index and cache; with `repair` drop what is provably damaged, and rebuild the rest."""
        database, seal = self._database, self._database.seal
        with database.lock:
            found = inspect(database.folder, repair=repair, seal=seal)
            if found.repaired:  # another file may stand there now
                self._finder.close()
                database.close()
                self._opened = Database.open(database.folder)
                self._begin(seal)
        return found

    def _embeddings(self, rows: Sequence[Row]) -> Embeddings:
        vectors = vectors_of(self._database, self.contract, rows)
        return Embeddings(
            ids=tuple(row.id for row in rows),
            labels=tuple(row.label for row in rows),
            vectors=vectors if self._rotation is None else self._rotation.back(vectors),
            fingerprint=self.contract.fingerprint,
            metadata=tuple(json.loads(row.metadata) for row in rows),
        )


def ordered(found: Found, rows: Mapping[int, Row]) -> list[tuple[Row, float]]:
    """Rows with their scores, best first; equal scores in the order of their ids, as with any other engine."""
    places, scores = found
    pairs = [(rows[number], score) for number, score in zip(places.tolist(), scores.tolist(), strict=True)]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0].id))


def make(path: Path, contract: Contract, protection: str) -> Path:
    """Write an empty index into a new folder."""
    if (path / TRUTH).exists():
        raise StoreError(f"{path} is an index already: open it, or choose another place")
    with new_folder(path, marker=TRUTH, private=True) as folder:
        Database.create(folder, contract, protection=protection)
    return path

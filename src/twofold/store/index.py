"""Index: embeddings at rest, pinned to one model (law 8), without raw inputs (law 7), whatever engine keeps them."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.errors import FingerprintMismatch, StoreError, UnknownLabel, nearest
from twofold.results import AuditEntry, Embeddings, Enrolled, Erasure, Estimate, Hit, Inspection
from twofold.store.addresses import create_engine, index_stands, open_engine
from twofold.store.arguments import check_items, each_once, learned, utc
from twofold.store.engine import Engine, Gallery
from twofold.store.exact import METRICS, check_vectors
from twofold.store.filters import Condition, Where, conditions, refuse_unmatched
from twofold.store.identities import nearest_identities
from twofold.store.protection.protect import Key, find_key
from twofold.store.recall import recall_of

__all__ = ["Index"]


@final
class Index:
    """Vectors with ids, labels and metadata: add, remove, forget, search. A context manager.

    A call that returns is kept; one that raises has changed nothing. Any number of processes may
    read while one writes, and threads may share an index. It checks arguments, fingerprints and
    filters, and leaves the rest to its `engine` (`store.engine.Engine`).
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @staticmethod
    def create(
        place: str | Path,
        contract: Contract,
        *,
        protect: Key | str | Path | bool = False,
        rotate: bool | None = None,
    ) -> "Index":
        """Make an empty index and open it.

        Args:
            place: a folder, milvus://host, milvus+file:FILE, or postgresql://host/database.
            protect: encrypt the vectors of a folder with this master key (`store.protection`): a
                key, the path of its file, or True for the one that the environment names.
            rotate: keep the vectors of a protected index under a secret rotation; None: where the
                distance allows it.

        Raises:
            StoreError: `place` is taken, or the engine cannot protect. WrongKey: there is no key.
            CannotWrite: the disk is full or read-only.
        """
        return Index(create_engine(place, contract, protect=protect, rotate=rotate))

    @staticmethod
    def open(place: str | Path, *, key: Key | str | Path | None = None) -> "Index":
        """Open an index; a local one checks every row against its hash.

        Args:
            key: of a protected index, or the path of its file; None: that of the environment.

        Raises:
            StoreError: no index there, or one of another format. WrongKey: the key does not fit.
            DamagedIndex: names the rows that are not as they were written.
        """
        return Index(open_engine(place, key=key))

    @staticmethod
    def found(place: str | Path) -> bool:
        """Whether there is an index at a place."""
        return index_stands(place)

    @property
    def path(self) -> Path | str:
        """The place, as it is named in messages."""
        return self.engine.path

    @property
    def contract(self) -> Contract:
        """Of the bundle whose vectors it holds, as it was when the index was created."""
        return self.engine.contract

    def close(self) -> None:
        """Release files and connections; closing twice does no harm."""
        self.engine.close()

    def __enter__(self) -> "Index":
        self.engine.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.engine.count()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the items, in the order in which they were last written (of Milvus: sorted)."""
        return self.engine.ids()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the identities, each once, sorted."""
        return self.engine.labels()

    def __contains__(self, name: str) -> bool:
        return bool(self.engine.present([name]))

    def present(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that are there: one question for thousands, not one for each."""
        return self.engine.present(ids)

    def get(self, ids: Sequence[str]) -> Embeddings:
        """Items by id, as they were added (float32), in the order asked; StoreError names an id that is missing."""
        return self.engine.get(ids)

    def blocks(self, rows: int = 4096) -> Iterator[Embeddings]:
        """All items that are neither expired nor revoked, each once; what is written meanwhile may be among them."""
        return self.engine.blocks(rows)

    def sample(self, items: int, *, seed: int = 0) -> Embeddings:
        """Random items, without repetition; all of them where there are no more."""
        return self.engine.sample(items, seed=seed)

    def add(self, embeddings: Embeddings) -> int:
        """Add items, all of a call or none; how many are new or changed. An item whose id is there is replaced.

        Adding the same again changes nothing. Each call waits for the disk: add many items at once.

        Raises:
            FingerprintMismatch: vectors of another model.
            StoreError: an id twice; a vector of a wrong length, with NaN, or not of unit length
                where the distance is the cosine; metadata that is not JSON; the disk is full or
                read-only; another process writes.
        """
        self.refuse_other(embeddings.fingerprint)
        return self.engine.put(embeddings, *check_items(self.contract, embeddings))

    def remove(self, ids: Sequence[str]) -> None:
        """Delete items by id, all or none.

        Raises:
            StoreError: an id is not there; the disk or another writer is in the way.
        """
        self.engine.remove(ids)

    def forget(self, labels: str | Sequence[str]) -> Erasure:
        """Delete one or more identities; an index in a folder also overwrites their every byte.

        Returns:
            A receipt: what was deleted, what was looked for afterwards, and what was found.

        Raises:
            UnknownLabel: a label is not there; nothing is forgotten.
            StoreError: the disk, or a process that reads, is in the way. The rows are gone; the
                next one to open the index overwrites their bytes.
        """
        wanted = each_once(labels)
        if not wanted:
            raise StoreError("nobody to forget: give at least one label")
        if missing := self.engine.unknown(wanted):
            raise self._nobody(missing[0])
        return self.engine.forget(wanted)

    def search(
        self,
        vectors: Float[np.ndarray, "q dim"],
        k: int = 10,
        *,
        where: Where | None = None,
        exact: bool = False,
    ) -> list[list[Hit]]:
        """The `k` items most like each vector, best first; fewer if fewer pass the filter.

        Scores are the contract's: larger is more alike.

        Args:
            where: only items whose metadata fit: key -> value, list, or {"min": x, "max": y}.
            exact: compare with every item; a large index may miss some otherwise.

        Raises:
            StoreError: the index is empty, a vector or the filter does not fit, no item has a key
                of the filter, `k` is below 1, or the comparison is learned.
        """
        if k < 1:
            raise StoreError(f"k is {k}: ask for at least 1 neighbour")
        if self.engine.contract.distance not in METRICS:
            raise learned(self.contract)
        filters = () if where is None else conditions(where)
        queries = check_vectors(self.engine.contract, vectors, "query {}".format)
        found = self.engine.search(queries, k, filters, exact=exact)
        if not any(found):
            self.refuse_unmatched(filters)
        return found

    def search_range(
        self, vectors: Float[np.ndarray, "q dim"], score: float, *, where: Where | None = None
    ) -> list[list[Hit]]:
        """All items whose score with a vector is at least `score` (to 12 digits), best first.

        Raises:
            StoreError: as in `search`, or the score is NaN.
        """
        if np.isnan(score):
            raise StoreError("the score is NaN, which nothing reaches: give a number")
        if self.contract.distance not in METRICS:
            raise learned(self.contract)
        filters = conditions(where)
        queries = check_vectors(self.contract, vectors, "query {}".format)
        found = self.engine.search_range(queries, score, filters)
        if not any(found):
            self.refuse_unmatched(filters)
        return found

    def search_identities(
        self,
        vectors: Float[np.ndarray, "q dim"],
        k: int = 10,
        *,
        where: Where | None = None,
        exact: bool = False,
    ) -> list[list[Hit]]:
        """The best item of each of the `k` identities most like each vector, best first; otherwise as `search`."""
        return nearest_identities(lambda n: self.search(vectors, n, where=where, exact=exact), k)

    def shortlist(
        self, vectors: Float[np.ndarray, "q dim"], items: int, *, where: Where | None = None
    ) -> list[Embeddings]:
        """The items nearest to each vector by `exact.plain`, in any order, to be compared by a learned comparison.

        Raises:
            StoreError: as in `search`, but for a learned comparison.
        """
        if items < 1:
            raise StoreError(f"a shortlist of {items} items: ask for at least 1")
        queries = check_vectors(self.contract, vectors, "query {}".format)
        found = self.engine.shortlist(queries, items, conditions(where))
        if not any(each.ids for each in found):
            self.refuse_unmatched(())
        return found

    def recall(self, k: int = 10, *, sample: int = 1000, seed: int = 0) -> Estimate:
        """How much of the exact answer `search` finds: recall@k for vectors of the index, each without itself.

        A hit counts when its score reaches the k-th best exact one. The interval is Wilson's over
        queries: wide enough, since a query's recall varies less than a coin. Errors as `search`.
        """
        chosen = self.sample(sample, seed=seed)
        return recall_of(chosen, lambda v, exact: self.search(v, k + 1, exact=exact), k=k)

    def metadata_keys(self) -> dict[str, dict[str, int]]:
        """For each key of the metadata how many items have a text, a number, "true or false" or null under it."""
        return self.engine.metadata_keys()

    def refuse_unmatched(self, filters: Sequence[Condition]) -> None:
        """Raise StoreError if nothing can be found: the index is empty, or no item can ever pass a filter."""
        if not self.engine.count(1):
            raise StoreError(f"{self.path} is empty: add or enrol somebody first")
        if filters:
            refuse_unmatched(filters, self.engine.metadata_keys(), self.path)

    @property
    def keeps_dates(self) -> bool:
        """Whether the engine keeps dates, revocations and an audit log, as an index in a folder does."""
        return self.engine.gallery is not None

    def check_dates(self) -> Gallery:
        """What keeps dates, revocations and an audit log; StoreError if the engine keeps none."""
        if self.engine.gallery is None:
            raise StoreError(
                f"{self.path} keeps no dates, no revocations "
                "and no audit log: an index in a folder does"
            )
        return self.engine.gallery

    @property
    def protected(self) -> bool:
        """Whether vectors are encrypted where they are kept."""
        self.engine.check_open()
        return self.engine.gallery is not None and self.engine.gallery.protected

    def enrol(
        self, embeddings: Embeddings, *, expires: str | date | None = None, whole: bool = False
    ) -> int:
        """`add`, recorded in the audit log; how many items are new or changed.

        Args:
            expires: from when on the items are neither found nor counted (2027-12-31, or with a
                time; UTC where it names no zone); None: never, or as it was.
            whole: replace all items of their one label.

        Raises:
            StoreError: as `add`; a label is revoked; with `whole` several labels, or another's id.
            UsageError: `expires` is not a date.
        """
        gallery, end = self.check_dates(), utc(expires)
        self.refuse_other(embeddings.fingerprint)
        vectors, metadata = check_items(self.contract, embeddings)
        if whole and len(set(embeddings.labels)) != 1:
            raise StoreError(f"{len(set(embeddings.labels))} labels: one is replaced at a time")
        return gallery.enrol(embeddings, vectors, metadata, expires=end, whole=whole)

    def enrolled(self) -> tuple[Enrolled, ...]:
        """Every identity, sorted by label: how many items it has, when it expires, since when it is revoked."""
        return self.check_dates().enrolled()

    def dates(self, ids: Sequence[str]) -> dict[str, str]:
        """From when on items are neither found nor counted, by id; an item without such a date is not among them."""
        return self.check_dates().dates(ids)

    def standing(self) -> tuple[int, int]:
        """How many identities and how many items count: neither expired nor revoked."""
        return self.check_dates().standing()

    def expire(self, labels: str | Sequence[str], when: str | date | None) -> int:
        """From when on identities are neither found nor counted; None lifts it. How many items changed.

        Raises:
            UnknownLabel: a label is not there; nothing is changed. UsageError: not a date.
        """
        return self.check_dates().expire(self.known(labels), utc(when))

    def revoke(self, labels: str | Sequence[str]) -> int:
        """Keep identities, but never match them until they are restored. How many items changed; errors as `expire`."""
        return self.check_dates().revoke(self.known(labels))

    def restore(self, labels: str | Sequence[str]) -> int:
        """Lift a revocation. How many items changed; errors as `expire`."""
        return self.check_dates().restore(self.known(labels))

    def purge(self) -> Erasure | None:
        """Erase every item that is expired, as `forget` does; None: there is none."""
        return self.check_dates().purge()

    def audit(self, label: str | None = None) -> tuple[AuditEntry, ...]:
        """The audit log, oldest first: who was enrolled, changed, forgotten, and when; names as keyed hashes.

        With a label only what concerns it, whether it is still there or not.
        """
        return self.check_dates().audit(label)

    def rekey(self, key: Key | str | Path, *, rotate: bool = False) -> None:
        """Put a protected index under another master key, whole or not at all; one without protection gets it.

        Keep the old key until this returns: if it is killed, one of the two fits.

        Args:
            key: the new one, or the path of its file.
            rotate: new keys for all subjects and a new rotation too: every vector is rewritten.

        Raises:
            WrongKey: no key there, or another process was faster.
            StoreError: the disk or another writer is in the way.
        """
        if not self.keeps_dates:
            raise StoreError(
                f"{self.path} keeps vectors as they are: only an index in a folder can be protected"
            )
        self.check_dates().rekey(find_key(key), rotate=rotate)

    def check(self, *, repair: bool = False) -> Inspection:
        """Look at everything that can be looked at; with `repair` drop what is provably damaged, and rebuild caches."""
        return self.engine.check(repair=repair)

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about caches: that one was built and why, or why there is none."""
        return self.engine.notes

    def watch(self, watch: Callable[[str, int, int], None]) -> None:
        """Call a function while a cache is built: what is done, how much of it, of how much."""
        self.engine.watch(watch)

    def refuse_other(self, fingerprint: str) -> None:
        """Raise FingerprintMismatch unless `fingerprint` is that of this index."""
        if fingerprint != self.contract.fingerprint:
            raise FingerprintMismatch(
                f"{self.path} holds vectors of model "
                f"{self.contract.fingerprint[:12]}, these are of {fingerprint[:12]}: "
                "use the bundle it was made with, or make a new index with this one"
            )

    def known(self, labels: str | Sequence[str]) -> tuple[str, ...]:
        """The labels, each once, if all are there; else UnknownLabel with the nearest name."""
        wanted, known = each_once(labels), set(self.labels)
        if missing := [label for label in wanted if label not in known]:
            raise self._nobody(missing[0])
        return wanted

    def _nobody(self, label: str) -> UnknownLabel:
        known = nearest(label, self.labels)
        return UnknownLabel(f"nobody called {label!r} is in {self.path}. {known}")

"""Index: embeddings at rest, pinned to one model (law 8), no raw input in it (law 7), whatever engine keeps them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.errors import FingerprintMismatch, StoreError, UnknownLabel, nearest
from twofold.results import AuditEntry, Embeddings, Enrolled, Erasure, Estimate, Hit, Inspection
from twofold.store.exact import METRICS, plain
from twofold.store.given import check_length, check_names, check_vectors
from twofold.store.protection.protect import Key, find_key
from twofold.store.recall import recall_of
from twofold.store.where import Condition, Where, conditions, metadata_text, refuse_unmatched

__all__ = ["Index", "best_of_each"]


class Index(ABC):
    """Vectors with ids, labels and metadata: add, remove, forget, search.

    A call that returns is kept; one that raises has changed nothing. Any number of processes may read while one writes,
    and several threads may share an index. It is a context manager. An engine is a class that fills in what is abstract
    here: names, vectors and filters that reach it were looked at.

    Attributes:
        path: the place, as it is named in messages.
        contract: of the bundle whose vectors it holds, as it was when the index was created.
    """

    path: Path | str
    contract: Contract

    # ---- places

    @staticmethod
    def create(
        place: str | Path, contract: Contract, *, protect: Key | str | Path | bool = False, rotate: bool | None = None
    ) -> "Index":
        """Make an empty index and open it.

        Args:
            place: a folder, or the address of an engine: milvus://host, milvus+file:FILE, postgresql://host/database.
            protect: encrypt vectors with this master key (`store.protection`): a key, the path of its file, or True for
                the one that the environment names. Only a folder can be protected.
            rotate: keep the vectors of a protected index under a secret rotation; None: where the distance allows it.

        Raises:
            StoreError: something stands at `place` already, or an engine cannot protect. WrongKey: there is no key.
            CannotWrite: the disk does not take it.
        """
        kept = engine(place)
        if protect is False:
            return kept.create_at(place, contract)
        return kept.protect_at(place, contract, find_key(None if protect is True else protect), rotate=rotate)

    @staticmethod
    def open(place: str | Path, *, key: Key | str | Path | None = None) -> "Index":
        """Open an index; a local one checks every row against its hash.

        Args:
            key: of a protected index, or the path of its file; None: the one that the environment names.

        Raises:
            StoreError: no index there, or one of another format. WrongKey: it is protected, and that is not its key.
            DamagedIndex: names the rows that are not as they were written.
        """
        return engine(place).open_at(place) if key is None else engine(place).unlock_at(place, find_key(key))

    @staticmethod
    def found(place: str | Path) -> bool:
        """Whether an index stands at a place."""
        return engine(place).found_at(place)

    @classmethod
    @abstractmethod
    def create_at(cls, place: str | Path, contract: Contract) -> "Index":
        """`create`, of this engine."""

    @classmethod
    @abstractmethod
    def open_at(cls, place: str | Path) -> "Index":
        """`open`, of this engine."""

    @classmethod
    def protect_at(cls, place: str | Path, contract: Contract, key: Key, *, rotate: bool | None) -> "Index":
        """`create` with protection; StoreError where the engine has none."""
        raise StoreError(f"{cls.__name__} keeps vectors as they are: only an index in a folder can be protected")

    @classmethod
    def unlock_at(cls, place: str | Path, key: Key) -> "Index":
        """`open` with a key; StoreError where the engine has no protection."""
        raise StoreError(f"{cls.__name__} keeps vectors as they are, no key opens them: leave it out")

    @classmethod
    @abstractmethod
    def found_at(cls, place: str | Path) -> bool:
        """`found`, of this engine."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections; closing twice does no harm."""

    def __enter__(self) -> "Index":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- what is in it

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def ids(self) -> tuple[str, ...]:
        """Ids of the items, in the order in which they were last written."""

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """Names of the identities, each once, sorted."""

    def __contains__(self, name: str) -> bool:
        return bool(self.present([name]))

    @abstractmethod
    def present(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that are there; asked some thousand at a time, not one by one."""

    @abstractmethod
    def get(self, ids: Sequence[str]) -> Embeddings:
        """Items by id, as they were added (vectors float32), in the order asked.

        Raises:
            StoreError: names an id that is not there.
        """

    @abstractmethod
    def blocks(self, rows: int = 4096) -> Iterator[Embeddings]:
        """All items that count (neither expired nor revoked) in blocks, each once; one that is written meanwhile may be
        among them or not.
        """

    # ---- writing

    def add(self, embeddings: Embeddings) -> int:
        """Add items; one whose id is there already is replaced. Adding the same again changes nothing.

        All items of a call are kept together or not at all, at the cost of one wait for the disk.

        Returns:
            How many items are new or changed.

        Raises:
            FingerprintMismatch: vectors of another model.
            StoreError: an id twice, a vector of a wrong length, with NaN, or without unit length where the distance is
                the cosine; metadata that is no JSON; the disk is full or read-only; another process writes. Nothing is
                added then.
        """
        return self._put(embeddings, *self._looked_at(embeddings))

    def _looked_at(self, embeddings: Embeddings) -> tuple[Float[np.ndarray, "n dim"], list[str]]:
        """The vectors as float32 and the metadata as JSON, if everything fits."""
        self.refuse_other(embeddings.fingerprint)
        check_names(embeddings)
        vectors = check_vectors(self.contract, embeddings.vectors, lambda row: repr(embeddings.ids[row]))
        check_length(self.contract, vectors, embeddings.ids)
        return vectors, metadata_text(embeddings.ids, embeddings.metadata)

    @abstractmethod
    def _put(self, embeddings: Embeddings, vectors: Float[np.ndarray, "n dim"], metadata: Sequence[str]) -> int:
        """Insert or replace items that were looked at; metadata as JSON. How many are new or changed."""

    @abstractmethod
    def remove(self, ids: Sequence[str]) -> None:
        """Delete items by id.

        Raises:
            StoreError: an id is not there (nothing is deleted then); the disk or another writer is in the way.
        """

    def forget(self, labels: str | Sequence[str]) -> Erasure:
        """Delete all of one identity or of several, and overwrite their every byte where the engine has files of ours.

        Returns:
            A receipt: what was deleted, what was looked for afterwards, and what was found.

        Raises:
            UnknownLabel: nobody of that name is there; nobody is forgotten then.
            StoreError: the disk is in the way, or another process that reads: then the rows are gone, and the bytes
                are overwritten by the next one to open the index.
        """
        wanted = (labels,) if isinstance(labels, str) else tuple(dict.fromkeys(labels))
        if not wanted:
            raise StoreError("nobody to forget: give at least one label")
        self._check_known(wanted)
        return self._forget(wanted)

    def _check_known(self, labels: Sequence[str]) -> None:
        known = self.labels
        if missing := [label for label in labels if label not in set(known)]:
            raise UnknownLabel(f"nobody called {missing[0]!r} is in {self.path}. {nearest(missing[0], known)}")

    @abstractmethod
    def _forget(self, labels: tuple[str, ...]) -> Erasure:
        """Delete and overwrite what has one of these labels, each of which is there."""

    # ---- searching

    def search(
        self, vectors: Float[np.ndarray, "q dim"], k: int = 10, *, where: Where | None = None, exact: bool = False
    ) -> list[list[Hit]]:
        """The `k` items most like each vector, best first; fewer where the index holds fewer that pass the filter.

        Scores are the contract's: larger is more alike.

        Args:
            where: only items whose metadata fit: for each key a value, a list of values, or {"min": x, "max": y}.
            exact: compare with every item, even where the index is large enough for a search that may miss one.

        Raises:
            StoreError: the index is empty, a vector or the filter does not fit, no item has a key of the filter, `k` is
                below 1, or the comparison is learned.
        """
        if k < 1:
            raise StoreError(f"k is {k}: ask for at least 1 neighbour")
        queries, filters = self._queries(vectors), conditions(where)
        return self._told(self._search(queries, self._at_most(k), filters, exact=exact), filters)

    @abstractmethod
    def _search(
        self, queries: Float[np.ndarray, "q dim"], k: int, filters: Sequence[Condition], *, exact: bool
    ) -> list[list[Hit]]:
        """`search` with arguments that were looked at; `k` is at most the number of items."""

    def search_range(
        self, vectors: Float[np.ndarray, "q dim"], score: float, *, where: Where | None = None
    ) -> list[list[Hit]]:
        """All items whose score with a vector is at least `score` (to 12 digits), best first.

        Raises:
            StoreError: as in `search`, or the score is NaN.
        """
        if np.isnan(score):
            raise StoreError("the score is NaN, which nothing reaches: give a number")
        queries, filters = self._queries(vectors), conditions(where)
        return self._told(self._search_range(queries, score, filters), filters)

    @abstractmethod
    def _search_range(
        self, queries: Float[np.ndarray, "q dim"], score: float, filters: Sequence[Condition]
    ) -> list[list[Hit]]:
        """`search_range` with arguments that were looked at."""

    def search_identities(
        self, vectors: Float[np.ndarray, "q dim"], k: int = 10, *, where: Where | None = None, exact: bool = False
    ) -> list[list[Hit]]:
        """The best item of each of the `k` identities most like each vector, best first; otherwise as `search`."""
        deep = k
        while True:
            found = self.search(vectors, deep, where=where, exact=exact)
            best = [best_of_each(hits)[:k] for hits in found]
            short = any(len(one) < k and len(hits) >= deep for one, hits in zip(best, found, strict=True))
            if not short:
                return best
            deep *= 4  # an identity with many items filled the places of others

    def shortlist(
        self, vectors: Float[np.ndarray, "q dim"], items: int, *, where: Where | None = None
    ) -> list[Embeddings]:
        """The items nearest to each vector by `plain`, in any order, for a comparison that the index does not know.

        Raises:
            StoreError: as in `search`, but for a learned comparison.
        """
        if items < 1:
            raise StoreError(f"a shortlist of {items} items: ask for at least 1")
        queries, filters = self._given(vectors), conditions(where)
        return self._shortlist(queries, self._at_most(items), filters)

    @abstractmethod
    def _shortlist(
        self, queries: Float[np.ndarray, "q dim"], items: int, filters: Sequence[Condition]
    ) -> list[Embeddings]:
        """`shortlist` with arguments that were looked at."""

    @cached_property
    def plain(self) -> Contract:
        """The contract as an engine compares: by the Euclidean distance where the comparison is learned."""
        return plain(self.contract)

    def recall(self, k: int = 10, *, sample: int = 1000, seed: int = 0) -> Estimate:
        """How much of the exact answer `search` finds: recall@k for vectors of the index, each without itself.

        A hit counts when its score reaches the k-th best exact one. The interval is Wilson's over queries, at least as
        wide as it need be, since a query's recall varies less than a coin.

        Raises:
            StoreError: as in `search`.
        """

        def search(vectors: np.ndarray, exact: bool) -> list[list[Hit]]:
            return self.search(vectors, k + 1, exact=exact)

        return recall_of(self.sample(sample, seed=seed), search, k=k)

    def sample(self, items: int, *, seed: int = 0) -> Embeddings:
        """Random items, without repetition; all of them where there are no more."""
        known = self.ids
        chosen = np.random.default_rng(seed).choice(len(known), size=min(items, len(known)), replace=False)
        return self.get([known[place] for place in np.sort(chosen)])

    @abstractmethod
    def metadata_keys(self) -> dict[str, dict[str, int]]:
        """For each key of the metadata how many items have a text, a number, "true or false" or null under it."""

    def refuse_unmatched(self, filters: Sequence[Condition]) -> None:
        """Raise StoreError where no item can ever pass a filter, with the keys that there are."""
        if filters:
            refuse_unmatched(filters, self.metadata_keys(), self.path)

    def _told(self, found: list[list[Hit]], filters: Sequence[Condition]) -> list[list[Hit]]:
        """What was found; where a filter let nothing pass, it is looked into why."""
        if not any(found):
            self.refuse_unmatched(filters)
        return found

    # ---- the life of identities: what only an index in a folder keeps

    def enrol(self, embeddings: Embeddings, *, expires: str | date | None = None, whole: bool = False) -> int:
        """`add`, told to the audit log; see LocalIndex. StoreError where the engine keeps no such thing."""
        raise self.without_life()

    def enrolled(self) -> tuple[Enrolled, ...]:
        """Every identity with its dates; see LocalIndex. StoreError where the engine keeps none."""
        raise self.without_life()

    def dates(self, ids: Sequence[str]) -> dict[str, str]:
        """When items expire; see LocalIndex. StoreError where the engine keeps no dates."""
        raise self.without_life()

    def standing(self) -> tuple[int, int]:
        """How many identities and items count; see LocalIndex. StoreError where the engine keeps no dates."""
        raise self.without_life()

    def expire(self, labels: str | Sequence[str], when: str | date | None) -> int:
        """Set the end of identities; see LocalIndex. StoreError where the engine keeps no dates."""
        raise self.without_life()

    def revoke(self, labels: str | Sequence[str]) -> int:
        """Keep identities unmatched; see LocalIndex. StoreError where the engine keeps no revocations."""
        raise self.without_life()

    def restore(self, labels: str | Sequence[str]) -> int:
        """Lift a revocation; see LocalIndex. StoreError where the engine keeps none."""
        raise self.without_life()

    def purge(self) -> Erasure | None:
        """Erase what is expired; see LocalIndex. StoreError where the engine keeps no dates."""
        raise self.without_life()

    def audit(self, label: str | None = None) -> tuple[AuditEntry, ...]:
        """The audit log; see LocalIndex. StoreError where the engine keeps none."""
        raise self.without_life()

    def rekey(self, key: Key | str | Path, *, rotate: bool = False) -> None:
        """Protect by another key; see LocalIndex. StoreError where the engine protects nothing."""
        raise StoreError(f"{self.path} keeps vectors as they are: only an index in a folder can be protected")

    def without_life(self) -> StoreError:
        """The error of an engine without dates."""
        return StoreError(f"{self.path} keeps no dates, no revocations and no audit log: an index in a folder does")

    @abstractmethod
    def check(self, *, repair: bool = False) -> Inspection:
        """Look at everything that can be looked at; with `repair` drop what is provably damaged, and rebuild caches."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about caches: that one was built and why, or why there is none."""
        return ()

    def watch(self, watch: Callable[[str, int, int], None]) -> None:  # noqa: B027 (engines without a cache build none)
        """Let a function know how far the building of a cache is: what is done, how much of it, of how much."""

    # ---- what all engines refuse alike

    def refuse_other(self, fingerprint: str) -> None:
        """Raise FingerprintMismatch unless `fingerprint` is that of this index."""
        if fingerprint != self.contract.fingerprint:
            raise FingerprintMismatch(
                f"{self.path} holds vectors of model {self.contract.fingerprint[:12]}, these are of "
                f"{fingerprint[:12]}: use the bundle it was made with, or make a new index with this one"
            )

    def _queries(self, vectors: np.ndarray) -> np.ndarray:
        if self.contract.distance not in METRICS:
            raise StoreError(
                f"{self.contract.distance} is a learned comparison, whose weights are in the bundle: "
                "search with twofold.apps.search.search(bundle, index, queries)"
            )
        return self._given(vectors)

    def _given(self, vectors: np.ndarray) -> np.ndarray:
        if not self._at_most(1):
            raise StoreError(f"{self.path} is empty: add or enrol somebody first")
        return check_vectors(self.contract, vectors, "query {}".format)

    def _at_most(self, items: int) -> int:
        """The number of items, counted no further than this: some engines count slowly."""
        return min(items, len(self))


def engine(place: str | Path) -> type[Index]:
    """The class that keeps an index at a place; engines are imported only when asked for."""
    scheme, sign, _ = str(place).partition(":")
    if scheme in ("milvus", "milvus+file") and sign:
        from twofold.store.remote.milvus import MilvusIndex

        return MilvusIndex
    if scheme in ("postgresql", "postgres") and sign:
        from twofold.store.remote.postgres import PostgresIndex

        return PostgresIndex
    if "://" in str(place):
        # the rest may hold a password
        raise StoreError(
            f"{scheme}: is not a place for an index: give a folder, milvus://, milvus+file: or postgresql://"
        )
    from twofold.store.local import LocalIndex

    return LocalIndex


def best_of_each(hits: Sequence[Hit]) -> list[Hit]:
    """The first hit of each label, in order."""
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.label, hit)
    return list(first.values())

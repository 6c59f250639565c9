"""Index: embeddings at rest, pinned to one model (law 8), with no raw input in it (law 7)."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.errors import DamagedIndex, FingerprintMismatch, StoreError, UnknownLabel, nearest
from twofold.files import new_folder
from twofold.results import Embeddings, Erasure, Hit
from twofold.store.database import TRUTH, Database, Row
from twofold.store.exact import METRICS, Exact, neighbours

__all__ = ["Index", "best_of_each"]

UNIT_TOLERANCE = 1e-3
LARGEST = 1e15  # beyond it squared distances leave float32


class Index:
    """Vectors with ids and labels in a folder: add, remove, forget, search.

    A call that returns has reached the disk; one that raises has changed nothing. Any number of processes may read
    while one writes. An index is a context manager; use it from one thread.

    Attributes:
        path: the folder.
        contract: of the bundle whose vectors it holds, as it was when the index was created.
    """

    def __init__(self, path: Path, database: Database) -> None:
        self.path = path
        self._database = database
        try:
            self._load()
            if self._erasing:
                with contextlib.suppress(StoreError):  # a reader or a read-only disk: it stays to be done
                    database.erase()
        except BaseException:
            database.close()
            raise

    @classmethod
    def create(cls, path: str | Path, contract: Contract) -> "Index":
        """Make an empty index in a new folder and open it.

        Raises:
            StoreError: something stands at `path` already.
            CannotWrite: the disk does not take it.
        """
        if (Path(path) / TRUTH).exists():
            raise StoreError(f"{path} is an index already: open it, or choose another place")
        with new_folder(path, marker=TRUTH) as folder:
            Database.create(folder, contract)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> "Index":
        """Open an index; every row is checked against its hash.

        Raises:
            StoreError: no index there, or one of a later format.
            DamagedIndex: names the rows that are not as they were written.
        """
        return cls(Path(path), Database.open(Path(path)))

    @staticmethod
    def found(path: str | Path) -> bool:
        """Whether a folder looks like an index."""
        return (Path(path) / TRUTH).is_file()

    def close(self) -> None:
        """Close the files; closing twice does no harm."""
        self._database.close()

    def __enter__(self) -> "Index":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._items().ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the items, in the order in which they were first added."""
        return tuple(self._items().ids)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the identities, each once, sorted."""
        return tuple(sorted(set(self._items().labels)))

    def __contains__(self, name: str) -> bool:
        return name in self._items().places

    def get(self, ids: Sequence[str]) -> Embeddings:
        """Items by id, as they were added (vectors float32).

        Raises:
            StoreError: names an id that is not there.
        """
        places = self._places(ids)
        return self._embeddings(self._exact, places)

    def blocks(self, rows: int = 4096) -> Iterator[Embeddings]:
        """All items in blocks, for a comparison that only the bundle can make (a learned one)."""
        items = self._items()
        for start in range(0, len(items.ids), rows):
            yield self._embeddings(items, range(start, min(start + rows, len(items.ids))))

    def add(self, embeddings: Embeddings) -> int:
        """Add items; one whose id is there already is replaced. Adding the same again changes nothing.

        Returns:
            How many items are new or changed.

        Raises:
            FingerprintMismatch: vectors of another model.
            StoreError: an id twice, a vector of a wrong length, with NaN, or without unit length where the distance is
                the cosine; the disk is full or read-only; another process writes. Nothing is added then.
        """
        self.refuse_other(embeddings.fingerprint)
        check_names(embeddings)
        vectors = check_vectors(self.contract, embeddings.vectors, [repr(name) for name in embeddings.ids])
        check_length(self.contract, vectors, embeddings.ids)
        stored = [vector.tobytes() for vector in vectors.astype("<f4")]
        rows = [Row(*row) for row in zip(embeddings.ids, embeddings.labels, stored, strict=True)]
        generation, changed = self._database.put(rows)
        if changed and generation == self._generation + 1:
            self._exact.put(embeddings.ids, embeddings.labels, vectors)
            self._generation = generation
        return changed

    def remove(self, ids: Sequence[str]) -> None:
        """Delete items by id.

        Raises:
            StoreError: an id is not there (nothing is deleted then); the disk or another writer is in the way.
        """
        self._places(ids)
        self._drop("id", ids)

    def forget(self, label: str) -> Erasure:
        """Delete all of an identity and overwrite its every byte in the index's files.

        Raises:
            UnknownLabel: nobody of that name is there.
            StoreError: the disk is in the way, or another process that reads: then the rows are gone, and the bytes
                are overwritten by the next one to open the index.
        """
        known = self.labels
        if label not in known:
            raise UnknownLabel(f"nobody called {label!r} is in {self.path}. {nearest(label, known)}")
        ids = self._drop("label", [label])
        self._database.erase()
        return Erasure(label=label, ids=tuple(ids), at=datetime.now(UTC).isoformat(timespec="seconds"))

    def search(self, vectors: Float[np.ndarray, "q dim"], k: int = 10) -> list[list[Hit]]:
        """The `k` items most like each vector, best first, exactly; fewer where the index holds fewer.

        Scores are the contract's: larger is more alike.

        Raises:
            StoreError: the index is empty, a vector does not fit, `k` is below 1, or the comparison is learned.
        """
        items = self._items()
        queries = self._queries(vectors, k)
        found = neighbours(self.contract, queries, items.vectors, k=min(k, len(items.ids)))
        return [
            [
                Hit(id=items.ids[place], label=items.labels[place], score=float(score))
                for place, score in zip(places, scores, strict=True)
            ]
            for places, scores in zip(*found, strict=True)
        ]

    def search_identities(self, vectors: Float[np.ndarray, "q dim"], k: int = 10) -> list[list[Hit]]:
        """The best item of each of the `k` identities most like each vector, best first; errors as in `search`."""
        wanted, deep = min(k, len(self.labels)), k
        while True:
            best = [best_of_each(hits)[:k] for hits in self.search(vectors, deep)]
            if all(len(hits) >= wanted for hits in best):
                return best
            deep *= 4  # an identity with many items filled the places of others

    def refuse_other(self, fingerprint: str) -> None:
        """Raise FingerprintMismatch unless `fingerprint` is that of this index."""
        if fingerprint != self.contract.fingerprint:
            raise FingerprintMismatch(
                f"{self.path} holds vectors of model {self.contract.fingerprint[:12]}, these are of "
                f"{fingerprint[:12]}: use the bundle it was made with, or make a new index with this one"
            )

    def _queries(self, vectors: np.ndarray, k: int) -> np.ndarray:
        if self.contract.distance not in METRICS:
            raise StoreError(
                f"{self.contract.distance} is a learned comparison, whose weights are in the bundle: "
                "search with twofold.apps.search.search(bundle, index, queries)"
            )
        if not self._exact.ids:
            raise StoreError(f"{self.path} is empty: add or enrol somebody first")
        if k < 1:
            raise StoreError(f"k is {k}: ask for at least 1 neighbour")
        return check_vectors(self.contract, vectors, [f"query {row}" for row in range(len(vectors))])

    def _embeddings(self, items: Exact, places: Sequence[int]) -> Embeddings:
        return Embeddings(
            ids=tuple(items.ids[place] for place in places),
            labels=tuple(items.labels[place] for place in places),
            vectors=items.vectors[list(places)],
            fingerprint=self.contract.fingerprint,
        )

    def _places(self, ids: Sequence[str]) -> list[int]:
        places = self._items().places
        if missing := [name for name in ids if name not in places]:
            raise StoreError(f"{self.path} holds no item {missing[0]!r}: look at index.ids")
        return [places[name] for name in ids]

    def _drop(self, column: Literal["id", "label"], values: Sequence[str]) -> list[str]:
        generation, ids = self._database.delete(column, values)
        if generation == self._generation + 1:
            self._exact.drop(ids)
            self._generation = generation
        return ids

    def _items(self) -> Exact:
        """The items as they are now: read again when another process has written."""
        if self._database.generation() != self._generation:
            self._load()
        return self._exact

    def _load(self) -> None:
        state, rows = self._database.load()
        contract = Contract.from_dict(json.loads(state.contract))
        if wrong := [row.id for row in rows if len(row.vector) != 4 * contract.dim]:
            raise DamagedIndex(f"{self.path}: the vector of {wrong[0]!r} has not {contract.dim} numbers")
        exact = Exact(contract.dim)
        vectors = np.frombuffer(b"".join(row.vector for row in rows), "<f4").reshape(len(rows), contract.dim)
        exact.put([row.id for row in rows], [row.label for row in rows], vectors)
        self.contract, self._exact = contract, exact
        self._generation, self._erasing = state.generation, state.erasing


def check_names(embeddings: Embeddings) -> None:
    """Refuse ids and labels that do not fit their vectors, are empty or no text, or ids that stand twice."""
    ids, labels = embeddings.ids, embeddings.labels
    if not len(ids) == len(labels) == len(embeddings.vectors):
        raise StoreError(
            f"{len(ids)} ids, {len(labels)} labels and {len(embeddings.vectors)} vectors: give one of each"
        )
    if twice := [name for name, times in Counter(ids).items() if times > 1]:
        raise StoreError(
            f"the id {twice[0]!r} stands twice in one call ({len(twice)} such ids): give each item its own"
        )
    for name in (*ids, *labels):
        try:
            wrong = not name.encode()
        except UnicodeEncodeError:
            wrong = True
        if wrong:
            raise StoreError(f"{name!r} is no id or label: give a text that is not empty and can be written as UTF-8")


def check_vectors(contract: Contract, vectors: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The vectors as float32 rows, or an error that names the first that does not fit."""
    if vectors.ndim != 2 or vectors.shape[1] != contract.dim:
        raise StoreError(f"vectors of shape {vectors.shape}: this index takes (n, {contract.dim})")
    if len(wrong := np.flatnonzero(~(np.abs(vectors) <= LARGEST).all(axis=1))):
        raise StoreError(f"the vector of {names[wrong[0]]} has NaN, infinity or more than {LARGEST:g} in it: drop it")
    if contract.distance == "cosine" and len(wrong := np.flatnonzero(~vectors.any(axis=1))):
        raise StoreError(f"the vector of {names[wrong[0]]} is all zeros, which has no direction to compare: drop it")
    return np.ascontiguousarray(vectors, dtype=np.float32)


def check_length(contract: Contract, vectors: np.ndarray, ids: Sequence[str]) -> None:
    """Refuse vectors that are not of unit length where the distance is the cosine."""
    if contract.distance != "cosine":
        return
    lengths = np.linalg.norm(vectors, axis=1)
    if len(wrong := np.flatnonzero(np.abs(lengths - 1) > UNIT_TOLERANCE)):
        raise StoreError(
            f"the vector of {ids[wrong[0]]!r} has length {lengths[wrong[0]]:.4g}: an index for the cosine keeps unit "
            "vectors, so divide each by its length (an encoder with unit_norm=true does)"
        )


def best_of_each(hits: Sequence[Hit]) -> list[Hit]:
    """The first hit of each label, in order."""
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.label, hit)
    return list(first.values())

"""Engine: the protocol of whatever keeps the rows of an index. `Index` has checked every argument before."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.results import AuditEntry, Embeddings, Enrolled, Erasure, Hit, Inspection
from twofold.store.filters import Condition
from twofold.store.protection.protect import Key

__all__ = ["Engine", "Gallery"]


@runtime_checkable
class Engine(Protocol):
    """Keeps the rows of one index and searches them.

    A call that returns is kept; one that raises has changed nothing, unless the engine says
    otherwise. Every method raises StoreError after `close`. Ties are broken by id, so that all
    engines give the same answers.
    """

    @property
    def path(self) -> Path | str:
        """The place, as it is named in messages."""
        ...

    @property
    def contract(self) -> Contract:
        """Of the bundle whose vectors it holds, as it was when the index was created."""
        ...

    @property
    def gallery(self) -> "Gallery | None":
        """What keeps dates, revocations and an audit log; None: the engine keeps none."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about caches."""
        ...

    def watch(self, watch: Callable[[str, int, int], None]) -> None:
        """Call a function while a cache is built: what is done, how much of it, of how much."""
        ...

    def close(self) -> None:
        """Release files and connections; closing twice does no harm."""
        ...

    def check_open(self) -> None:
        """Raise StoreError after `close`."""
        ...

    # ---- reading

    def count(self, most: int | None = None) -> int:
        """Number of items, counted no further than `most`: some engines count slowly."""
        ...

    def ids(self) -> tuple[str, ...]:
        """Ids of the items, in the order of their last write, if the engine knows it."""
        ...

    def labels(self) -> tuple[str, ...]:
        """Names of the identities, each once, sorted."""
        ...

    def present(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that are there."""
        ...

    def get(self, ids: Sequence[str]) -> Embeddings:
        """Items by id, in the order asked; StoreError names an id that is not there."""
        ...

    def blocks(self, rows: int) -> Iterator[Embeddings]:
        """All items that count, each once, in blocks of so many."""
        ...

    def sample(self, items: int, *, seed: int) -> Embeddings:
        """Random items without repetition; all of them where there are no more."""
        ...

    def metadata_keys(self) -> dict[str, dict[str, int]]:
        """For each key of the metadata how many items have a value of which `filters.kind`."""
        ...

    # ---- writing

    def put(
        self, embeddings: Embeddings, vectors: Float[np.ndarray, "n dim"], metadata: Sequence[str]
    ) -> int:
        """Insert items, or replace those of the same id; how many are new or changed.

        Args:
            embeddings: gives ids and labels. vectors: float32. metadata: JSON for each item.
        """
        ...

    def remove(self, ids: Sequence[str]) -> None:
        """Delete items by id, all or none; StoreError names an id that is not there."""
        ...

    def unknown(self, labels: Sequence[str]) -> list[str]:
        """Labels of which there is nothing to forget: no item, and no remains of one."""
        ...

    def forget(self, labels: tuple[str, ...]) -> Erasure:
        """Delete all of these labels, each of which is known, and overwrite what the engine's own files hold."""
        ...

    # ---- searching

    def search(
        self,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        filters: Sequence[Condition],
        *,
        exact: bool,
    ) -> list[list[Hit]]:
        """The `k` best items for each query, best first; no hits where the index is empty."""
        ...

    def search_range(
        self, queries: Float[np.ndarray, "q dim"], score: float, filters: Sequence[Condition]
    ) -> list[list[Hit]]:
        """All items that score at least `score` with a query, best first."""
        ...

    def shortlist(
        self, queries: Float[np.ndarray, "q dim"], items: int, filters: Sequence[Condition]
    ) -> list[Embeddings]:
        """The items nearest to each query by `exact.plain` of the contract."""
        ...

    def check(self, *, repair: bool) -> Inspection:
        """Look at everything that can be looked at; with `repair` drop what is provably damaged."""
        ...


@runtime_checkable
class Gallery(Protocol):
    """The life of identities: dates, revocations, an audit log and a key. Times are UTC, ISO 8601, whole seconds."""

    @property
    def protected(self) -> bool:
        """Whether vectors are encrypted."""
        ...

    def enrol(
        self,
        embeddings: Embeddings,
        vectors: Float[np.ndarray, "n dim"],
        metadata: Sequence[str],
        *,
        expires: str | None,
        whole: bool,
    ) -> int:
        """`Engine.put`, recorded in the audit log; `whole`: replaces all items of the one label."""
        ...

    def enrolled(self) -> tuple[Enrolled, ...]:
        """Every identity with its dates, sorted by label."""
        ...

    def dates(self, ids: Sequence[str]) -> dict[str, str]:
        """When items expire, by id; an item that does not is left out."""
        ...

    def standing(self) -> tuple[int, int]:
        """How many identities and items are neither expired nor revoked."""
        ...

    def expire(self, labels: Sequence[str], end: str | None) -> int:
        """Set when identities end; None: never. How many items changed."""
        ...

    def revoke(self, labels: Sequence[str]) -> int:
        """Never match identities until they are restored. How many items changed."""
        ...

    def restore(self, labels: Sequence[str]) -> int:
        """Lift a revocation. How many items changed."""
        ...

    def purge(self) -> Erasure | None:
        """Erase every item that is expired; None: there is none."""
        ...

    def audit(self, label: str | None) -> tuple[AuditEntry, ...]:
        """The audit log, oldest first; only what concerns a label, if one is given."""
        ...

    def rekey(self, key: Key, *, rotate: bool) -> None:
        """Protect the vectors by another key."""
        ...

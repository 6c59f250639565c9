"""Seals between vectors and the file: none (`Plain`), or a protection (`sealed`)."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from twofold.store.sqlite.rows import Batch, Pinned, Row

__all__ = ["Plain", "Seal"]


@runtime_checkable
class Seal(Protocol):
    """A seal between a vector and the file; called inside the transaction that writes or reads the row."""

    def seal(self, database: Any, batch: Batch) -> Sequence[bytes | bytearray]:
        """The bytes that are written for the vectors; equal for equal vectors."""
        ...

    def unseal(self, database: Any, row: Row) -> bytes:
        """The vector of a row."""
        ...

    def audit_key(self, pinned: Pinned) -> bytes:
        """The key with which labels are hashed for the audit log."""
        ...


class Plain:
    """No protection: vectors are in the file as they are."""

    def seal(self, database: Any, batch: Batch) -> Sequence[bytes | bytearray]:
        """The vectors themselves."""
        return batch.vectors

    def unseal(self, database: Any, row: Row) -> bytes:
        """The vector itself."""
        return row.vector

    def audit_key(self, pinned: Pinned) -> bytes:
        """It is kept beside the log: it hides names only from those who see the log alone."""
        return pinned.audit_key

"""What stands between a vector and the file: nothing, or a protection (`sealed`)."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from twofold.store.sqlite.rows import Batch, Pinned, Row

__all__ = ["Plain", "Seal"]


@runtime_checkable
class Seal(Protocol):
    """What stands between a vector and the file; called inside the transaction that writes or reads the row."""

    def seal(self, database: Any, batch: Batch) -> Sequence[bytes | bytearray]:
        """What is written in place of the vectors; of the same the same."""
        ...

    def unseal(self, database: Any, row: Row) -> bytes:
        """The vector of a row."""
        ...

    def audit_key(self, pinned: Pinned) -> bytes:
        """With which labels are hashed for the audit log."""
        ...


class Plain:
    """No protection: vectors stand in the file as they are."""

    def seal(self, database: Any, batch: Batch) -> Sequence[bytes | bytearray]:
        """The vectors themselves."""
        return batch.vectors

    def unseal(self, database: Any, row: Row) -> bytes:
        """The vector itself."""
        return row.vector

    def audit_key(self, pinned: Pinned) -> bytes:
        """It lies beside the log, and keeps names from those only who see the log alone."""
        return pinned.audit_key

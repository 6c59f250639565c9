"""The last acknowledged write: a number that reveals a damaged write-ahead log.

SQLite treats a log with a damaged end as torn by a power cut, and goes on without that end. So each
write stores its generation here once it is durable, without waiting for the disk. The mark can lag
behind the database, but never be ahead: then acknowledged writes are missing.
"""

import contextlib
import os
import struct
from hashlib import sha256
from pathlib import Path

from twofold.files import PRIVATE_FILE

__all__ = ["MARK", "Mark"]

MARK = "acknowledged"
NUMBER = struct.Struct("<Q")


class Mark:
    """The mark's file in an index's folder; one that cannot be written or read does not count."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MARK
        self._handle: int | None = None

    def write(self, generation: int) -> None:
        """Note that a generation is durable; without waiting for the disk."""
        number = NUMBER.pack(generation)
        try:
            if self._handle is None:
                self._handle = os.open(
                    self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), PRIVATE_FILE
                )
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.write(self._handle, number + sha256(number).digest())
        except OSError:
            pass

    def read(self) -> int:
        """The acknowledged generation; 0 if it is unknown."""
        with contextlib.suppress(OSError, struct.error):
            content = self.path.read_bytes()
            if content[8:] == sha256(content[:8]).digest():
                return NUMBER.unpack(content[:8])[0]
        return 0

    def close(self, *, remove: bool) -> None:
        """Close the file; remove it if the log was emptied, since the mark is then not needed."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if remove:
            with contextlib.suppress(OSError):
                self.path.unlink()

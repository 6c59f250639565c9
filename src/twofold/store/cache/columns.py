"""Files of rows in order, whose blocks have a SHA-256 each: checked when first read."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from twofold.errors import DamagedIndex

__all__ = ["BLOCK_ROWS", "MANIFEST", "Column", "block_hashes", "read_manifest", "sealed"]

MANIFEST = "manifest.json"
BLOCK_ROWS = 4096
"""Rows per block; every block has a hash, and a read checks the blocks that it touches."""


class Column:
    """A file with the rows of one array, read through a memory map, so that its pages do not count as our memory."""

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...], hashes: list[str]) -> None:
        self.path = path
        self.hashes = hashes
        wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
        # reading past the end of a truncated file through a map kills the process
        if (
            not path.is_file()
            or path.stat().st_size != wanted
            or len(hashes) != -(-shape[0] // BLOCK_ROWS)
        ):
            raise DamagedIndex(f"{path} is not the file of {wanted} bytes that was written")
        self.array = np.memmap(path, dtype, "r", shape=shape)
        self.checked = np.zeros(len(hashes), bool)

    def whole(self) -> np.ndarray:
        """All rows, checked, in memory; read as a file, since the pages of the map would take memory as well."""
        table = np.fromfile(self.path, self.array.dtype).reshape(self.array.shape)
        self.compare(table, range(len(self.hashes)))
        return table

    def check(self, blocks: Int[np.ndarray, "_"]) -> None:
        """Compare blocks with their hashes, each once.

        Raises:
            DamagedIndex: one is not what was written.
        """
        self.compare(self.array, blocks[~self.checked[blocks]].tolist())
        self.checked[blocks] = True

    def compare(self, table: np.ndarray, blocks: Iterable[int]) -> None:
        """`check`, with `table` as what was read."""
        for block in blocks:
            if _hash(table[block * BLOCK_ROWS : (block + 1) * BLOCK_ROWS]) != self.hashes[block]:
                raise DamagedIndex(
                    f"rows {block * BLOCK_ROWS} to {(block + 1) * BLOCK_ROWS - 1} "
                    f"of {self.path} are not as written"
                )

    def rows(self, places: Int[np.ndarray, "*n"]) -> np.ndarray:
        """These rows, checked."""
        if not self.checked.all():
            self.check(np.unique(places // BLOCK_ROWS))
        return self.array.take(places, axis=0)

    def block(self, start: int, stop: int) -> np.ndarray:
        """Consecutive rows, checked; a view."""
        self.check(np.arange(start // BLOCK_ROWS, -(-stop // BLOCK_ROWS)))
        return self.array[start:stop]


def _hash(rows: np.ndarray) -> str:
    return sha256(np.ascontiguousarray(rows).view(np.uint8).data).hexdigest()


def block_hashes(table: np.ndarray) -> list[str]:
    """SHA-256 of each block."""
    return [_hash(table[start : start + BLOCK_ROWS]) for start in range(0, len(table), BLOCK_ROWS)]


def sealed(facts: Mapping[str, Any]) -> bytes:
    """A manifest as JSON, with its own SHA-256."""
    text = json.dumps(facts, sort_keys=True)
    return json.dumps(
        {"facts": facts, "sha256": sha256(text.encode()).hexdigest()}, sort_keys=True
    ).encode()


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `sealed` wrote.

    Raises:
        DamagedIndex: it is not there, or not what was written.
    """
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
        text = json.dumps(found["facts"], sort_keys=True)
        if found["sha256"] == sha256(text.encode()).hexdigest():
            return found["facts"]
    except FileNotFoundError:
        raise DamagedIndex(f"{folder} holds no whole cache") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise DamagedIndex(f"{folder / MANIFEST} is not what was written (SHA-256)")

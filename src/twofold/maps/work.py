"""What is kept of an unfinished map: decided parts in a folder beside it, so that a run goes on after a kill."""

import contextlib
import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt16

from twofold import files
from twofold.errors import CannotWrite, UsageError
from twofold.files import claimed, explain_failure, write_atomically
from twofold.metrics.spatial import LEVELS, NOTHING
from twofold.tiling import Grid

__all__ = ["Work", "work_folder"]

KEY = "map.json"
"""Says which map the parts are of; by it, the folder is known as ours."""


def work_folder(output: Path) -> Path:
    """Where the parts of the map that goes to `output` are kept."""
    return output.with_name(output.name + ".parts")


class Work:
    """Decided rows of strips, each a file that is whole or not there.

    Attributes:
        found: how many parts an earlier run had left.
    """

    def __init__(self, folder: Path, grid: Grid) -> None:
        self.folder, self.grid = folder, grid
        self.found = sum(map(self.done, range(grid.strips)))

    @classmethod
    @contextlib.contextmanager
    def held(cls, folder: Path, grid: Grid, key: Mapping[str, Any]) -> Iterator["Work"]:
        """The folder, held for this run, with the parts of this very map or none.

        Raises:
            UsageError: another run holds it. CannotWrite: something else stands there.
        """
        there, wanted = folder / KEY, json.dumps(dict(key), sort_keys=True)
        if folder.exists() and not there.is_file() and (folder.is_file() or any(folder.iterdir())):
            raise CannotWrite(
                f"{folder} is in the way: parts of an unfinished map are kept there, and it was "
                f"not written by twofold; move it"
            )
        with explain_failure(folder):
            folder.mkdir(exist_ok=True)
        with _alone(folder):
            if not there.is_file() or there.read_text(encoding="utf-8") != wanted:
                for part in folder.iterdir():  # of another pair, model or grid
                    part.unlink()
                write_atomically(there, wanted.encode())
            yield cls(folder, grid)

    @property
    def total(self) -> int:
        """Parts of the whole map."""
        return self.grid.strips * self.grid.rows

    def done(self, strip: int) -> int:
        """How many rows of tiles of a strip are decided."""
        number = 0
        while number < self.grid.rows and self._path(strip, number).is_file():
            number += 1
        return number

    def save(self, strip: int, number: int, piece: UInt16[np.ndarray, "rows columns"]) -> None:
        """Keep a decided part.

        Raises:
            CannotWrite: the disk takes no more; parts kept before are whole.
        """
        content = zlib.compress(piece.astype("<u2").tobytes(), 1)
        write_atomically(self._path(strip, number), hashlib.sha256(content).digest() + content)

    def load(self, strip: int, number: int) -> UInt16[np.ndarray, "rows columns"]:
        """A decided part.

        Raises:
            CannotWrite: its bytes are not those that were written.
        """
        path = self._path(strip, number)
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            raise CannotWrite(f"{path} is damaged: delete {self.folder} and run the command again")
        low, high = self.grid.decided_rows(number)
        left, right = self.grid.strip_columns(strip)
        values = np.frombuffer(zlib.decompress(content[32:]), "<u2").astype(np.uint16)
        return values.reshape(high - low, right - left)

    def bands(self, height: int) -> Iterator[tuple[int, UInt16[np.ndarray, "rows width"]]]:
        """The whole map in bands of `height` rows, the last one shorter: (first row, levels)."""
        rest = np.zeros((0, self.grid.width), np.uint16)
        top = 0
        for number in range(self.grid.rows):
            parts = [self.load(strip, number) for strip in range(self.grid.strips)]
            rest = np.concatenate([rest, np.concatenate(parts, axis=1)])
            while len(rest) >= height:
                yield top, rest[:height]
                top, rest = top + height, rest[height:]
        if len(rest):
            yield top, rest

    def counts(self) -> Int64[np.ndarray, "levels"]:
        """Pixels with a value at each level, of the whole map."""
        found = np.zeros(LEVELS + 1, np.int64)
        for strip in range(self.grid.strips):
            for number in range(self.grid.rows):
                piece = self.load(strip, number)
                found += np.bincount(piece[piece != NOTHING], minlength=LEVELS + 1)
        return found

    def window(self, box: tuple[int, int, int, int]) -> UInt16[np.ndarray, "rows columns"]:
        """The levels of a box: first row and column, and one more than the last."""
        top, left, bottom, right = box
        found = np.zeros((bottom - top, right - left), np.uint16)
        for number in range(self.grid.rows):
            low, high = self.grid.decided_rows(number)
            for strip in range(self.grid.strips):
                start, end = self.grid.strip_columns(strip)
                rows, columns = (
                    (max(low, top), min(high, bottom)),
                    (max(start, left), min(end, right)),
                )
                if rows[0] < rows[1] and columns[0] < columns[1]:
                    found[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left] = (
                        self.load(strip, number)[
                            rows[0] - low : rows[1] - low, columns[0] - start : columns[1] - start
                        ]
                    )
        return found

    def remove(self) -> None:
        """Delete the parts: the map is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, strip: int, number: int) -> Path:
        return self.folder / f"part-{strip:04d}-{number:05d}"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    if files.fcntl is None:  # no such locks on this system
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(claimed(folder, wait=False))
        except BlockingIOError:
            raise UsageError(
                f"another run is at work on the parts in {folder}: wait for it, or write to "
                f"another file"
            ) from None
        yield

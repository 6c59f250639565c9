"""Files of an index with a flipped bit or a cut end, read by a process of its own: told, or answered as before?"""

import contextlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from index_calls import contract, items, vectors_of
from twofold.errors import TwofoldError
from twofold.store import Index, large
from twofold.store.cache.folder import LOCK
from twofold.store.sqlite.database import Database

__all__ = ["Case", "Stored", "answer", "stored", "unnoticed"]


class Stored(NamedTuple):
    """An index as it lies on the disk, and all that it says."""

    files: dict[str, bytes]
    truth: Any
    cached: bool


def stored(path: Path, *, cached: bool = False) -> Stored:
    """An index of 60 items, some of them in its log; with a cache, as if they were many."""
    with exact_rows(20 if cached else 1000), Index.create(path, contract(16)) as index:
        index.add(items(tuple(f"first-{number}" for number in range(40)), "first"))
        emptied(path)
        index.add(items(tuple(f"second-{number}" for number in range(20)), "second"))
        index.remove(["first-3"])
        index.search(vectors_of(("q",), ""), 5)
        entries = [
            entry
            for entry in path.rglob("*")
            if entry.is_file() and not entry.name.endswith("-shm")
        ]
        files = {str(entry.relative_to(path)): entry.read_bytes() for entry in entries}
    found = answer(path.with_suffix(".whole"), files, cached=cached)
    if found is None or found[1]:
        raise SystemExit(f"a whole index is called damaged: {found}")
    return Stored(files, found[0], cached)


@contextlib.contextmanager
def exact_rows(rows: int) -> Iterator[None]:
    """From more rows on an index has a cache."""
    usual, large.EXACT_ROWS = large.EXACT_ROWS, rows
    try:
        yield
    finally:
        large.EXACT_ROWS = usual


class Case(NamedTuple):
    """A file of an index, and what happens to it: a flipped bit or a cut end, where a number says."""

    whole: Stored
    name: str
    flip: bool
    number: int

    def spoilt(self) -> bytes:
        """The file then; an empty one is filled."""
        content, number = bytearray(self.whole.files[self.name]), self.number
        if not content:
            return np.random.default_rng(number).bytes(1 + number % 5000)
        if self.flip:
            content[number // 8 % len(content)] ^= 1 << number % 8
        else:
            del content[number % len(content) :]
        return bytes(content)

    def silent(self, folder: Path) -> bool:
        """Whether nobody is told, and the answer is another."""
        files, of_cache = (
            {**self.whole.files, self.name: self.spoilt()},
            self.name.startswith("cache"),
        )
        if self.name == LOCK:  # which nobody looks at but to build
            files = {
                name: content for name, content in files.items() if not name.startswith("cache/")
            }
        found = answer(folder, files, cached=self.whole.cached)
        if found is None:
            return of_cache  # nothing is lost with a cache: it must be built again
        return found[0] != self.whole.truth or (of_cache and not found[1])


def emptied(path: Path) -> None:
    """Move everything from the log into the database."""
    with contextlib.closing(Database.open(path)) as database:
        database.empty_log()


def unnoticed(folder: Path, cases: list[Case]) -> int:
    """How many of the cases were answered wrongly without a word; -1 where the process crashed."""
    # a fresh process: a fork of one whose threads have built a cache waits for them for ever
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(silent, folder, cases).result()
        except BrokenProcessPool:
            return -1


def silent(folder: Path, cases: list[Case]) -> int:
    """How many of the cases are answered wrongly without a word."""
    return sum(case.silent(folder) for case in cases)


def answer(folder: Path, files: dict[str, bytes], *, cached: bool) -> Any:
    """All that an index with these files says, and its notes; None where it says that it is damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    try:
        with exact_rows(20 if cached else 1000), Index.open(folder) as index:
            found = index.get(index.ids)
            asked = vectors_of(("q",), "")
            hits = [
                *index.search(asked, 5),
                *index.search(asked, 5, exact=True),
                *index.search_range(asked, -4.0),
            ]
            names = [[hit.id for hit in one] for one in hits]
            return (
                found.ids,
                found.labels,
                found.vectors.tobytes(),
                index.contract,
                names,
            ), index.notes
    except TwofoldError:
        return None

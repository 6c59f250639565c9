"""The files of a track: a table, a film with boxes, a page. They grow beside their places until the end."""

import base64
import contextlib
import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import UInt8

from twofold.errors import CannotWrite, UsageError
from twofold.files import beside, explain_failure, rename_without_replacing, sync_folder
from twofold.inputs.video_encoding import FilmWriter, check_film
from twofold.places import check_file_place, resolved
from twofold.report.track_page import Shown, track_page
from twofold.results.track import Tracked, Tracks
from twofold.tracking.drawing import annotated

__all__ = ["TrackFiles", "TrackWriter"]

COLUMNS = ("frame", "seconds", "x", "y", "w", "h", "confidence", "lost")

PAGE_SIDE = 640
"""Pixels of the longer side of the film on a page: a minute takes about three megabytes."""

PAGE_FRAMES = 9000
"""Frames of the film on a page: six minutes, some twenty megabytes. The table holds all."""


@dataclass(frozen=True, kw_only=True)
class TrackFiles:
    """Where a track goes.

    Attributes:
        table: CSV, one row per frame and object.
        film: the frames with their boxes.
        page: one HTML file with the film, and the confidence over time.
        overwrite: whether files that stand there may be replaced.
    """

    table: Path
    film: Path | None = None
    page: Path | None = None
    overwrite: bool = False

    def paths(self) -> dict[str, Path]:
        """The files that are asked for, by what they hold."""
        named = {"table": self.table, "film": self.film, "page": self.page}
        return {name: Path(path) for name, path in named.items() if path is not None}

    def check(self, source: object) -> None:
        """See that all can be written, before the work.

        Raises:
            UsageError: an ending that does not fit, or one file for two things.
            CannotWrite: a file stands there, or its folder is missing.
        """
        seen = {resolved(source): "the input"} if isinstance(source, str | Path) else {}
        for name, path in self.paths().items():
            if (other := seen.get(resolved(path))) is not None:
                raise UsageError(f"{path} is {other} and would hold the {name}: give another name")
            seen[resolved(path)] = f"the {name}"
            if name == "film":
                check_film(path)
            if name == "page":
                check_film(Path("page.mp4"))
            check_file_place(path)
            if path.exists() and not self.overwrite:
                raise CannotWrite(
                    f"{path} exists already: choose another name, or replace it with --overwrite"
                )


class TrackWriter:
    """Takes frames one by one; `commit` puts the files in their places, and without it nothing stays behind.

    Args:
        several: whether the table says which object a row is of.
        rate: frames per second.
    """

    def __init__(self, files: TrackFiles, *, several: bool, rate: float) -> None:
        self.files, self._several = files, several
        self._spares = {name: beside(resolved(path)) for name, path in files.paths().items()}
        self._clip = beside(resolved(files.page)) if files.page is not None else None
        self._rows: list[tuple[float, ...]] = []
        self._films: dict[str, FilmWriter] = {}
        with explain_failure(files.table):
            self._file: Any = self._spares["table"].open("w", newline="", encoding="utf-8")
        self._table = csv.writer(self._file, lineterminator="\n")
        self._table.writerow([*COLUMNS, "object"] if several else COLUMNS)
        if files.film is not None:
            ending = Path(files.film).suffix.lower()
            self._films["film"] = FilmWriter(self._spares["film"], kind=ending, rate=rate)
        if self._clip is not None:
            self._films["page"] = FilmWriter(self._clip, rate=rate)

    def add(self, frame: UInt8[np.ndarray, "height width 3"], found: Sequence[Tracked]) -> None:
        """One frame.

        Raises:
            CannotWrite: the disk takes no more.
        """
        with explain_failure(self.files.table):
            self._table.writerows(_row(each, several=self._several) for each in found)
        if not self._films:
            return
        drawn = annotated(frame, found)
        if (film := self._films.get("film")) is not None:
            film.add(drawn, found[0].seconds)
        if (clip := self._films.get("page")) is not None and len(self._rows) < PAGE_FRAMES:
            clip.add(_small(drawn), found[0].seconds)
            self._rows.append(
                (found[0].seconds, *(0.0 if each.lost else each.confidence for each in found))
            )

    def commit(self, result: Tracks) -> None:
        """Wait for the disk and put all files in their places."""
        self._file.close()
        for film in self._films.values():
            film.close()
        self._films = {}
        if self._clip is not None:
            film = "data:video/mp4;base64," + base64.b64encode(self._clip.read_bytes()).decode()
            shown = Shown(film=film, rows=self._rows, cut=result.frames > len(self._rows))
            with explain_failure(self.files.paths()["page"]):
                page = track_page(result, shown)
                self._spares["page"].write_bytes(page.encode("utf-8", "backslashreplace"))
        for name, path in self.files.paths().items():
            with explain_failure(path):
                self._put(self._spares[name], resolved(path))

    def _put(self, spare: Path, path: Path) -> None:
        with spare.open("rb") as file:
            os.fsync(file.fileno())
        if self.files.overwrite:
            spare.replace(path)
        else:
            rename_without_replacing(spare, path)
        sync_folder(path.parent)

    def abandon(self) -> None:
        """Leave nothing behind that was not committed."""
        self._file.close()
        for film in self._films.values():
            with contextlib.suppress(Exception):
                film.abandon()
        for spare in (*self._spares.values(), *filter(None, [self._clip])):
            with contextlib.suppress(OSError):
                spare.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(files: TrackFiles, *, several: bool, rate: float) -> Iterator[TrackWriter]:
    """A writer that leaves nothing behind unless it has committed."""
    writer = TrackWriter(files, several=several, rate=rate)
    try:
        yield writer
    finally:
        writer.abandon()


def _row(found: Tracked, *, several: bool) -> list[object]:
    box = ["" if found.lost else f"{value:.2f}" for value in found.box]
    row = [found.frame, f"{found.seconds:.3f}", *box, f"{found.confidence:.4f}", int(found.lost)]
    return [*row, found.object + 1] if several else row


def _small(frame: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "rows columns 3"]:
    height, width = frame.shape[:2]
    factor = PAGE_SIDE / max(height, width)
    if factor >= 1:
        return frame
    size = max(2, round(width * factor)), max(2, round(height * factor))
    picture = PIL.Image.fromarray(frame)
    return np.asarray(picture.resize(size, PIL.Image.Resampling.BILINEAR, reducing_gap=2.0))

"""Sequences with a box per frame: OTB and GOT-10k layouts, and films beside tables of boxes."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from twofold.data.listing import natural
from twofold.errors import DataError, NotEnoughData
from twofold.plurals import counted

__all__ = ["TrackedSequence", "found_in", "read_sequences", "write_boxes"]

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
FILMS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg"})

OTB, GOT = "groundtruth_rect.txt", "groundtruth.txt"
ABSENCE = "absence.label"
"""Of GOT-10k: a line per frame, 1 where the object is absent."""

COLUMNS = ("x", "y", "w", "h")


@dataclass(frozen=True, kw_only=True)
class TrackedSequence:
    """A sequence, by reference: no frame is decoded here.

    Attributes:
        frames: paths of its pictures in their order, or the path of one film.
        boxes: (x, y, width, height) in pixels, 0-based; NaN where the object is absent.
    """

    name: str
    frames: tuple[Path, ...] | Path
    boxes: Float[np.ndarray, "frames 4"]


def found_in(path: str | Path) -> bool:
    """Whether a folder holds sequences with boxes; nothing of them is read."""
    folder = Path(path)
    if not folder.is_dir():
        return False
    places = [folder, *(each for each in folder.iterdir() if each.is_dir())]
    if any((each / name).is_file() for each in places for name in (OTB, GOT)):
        return True
    films = (each for each in folder.iterdir() if each.suffix.lower() in FILMS)
    return any(each.with_suffix(".csv").is_file() for each in films)


def read_sequences(path: str | Path) -> list[TrackedSequence]:
    """The sequences of a folder, in the natural order of their names.

    A sequence is a folder with `img/` and `groundtruth_rect.txt` (OTB, 1-based), or with pictures
    and `groundtruth.txt` (GOT-10k, 1-based; frames that `absence.label` marks have no box), or a
    film beside a table of its name: `film.mp4` and `film.csv` with the columns x, y, w, h (0-based;
    empty where the object is absent), a row per frame. The folder may be such a sequence itself.

    Raises:
        DataError: no such folder, a box that is not four numbers, or not one box per frame.
        NotEnoughData: no sequence is there.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{path} is not a folder: give a folder of sequences")
    inside = sorted(folder.iterdir(), key=lambda each: natural(each.name))
    places = [folder, *(each for each in inside if each.is_dir())]
    found = [one for each in places if (one := _of_folder(each)) is not None]
    found += [one for each in inside if (one := _of_film(each)) is not None]
    if not found:
        raise NotEnoughData(
            f"{path} holds no sequence: {OTB} beside img/ (OTB), {GOT} beside pictures (GOT-10k), "
            f"or film.mp4 beside film.csv"
        )
    return found


def write_boxes(path: str | Path, boxes: Float[np.ndarray, "frames 4"], *, layout: str) -> None:
    """Write boxes as OTB's tools read them ("otb": 1-based, commas) or GOT-10k's ("got10k": the same, 4 digits).

    Frames without a box are written as zeros, which overlap nothing.
    """
    digits = {"otb": 2, "got10k": 4}[layout]
    shifted = np.where(np.isfinite(boxes), boxes + np.array([1, 1, 0, 0]), 0)
    lines = [",".join(f"{value:.{digits}f}" for value in row) for row in shifted]
    Path(path).write_text("\n".join(lines) + "\n")


def _of_folder(folder: Path) -> TrackedSequence | None:
    for name, pictures in ((OTB, folder / "img"), (GOT, folder)):
        if (folder / name).is_file():
            boxes = _boxes(folder / name) - np.array([1.0, 1.0, 0.0, 0.0])
            boxes[_absent(folder / ABSENCE, len(boxes)) | (boxes[:, 2:] <= 0).any(axis=1)] = np.nan
            return _checked(folder.name, _pictures(pictures), boxes)
    return None


def _of_film(path: Path) -> TrackedSequence | None:
    table = path.with_suffix(".csv")
    if path.suffix.lower() not in FILMS or not table.is_file():
        return None
    return TrackedSequence(name=path.stem, frames=path, boxes=_table(table))


def _checked(
    name: str, frames: tuple[Path, ...], boxes: Float[np.ndarray, "frames 4"]
) -> TrackedSequence:
    if len(frames) != len(boxes):
        raise DataError(
            f"{name} has {counted(len(frames), 'picture')} and "
            f"{counted(len(boxes), 'box', plural='boxes')}: one box per picture is needed"
        )
    return TrackedSequence(name=name, frames=frames, boxes=boxes)


def _pictures(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}, where the pictures of a sequence are")
    found = [each for each in folder.iterdir() if each.suffix.lower() in PICTURES]
    return tuple(sorted(found, key=lambda each: natural(each.name)))


def _boxes(path: Path) -> Float[np.ndarray, "frames 4"]:
    """Four numbers a line, between commas, tabs or blanks."""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    rows = [
        _numbers(re.split(r"[,;\s]+", line.strip()), path, n) for n, line in enumerate(lines, 1)
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _absent(path: Path, count: int) -> np.ndarray:
    if not path.is_file():
        return np.zeros(count, bool)
    marks = path.read_text().split()
    if len(marks) != count:
        raise DataError(f"{path} has {len(marks)} lines for {count} boxes")
    return np.array([mark == "1" for mark in marks])


def _table(path: Path) -> Float[np.ndarray, "frames 4"]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise DataError(f"{path} has no column {missing[0]}: x, y, w and h are needed")
        rows = [
            _numbers([row[name] or "nan" for name in COLUMNS], path, line)
            for line, row in enumerate(reader, 2)
        ]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _numbers(words: Sequence[str], path: Path, line: int) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != 4:
        raise DataError(f"{path}, line {line}: {' '.join(words)[:60]!r} is not x, y, w, h")
    return values

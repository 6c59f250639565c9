"""Scenes: two pictures of one place and a mask of what changed, as references; nothing is decoded here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from twofold.config import Split
from twofold.data import tables
from twofold.data.hashes import content_hash
from twofold.data.splits import PARTS
from twofold.errors import DataError, NotEnoughData
from twofold.plurals import counted

__all__ = ["Scenes", "found_in"]

MASKS = ("label", "labels", "mask", "masks", "GT", "gt", "OUT")
"""What public data sets call their folder of masks."""

PICTURES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")

COLUMNS = ("before", "after", "mask")

LAYOUTS = (
    "the folders A, B and label with files of the same names; OSCD's CITY/pair/img1.png, img2.png "
    "and CITY/cm; PLACE/NUMBER/im1, im2, gt; or a table with the columns before, after, mask and "
    "optionally group and part"
)


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """References to scenes: files or arrays, which the input type of a model reads.

    Attributes:
        before, after: of each scene; a tuple of files is one picture of several bands.
        mask: what changed, one band; empty where nothing is known.
        ids: a name for each scene.
        group: the place of each; a place is never split.
        part: train, valid, calibrate or test of each, where the data says it; else empty.
        notes: what should be said of them.
    """

    before: tuple[Any, ...]
    after: tuple[Any, ...]
    mask: tuple[Any, ...]
    ids: tuple[str, ...]
    group: tuple[str, ...]
    part: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_parts(self)
        sizes = {len(getattr(self, name)) for name in ("before", "after", "mask", "ids", "group")}
        if len(sizes) != 1:
            raise DataError(f"scenes need one of each for every scene, not {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def identities(self) -> list[str]:
        """The places, sorted."""
        return sorted(set(self.group))

    @property
    def identity(self) -> Int[np.ndarray, "two_per_scene"]:
        """The place of each picture, as a number: those of the first dates, then those of the second."""
        places = {name: code for code, name in enumerate(self.identities)}
        codes = [places[name] for name in self.group]
        return np.array(codes + codes, np.int64)

    def content_hashes(self) -> list[str]:
        """SHA-256 of each picture, in the order of `identity`."""
        return [_hash(value) for value in (*self.before, *self.after)]

    def take(self, places: Sequence[int]) -> "Scenes":
        """The scenes at these places."""
        parts = {
            name: tuple(getattr(self, name)[place] for place in places)
            for name in ("before", "after", "mask", "ids", "group", "part")
            if getattr(self, name)
        }
        return replace(self, **parts)

    def where(self, groups: Sequence[str]) -> "Scenes":
        """The scenes of these places."""
        wanted = set(groups)
        return self.take([n for n, name in enumerate(self.group) if name in wanted])

    def split(self, shares: Split, *, seed: int) -> dict[str, "Scenes"]:
        """Parts by place: as the data says, else drawn by chance: train, valid, calibrate and test.

        Every part that has a share gets one place or more, train first, then valid, then test.

        Raises:
            NotEnoughData: not two places.
        """
        if self.part:
            if "train" not in self.part:
                raise NotEnoughData("no scene has the part train: nothing is left to learn from")
            told = {name: [n for n, part in enumerate(self.part) if part == name] for name in PARTS}
            return {name: self.take(chosen) for name, chosen in told.items() if chosen}
        places = self.identities
        if len(places) < 2:
            raise NotEnoughData(
                f"{counted(len(self), 'scene')} of {counted(len(places), 'place')} cannot be "
                f"split: give two places or more, one to learn from and one to choose on"
            )
        order = np.random.default_rng((seed, len(places))).permutation(len(places))
        counts = _counts({name: getattr(shares, name) for name in PARTS}, len(places))
        parts, start = {}, 0
        for name in PARTS:
            chosen = [places[code] for code in order[start : start + counts[name]]]
            start += counts[name]
            if chosen:
                parts[name] = self.where(chosen)
        return parts

    @classmethod
    def open(cls, data: str | Path, *, bands: int = 3) -> "Scenes":
        """The scenes of a folder or a table, whatever its layout.

        Args:
            bands: of OSCD's layout 13 takes its single bands; any other number the coloured
                pictures.

        Raises:
            DataError: no scenes there, a picture without its partner, or no masks.
        """
        path = Path(data)
        if not path.exists():
            raise DataError(f"{path} does not exist: DATA is a folder of scenes or a table")
        found = None
        for layout in (_of_table, _of_oscd, _of_folders, _of_numbers):
            found = layout(path, bands)
            if found is not None:
                break
        if not found:
            raise DataError(f"{path} holds no scenes: give {LAYOUTS}")
        rows = zip(*sorted(found, key=lambda row: row[3]), strict=True)
        before, after, mask, ids, group, part = rows
        part = part if any(part) else ()
        return cls(before=before, after=after, mask=mask, ids=ids, group=group, part=part)


Row = tuple[Any, Any, Any, str, str, str]
"""Both dates, the mask, the name, the place and the part of a scene."""

SAME_PART = {"val": "valid", "validation": "valid", "training": "train"}
"""Other words for parts in public tables."""


def _check_parts(scenes: Scenes) -> None:
    """Refuse parts that nobody knows, and places that stand in two parts."""
    of_place: dict[str, str] = {}
    for name, place in zip(scenes.part, scenes.group, strict=bool(scenes.part)):
        if name not in PARTS:
            raise DataError(f"part {name!r} is not one of {', '.join(PARTS)}")
        if of_place.setdefault(place, name) != name:
            raise DataError(
                f"the place {place} stands in the parts {of_place[place]} and {name}: keep places "
                f"whole"
            )


def found_in(data: str | Path) -> bool:
    """Whether a folder or a table looks like scenes."""
    path = Path(data)
    if path.is_file():
        return tables.is_table(path) and set(COLUMNS[:2]) <= set(tables.read(path).columns)
    if not path.is_dir():
        return False
    folders = (path / "A").is_dir() and (path / "B").is_dir()
    return folders or bool(_pairs_of_oscd(path)) or bool(_numbered(path))


def _of_table(path: Path, bands: int) -> list[Row] | None:
    if not path.is_file():
        return None
    columns = tables.read(path).columns
    if missing := [name for name in COLUMNS if name not in columns]:
        raise DataError(
            f"{path} has no column {missing[0]}: a table of scenes has before, after, mask, and "
            f"optionally group, part and id"
        )
    rows = zip(*(columns[name] for name in COLUMNS), strict=True)
    found = []
    for place, files in enumerate(rows):
        before, after, mask = (path.parent / name for name in files)
        _check_files(f"row {place + 1} of {path}", before, after, mask)
        name = columns["id"][place] if "id" in columns else str(files[0])
        group = columns["group"][place] if "group" in columns else name
        part = next((columns[key][place] for key in ("part", "split") if key in columns), "")
        found.append((before, after, mask, name, group, SAME_PART.get(part, part)))
    return found


def _of_folders(path: Path, bands: int) -> list[Row] | None:
    """A, B and a folder of masks."""
    if not ((path / "A").is_dir() and (path / "B").is_dir()):
        return None
    masks = next((path / name for name in MASKS if (path / name).is_dir()), None)
    if masks is None:
        raise DataError(f"{path} has A and B and no masks: add a folder label ({', '.join(MASKS)})")
    before, after, mask = (_by_stem(folder) for folder in (path / "A", path / "B", masks))
    for name in sorted(before.keys() | after.keys()):
        for folder, files in ((path / "A", before), (path / "B", after), (masks, mask)):
            if name not in files:
                raise DataError(
                    f"{folder} has no {name}, which stands in {path / 'A'} or {path / 'B'}: add "
                    f"it, or remove the other files of that name"
                )
    return [(before[name], after[name], mask[name], name, name, "") for name in before]


def _of_oscd(path: Path, bands: int) -> list[Row] | None:
    """CITY/pair/img1.png, img2.png, or CITY/imgs_1_rect, imgs_2_rect; masks in CITY/cm, of another folder perhaps."""
    pairs = _pairs_of_oscd(path)
    if not pairs:
        return None
    masks = {each.parent.name: each for depth in DEPTHS for each in path.glob(f"{depth}cm")}
    found, without = [], 0
    for city, pair in sorted(pairs.items()):
        mask = _mask_of_oscd(masks[city], city) if city in masks else None
        if mask is None:
            without += 1
            continue
        before, after = pair / "img1.png", pair / "img2.png"
        if bands == len(BANDS):
            folders = [pair.parent / f"imgs_{date}_rect" for date in (1, 2)]
            before, after = (tuple(each / f"{band}.tif" for band in BANDS) for each in folders)
        _check_files(city, *(before if isinstance(before, tuple) else (before,)))
        _check_files(city, *(after if isinstance(after, tuple) else (after,)))
        found.append((before, after, mask, city, city, ""))
    if not found:
        raise DataError(
            f"{path} has {counted(without, 'pair')} of pictures and no masks: add CITY/cm/cm.png "
            f"(OSCD keeps them in an archive of their own)"
        )
    return found


DEPTHS = ("*/", "*/*/")
BANDS = tuple(
    f"B{name}"
    for name in ["01", "02", "03", "04", "05", "06", "07", "08", "8A", "09", "10", "11", "12"]
)
"""OSCD's files of single bands, in the order of Sentinel-2."""


def _pairs_of_oscd(path: Path) -> dict[str, Path]:
    found = (each for depth in DEPTHS for each in path.glob(f"{depth}pair"))
    return {each.parent.name: each for each in found if (each / "img1.png").is_file()}


def _mask_of_oscd(folder: Path, city: str) -> Path | None:
    """The mask with the values 1 and 2; cm.png is made for looking at, and one of them has values in between."""
    names = (f"{city}-cm.tif", "cm.tif", "cm.png")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _of_numbers(path: Path, bands: int) -> list[Row] | None:
    """PLACE/NUMBER/im1, im2 and gt, as in SZTAKI's AirChange; each number is a place of its own."""
    rows = []
    for folder in _numbered(path):
        files = _by_stem(folder)
        name = folder.relative_to(path).as_posix()
        for wanted in ("im1", "im2", "gt"):
            if wanted not in files:
                raise DataError(f"{folder} has no {wanted}: it has {', '.join(sorted(files))}")
        rows.append((files["im1"], files["im2"], files["gt"], name, name, ""))
    return rows or None


def _numbered(path: Path) -> list[Path]:
    found = {each.parent for depth in DEPTHS for each in path.glob(f"{depth}im1.*")}
    return sorted(found)


def _by_stem(folder: Path) -> dict[str, Path]:
    return {
        each.stem: each
        for each in sorted(folder.iterdir())
        if each.suffix.lower() in PICTURES and each.is_file()
    }


def _check_files(where: str, *files: Path) -> None:
    for each in files:
        if not each.is_file():
            raise DataError(f"{where}: {each} is missing")


def _hash(value: Any) -> str:
    if isinstance(value, tuple):
        return content_hash("".join(map(_hash, value)))
    return content_hash(value)


def _counts(shares: dict[str, float], places: int) -> dict[str, int]:
    """Places of each part: by share, one at least where there is a share and there are enough places."""
    wanted = [name for name in ("train", "valid", "test", "calibrate") if shares[name] > 0]
    whole = sum(shares[name] for name in wanted)
    counts = dict.fromkeys(shares, 0)
    for name in wanted[1:places]:
        counts[name] = max(1, round(places * shares[name] / whole))
    while sum(counts.values()) > places - 1:
        largest = max(counts, key=lambda name: counts[name])
        counts[largest] -= 1
    counts["train"] = places - sum(counts.values())
    return counts

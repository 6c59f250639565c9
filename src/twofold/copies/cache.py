"""What a search for copies keeps for the next one, by content, so that files may be renamed and moved."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from twofold.bundle import Bundle
from twofold.copies.judge import Verdict
from twofold.copies.reading import Collection, Seen
from twofold.errors import BundleError, FingerprintMismatch, NewerFormat
from twofold.files import check_replaceable, new_folder
from twofold.inputs import Input
from twofold.strict_json import plain_object

__all__ = ["MARKER", "Cache", "load_cache", "save_cache"]

MARKER = "dedup.json"
FORMAT = 2
"""Of the folder; 1 was kept by names."""

JUDGE = 3
"""Version of the judge's rule: verdicts of another version are not used. Raise it with every change
of the rule."""

PLAIN = ("pixels", "size", "time", "stamp", "frames", "box", "light", "sharpness")

Known = dict[str, tuple[Seen, np.ndarray | None]]


@dataclass(kw_only=True)
class Cache:
    """Contents that were read, with their vectors; verdicts about pairs of contents; and a note for the user."""

    known: Known = field(default_factory=dict)
    verdicts: dict[tuple[str, str], Verdict] = field(default_factory=dict)
    note: str | None = None


def _kind(reader: Input | Bundle) -> str:
    if isinstance(reader, Bundle):
        return reader.fingerprint
    return f"{reader.name} {reader.version} {reader.arguments()}"


def load_cache(path: str | Path | None, reader: Input | Bundle, *, mirrored: bool = False) -> Cache:
    """What earlier calls have kept; nothing if there is no cache yet.

    Verdicts are used only if the same rule made them, with the same choice about mirror images.

    Raises:
        BundleError: the folder is something else. NewerFormat: a later version wrote it.
        FingerprintMismatch: it was made with another model or reader.
    """
    if path is None:
        return Cache()
    folder = Path(path)
    check_replaceable(folder.resolve(), MARKER)
    if not (folder / MARKER).exists():
        return Cache()
    try:
        told = plain_object((folder / MARKER).read_text(encoding="utf-8"))
        if told["format"] > FORMAT:
            raise NewerFormat(
                f"{path} has format {told['format']}, this twofold reads {FORMAT}: update twofold"
            )
        if told["format"] < FORMAT:
            return Cache(
                note=f"{path} was kept by an older version, by names: everything is read anew"
            )
        if told["reader"] != _kind(reader):
            raise FingerprintMismatch(
                f"{path} was made by another model or reader: "
                "name another folder, or delete this one"
            )
        return _restored(folder, told, verdicts=_rule(mirrored=mirrored))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BundleError(
            f"{path} is not a cache of an earlier dedup ({error}): name another, or a new place"
        ) from None


def _rule(*, mirrored: bool) -> list[Any]:
    return [JUDGE, mirrored]


def _restored(folder: Path, told: dict[str, Any], *, verdicts: list[Any]) -> Cache:
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in told["arrays"]}
    contents, facts = told["contents"], told["facts"]
    known: Known = {}
    for place, (content, each) in enumerate(zip(contents, facts, strict=True)):
        plane, inner = told["planes"][place], told["inner"][place]
        each["box"] = tuple(each["box"])
        seen = Seen(
            content=content,
            plane=None if plane is None else arrays["planes"][plane],
            inner=None if inner is None else arrays["inners"][inner],
            **each,
        )
        known[content] = (seen, arrays["vectors"][place] if "vectors" in arrays else None)
    same = told.get("rule") == verdicts
    taken = {
        (contents[one], contents[other]): Verdict(says=says, score=score)
        for one, other, says, score in (told["verdicts"] if same else ())
    }
    return Cache(known=known, verdicts=taken)


def save_cache(
    path: str | Path,
    reader: Input | Bundle,
    found: Collection,
    *,
    old: Known,
    verdicts: Mapping[tuple[str, str], Verdict],
    mirrored: bool = False,
) -> None:
    """Write what is known now, and as many entries again of files that are gone; whole or not at all."""
    known: Known = {
        seen.content: (seen, None if found.vectors is None else found.vectors[place])
        for place, seen in enumerate(found.seen)
    }
    spare = [content for content in old if content not in known][-max(len(known), 1000) :]
    known |= {content: old[content] for content in spare}
    place = {content: number for number, content in enumerate(known)}
    planes, inners = (
        [getattr(seen, name) for seen, _ in known.values()] for name in ("plane", "inner")
    )
    arrays = {"planes": _stacked(planes), "inners": _stacked(inners)}
    if known and all(vector is not None for _, vector in known.values()):
        arrays["vectors"] = np.stack([vector for _, vector in known.values() if vector is not None])
    told = {
        "format": FORMAT,
        "reader": _kind(reader),
        "rule": _rule(mirrored=mirrored),
        "contents": list(known),
        "facts": [{name: getattr(seen, name) for name in PLAIN} for seen, _ in known.values()],
        "planes": _numbers(planes),
        "inner": _numbers(inners),
        "verdicts": [
            [place[one], place[other], *asdict(each).values()]
            for (one, other), each in verdicts.items()
            if one in place and other in place
        ],
        "arrays": sorted(arrays),
    }
    with new_folder(path, marker=MARKER, private=True) as folder:
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        (folder / MARKER).write_text(json.dumps(told, allow_nan=False), encoding="utf-8")


def _stacked(planes: list[np.ndarray | None]) -> np.ndarray:
    there = [plane for plane in planes if plane is not None]
    return np.stack(there) if there else np.zeros((0, 64, 64), np.uint8)


def _numbers(planes: list[np.ndarray | None]) -> list[int | None]:
    """The row of each one's plane, None if it has none."""
    count = iter(range(len(planes)))
    return [None if plane is None else next(count) for plane in planes]

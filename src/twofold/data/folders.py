"""A folder of sub-folders, one an identity, as a listing. Files are named, never opened."""

import os
from dataclasses import replace
from pathlib import Path

from twofold.data.listing import Listing, natural, some
from twofold.errors import DataError, NotEnoughData, UsageError
from twofold.printable import utf8_name

__all__ = ["FORGERY_ENDINGS", "levels_of", "scan"]

FORGERY_ENDINGS = ("_forg", "_forged", "_forgery")

LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin"})
"""Files and folders that Windows, macOS and network disks leave among pictures (lower case); none is ever an item."""


def scan(path: Path, levels: int, suffixes: frozenset[str] | None) -> Listing:
    """List a folder whose sub-folders are identities.

    Hidden files and folders, and what systems leave behind (Thumbs.db), are skipped. The order is natural (s2 before
    s10) and does not depend on the file system.

    Args:
        path: the folder.
        levels: 1: `identity/file`; 2: `group/identity/file`, with "group/identity" as the identity's name; 0: files at
            any depth, which nobody has labelled, so that each stands for itself.
        suffixes: lower-case endings (".png") that count; None: every regular file counts.

    Raises:
        DataError: there is no such folder.
        NotEnoughData: no file stands where it should; says what stands there instead.
    """
    if levels not in (0, 1, 2):
        raise UsageError(f"levels={levels}: it is 1 (identity/file), 2 (group/identity/file) or 0 (no labels)")
    if not path.is_dir():
        raise DataError(f"{path} is no folder: give a folder with one sub-folder an identity")
    if levels == 0:
        return _unlabelled(path, suffixes)
    found: list[tuple[str, str]] = []
    strays: list[str] = []
    empty: list[str] = []
    for folder in _identity_folders(path, levels, strays=strays):
        files = _files(path, folder, suffixes=suffixes, strays=strays)
        if not files:
            empty.append(f"{folder}/")
        found.extend((folder, file) for file in files)
    if not found:
        raise NotEnoughData(_nothing_found(path, levels))
    listing = _listing(path, levels, found)
    return replace(listing, strays=tuple(strays), notes=(*listing.notes, *_without_files(empty)))


def levels_of(path: Path) -> int:
    """0 for a folder of nothing but files, which have no labels; 1 for one with sub-folders."""
    folders, others = _entries(path)
    return 0 if others and not folders else 1


def _unlabelled(path: Path, suffixes: frozenset[str] | None) -> Listing:
    found: list[str] = []
    strays: list[str] = []
    folders = [""]
    while folders:
        here = folders.pop()
        inner, _ = _entries(path / here)
        folders += [f"{here}{name}/" for name in reversed(inner)]
        for file in _files(path, here.removesuffix("/") or ".", suffixes=suffixes, strays=strays):
            found.append(file.removeprefix("./"))
    # what lies in a sub-folder was taken, too
    strays = [name.removeprefix("./") for name in strays if not name.endswith("/")]
    if not found:
        raise NotEnoughData(f"{path} and its sub-folders hold no file that counts: give a folder with files")
    names = _as_text(tuple(found))
    return Listing(
        values=tuple(path / file for file in found),
        ids=names,
        labels=names,
        identities=names,
        strays=tuple(strays),
        notes=(f"{len(names)} files without labels",),
    )


def _as_text(names: tuple[str, ...]) -> tuple[str, ...]:
    r"""Names as they can be stored: a byte that is not UTF-8 as \xNN, as long as no two names become one."""
    text = tuple(map(utf8_name, names))
    if text != names and len(set(text)) < len(set(names)):
        known: dict[str, str] = {}
        one = next(name for name, shown in zip(names, text, strict=True) if known.setdefault(shown, name) != name)
        raise DataError(f"two names would both be stored as {utf8_name(one)!r}, one of them is not UTF-8: rename it")
    return text


def _without_files(folders: list[str]) -> list[str]:
    if len(folders) <= 1:
        return [f"{folder} holds no file that counts" for folder in folders]
    named = ", ".join(folders[:3]) + (", ..." if len(folders) > 3 else "")
    return [f"{len(folders)} folders hold no file that counts: {named}"]


def _entries(path: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of all else in a folder, hidden ones left out, in natural order."""
    folders, others = [], []
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name.lower() not in LEFT_BY_SYSTEMS:
                (folders if entry.is_dir() else others).append(entry.name)
    return sorted(folders, key=natural), sorted(others, key=natural)


def _identity_folders(path: Path, levels: int, *, strays: list[str], above: str = "") -> list[str]:
    folders, others = _entries(path / above)
    strays.extend(above + name for name in others)
    here = [above + name for name in folders]
    if levels == 1:
        return here
    return [
        inner for folder in here for inner in _identity_folders(path, levels - 1, strays=strays, above=folder + "/")
    ]


def _files(root: Path, folder: str, *, suffixes: frozenset[str] | None, strays: list[str]) -> list[str]:
    deeper, others = _entries(root / folder)
    strays.extend(f"{folder}/{name}/" for name in deeper)
    files = []
    for name in others:
        counts = suffixes is None or os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122 (10 times as fast)
        # a socket or a broken link is no file
        if counts and os.path.isfile(root / folder / name):  # noqa: PTH113
            files.append(f"{folder}/{name}")
        else:
            strays.append(f"{folder}/{name}")
    return files


def _nothing_found(path: Path, levels: int) -> str:
    folders, others = _entries(path)
    wanted = "identity/file" if levels == 1 else "group/identity/file"
    start = f"{path} holds no file as {wanted} (levels={levels})"
    if folders and levels == 1 and any(_entries(path / folder)[0] for folder in folders):
        return f"{start}, but its sub-folders hold folders: for group/identity/file give levels=2"
    if folders and levels == 2 and any(_entries(path / folder)[1] for folder in folders):
        return f"{start}, but its sub-folders hold files: for identity/file give levels=1"
    tables = [name for name in others if name.endswith((".csv", ".tsv", ".parquet"))]
    if tables:
        return f"{start}, but tables ({some(tables)}): give the path of the table itself"
    seen = f"{len(folders)} sub-folders and {len(others)} files in it"
    return f"{start}: there are {seen}. Put the files of each identity into a sub-folder of its name"


def _writer(folder: str, folders: set[str]) -> str | None:
    """The identity that a folder X_forg next to X imitates; None for a folder of genuine files."""
    for ending in FORGERY_ENDINGS:
        writer = folder.removesuffix(ending)
        if writer != folder and writer in folders:
            return writer
    return None


def _listing(path: Path, levels: int, found: list[tuple[str, str]]) -> Listing:
    folders = {folder for folder, _ in found}
    writers = {folder: _writer(folder, folders) for folder in folders}
    forgeries = sum(writers[folder] is not None for folder, _ in found)
    identities = _as_text(tuple(writers[folder] or folder for folder, _ in found))
    said = [f"{len(found)} files of {len(set(identities))} identities, as {'group/' * (levels - 1)}identity/file"]
    if forgeries:
        forged = sorted((folder for folder in folders if writers[folder]), key=natural)
        said.append(
            f"{forgeries} files are forgeries of the identity that their folder is named after ({some(forged)})"
        )
    return Listing(
        values=tuple(path / file for _, file in found),
        ids=_as_text(tuple(file for _, file in found)),
        labels=tuple(None if writers[folder] else utf8_name(folder) for folder, _ in found),
        identities=identities,
        groups=_as_text(tuple(folder.split("/")[0] for folder, _ in found)) if levels == 2 else None,
        notes=tuple(said),
    )

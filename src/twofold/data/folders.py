"""A folder with one sub-folder per identity as a listing. Files are named, never opened."""

import os
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

from twofold.data.listing import Listing, natural, some
from twofold.errors import DataError, LeftOut, NotEnoughData, UsageError
from twofold.plurals import counted
from twofold.printable import utf8_name

__all__ = ["FORGERY_ENDINGS", "levels_of", "refuse_products", "scan"]

FORGERY_ENDINGS = ("_forg", "_forged", "_forgery")

LEFT_BY_SYSTEMS = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin"}
)
"""Files and folders that Windows, macOS and network disks leave among pictures (lower case); none is ever an item."""

PRODUCTS = {
    ("manifest.json", "bundle.json"): "a bundle (a trained model)",
    ("truth.sqlite",): "an index",
}
"""What twofold writes, by the files that are in its folder."""


def scan(path: Path, levels: int, suffixes: frozenset[str] | None) -> Listing:
    """List a folder whose sub-folders are identities.

    Hidden files and folders, and what systems leave behind (Thumbs.db), are skipped. The order is
    natural (s2 before s10) and does not depend on the file system. A link to a folder elsewhere is
    followed once. A folder that may not be read, and a link that leads back into the data or in a
    circle, is left out with a warning, `LeftOut`.

    Args:
        path: the folder.
        levels: 1: `identity/file`; 2: `group/identity/file`, with "group/identity" as the
            identity's name; 0: files at any depth, which nobody has labelled, so that each stands
            for itself.
        suffixes: lower-case endings (".png") that count; None: every regular file counts.

    Raises:
        DataError: there is no such folder, or it may not be read.
        NotEnoughData: no file stands where it should; says what stands there instead.
    """
    if levels not in (0, 1, 2):
        raise UsageError(
            f"levels is {levels}: it is 1 (identity/file), 2 (group/identity/file) or 0 (no labels)"
        )
    if not path.is_dir():
        raise DataError(f"{path} is not a folder: give a folder with one sub-folder per identity")
    walk = _Walk(path, suffixes)
    listing = _unlabelled(walk) if levels == 0 else _labelled(walk, levels)
    if walk.closed:
        count = counted(len(walk.closed), "folder or link", "is", plural="folders and links")
        warnings.warn(f"{count} left out of {path}: {some(walk.closed)}", LeftOut, stacklevel=4)
    return listing


def refuse_products(path: Path) -> None:
    """Raise DataError for a folder that twofold wrote, whose files are not data."""
    for names, product in PRODUCTS.items():
        if all((path / name).is_file() for name in names):
            raise DataError(
                f"{path} is {product}, not data: give the folder or the table of your files as DATA"
            )


def levels_of(path: Path) -> int:
    """0 for a folder of nothing but files, which have no labels; 1 for one with sub-folders."""
    folders, others = _Walk(path).entries("")
    return 0 if others and not folders else 1


@dataclass
class _Walk:
    """A way through the folders below `root`, and what is left out on it.

    Attributes:
        suffixes: endings that count; None: all.
        strays: what is not where items are. closed: folders and links that cannot be followed, with
            the reason.
        followed: where the links led that were followed, so that none is followed twice.
    """

    root: Path
    suffixes: frozenset[str] | None = None
    strays: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    followed: set[Path] = field(default_factory=set)

    def entries(self, folder: str) -> tuple[list[str], list[str]]:
        """Names of the folders and of all else in a folder, hidden ones left out, in natural order.

        Raises:
            DataError: the root itself may not be read; another folder is noted and empty.
        """
        folders, others = [], []
        try:
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.name.lower() not in LEFT_BY_SYSTEMS:
                        (folders if self._is_folder(entry, folder) else others).append(entry.name)
        except OSError as error:
            said = error.strerror or str(error)
            if not folder:
                raise DataError(
                    f"{self.root} cannot be read ({said}): check its permissions"
                ) from None
            self._leave(f"{folder.rstrip('/')}/ ({said})")
        return sorted(folders, key=natural), sorted(others, key=natural)

    def folders(self, above: str = "") -> list[str]:
        """Paths of the folders in a folder that can be followed; other things there are strays."""
        folders, others = self.entries(above)
        self.strays.extend(above + name for name in others)
        return [above + name for name in folders if self.follows(above + name)]

    def follows(self, folder: str) -> bool:
        """Whether to go into a folder: not into a link to what is in the data already, or was followed before."""
        path = self.root / folder
        if not path.is_symlink():
            return True
        root, target = self.root.resolve(), path.resolve()
        above = root.is_relative_to(target)
        within = target.is_relative_to(root) and not any(
            part.startswith(".") for part in target.relative_to(root).parts
        )
        if within or above or target in self.followed:
            self._leave(
                f"{folder} (a link to "
                f"{'a folder above' if above else 'a folder that is in the data already'})"
            )
            return False
        self.followed.add(target)
        return True

    def files(self, folder: str) -> list[str]:
        """Paths of the files in a folder that count; other things there are strays."""
        deeper, others = self.entries(folder)
        self.strays.extend(f"{folder}/{name}/" for name in deeper)
        return self.counted(f"{folder}/", others)

    def counted(self, before: str, names: list[str]) -> list[str]:
        """Those of the names in a folder that are files and count, as paths."""
        files = []
        for name in names:
            path = f"{before}{name}"
            counts = self.suffixes is None or os.path.splitext(name)[1].lower() in self.suffixes  # noqa: PTH122 (10 times as fast)
            # a socket or a broken link is not a file
            (files if counts and os.path.isfile(self.root / path) else self.strays).append(path)  # noqa: PTH113
        return files

    def _is_folder(self, entry: os.DirEntry[str], above: str) -> bool:
        try:
            return entry.is_dir()
        except OSError as error:  # links that lead in a circle
            self._leave(f"{above.rstrip('/')}/{entry.name} ({error.strerror or error})".lstrip("/"))
            return False

    def _leave(self, said: str) -> None:
        if said not in self.closed:
            self.closed.append(said)


def _labelled(walk: _Walk, levels: int) -> Listing:
    found: list[tuple[str, str]] = []
    empty: list[str] = []
    folders = walk.folders()
    if levels == 2:
        folders = [inner for folder in folders for inner in walk.folders(folder + "/")]
    for folder in folders:
        files = walk.files(folder)
        if not files:
            empty.append(f"{folder}/")
        found.extend((folder, file) for file in files)
    if not found:
        raise NotEnoughData(_nothing_found(walk.root, levels))
    closed = {name.split("/ (")[0] + "/" for name in walk.closed}
    listing = _listing(walk.root, levels, found)
    notes = _without_files([name for name in empty if name not in closed])
    return replace(listing, strays=tuple(walk.strays), notes=(*listing.notes, *notes))


def _unlabelled(walk: _Walk) -> Listing:
    found: list[str] = []
    waiting = [""]
    while waiting:
        here = waiting.pop()
        inner, others = walk.entries(here)
        deeper = [f"{here}{name}/" for name in inner if walk.follows(here + name)]
        waiting += reversed(deeper)
        found += walk.counted(here, others)
    if not found:
        raise NotEnoughData(
            f"{walk.root} and its sub-folders hold no file that counts: give a folder with files"
        )
    names = _as_text(tuple(found))
    return Listing(
        values=tuple(walk.root / file for file in found),
        ids=names,
        labels=names,
        identities=names,
        strays=tuple(walk.strays),
        notes=(counted(len(names), "file") + " without labels",),
    )


def _as_text(names: tuple[str, ...]) -> tuple[str, ...]:
    r"""Names as they can be stored: a byte that is not UTF-8 as \xNN, as long as no two names become one."""
    text = tuple(map(utf8_name, names))
    if text != names and len(set(text)) < len(set(names)):
        known: dict[str, str] = {}
        one = next(
            name
            for name, shown in zip(names, text, strict=True)
            if known.setdefault(shown, name) != name
        )
        raise DataError(
            f"two names would both be stored as {utf8_name(one)!r}, one of them is not UTF-8: "
            f"rename it"
        )
    return text


def _without_files(folders: list[str]) -> list[str]:
    if len(folders) <= 1:
        return [f"{folder} holds no file that counts" for folder in folders]
    named = ", ".join(folders[:3]) + (", ..." if len(folders) > 3 else "")
    return [f"{len(folders)} folders hold no file that counts: {named}"]


def _nothing_found(path: Path, levels: int) -> str:
    walk = _Walk(path)
    folders, others = walk.entries("")
    wanted = "identity/file" if levels == 1 else "group/identity/file"
    start = f"{path} holds no file as {wanted} (--levels {levels})"
    if folders and levels == 1 and any(walk.entries(folder)[0] for folder in folders):
        return f"{start}, but its sub-folders hold folders: for group/identity/file give --levels 2"
    if folders and levels == 2 and any(walk.entries(folder)[1] for folder in folders):
        return f"{start}, but its sub-folders hold files: for identity/file give --levels 1"
    tables = [name for name in others if name.endswith((".csv", ".tsv", ".parquet"))]
    if tables:
        return f"{start}, but tables ({some(tables)}): give the path of the table itself"
    seen = f"{counted(len(folders), 'sub-folder')} and {counted(len(others), 'file')} in it"
    return f"{start}: it has {seen}. Put the files of each identity into a sub-folder of its name"


def _writer(folder: str, folders: set[str]) -> str | None:
    """The identity that a folder X_forg next to X imitates; None for a folder of genuine files."""
    for ending in FORGERY_ENDINGS:
        writer = folder.removesuffix(ending)
        if writer != folder and writer in folders:
            return writer
    return None


def _bereft(folder: str, folders: set[str]) -> bool:
    """Whether a folder is named X_forg, and there is no X."""
    return folder.endswith(FORGERY_ENDINGS) and _writer(folder, folders) is None


def _listing(path: Path, levels: int, found: list[tuple[str, str]]) -> Listing:
    folders = {folder for folder, _ in found}
    writers = {folder: _writer(folder, folders) for folder in folders}
    forgeries = sum(writers[folder] is not None for folder, _ in found)
    identities = _as_text(tuple(writers[folder] or folder for folder, _ in found))
    counts = f"{counted(len(found), 'file')} of {counted(len(set(identities)), 'identity')}"
    said = [f"{counts}, as {'group/' * (levels - 1)}identity/file"]
    if forgeries:
        forged = sorted((folder for folder in folders if writers[folder]), key=natural)
        said.append(
            f"{forgeries} of the files are forgeries of the identity that their folder is named "
            f"after ({some(forged)})"
        )
    alone = sorted((folder for folder in folders if _bereft(folder, folders)), key=natural)
    if alone:
        said.append(
            f"{some(alone)}: named like forgeries, but no genuine folder of that name stands beside "
            f"{'it' if len(alone) == 1 else 'them'}, so the files count as genuine ones of a writer "
            "of their own: add the genuine folder, or leave them out"
        )
    return Listing(
        values=tuple(path / file for _, file in found),
        ids=_as_text(tuple(file for _, file in found)),
        labels=tuple(None if writers[folder] else utf8_name(folder) for folder, _ in found),
        identities=identities,
        groups=_as_text(tuple(folder.split("/")[0] for folder, _ in found))
        if levels == 2
        else None,
        notes=tuple(said),
    )

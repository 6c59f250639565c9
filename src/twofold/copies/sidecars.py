"""Sidecar files: edits, keywords and previews that are of no use without their picture."""

from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["ENDINGS", "sidecars"]

ENDINGS = (".xmp", ".aae", ".thm", ".pp3", ".dop", ".json")
"""Endings used by Adobe, Apple, cameras, RawTherapee, DxO and Google's exports."""


def sidecars(files: Sequence[Path]) -> list[Path]:
    """The sidecars of these files: `a.jpg.xmp` of `a.jpg`; and `a.xmp`, if no other file named `a` stays.

    They lie in the folder of their file. Links and folders are left out.
    """
    found: dict[Path, None] = {}
    for folder in {file.parent: None for file in files}:
        names = sorted(
            entry.name for entry in folder.iterdir() if entry.is_file() and not entry.is_symlink()
        )
        going = {file.name for file in files if file.parent == folder}
        staying = {Path(name).stem for name in names if name not in going and not _is_sidecar(name)}
        for name in names:
            if _is_sidecar(name) and name not in going and _belongs(name, going, staying):
                found[folder / name] = None
    return list(found)


def _is_sidecar(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def _belongs(name: str, going: Iterable[str], staying: set[str]) -> bool:
    of = Path(name).stem  # a.jpg of a.jpg.xmp, a of a.xmp
    # also a.jpg.supplemental-metadata.json
    whole = of in going or any(of.startswith(f"{each}.") for each in going)
    return whole or (of not in staying and of in {Path(each).stem for each in going})

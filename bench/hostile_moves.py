"""Arguments that changed places, and files with odd names that decisions move away and back."""

import itertools
import shutil
from pathlib import Path

import numpy as np

from hostile_world import World
from twofold.copies.trash import TRASH, apply_decisions
from twofold.printable import utf8_name

__all__ = ["moved_and_back", "swapped_words"]

Chance = np.random.Generator


def swapped_words(words: tuple[str, ...], chance: Chance) -> tuple[str, ...]:
    """A command line whose arguments stand in another order than they should."""
    orders = [order for order in itertools.permutations(words[1:]) if order != words[1:]]
    return (words[0], *orders[int(chance.integers(len(orders)))])


def moved_and_back(world: World, scratch: Path, names: list[str], *, link: bool) -> bool:
    """Whether copies under these names go and come back by decisions, with all others where they were."""
    data = scratch / "data"
    data.mkdir()
    shutil.copy(world.picture(0, 0), data / "kept.png")
    for name in names:
        (data / name).parent.mkdir(exist_ok=True)
        shutil.copy(data / "kept.png", data / name)
    before = listed(data)
    size = (data / "kept.png").stat().st_size
    rows = [("kept.png", "keep"), *((utf8_name(name), "delete") for name in names)]
    quoted = (
        f'1,"{name.replace(chr(34), chr(34) * 2)}",{decision},{size}' for name, decision in rows
    )
    table = scratch / "decisions.csv"
    table.write_bytes("\n".join(["group,path,decision,bytes", *quoted, ""]).encode())
    moved = apply_decisions(data, table, link=link)
    gone = before - listed(data)
    if moved.undo is None or (not link and len(gone) != len(names)):
        return False
    apply_decisions(data, moved.undo)
    return listed(data) == before


def listed(data: Path) -> set[Path]:
    """The files of a folder, what lies in the trash aside."""
    found = (path.relative_to(data) for path in data.rglob("*") if not path.is_dir())
    return {path for path in found if TRASH not in path.parts}

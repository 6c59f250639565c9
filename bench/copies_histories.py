"""Does `twofold dedup --cache` ever say something else than a run from scratch? Random histories of a folder.

    python bench/copies_histories.py [--histories 500] [--quick]

A folder of small pictures goes through some changes: files are changed under their old name and
time, swapped, renamed, deleted and brought back, damaged and mended, copied into a second folder of
the same names; the options change as well. After each change the folder is looked through twice,
with what all earlier looks have kept and from scratch. All that is found has to be equal: groups,
doubts, facts of files, unreadable ones.
"""

import argparse
import io
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import PIL.Image

from last_line import print_last_line, row
from twofold import Items
from twofold.apps.dedup import Copies, dedup

NAMES = ("a.png", "b.png", "c.png", "d.png")
FOLDERS = (".", "2024")
SIDE = 84
SAID = ("groups", "perhaps", "items", "rule", "unreadable", "files", "dark", "blurred")
"""What has to be equal; `new` and `notes` tell what was read."""


def main() -> None:
    """Every history, and the last line."""
    parser = argparse.ArgumentParser(description="Histories of a folder, with a cache and without")
    parser.add_argument("--histories", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="8 histories")
    options = parser.parse_args()
    clock = time.monotonic()
    count = 8 if options.quick else options.histories
    told = {"wrong": 0, "looks": 0, "copies": 0, "unread": 0}
    for seed in range(count):
        with tempfile.TemporaryDirectory() as place:
            for name, value in one_history(Path(place), np.random.default_rng((8, seed))).items():
                told[name] += value
    anchor = (
        f"{count} histories, {told['looks']} looks with a cache and without, {told['copies']} "
        f"copies found in them; "
        f"of the pictures {told['unread']} were not read again"
    )
    results = [
        row("cache_histories_wrong", told["wrong"], unit="histories", goal=0, anchor=anchor, seed=8)
    ]
    print(f"cache_histories_wrong {told['wrong']}  {anchor}")
    print_last_line("copies_histories", clock, results)


def one_history(place: Path, generator: np.random.Generator) -> dict[str, int]:
    """Looks after each change of a folder; whether any of them was wrong."""
    root, aside = place / "data", place / "aside"
    for folder in (root, *(root / each for each in FOLDERS), aside):
        folder.mkdir(exist_ok=True)
    for name in NAMES:
        (root / name).write_bytes(content(generator))
    told = {"wrong": 0, "looks": 0, "copies": 0, "unread": 0}
    for _ in range(int(generator.integers(2, 5))):
        rule = Copies(
            keep=str(generator.choice(["largest", "oldest", "first"])),
            strictness=str(generator.choice(["exact", "strict", "normal", "normal", "loose"])),
            mirrored=bool(generator.random() < 0.3),
        )
        items = Items.from_folder(root, levels=0)
        cached, scratch = dedup(items, cache=place / "cache", rule=rule), dedup(items, rule=rule)
        one, other = asdict(cached), asdict(scratch)
        told["wrong"] = max(told["wrong"], int(any(one[name] != other[name] for name in SAID)))
        told["looks"] += 1
        told["copies"] += scratch.copies
        told["unread"] += scratch.items - cached.new
        for _ in range(int(generator.integers(1, 4))):
            changed(root, aside, generator)
    return told


def content(generator: np.random.Generator) -> bytes:
    """One of few scenes, as it is or as a copy of it: smaller, turned, mirrored, poor, lettered dark; or no picture."""
    scene = picture(int(generator.integers(5)))
    way = int(generator.integers(8))
    if way == 0:
        return b"no picture " + bytes(generator.integers(0, 256, 8).tolist())
    if way == 1:
        scene = scene.resize((SIDE * 3 // 4, SIDE * 3 // 4), PIL.Image.Resampling.BICUBIC)
    elif way == 2:
        scene = scene.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
    elif way == 3:
        scene = scene.transpose(PIL.Image.Transpose.ROTATE_90)
    elif way == 4:
        scene = scene.point([value // 12 for value in range(256)] * 3)
    elif way == 5:
        scene = scene.crop((6, 6, SIDE - 2, SIDE - 2))
    stream = io.BytesIO()
    scene.save(stream, "JPEG" if way == 6 else "PNG", quality=40)
    return stream.getvalue()


def picture(number: int) -> PIL.Image.Image:
    """A scene of squares of three sizes."""
    own = np.random.default_rng((8, 1, number))
    grid = np.zeros((SIDE, SIDE, 3))
    for size in (28, 14, 7):
        grid += np.kron(
            own.standard_normal((SIDE // size, SIDE // size, 3)) * size, np.ones((size, size, 1))
        )
    return PIL.Image.fromarray(((grid - grid.min()) / np.ptp(grid) * 255).astype(np.uint8))


def changed(root: Path, aside: Path, generator: np.random.Generator) -> None:
    """One change, to files that are there by chance."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    away = sorted(aside.iterdir())
    way = int(generator.integers(8))
    fresh = root / FOLDERS[int(generator.integers(2))] / NAMES[int(generator.integers(len(NAMES)))]
    if way == 0 or len(files) < 3:
        fresh.write_bytes(content(generator))
    elif way == 1:  # another content under the old name and time
        file, old = files[0], files[0].stat()
        file.write_bytes(content(generator))
        os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    elif way == 2:
        one, other = (files[place] for place in generator.permutation(len(files))[:2])
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
    elif way == 3:
        files[int(generator.integers(len(files)))].rename(
            root / f"renamed{int(generator.integers(3))}.png"
        )
    elif way == 4:
        file = files[int(generator.integers(len(files)))]
        file.rename(aside / file.name)
    elif way == 5 and away:
        away[0].rename(fresh)
    elif way == 6:
        file = files[int(generator.integers(len(files)))]
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        fresh.write_bytes(files[int(generator.integers(len(files)))].read_bytes())


if __name__ == "__main__":
    main()

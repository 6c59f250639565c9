"""Can `twofold dedup --apply` lose anything? Random trees with links, twins, changed files, kills and full disks.

    python bench/copies_safety.py [--trees 2000] [--quick]

Of each tree some files are decided to go and some to stay, by a table that may be wrong: files are
changed, removed, renamed or swapped after it was written, the same file is named twice, under a
link, or kept here and gone there. The table is applied in a process of its own, which may be killed
at a random system call that changes a disk, or find the disk full there. Then three things are
asked: is every content that stood in the tree still in it (a byte lost is a failure); does a killed
or failed run leave everything in its place after the next one; and does the undo list bring back
exactly the tree that was, times included.
"""

import argparse
import errno
import hashlib
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from last_line import print_last_line, row
from twofold.copies import trash
from twofold.copies.trash import TRASH, apply_decisions
from twofold.errors import TwofoldError

NAMES = ("a.jpg", "A.jpg", "b.png", "é.png", "é.png", "c d.tif", "b.png.xmp", "a.xmp", "x,y.png")
KILLED = 77


def main() -> None:
    """Every tree, and the last line."""
    parser = argparse.ArgumentParser(description="Decisions applied to random trees")
    parser.add_argument("--trees", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="60 trees")
    options = parser.parse_args()
    clock = time.monotonic()
    count = 60 if options.quick else options.trees
    told = {"lost": 0, "undo": 0, "left": 0, "moved": 0, "refused": 0, "killed": 0, "full": 0}
    for seed in range(count):
        with tempfile.TemporaryDirectory() as place:
            for name, value in one_tree(
                Path(place) / "data", np.random.default_rng((5, seed))
            ).items():
                told[name] += value
    anchor = (
        f"{count} trees: {told['moved']} moved and undone, {told['refused']} refused, "
        f"{told['killed']} killed, "
        f"{told['full']} with a full disk; {told['left']} not whole after the next run, "
        f"{told['undo']} undone inexactly"
    )
    results = [
        row("apply_trees", count, unit="trees", anchor=anchor, seed=5),
        row("apply_lost", told["lost"], unit="contents", goal=0, anchor=anchor, seed=5),
        row(
            "apply_inexact",
            told["left"] + told["undo"],
            unit="trees",
            goal=0,
            anchor=anchor,
            seed=5,
        ),
    ]
    for result in results:
        print(f"{result['name']:20} {result['value']}  {result['anchor']}")
    print_last_line("copies_safety", clock, results)


def one_tree(root: Path, generator: np.random.Generator) -> dict[str, int]:
    """Grow it, decide, meddle, apply, undo; what was counted."""
    grown(root, generator)
    table = root.parent / "decisions.csv"
    table.write_text("\n".join(decided(root, generator)) + "\n", encoding="utf-8")
    meddled(root, generator)
    before, contents = state(root), held(root)
    fault = [None, "killed", "full"][int(generator.integers(3))]
    code = in_a_process(root, table, fault, int(generator.integers(0, 25)))
    told = {"lost": len(contents - held(root))}
    if code == 0:
        told["moved"] = 1
        lists = sorted((root / TRASH).glob("undo-*.csv"))
        if lists:
            apply_decisions(root, lists[-1])
        told["undo"] = int(state(root) != before)
    else:
        told[{KILLED: "killed", 28: "full"}.get(code, "refused")] = 1
        nothing = root.parent / "nothing.csv"
        nothing.write_text("group,path,decision,bytes\n")
        apply_decisions(root, nothing)
        told["left"] = int(state(root) != before)
    told["lost"] += len(contents - held(root))
    return told


def grown(root: Path, generator: np.random.Generator) -> None:
    """Folders, files of few contents, links of both kinds."""
    folders = [root / each for each in (".", "2024", "2024/May", "Ä")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for number in range(int(generator.integers(3, 14))):
        file = (
            folders[int(generator.integers(len(folders)))]
            / NAMES[int(generator.integers(len(NAMES)))]
        )
        if os.path.lexists(file):
            continue
        kind = generator.random()
        others = files_of(root)
        if kind < 0.1 and others:
            file.symlink_to(
                os.path.relpath(others[int(generator.integers(len(others)))], file.parent)
            )
        elif kind < 0.2 and others:
            file.hardlink_to(others[int(generator.integers(len(others)))])
        else:
            content = f"content {int(generator.integers(number + 3))}".encode() * int(
                generator.integers(1, 4)
            )
            file.write_bytes(content)
            moment = int(generator.integers(10**18, 17 * 10**17))
            os.utime(file, ns=(moment, moment))
    if generator.random() < 0.3:
        (root / "latest").symlink_to("2024")


def files_of(root: Path) -> list[Path]:
    """Regular files and links to them, the trash left out."""
    return [path for path in sorted(root.rglob("*")) if TRASH not in path.parts and path.is_file()]


def decided(root: Path, generator: np.random.Generator) -> list[str]:
    """A table, right in most of its rows; with hashes, or as an older version wrote it."""
    hashes = generator.random() < 0.7
    lines = ["group,path,decision,bytes" + (",time,sha256" if hashes else "")]
    links = generator.random() < 0.15  # a look leaves them out; a table written by hand may not
    paths = [
        path
        for path in files_of(root)
        if links or not (path.is_symlink() or path.stat().st_nlink > 1)
    ]
    if links:
        paths += [root / "latest" / "a.jpg"] if (root / "latest" / "a.jpg").is_file() else []
    order = generator.permutation(len(paths))
    group = 0
    for place, number in enumerate(order):
        file = paths[int(number)]
        group += int(place == 0 or generator.random() < 0.4)
        decision = "keep" if place == 0 or lines[-1].split(",")[0] != str(group) else "delete"
        if generator.random() < 0.01:
            decision = "keep" if decision == "delete" else "delete"
        name = file.relative_to(root).as_posix()
        name = f"./{name}" if generator.random() < 0.02 else name
        name = f'"{name}"' if "," in name else name
        stat = file.stat()
        more = (
            f",{stat.st_mtime_ns},{hashlib.sha256(file.read_bytes()).hexdigest()}" if hashes else ""
        )
        for _ in range(1 + int(generator.random() < 0.01)):
            lines.append(f"{group},{name},{decision},{stat.st_size}{more}")
    return lines


def meddled(root: Path, generator: np.random.Generator) -> None:
    """What happens between the look and the deed, in a third of the trees."""
    paths = files_of(root)
    if generator.random() < 0.67 or len(paths) < 2:
        return
    one, other = (paths[int(number)] for number in generator.permutation(len(paths))[:2])
    way = int(generator.integers(5))
    if way == 0:
        one.unlink()
    elif way == 1 and not one.is_symlink():
        old = one.stat()
        one.write_bytes(b"x" * old.st_size)
        os.utime(one, ns=(old.st_mtime_ns, old.st_mtime_ns))
    elif way == 2:
        one.rename(one.with_name("renamed.png"))
    elif way == 3:
        one.unlink()
        one.symlink_to(os.path.relpath(other, one.parent))
    else:
        one.unlink()
        one.hardlink_to(other)


def held(root: Path) -> set[bytes]:
    """Contents in the tree, the trash included."""
    return {
        path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".unfinished"
    } - {b""}


def state(root: Path) -> dict[str, object]:
    """Everything outside the trash: kind, content, times of files and folders."""
    told: dict[str, object] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        if TRASH not in path.parts:
            here = path.relative_to(root).as_posix()
            stat = path.lstat()
            content = (
                path.readlink()
                if path.is_symlink()
                else path.read_bytes()
                if path.is_file()
                else None
            )
            told[here] = (content, stat.st_ino, None if here == "." else stat.st_mtime_ns)
    return told


def in_a_process(root: Path, table: Path, fault: str | None, at: int) -> int:
    """Apply in a child that may end, or find the disk full, at its `at`-th change of a disk; its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [at]

    def faulty(what):
        def call(*given, **more):
            if fault is not None:
                left[0] -= 1
                if left[0] == 0 and fault == "killed":
                    os._exit(KILLED)
                if left[0] == 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
            return what(*given, **more)

        return call

    trash.rename_without_replacing = faulty(trash.rename_without_replacing)
    for owner, name in (
        (os, "fsync"),
        (Path, "mkdir"),
        (Path, "touch"),
        (Path, "unlink"),
        (Path, "replace"),
        (os, "utime"),
    ):
        setattr(owner, name, faulty(getattr(owner, name)))
    try:
        apply_decisions(root, table)
    except TwofoldError as error:
        os._exit(28 if "No space left" in str(error) else 2)
    except OSError:
        os._exit(28)
    os._exit(0)


if __name__ == "__main__":
    main()

"""Durability of the local index: what kills, power cuts, damaged bytes, full disks and erasures leave of it.

    python bench/durability.py [--quick] [--only kills|cuts|damage|full|forget|speed]

kills: a process adds, updates, removes, forgets, writes the database anew and empties the log, and
is killed with -9 at any moment; all that it had acknowledged must stand, and nothing by half.

cuts: every write and sync of a run is recorded at SQLite's border to the system (`crash_states`),
and legal states of the disk after a power cut are made from it: what was not synced dropped,
reordered, torn by sectors of 512 bytes.

damage: bits are flipped and ends cut off in each kind of file: the database, its log, the mark, all
files of the cache; its lock, which is empty, gets bytes. An index must read as it was written, or
say that it is damaged; where it was the cache, both: it is built again, and that is said. Readers
run in a process of their own, so that a crash is counted.

full: on a file system of 4 MB (a file-size limit where none can be mounted) adds fail with one
clear line, all before stands, and work goes on when there is space again.

forget: random identities are forgotten at 100,000 items; then their bytes are looked for in every
file.

speed: durable adds of 512 numbers beside SQLite itself with the same pragmas, tables and rows,
taking turns.
"""

import argparse
import contextlib
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from crash_states import NAMES, Event, recorded, states
from damaged_files import Case, stored, unnoticed
from index_calls import Truth, calls, contract, follow, items, killed, large, read
from last_line import print_last_line, row
from twofold.errors import StoreError, TwofoldError
from twofold.store import Index
from twofold.store.sqlite.connection import connect
from twofold.store.sqlite.rows import Row
from twofold.store.sqlite.tables import make_tables


def main() -> None:
    """Each part, then the last line."""
    parser = argparse.ArgumentParser(
        description="What is left of an index after kills, cuts, damage and erasures"
    )
    parser.add_argument("--quick", action="store_true", help="small counts, under a minute")
    parser.add_argument("--only", choices=tuple(PARTS))
    options = parser.parse_args()
    started = time.monotonic()
    results: list[dict[str, Any]] = []
    for name, part in PARTS.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                found = part(Path(folder), options.quick)
            results += found
            for line in found:
                print(f"{line['name']:>28} {line['value']:12.3f} {line['unit']}", flush=True)
    print_last_line("durability", started, results)


def kill_rows(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """A fresh index every 25 kills, and how long 100,000 items take to open."""
    kills, each = (20, 20) if quick else (1000, 25)
    total = np.zeros(3, np.int64)
    for start in range(0, kills, each):
        path = folder / str(start)
        Index.create(path, contract(16)).close()
        total += killed(path, each, seed=start)
        shutil.rmtree(path)
    anchor = "add, update, remove, forget, rewriting the database, emptying the log; kill -9 at a random moment"
    names = ("acknowledged_lost", "phantoms", "duplicates")
    rows = [row("kills", kills, goal=1000, anchor=anchor)]
    rows += [
        row(name, float(value), goal=0, anchor=anchor)
        for name, value in zip(names, total, strict=True)
    ]
    size = 5000 if quick else 100_000
    large(folder / "large", size, 512)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        Index.open(folder / "large").close()
        seconds.append(time.perf_counter() - began)
    note = f"{size} items of 512 numbers, every row checked against its hash"
    return [*rows, row("reopen_seconds", min(seconds), unit="s", goal=2.0, anchor=note)]


# ---- power cuts


def cut_rows(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """Every state must hold what was acknowledged before the cut, or with it the call that was under way."""
    count = 150 if quick else 10_000
    durable, events, truths = a_run(folder / "run", steps=9 if quick else 25)
    lost, bad = 0, folder / "cut"
    for place, files in states(durable, events, count, seed=0):
        shutil.rmtree(bad, ignore_errors=True)
        bad.mkdir()
        for name, content in files.items():
            (bad / name).write_bytes(content)
        done = sum(event.kind == "note" and event.name == "done" for event in events[:place])
        try:
            found, _ = read(bad)
            lost += found not in truths[done : done + 2]
        except TwofoldError:
            lost += 1
    anchor = (
        "writes, truncations and syncs recorded at SQLite's file system; what was not synced "
        "dropped, reordered, torn "
        "by sectors of 512 bytes; lost: a state that is neither what was acknowledged nor that "
        "with the next call"
    )
    return [
        row("crash_states", count, goal=10_000, anchor=anchor, seed=0),
        row("crash_states_lost", lost, goal=0, anchor=f"{anchor}; {len(events)} events"),
    ]


def a_run(path: Path, *, steps: int) -> tuple[dict[str, bytes], list[Event], list[Truth]]:
    """The files at first, what was done to them, and what stood after each call that was acknowledged."""
    Index.create(path, contract(16)).close()
    durable = {name: (path / name).read_bytes() for name in NAMES if (path / name).exists()}
    truths = [Truth()]
    with recorded() as events:
        for part in range(2):  # closed and opened in between: the log is deleted and made again
            with Index.open(path) as index:
                for step in range(part * steps, (part + 1) * steps):
                    for verb, words, call in calls(index, str(step), step):
                        if verb == "forget" and words[0] not in index.labels:
                            continue
                        call()
                        events.append(Event("note", "done"))
                        truths.append(follow(truths[-1], [" ".join([verb, *words]), "done"])[0])
    return durable, events, truths


# ---- damage


def damage_rows(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """Flips and truncations over all kinds of files."""
    flips, cuts = (150, 30) if quick else (10_000, 1000)
    plain, cached = stored(folder / "plain"), stored(folder / "cached", cached=True)
    random = np.random.default_rng(0)
    # the database of an index with a cache is another matter: its rows are checked when they are
    # read, not when opened
    kinds = [(plain, name) for name in sorted(plain.files)]
    kinds += [(cached, name) for name in sorted(cached.files) if name.startswith("cache")]
    cases = [
        Case(*kinds[number % len(kinds)], number < flips, int(random.integers(2**62)))
        for number in range(flips + cuts)
    ]
    silent = crashed = 0
    for start in range(0, len(cases), 250):
        worst = unnoticed(folder / "spoilt", cases[start : start + 250])
        silent, crashed = silent + max(worst, 0), crashed + (worst < 0)
    names = ", ".join(name for _, name in kinds)
    anchor = f"{flips} flipped bits and {cuts} cut ends over {names}; detected, or read as written; of a cache: both"
    return [
        row("corruptions", flips + cuts, goal=11_000, anchor=anchor, seed=0),
        row("corruptions_silent", silent, goal=0, anchor=anchor),
        row("corruption_crashes", crashed, goal=0, anchor=anchor),
    ]


# ---- a full disk


def full_rows(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """Add until the disk is full, look, make room, go on."""
    place, size = folder / "small", 4 << 20
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True
    )
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        lost = filled(place, mounted.returncode == 0, size, limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        if mounted.returncode == 0:
            subprocess.run(["umount", str(place)], check=False)
    how = "a tmpfs of 4 MB" if mounted.returncode == 0 else "a limit of 4 MB per file"
    return [
        row(
            "full_disk_lost",
            lost,
            goal=0,
            anchor=f"{how}: items lost, or calls that did not say why they failed",
        )
    ]


def filled(place: Path, mounted: bool, size: int, limit: tuple[int, int]) -> int:
    """How many items were lost, or not added when there was space again."""
    ballast, truth, step = place / "ballast", Truth(), 0
    ballast.write_bytes(bytes(1 << 20))
    with Index.create(place / "store", contract(256)) as index:
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
        while True:
            ids = tuple(f"{step}-{number}" for number in range(50))
            try:
                index.add(items(ids, str(step), dim=256))
            except StoreError as error:
                wrong = not any(word in str(error) for word in ("is full", "disk of"))
                break
            truth, step = truth | dict.fromkeys(ids, str(step)), step + 1
        lost = int(wrong) + int(
            dict(zip(index.ids, index.get(index.ids).labels, strict=True)) != truth
        )
        ballast.unlink()
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        lost += 50 - index.add(items(ids, str(step), dim=256))
    return lost + int(read(place / "store")[0] != truth | dict.fromkeys(ids, str(step)))


# ---- forgetting


def forget_rows(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """Random identities, in calls of one to twenty; a sample is looked for again by another way."""
    size, wanted, dim = (4000, 40, 128) if quick else (100_000, 1000, 128)
    large(folder / "store", size, dim)
    random, left, slowest, receipts = np.random.default_rng(1), 0, 0.0, 0
    gone: list[bytes] = []
    with Index.open(folder / "store") as index:
        names = [str(name) for name in random.permutation(index.labels)[:wanted]]
        while names:
            count = int(random.integers(1, 21))
            some, names = names[:count], names[count:]
            mine = index.get([name for name in index.ids if name.split("/")[0] in set(some)])
            gone += [name.encode() for name in some] + [
                vector[8:16].tobytes() for vector in mine.vectors
            ]
            began = time.perf_counter()
            receipt = index.forget(some)
            slowest = max(slowest, time.perf_counter() - began)
            receipts += len(receipt.labels)
            left += receipt.left or 0
    content = b"".join(
        entry.read_bytes() for entry in sorted((folder / "store").rglob("*")) if entry.is_file()
    )
    sample = [gone[place] for place in random.permutation(len(gone))[: 300 if quick else 1000]]
    left += sum(len(piece) for piece in sample if piece in content)
    anchor = f"{receipts} identities out of {size} items of {dim} numbers; receipts, and {len(sample)} pieces by hand"
    return [
        row("erased_bytes_left", left, unit="bytes", goal=0, anchor=anchor, seed=1),
        row("forgotten", receipts, goal=1000, anchor=anchor),
        row("slowest_forget_seconds", slowest, unit="s", goal=60.0, anchor=anchor),
    ]


# ---- speed


def speed_rows(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """Ours and SQLite's own adds take turns, in batches of 256 and one by one."""
    rows = []
    for name, size, count in (("durable_add_ratio", 256, 40), ("durable_add_ratio_single", 1, 600)):
        count = count // 4 if quick else count
        bare, ours = raced(folder / name, size, count)
        ratio, processor = bare.sum(0) / ours.sum(0)
        low, high = np.quantile(bare[:, 0] / ours[:, 0], (0.1, 0.9)).tolist()
        rows.append(
            row(
                name,
                float(ratio),
                interval=(low, high),
                unit="x",
                goal=0.8,
                anchor=f"{count} adds of {size} x 512 numbers, each waited for; "
                f"{size / np.median(ours[:, 0]):.0f} "
                "vectors/s; bare: executemany of the same records into the same tables, "
                f"{1000 * np.median(bare[:, 0]):.2f} ms a call; of processor time alone "
                f"{processor:.2f}",
            )
        )
    return rows


def raced(folder: Path, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of bare SQLite and of ours in each turn, by the clock and of the processor."""
    (folder / "bare").mkdir(parents=True)
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    with Index.create(folder / "ours", contract(512)) as index, bare_sqlite(folder / "bare") as add:
        for turn in range(count + 2):
            ids = tuple(f"{turn:05}/{number:03}.jpg" for number in range(size))
            given = items(ids, f"label-{turn}", dim=512)
            vectors = given.vectors
            table = [
                Row(
                    turn * size + n + 1,
                    1,
                    i,
                    given.labels[n],
                    "2026-01-01T00:00:00.000+00:00",
                    None,
                    None,
                    "{}",
                    v,
                )
                for n, (i, v) in enumerate(
                    zip(ids, [vector.tobytes() for vector in vectors], strict=True)
                )
            ]
            records = [(*each, each.digest()) for each in table]
            for seconds, call in (
                (bare, lambda r=records: add(r)),
                (ours, lambda g=given: index.add(g)),
            ):
                began = time.perf_counter(), time.process_time()
                call()
                seconds.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    return np.array(bare[2:]), np.array(ours[2:])


@contextlib.contextmanager
def bare_sqlite(folder: Path) -> Iterator[Callable[[list[Any]], None]]:
    """SQLite with our pragmas and tables, and nothing of ours else."""
    with contextlib.closing(connect(folder, "rwc")) as connection:
        make_tables(connection)

        def add(records: list[Any]) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", records
            )
            connection.execute("COMMIT")

        yield add


PARTS = {
    "kills": kill_rows,
    "cuts": cut_rows,
    "damage": damage_rows,
    "full": full_rows,
    "forget": forget_rows,
    "speed": speed_rows,
}

if __name__ == "__main__":
    main()

"""Near-duplicates: a million vectors, a set that grows, and pictures that were attacked, beside the usual hashes.

    python bench/dedup.py [--data DIR] [--train DIR] [--quick]

1. 10^6 vectors of 128 numbers in 20,000 Gaussian clusters, 100,000 of them moved to a cosine of 0.9
   to 1 with another: groups of them by `dedup_vectors`, everything included, in a process of its
   own (its peak is the process's). With --quick 20,000.
2. The same after a tenth of new vectors, with what the first call has kept.
3. A folder of picture files, 64 to 96 pixels a side, cut from those of --data, a tenth of them
   copies of others (recompressed, smaller, or the same): `twofold dedup FOLDER` without a network,
   from the files to the groups, in a process of its own. 20,000 files; with --quick 300.
4. Pictures: each original is attacked (bench/attacks.py), and every attacked picture is looked for
   among all originals, distractors, and drawn pages, cards and codes. Ours: the share found as
   copies or perhaps, and as copies; imagehash's four hashes: the share found before one answer in a
   hundred is wrong, on the same pictures.
5. Different pictures of one look, drawn (copies_negatives.py and copies_reported.py; with --chosen
   only those by which the rule was chosen): how many are called copies?
6. The same of real pictures of --packs (copies_real.py). --network asks again with the vectors of a
   bundle, which bring further candidates.
7. Triples of a picture and two of its turns: is every copy of the largest found?

Each part writes a file of its own to bench/results; `--only PART` runs one part.
bench/copies_worth.py makes what the product says of itself from the files of 4 to 7.

Without --data the pictures are invented, which says little about photographs.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from attacks import FAMILIES
from copies_negatives import CHOSEN
from copies_pictures import drawn_kinds, found_kinds, pictures, pictures_of, third_copies
from copies_real import REAL
from copies_reported import BEFORE, REPORTED
from last_line import print_last_line, row
from twofold import Items
from twofold.apps.dedup import dedup, dedup_vectors
from twofold.copies.near_pairs import near_pairs


def main() -> None:
    """Vectors, growth, pictures, and the last line."""
    parser = argparse.ArgumentParser(description="Near-duplicates")
    parser.add_argument(
        "--data", type=Path, nargs="*", default=[], help="folders of pictures, at any depth"
    )
    parser.add_argument(
        "--packs",
        type=Path,
        help="a folder of data sets: ORL, LFW, signatures, characters, groceries",
    )
    parser.add_argument(
        "--real", nargs="*", default=list(REAL), choices=REAL, help="kinds of real pictures"
    )
    parser.add_argument("--network", help="a bundle, or the word pretrained")
    parser.add_argument(
        "--chosen",
        action="store_true",
        help="the kinds by which the rule was chosen, not the others",
    )
    parser.add_argument("--originals", type=int, default=300)
    parser.add_argument("--distractors", type=int, default=1500)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument(
        "--only", choices=["vectors", "collection", "pictures", "different", "real", "triples"]
    )
    parser.add_argument(
        "--pictures", type=int, default=300, help="of each kind of different pictures"
    )
    parser.add_argument("--triples", type=int, default=672)
    parser.add_argument(
        "--files", type=int, default=20_000, help="of the folder that is looked through"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="20,000 vectors, 300 files, 8 originals, 16 distractors",
    )
    options = parser.parse_args()
    if options.quick:
        options.originals, options.distractors, options.pictures, options.triples = 8, 16, 4, 4
    parts = {
        "vectors": lambda: vectors(
            20_000 if options.quick else 1_000_000, named="20k" if options.quick else "1m"
        ),
        "collection": lambda: collection(options.data, 300 if options.quick else options.files),
        "pictures": lambda: pictures(
            options.data, options.originals, options.distractors, options.families
        ),
        "different": lambda: unlike(options),
        "real": lambda: found_kinds(options.packs, options.real, options.pictures, options.network),
        "triples": lambda: third_copies(options.data, options.triples),
    }
    for part, measure in parts.items():
        if options.only in (None, part):
            clock = time.monotonic()
            write(part, measure(), clock, quick=options.quick or options.chosen)


def unlike(options: argparse.Namespace) -> list[dict]:
    """Drawn kinds; the fresh ones are left alone by a quick look."""
    chosen = drawn_kinds(CHOSEN, options.pictures, role="the rule was chosen by this kind")
    if options.chosen or options.quick:
        return chosen
    before = drawn_kinds(BEFORE, options.pictures, role="reported before")
    return (
        chosen
        + before
        + drawn_kinds(REPORTED, options.pictures, role="reported for the first time")
    )


def write(part: str, results: list[dict], clock: float, *, quick: bool) -> None:
    """What one part measured, as a file of its own among the results."""
    for result in results:
        print(f"{result['name']:55} {result['value']:.4f}  {result['anchor']}")
    line = print_last_line("dedup", clock, results)
    if not quick:
        target = Path(__file__).parent / "results" / f"dedup_{part}.json"
        target.write_text(json.dumps(line, indent=1) + "\n", encoding="utf-8")


def vectors(count: int, *, named: str) -> list[dict]:
    """Time, recall and memory, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        told = pool.apply(groups_of_planted, (count,))
    anchor = (
        f"{count:,} x 128, {count // 10:,} planted pairs at cosine .9 to 1, {told['cells']} "
        f"cells, each vector in "
        f"{told['probes']}; {told['cpu']:.0f} processor seconds"
    )
    grown = (
        f"{count // 10:,} new beside {count - count // 10:,}, from what the first call kept; the "
        f"same pairs as from "
        "scratch, of which .19 have a new end"
    )
    return [
        row(f"dedup_{named}_seconds", told["seconds"], unit="s", goal=180, anchor=anchor, seed=0),
        row(f"dedup_{named}_recall", told["recall"], goal=0.99, anchor=anchor, seed=0),
        row(
            f"dedup_{named}_peak_mb",
            told["peak"],
            unit="MB",
            goal=2000,
            anchor="of the process, vectors included",
        ),
        row(
            f"dedup_{named}_own_recall",
            told["told"],
            anchor="what the product says of itself, from 512 searches",
        ),
        row("incremental_seconds", told["grown_seconds"], unit="s", anchor=grown, seed=0),
        row(
            "incremental_over_scratch",
            told["grown_seconds"] / told["whole_seconds"],
            anchor=grown,
            seed=0,
        ),
        row("incremental_same_pairs", told["same"], goal=0.99, anchor=grown, seed=0),
    ]


def groups_of_planted(count: int) -> dict[str, float]:
    """Everything about one set of vectors."""
    rows, first, second = planted(count, np.random.default_rng(0))
    began, processor = time.perf_counter(), time.process_time()
    found = dedup_vectors(rows, threshold=0.9)
    told: dict[str, float] = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - processor,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "told": found.recall.value if found.recall else 1.0,
    }
    pairs = near_pairs(rows, 0.9, check=False)
    told |= {"cells": len(pairs.cells.pivots), "probes": pairs.cells.probes}
    told["recall"] = float(np.isin(coded(first, second), coded(pairs.first, pairs.second)).mean())
    # the last tenth is new: its partners are among the old ones and among itself
    old = near_pairs(rows[: count - count // 10], 0.9, check=False)
    began = time.perf_counter()
    new = near_pairs(rows, 0.9, known=old.cells, check=False)
    told["grown_seconds"] = time.perf_counter() - began
    began = time.perf_counter()
    whole = near_pairs(rows, 0.9, check=False)
    told["whole_seconds"] = time.perf_counter() - began
    both = np.concatenate([coded(old.first, old.second), coded(new.first, new.second)])
    wanted = coded(whole.first, whole.second)
    told["same"] = len(np.intersect1d(both, wanted)) / len(np.union1d(both, wanted))
    return told


def planted(
    count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors about centres, and a tenth of them moved to a cosine of .9 to 1 with one of the others."""
    centres = generator.standard_normal((count // 50, 128), dtype=np.float32)
    rows = generator.standard_normal((count, 128), dtype=np.float32)
    rows *= 0.9
    rows += centres[generator.integers(0, len(centres), count)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    order = generator.permutation(count)
    first, second = order[: count // 10], order[count // 10 : count // 5]
    share = generator.uniform(0.9, 1.0, len(first)).astype(np.float32)[:, None] + np.float32(1e-6)
    away = generator.standard_normal((len(first), 128), dtype=np.float32)
    away -= (away * rows[first]).sum(axis=1, keepdims=True) * rows[first]
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    rows[second] = share * rows[first] + np.sqrt(np.maximum(1 - share**2, 0)) * away
    return rows, first, second


def coded(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A pair as one number, whichever way round."""
    low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other).astype(np.int64)
    return high << 32 | low


def collection(folders: Sequence[Path], count: int) -> list[dict]:
    """Files to groups, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as place:
        copies = written(Path(place), pictures_of(folders, 400), count)
        with context.Pool(1) as pool:
            told = pool.apply(groups_of_files, (place, copies))
    anchor = (
        f"{count:,} JPEG files of 64 to 96 pixels, {len(copies):,} of them copies, to "
        f"{told['groups']:.0f} groups, on "
        f"{os.cpu_count()} processors; {told['cpu']:.0f} processor seconds, {told['reading']:.0f} "
        f"of them reading"
    )
    process = "of the process, 4 kB a picture kept"
    return [
        row(
            "collection_items_per_second",
            count / told["seconds"],
            unit="items/s",
            anchor=anchor,
            seed=0,
        ),
        row(
            "collection_items_per_processor_second",
            count / told["cpu"],
            unit="items/s",
            anchor=anchor,
            seed=0,
        ),
        row(
            "collection_copies_found",
            told["found"],
            anchor="share of the copies, in a group with what they were of",
        ),
        row("collection_peak_mb", told["peak"], unit="MB", anchor=process, seed=0),
    ]


def written(place: Path, shown: Sequence[PIL.Image.Image], count: int) -> dict[str, str]:
    """Many small files out of few pictures: each a blend of two cut-outs. Names of copies -> what they are of."""
    copies: dict[str, str] = {}
    for number in range(count):
        own = np.random.default_rng((0, number))
        of = int(own.integers(number)) if number and own.random() < 0.1 else number
        picture = blended(shown, np.random.default_rng((1, of)))
        if of != number:
            copies[f"{number:07}.jpg"] = f"{of:07}.jpg"
            picture = picture.reduce(2) if own.integers(2) else picture
        quality = int(own.integers(20, 60)) if of != number and own.integers(2) else 85
        picture.save(place / f"{number:07}.jpg", quality=quality)
    return copies


def blended(shown: Sequence[PIL.Image.Image], generator: np.random.Generator) -> PIL.Image.Image:
    """A picture that nobody took: two cut-outs, the second shining through."""
    size = tuple(int(side) for side in generator.integers(64, 97, 2))
    parts = []
    for place in generator.integers(len(shown), size=2):
        picture, kept = shown[place], generator.uniform(0.4, 0.9)
        left, top = generator.uniform(0, 1 - kept, 2) * picture.size
        box = (left, top, left + kept * picture.width, top + kept * picture.height)
        parts.append(picture.resize(size, PIL.Image.Resampling.BILINEAR, box=box))
    return PIL.Image.blend(parts[0], parts[1], float(generator.uniform(0.2, 0.5)))


def groups_of_files(place: str, copies: dict[str, str]) -> dict[str, float]:
    """Everything about one folder of files."""
    reading = [0.0]

    def watch(what: str, done: int, total: int) -> None:
        if what == "reading":
            reading[0] = time.process_time() - processor

    began, processor = time.perf_counter(), time.process_time()
    found = dedup(Items.from_folder(place, levels=0), watch=watch)
    told = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - processor,
        "reading": reading[0],
    }
    group = {
        name: number
        for number, each in enumerate(found.groups)
        for name in (each.kept, *each.copies)
    }
    together = [name in group and group[name] == group.get(of) for name, of in copies.items()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return told | {
        "peak": peak,
        "found": float(np.mean(together)),
        "groups": float(len(found.groups)),
    }


if __name__ == "__main__":
    main()

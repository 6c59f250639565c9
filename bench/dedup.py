"""Near-duplicates: a million vectors, a set that grows, and pictures that were attacked, beside the usual hashes.

    python bench/dedup.py [--data DIR] [--train DIR] [--quick]

1. 10^6 vectors of 128 numbers in 20,000 Gaussian clusters, 100,000 of them moved to a cosine of 0.9 to 1 with another:
   groups of them by `dedup_vectors`, everything included, in a process of its own (its peak is the process's). With
   --quick 20,000.
2. The same after a tenth of new vectors, with what the first call has kept.
3. A folder of picture files, 64 to 96 pixels a side, cut from those of --data, a tenth of them copies of others
   (recompressed, smaller, or the same): `twofold dedup FOLDER` without a network, from the files to the groups, in a
   process of its own. 20,000 files; with --quick 300.
4. Pictures: each original is attacked (bench/attacks.py), and every attacked picture is looked for among all
   originals, distractors, and drawn pages, cards and codes. Ours: the share found as copies or perhaps, and as copies;
   imagehash's four hashes: the share found before one answer in a hundred is wrong, on the same pictures.
5. Different pictures of one look (bench/copies_negatives.py, and real ones of --packs): how many are called copies.
   The kinds by which the rule was chosen (--chosen) and those that are reported are others.
6. Triples of a picture and two of its turns: is every copy of the largest found?

`--only copies` runs 4 to 6, with the kinds of both sides, and writes bench/results/dedup_copies.json, from which
bench/copies_worth.py makes what the product says of itself.

Without --data the pictures are invented, which says little about photographs.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from attacks import FAMILIES, attacked
from copies_negatives import CHOSEN, REPORTED, drawn
from last_line import print_last_line, row
from twofold import Items
from twofold.apps.dedup import dedup, dedup_vectors
from twofold.copies.candidates import candidates
from twofold.copies.comparing import Judge
from twofold.copies.near_pairs import near_pairs
from twofold.copies.reading import Collection, picture_seen
from twofold.inputs.image import Image

HASHES = ("phash", "dhash", "average_hash", "whash")
NAMES = {"average_hash": "ahash"}
PRECISION = 0.99
REAL = ("orl_one_each", "orl_all", "lfw_one_each", "signatures", "characters", "shelf_variants")


def main() -> None:
    """Vectors, growth, pictures, and the last line."""
    parser = argparse.ArgumentParser(description="Near-duplicates")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="folders of pictures, at any depth")
    parser.add_argument("--packs", type=Path, help="a folder of data sets: ORL, LFW, signatures, characters, groceries")
    parser.add_argument("--real", nargs="*", default=list(REAL), choices=REAL, help="kinds of real pictures")
    parser.add_argument("--chosen", action="store_true", help="the kinds by which the rule was chosen, not the others")
    parser.add_argument("--originals", type=int, default=300)
    parser.add_argument("--distractors", type=int, default=1500)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--only", choices=["vectors", "collection", "copies", "pictures", "different", "triples"])
    parser.add_argument("--pictures", type=int, default=300, help="of each kind of different pictures")
    parser.add_argument("--triples", type=int, default=672)
    parser.add_argument("--files", type=int, default=20_000, help="of the folder that is looked through")
    parser.add_argument("--quick", action="store_true", help="20,000 vectors, 300 files, 8 originals, 16 distractors")
    options = parser.parse_args()
    clock = time.monotonic()
    results = []
    if options.only in (None, "vectors"):
        results += vectors(20_000 if options.quick else 1_000_000, named="20k" if options.quick else "1m")
    if options.only in (None, "collection"):
        results += collection(options.data, 300 if options.quick else options.files)
    if options.only in (None, "copies", "pictures"):
        originals, distractors = (8, 16) if options.quick else (options.originals, options.distractors)
        results += pictures(options.data, originals, distractors, options.families)
    if options.only in (None, "copies", "different"):
        kinds = CHOSEN if options.chosen else REPORTED if options.only != "copies" else CHOSEN | REPORTED
        real = () if options.chosen or not options.packs else options.real
        results += different(options.packs, kinds, real, 4 if options.quick else options.pictures)
    if options.only in (None, "copies", "triples"):
        results += third_copies(options.data, 4 if options.quick else options.triples)
    for result in results:
        print(f"{result['name']:55} {result['value']:.4f}  {result['anchor']}")
    line = print_last_line("dedup", clock, results)
    written_to = {None: "dedup.json", "copies": "dedup_copies.json"}
    if not options.quick and options.only in written_to:
        target = Path(__file__).parent / "results" / written_to[options.only]
        target.write_text(json.dumps(line, indent=1) + "\n", encoding="utf-8")


def vectors(count: int, *, named: str) -> list[dict]:
    """Time, recall and memory, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        told = pool.apply(groups_of_planted, (count,))
    anchor = (
        f"{count:,} x 128, {count // 10:,} planted pairs at cosine .9 to 1, {told['cells']} cells, each vector in "
        f"{told['probes']}; {told['cpu']:.0f} processor seconds"
    )
    grown = (
        f"{count // 10:,} new beside {count - count // 10:,}, from what the first call kept; the same pairs as from "
        "scratch, of which .19 have a new end"
    )
    return [
        row(f"dedup_{named}_seconds", told["seconds"], unit="s", goal=180, anchor=anchor, seed=0),
        row(f"dedup_{named}_recall", told["recall"], goal=0.99, anchor=anchor, seed=0),
        row(f"dedup_{named}_peak_mb", told["peak"], unit="MB", goal=2000, anchor="of the process, vectors included"),
        row(f"dedup_{named}_own_recall", told["told"], anchor="what the product says of itself, from 512 searches"),
        row("incremental_seconds", told["grown_seconds"], unit="s", anchor=grown, seed=0),
        row("incremental_over_scratch", told["grown_seconds"] / told["whole_seconds"], anchor=grown, seed=0),
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


def planted(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
        f"{count:,} JPEG files of 64 to 96 pixels, {len(copies):,} of them copies, to {told['groups']:.0f} groups, on "
        f"{os.cpu_count()} processors; {told['cpu']:.0f} processor seconds, {told['reading']:.0f} of them reading"
    )
    process = "of the process, 4 kB a picture kept"
    return [
        row("collection_items_per_second", count / told["seconds"], unit="items/s", anchor=anchor, seed=0),
        row("collection_items_per_processor_second", count / told["cpu"], unit="items/s", anchor=anchor, seed=0),
        row("collection_copies_found", told["found"], anchor="share of the copies, in a group with what they were of"),
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
    told = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - processor, "reading": reading[0]}
    group = {name: number for number, each in enumerate(found.groups) for name in (each.kept, *each.copies)}
    together = [name in group and group[name] == group.get(of) for name, of in copies.items()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return told | {"peak": peak, "found": float(np.mean(together)), "groups": float(len(found.groups))}


def pictures_of(folders: Sequence[Path], most: int) -> list[PIL.Image.Image]:
    """Pictures of the folders by turns, drawn by chance; without folders invented ones."""
    if not folders:
        return [invented(seed) for seed in range(most)]
    drawn: list[list[Path]] = []
    for folder in folders:
        items = Items.from_folder(folder, levels=0, suffixes=frozenset({".jpg", ".jpeg", ".png"}))
        order = np.random.default_rng(11).permutation(len(items))
        drawn.append([items.values[place] for place in order])
    share = -(-most // len(drawn))
    chosen = [path for paths in drawn for path in paths[:share]]
    return [PIL.Image.open(path).convert("RGB") for path in chosen[:most]]


def invented(seed: int) -> PIL.Image.Image:
    """Squares of many sizes: a spectrum like a photograph's."""
    generator, side = np.random.default_rng((9, seed)), 160
    picture = np.zeros((side, side, 3))
    for width in (80, 40, 20, 10, 5):
        small = generator.standard_normal((side // width, side // width, 3)) * width
        picture += np.kron(small, np.ones((width, width, 1)))
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    return PIL.Image.fromarray(picture.astype(np.uint8))


class Looked:
    """Pictures as `dedup` reads them, in one collection: attacked ones, then what they are compared with."""

    def __init__(self, queries: Sequence[PIL.Image.Image], shown: Sequence[PIL.Image.Image], *, mirrored: bool) -> None:
        pictures = [*queries, *shown]
        values = tuple(np.asarray(picture.convert("RGB")) for picture in pictures)
        seen = tuple(picture_seen(value, str(place), Image(size=128)) for place, value in enumerate(values))
        known = Collection(ids=tuple(map(str, range(len(values)))), values=values, seen=seen)
        self.queries, self.judge = len(queries), Judge(collection=known, mirrored=mirrored)
        self.pairs = [(pair.first, pair.second) for pair in candidates(seen, None, mirrored=mirrored)]

    def scores(self, count: int) -> np.ndarray:
        """(query, other): the judge's score of the candidates, -1 for all else; copies score 0.9 and more."""
        found = np.full((self.queries, count), -1.0)
        asked = [pair for pair in self.pairs if pair[0] < self.queries <= pair[1]]
        for start in range(0, len(asked), 64):
            part = asked[start : start + 64]
            for (query, other), verdict in zip(part, self.judge(part), strict=True):
                if verdict.says != "different":
                    found[query, other - self.queries] = verdict.score
        return found


def pictures(folders: Sequence[Path], originals: int, distractors: int, families: Sequence[str]) -> list[dict]:
    """Every family: what the rule finds, and imagehash's four at their own precision of .99, on the same mixed set."""
    mixed = [picture for kind in CHOSEN.values() for picture in drawn(kind, max(distractors // 40, 2), seed=2)]
    shown = [*pictures_of(folders, originals + distractors), *mixed]
    hashes = {name: hashed(name, shown) for name in HASHES}
    where = ", ".join(folder.name for folder in folders) or "invented pictures"
    results = []
    for family in families:
        queries = attacked(family, shown[:originals], seed=1)
        ours = Looked(queries, shown, mirrored=family == "mirror").scores(len(shown))
        own = ours[np.arange(originals), np.arange(originals)]
        wrong = ours.copy()
        wrong[np.arange(originals), np.arange(originals)] = -1
        theirs = {}
        for name in HASHES:
            distance = (hashed(name, queries)[:, None] ^ hashes[name][None]).view(np.uint8)
            bits = np.unpackbits(distance.reshape(originals, len(shown), -1), axis=2).sum(axis=2)
            theirs[NAMES.get(name, name)] = found_at(-bits.astype(np.float64))
        anchor = f"{originals} attacked, {len(shown)} to compare with, of {where} and drawn pages, cards, codes"
        best = max(theirs.values())
        told = {
            f"{family}_recall": float((own > 0).mean()),
            f"{family}_copy_recall": float((own >= 0.9).mean()),
            f"{family}_wrong_copies": int((wrong >= 0.9).sum()),
            f"{family}_wrong_perhaps": int((wrong > 0).sum() - (wrong >= 0.9).sum()),
        }
        goals = {f"{family}_recall": best, f"{family}_wrong_copies": 0}
        results += [row(name, value, goal=goals.get(name), anchor=anchor, seed=1) for name, value in told.items()]
        results += [
            row(f"{family}_recall_{name}_imagehash", value, anchor=anchor, seed=1) for name, value in theirs.items()
        ]
        print(family, {name: round(value, 3) for name, value in {**told, **theirs}.items()}, flush=True)
    return results


def different(data: Path | None, kinds: dict[str, Callable], real: Sequence[str], count: int) -> list[dict]:
    """False copies among pairs of different pictures, by kind: all pairs that the candidates bring are judged."""
    results = []
    sets = {name: drawn(kind, count, seed=4) for name, kind in kinds.items()}
    found = real_kinds(data, count) if data and real else {}
    sets |= {name: found[name] for name in real if name in found}
    for name, shown in sets.items():
        unlike = list({picture.tobytes(): picture for picture in shown}.values())
        looked = Looked(unlike, [], mirrored=False)
        told = looked.judge(looked.pairs)
        pairs = len(unlike) * (len(unlike) - 1) // 2
        for what in ("copy", "perhaps"):
            wrong = [pair for pair, each in zip(looked.pairs, told, strict=True) if each.says == what]
            anchor = f"{len(unlike)} different pictures, {pairs:,} pairs, of which {len(looked.pairs):,} were judged"
            figure = f"false_copies_{name}" if what == "copy" else f"false_perhaps_{name}"
            goal = 0 if what == "copy" else None
            results.append(row(figure, len(wrong), unit="pairs", goal=goal, anchor=anchor, seed=4))
        print(name, {each["name"]: each["value"] for each in results[-2:]}, results[-1]["anchor"], flush=True)
    return results


def real_kinds(data: Path, count: int) -> dict[str, list[PIL.Image.Image]]:
    """Kinds of real pictures, from the packs that lie in `data`: one photograph a person, signatures, characters."""
    found: dict[str, list[PIL.Image.Image]] = {}
    orl = [data / "orl_faces" / f"s{person}" / "1.pgm" for person in range(1, 41)]
    if orl[0].exists():
        found["orl_one_each"] = [PIL.Image.open(path).convert("RGB") for path in orl]
    everyone = sorted((data / "orl_faces").glob("s*/*.pgm"))
    if everyone:
        found["orl_all"] = [PIL.Image.open(path).convert("RGB") for path in everyone]
    people = {path.name.rsplit("_", 1)[0]: path for path in sorted((data / "lfw_view1_112").rglob("*.jpg"))}
    places = {
        "lfw_one_each": list(people.values())[:250],
        "signatures": sorted((data / "sigcomp2011_dutch_1bit").rglob("*.png")),
        "characters": sorted((data / "omniglot").rglob("*.png")),
        "shelf_variants": sorted((data / "grocery_store_160" / "test" / "Packages").rglob("*.jpg")),
    }
    for name, paths in places.items():
        if paths:
            order = np.random.default_rng(6).permutation(len(paths))[: max(count, 250)]
            found[name] = [PIL.Image.open(paths[place]).convert("RGB") for place in order]
    return found


def third_copies(folders: Sequence[Path], count: int) -> list[dict]:
    """Triples with a quarter turn: is a copy of the kept one missed that is found where there is no third?"""
    missed = doubted = 0
    shown = pictures_of(folders, count)
    for number, picture in enumerate(shown):
        values = three_sizes(picture, number)
        found = dedup(Items.from_arrays(values, [0, 1, 2]))
        if sum(len(group.copies) for group in found.groups) == 2:
            continue
        kept = max(range(3), key=lambda place: values[place].size)
        pairs = [[values[kept], values[place]] for place in range(3) if place != kept]
        alone = [dedup(Items.from_arrays(pair, [0, 1])).groups for pair in pairs]
        missed, doubted = missed + int(all(alone)), doubted + int(not all(alone))
    anchor = f"{len(shown)} triples: a picture and two of its turns, of three sizes by chance"
    never = f"{anchor}; those in which a pair alone is no copy either"
    return [
        row("third_copy_missed", missed, unit="triples", goal=0, anchor=anchor, seed=3),
        row("third_copy_doubted", doubted, unit="triples", goal=0, anchor=never, seed=3),
    ]


def three_sizes(picture: PIL.Image.Image, number: int) -> list[np.ndarray]:
    """The picture and two of its turns, one of them whole, one at .9 and one at .8 of its side."""
    three = [picture, *(picture.transpose(PIL.Image.Transpose(2 + (number + turn) % 3)) for turn in (0, 1))]
    sizes = np.random.default_rng((3, number)).permutation([1.0, 0.9, 0.8])
    return [
        np.asarray(each.resize((round(each.width * size), round(each.height * size)), PIL.Image.Resampling.BICUBIC))
        for each, size in zip(three, sizes, strict=True)
    ]


def hashed(name: str, shown: Sequence[PIL.Image.Image]) -> np.ndarray:
    """imagehash's 64 bits of each picture, as one number."""
    import imagehash

    hasher: Callable[[PIL.Image.Image], imagehash.ImageHash] = getattr(imagehash, name)
    bits = np.stack([hasher(picture).hash.ravel() for picture in shown])
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def found_at(scores: np.ndarray, precision: float = PRECISION) -> float:
    """Share of rows whose own column stands above the score from which on so many pairs are right; ties all count."""
    truth = np.eye(*scores.shape, dtype=bool).ravel()
    values = scores.ravel()
    order = np.argsort(-values, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.diff(values[order]) != 0, True) & (values[order] > -1 if values.min() == -1 else True)
    good = last & (hits >= precision * np.arange(1, len(order) + 1))
    return float(hits[good][-1] / len(scores)) if good.any() else 0.0


if __name__ == "__main__":
    main()

"""Does the checkup find faults that were planted, and accuse nobody else?

    python bench/doctor.py [--data DIR] [--quick]

Into sound pictures are planted: exact copies (within a class and under another label), near copies
(recompressed, cut by 3 to 10 % of the side and brought back to size, brighter or darker), a second
data set that shares a twentieth of the contents and two identities, 5 % labels swapped, and paper
of one colour for each class: a strong one, whose AUC is clearly above the .75 from which on a trait
is called a confound, and a faint one near it, which is printed with its AUC. Each fault is planted
into a fresh copy of the data and looked for alone. --data: a folder of folders of real pictures
(with --levels 2, of folders of those); without it the pictures are invented characters on paper of
changing colour.
"""

import argparse
import io
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from last_line import print_last_line, row
from twofold import Items
from twofold.apps.doctor import Checkup, checkup
from twofold.data.synthetic import glyphs
from twofold.inputs import Image

READER = Image()
SHARE = 20


def main() -> None:
    """Plant, look, and the last line."""
    parser = argparse.ArgumentParser(description="Faults planted in data")
    parser.add_argument(
        "--data", type=Path, help="a folder of real pictures, one sub-folder per identity"
    )
    parser.add_argument("--levels", type=int, default=1)
    parser.add_argument("--most", type=int, default=2000, help="items of --data that take part")
    parser.add_argument("--quick", action="store_true", help="200 items")
    options = parser.parse_args()
    clock = time.monotonic()
    most = 200 if options.quick else options.most
    labels, pictures = real(options.data, options.levels, most) if options.data else invented(most)
    print(f"{len(pictures)} pictures of {len(set(labels))} identities", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), labels, pictures)
        results = [
            *bench.copies(),
            *bench.near_copies(),
            *bench.overlap(),
            *bench.swapped(),
            *bench.confound(),
        ]
    for result in results:
        print(f"{result['name']:26} {result['value']:.3f}  {result['anchor']}")
    print_last_line("doctor", clock, results)


def invented(most: int) -> tuple[list[str], list[np.ndarray]]:
    """Characters on paper whose colour changes from drawing to drawing."""
    items = glyphs(most // 20, 20, size=64, jitter=0.03, seed=1)
    generator = np.random.default_rng(0)
    pictures = [tinted(value, generator.uniform(-25, 25, 3)) for value in items.values]
    return [items.names[code] for code in items.labels], pictures


def real(folder: Path, levels: int, most: int) -> tuple[list[str], list[np.ndarray]]:
    """Whole identities with two pictures and more, drawn by chance until there are enough, the largest first kept."""
    items = Items.from_folder(
        folder, levels=levels, suffixes=frozenset({".png", ".jpg", ".jpeg", ".pgm"})
    )
    sizes = np.bincount(items.identity)
    order = np.random.default_rng(0).permutation(len(sizes))
    order = order[np.argsort(-np.minimum(sizes[order], 10), kind="stable")]
    names = [
        items.identities[i]
        for i in order[: int(np.searchsorted(np.cumsum(sizes[order]), most)) + 1]
    ]
    items = items.where(identities=names)
    pictures = [np.asarray(PIL.Image.open(value).convert("RGB")) for value in items.values]
    return [items.identities[code] for code in items.identity], pictures


class Bench:
    """Sound pictures, their labels, and a folder for copies of them with faults."""

    def __init__(self, folder: Path, labels: list[str], pictures: list[np.ndarray]) -> None:
        self.folder, self.labels, self.pictures = folder, labels, pictures
        self.names = sorted(set(labels))
        self.generator = np.random.default_rng(1)
        self.number = 0

    def saved(self, labels: Sequence[str], pictures: Sequence[np.ndarray]) -> Items:
        """The pictures as PNG files in a table, in this order."""
        self.number += 1
        folder = self.folder / str(self.number)
        folder.mkdir()
        for place, picture in enumerate(pictures):
            PIL.Image.fromarray(picture).save(folder / f"{place}.png", compress_level=1)
        rows = [f"{place}.png,{label}" for place, label in enumerate(labels)]
        (folder / "table.csv").write_text("\n".join(["path,label", *rows]) + "\n")
        return Items.open(folder / "table.csv")

    def drawn(self) -> list[int]:
        """One item in twenty."""
        return self.generator.permutation(len(self.labels))[
            : max(len(self.labels) // SHARE, 6)
        ].tolist()

    def other(self, label: str) -> str:
        """Another label by chance."""
        return str(self.generator.choice([name for name in self.names if name != label]))

    def copies(self) -> list[dict]:
        """Exact copies, every second under another label."""
        places = self.drawn()
        extra = [
            self.labels[i] if n % 2 else self.other(self.labels[i]) for n, i in enumerate(places)
        ]
        items = self.saved(
            [*self.labels, *extra], [*self.pictures, *(self.pictures[i] for i in places)]
        )
        told = named(examined(items), "duplicates-within-classes", "duplicates-across-classes")
        recall = np.mean(
            [{f"{i}.png", f"{len(self.labels) + n}.png"} <= told for n, i in enumerate(places)]
        )
        return [
            row(
                "exact_duplicate_recall",
                float(recall),
                goal=1.0,
                anchor=f"{len(places)} copies",
                seed=1,
            )
        ]

    def near_copies(self) -> list[dict]:
        """Recompressed, cut, and brighter copies, a third each; and how many sound pictures are accused."""
        codes = ("near-duplicates-within-classes", "near-duplicates-across-classes")
        sound = named(examined(self.saved(self.labels, self.pictures)), *codes)
        places = self.drawn() + self.drawn()
        ways: list[Callable[[np.ndarray, np.random.Generator], np.ndarray]] = [
            recompressed,
            cut,
            brighter,
        ]
        changed = [ways[n % 3](self.pictures[i], self.generator) for n, i in enumerate(places)]
        items = self.saved(
            [*self.labels, *(self.labels[i] for i in places)], [*self.pictures, *changed]
        )
        told = named(examined(items), *codes)
        hit = np.array(
            [{f"{i}.png", f"{len(self.labels) + n}.png"} <= told for n, i in enumerate(places)]
        )
        each = ", ".join(f"{way.__name__} {hit[n::3].mean():.3f}" for n, way in enumerate(ways))
        anchor = f"{len(places)} copies: {each}"
        unplanted = len(sound) / len(self.labels)
        return [
            row("near_duplicate_recall", float(hit.mean()), goal=0.9, anchor=anchor, seed=1),
            row(
                "near_duplicates_unplanted",
                unplanted,
                unit="share of items",
                anchor="found in the data as it is",
            ),
        ]

    def overlap(self) -> list[dict]:
        """Two data sets; the second has contents of the first under new names, and two identities of the first."""
        half = set(self.names[::2])
        first = [i for i, label in enumerate(self.labels) if label in half]
        second = [i for i, label in enumerate(self.labels) if label not in half]
        shared = self.generator.permutation(first)[: max(len(first) // SHARE, 3)].tolist()
        labels = [*(self.labels[i] for i in second), *(f"new {n}" for n in range(len(shared)))]
        moved = sorted(half)[:2]
        labels[:2] = moved
        items = self.saved([self.labels[i] for i in first], [self.pictures[i] for i in first])
        others = self.saved(labels, [self.pictures[i] for i in [*second, *shared]])
        found = checkup(items, READER, against=others)
        contents, identities = named(found, "overlap-contents"), named(found, "overlap-identities")
        hits = [
            {f"{first.index(i)}.png", f"against: {len(second) + n}.png"} <= contents
            for n, i in enumerate(shared)
        ]
        hits += [f"against: {n}.png" in identities for n in range(2)]
        anchor = f"{len(shared)} contents and 2 identities on both sides"
        return [row("overlap_recall", float(np.mean(hits)), goal=1.0, anchor=anchor, seed=1)]

    def swapped(self) -> list[dict]:
        """One label in twenty swapped for any other."""
        places, labels = self.drawn(), list(self.labels)
        for place in places:
            labels[place] = self.other(labels[place])
        found = examined(self.saved(labels, self.pictures))
        told, planted = named(found, "labels-doubtful"), {f"{place}.png" for place in places}
        judged = [f.message for f in found.findings if f.code.startswith("labels-")]
        anchor = (
            f"{len(places)} swapped, {len(told)} named; {judged[0] if judged else 'nothing said'}"
        )
        recall = len(told & planted) / len(planted)
        precision = len(told & planted) / len(told) if told else math.nan
        results = [row("label_noise_recall", recall, goal=0.7, anchor=anchor, seed=1)]
        if told:
            results.append(row("label_noise_precision", precision, goal=0.8, anchor=anchor, seed=1))
        return results

    def confound(self) -> list[dict]:
        """Paper of one colour a class, strong and faint: the strong one is reported, and without it nothing."""
        before = [
            f
            for f in examined(self.saved(self.labels, self.pictures)).findings
            if f.code == "confound"
        ]
        rows = []
        for name, strength, goal in (
            ("confound_reported", 60, 1.0),
            ("faint_confound_reported", 30, None),
        ):
            paper = {name: self.generator.uniform(-strength, strength, 3) for name in self.names}
            coloured = [
                shaded(picture, paper[name])
                for picture, name in zip(self.pictures, self.labels, strict=True)
            ]
            found = examined(self.saved(self.labels, coloured)).findings
            said = {f.code: f.message for f in found if f.code.startswith("confound")}
            told = "mean colour" in said.get("confound", "")
            anchor = (
                f"paper differs by {strength}: "
                f"{said.get('confound', said.get('confound-traits', 'nothing said'))}; "
            )
            rows.append(
                row(
                    name,
                    float(told),
                    goal=goal,
                    anchor=f"{anchor}as it is: {len(before)} warnings",
                    seed=1,
                )
            )
        return rows


def examined(items: Items) -> Checkup:
    """The whole checkup."""
    return checkup(items, READER)


def named(found: Checkup, *codes: str) -> set[str]:
    """The items that findings of these codes name."""
    return {name for finding in found.findings if finding.code in codes for name in finding.files}


def tinted(picture: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A grey picture on paper of a colour."""
    return shaded(np.repeat(picture, 3, axis=2), colour)


def shaded(picture: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A picture in another light."""
    return np.clip(picture * 0.75 + 32 + colour, 0, 255).astype(np.uint8)


def recompressed(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """JPEG of quality 30 to 70."""
    stream = io.BytesIO()
    PIL.Image.fromarray(picture).save(stream, "JPEG", quality=int(generator.integers(30, 71)))
    return np.asarray(PIL.Image.open(stream).convert("RGB"))


def cut(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A part of 90 to 97 % of the side, anywhere, at the old size."""
    height, width = picture.shape[:2]
    side = generator.uniform(0.9, 0.97)
    left, top = generator.uniform(0, 1 - side, 2) * (width, height)
    box = (left, top, left + side * width, top + side * height)
    return np.asarray(
        PIL.Image.fromarray(picture).resize((width, height), PIL.Image.Resampling.BICUBIC, box=box)
    )


def brighter(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Contrast times 0.7 to 1, and 0 to 40 grey values added."""
    return np.clip(picture * generator.uniform(0.7, 1) + generator.uniform(0, 40), 0, 255).astype(
        np.uint8
    )


if __name__ == "__main__":
    main()

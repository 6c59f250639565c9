"""Does a new user with little data come through? Every command is the one that the step before printed.

    python bench/first_day.py [--data DIR] [--sources omniglot,orl] [--sizes 4,12,40] [--each 2,5]
    [--quick]

Folders of few identities are made, and from `twofold doctor` on the printed `next:` commands are
run, until a verdict or an index is there. A dead end is a folder whose steps stop before that, or
go in a circle; a broken hint is a printed command that fails, or an option of `calibrate` that a
refusal offers and that is refused, too. Where no hint leads to a threshold, `calibrate` must say
what would help. The recipes are the built-in ones with a small network and small pictures, and with
the epochs that `train` chooses for the data (from 60 steps on). DIR holds the usual layouts of
Omniglot (`omniglot/images_background/ALPHABET/CHARACTER/`), ORL (`orl_faces/sN/`) and the Grocery
Store set (`grocery_store_160/train/KIND/.../`); those that are not there are left out. Without it
the pictures are invented.

With Omniglot each threshold is also tried on the characters of `images_evaluation`: how often
another character is accepted by the final model, as a multiple of the rate asked for; whether a
rate was broken for which more than an estimate was claimed; and how often the true rate of an
estimate is above what `calibrate` said fits, or was warned of.
"""

import argparse
import contextlib
import io
import os
import re
import shlex
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image

from last_line import print_last_line, row
from twofold import Bundle, Items, cli
from twofold.data.synthetic import glyphs
from twofold.embedding import deciding, embed
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import estimates_at
from twofold.recipes import find

SIZES, EACH = (4, 6, 8, 12, 16, 20, 24, 40, 100), (2, 3, 5, 10)
SETTINGS = {
    "epochs": 2,
    "fewest_steps": 60,
    "input.size": 24,
    "input.channels": 1,
    "encoder.width": 8,
    "encoder.dim": 32,
    "copies": 1,
}
LAYOUTS = {
    "omniglot": ("character", "omniglot/images_background", "*/*"),
    "orl": ("face", "orl_faces", "s*"),
    "groceries": ("generic", "grocery_store_160/train", "*/*"),
}
"""Recipe, folder and pattern of the identities' folders."""

REMEDIES = (
    "give DATA of other",
    "train again with --set epochs=",
    "train again on",
    "give more identities",
)
"""What helps where no rate and no standing does."""

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".pgm", ".bmp"})
UNSEEN_ITEMS = 2
"""Drawings of each unseen character: 659 characters make 867,000 pairs of different ones."""


@dataclass
class Day:
    """What happened to one folder.

    Attributes:
        steps: the commands that were run. dead, broken: why it stopped, or None.
        share: measured false-accept rate as a multiple of the one asked for; claimed: more than an
            estimate.
        fits: whether the measured rate is one that `calibrate` said fits; warned: whether it warned
            of the folds.
    """

    name: str
    steps: list[str] = field(default_factory=list)
    dead: str | None = None
    broken: str | None = None
    share: float | None = None
    claimed: bool = False
    fits: bool = True
    warned: bool = False

    @property
    def trouble(self) -> str:
        """What went wrong, if anything did."""
        return self.dead or self.broken or ""


def main() -> None:
    """All folders, and the last line."""
    parser = argparse.ArgumentParser(description="From a folder of few identities to a verdict")
    parser.add_argument("--data", type=lambda text: Path(text).resolve())
    parser.add_argument(
        "--sources", type=lambda text: text.split(","), help="of those: omniglot, orl, groceries"
    )
    parser.add_argument("--sizes", type=numbers, default=SIZES)
    parser.add_argument("--each", type=numbers, default=EACH)
    parser.add_argument("--quick", action="store_true", help="three folders of invented characters")
    options = parser.parse_args()
    clock = time.monotonic()
    sizes, each = ((4, 12), (3,)) if options.quick else (options.sizes, options.each)
    unseen = None if options.data is None or options.quick else strangers(options.data)
    days = []
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for source in options.sources or sources(None if options.quick else options.data):
            for count in sizes:
                for items in each:
                    name = f"{source}-{count}x{items}"
                    if written(Path(name), source, options.data, count=count, items=items):
                        days.append(lived(name, recipe_for(source), unseen))
                        print(told(days[-1]), flush=True)
    print_last_line("first_day", clock, results(days))


def told(day: Day) -> str:
    """A line on one folder."""
    rate = (
        ""
        if day.share is None
        else f"{day.share:.2f} times the rate{'' if day.fits else ', above what fits'}"
    )
    warned = ", warned" if day.warned else ""
    return f"{day.name:20} {' '.join(day.steps)} {rate}{warned} {day.trouble}"


def recipe_for(source: str) -> Path:
    """A file with the small recipe for a set."""
    place = Path(f"{source}.toml")
    place.write_text(find(LAYOUTS.get(source, ("character",))[0]).replace(SETTINGS).toml())
    return place


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers, separated by commas."""
    return tuple(int(word) for word in text.split(","))


def sources(data: Path | None) -> list[str]:
    """The sets that are there; invented characters where none was named."""
    return (
        ["glyphs"]
        if data is None
        else [name for name, (_, folder, _) in LAYOUTS.items() if (data / folder).is_dir()]
    )


def written(place: Path, source: str, data: Path | None, *, count: int, items: int) -> bool:
    """Make a folder of `count` identities with so many items; False where the set has fewer."""
    if source == "glyphs" or data is None:
        drawn = glyphs(count, items, size=24, seed=count)
        for number, (value, code) in enumerate(zip(drawn.values, drawn.labels, strict=True)):
            folder = place / drawn.names[code]
            folder.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(np.asarray(value).squeeze()).save(folder / f"{number}.png")
        return True
    _, folder, pattern = LAYOUTS[source]
    found = {
        each: pictures(each) for each in sorted((data / folder).glob(pattern)) if each.is_dir()
    }
    large = [each for each, files in found.items() if len(files) >= items]
    if len(large) < count:
        return False
    for number in np.random.default_rng(count).permutation(len(large))[:count]:
        inside = place / f"identity {number}"
        inside.mkdir(parents=True)
        for file in found[large[number]][:items]:
            shutil.copy(file, inside / file.name)
    return True


def pictures(folder: Path) -> list[Path]:
    """Pictures at any depth."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)


def lived(name: str, recipe: Path, unseen: Items | None) -> Day:
    """Run what is printed, from the doctor on."""
    day = Day(name)
    words = ["doctor", name, "--recipe", str(recipe), "--set", "copies=1"]
    while words:
        day.steps.append(words[0])
        code, printed = called(words)
        if code not in (0, 1, 3):
            day.broken = f"{shlex.join(words)}: {printed.strip().splitlines()[-1]}"
            return day
        if words[0] == "calibrate" and unseen is not None:
            judged(day, Path(words[1]), unseen)
        if words[0] in ("verify", "index"):
            break
        words = following(printed)
        if words and words[0] in day.steps:
            day.dead = f"{words[0]} comes a second time"
            return day
    if day.steps[-1] not in ("verify", "index"):
        day.dead = f"nothing is said after {day.steps[-1]}"
    for far in ("0.01", "0.001"):
        remedied(
            day, ["calibrate", f"models/{name}", name, "--far", far, "--out", "tried", "--force"]
        )
    return day


def remedied(day: Day, words: list[str]) -> None:
    """Where a rate is refused, take what is offered instead, which must be granted; else something must help."""
    code, printed = called(words)
    if code != 2:
        return
    offered = re.search(r"; or calibrate with ((?:--[a-z]+(?: [0-9a-z.-]+)? ?)+)", printed)
    if offered is None:
        if not any(remedy in printed for remedy in REMEDIES):
            day.dead = f"calibrate does not say what would help: {printed}"
        return
    options = offered[1].split()
    kept = words if "--far" not in options else words[:3] + words[5:]
    if called([*kept, *options])[0] != 0:
        day.broken = f"{shlex.join([*kept, *options])} was offered and is refused"


def called(words: list[str]) -> tuple[int, str]:
    """The exit code of a command, and all that it printed."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            cli.main(words)
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue() + error.getvalue()


def following(printed: str) -> list[str]:
    """The words of the printed next command, without `twofold`."""
    lines = [
        line.removeprefix("next: ") for line in printed.splitlines() if line.startswith("next: ")
    ]
    return shlex.split(lines[-1])[1:] if lines else []


def strangers(data: Path) -> Items | None:
    """Characters of other alphabets, two drawings of each."""
    root = data / "omniglot" / "images_evaluation"
    if not root.is_dir():
        return None
    items = Items.from_folder(root, levels=2)
    first = [
        np.flatnonzero(items.labels == code)[:UNSEEN_ITEMS] for code in range(len(items.names))
    ]
    return items.take(np.concatenate(first))


def judged(day: Day, bundle: Path, unseen: Items) -> None:
    """The rate at the threshold on identities that no model has seen."""
    model = Bundle.load(bundle)
    known = model.calibration
    if known is None or not day.name.startswith("omniglot"):
        return
    pairs = AllPairs(deciding(model, embed(model, unseen).vectors), unseen.labels)
    rate = estimates_at(pairs, known.threshold)["false_match_rate"].value
    day.share, day.claimed = rate / known.far, known.standing != "estimate"
    day.fits, day.warned = rate <= known.upper_bound, bool(known.warnings)


def results(days: list[Day]) -> list[dict]:
    """The figures."""
    shares = [day.share for day in days if day.share is not None]
    claimed = [day for day in days if day.claimed]
    broken = sum(day.share > 1 for day in claimed if day.share is not None)
    tried = f"{len(days)} folders"
    rows = [
        row("dead_ends", sum(day.dead is not None for day in days), goal=0, anchor=tried),
        row("broken_hints", sum(day.broken is not None for day in days), goal=0, anchor=tried),
        row(
            "small_data_violation_rate",
            broken / len(claimed) if claimed else 0.0,
            goal=0.05,
            anchor=f"{broken} of {len(claimed)} thresholds for which more than an estimate was "
            f"claimed",
        ),
    ]
    if shares:
        spread = f"of {len(shares)} thresholds; {min(shares):.2f} to {max(shares):.2f}"
        rows.append(
            row("estimate_true_rate_share", float(np.median(shares)), anchor=f"median {spread}")
        )
        beyond = sum(not day.fits and not day.warned for day in days)
        rows.append(
            row(
                "estimate_beyond_what_was_said",
                beyond / len(shares),
                anchor=f"{beyond} of {len(shares)} true rates above those that were said to fit, "
                f"and without a warning",
            )
        )
    return rows


if __name__ == "__main__":
    main()

"""The demo: the whole way through the public functions, on characters drawn in the fonts that matplotlib ships.

Nothing is printed here: `demo` returns its numbers and a story, which the terminal and the page
both tell.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from twofold import build
from twofold.apps.diagnosis import diagnosed
from twofold.config import Recipe
from twofold.contract import Calibration
from twofold.data.fonts import Alphabets, alphabets
from twofold.data.items import Items, Parts
from twofold.demo import story as steps
from twofold.demo.judging import Judged, judge
from twofold.files import new_folder
from twofold.report.page import page
from twofold.report.story import Step, Story
from twofold.results import Estimate, Identification, Progress, Verdict
from twofold.train.fit import fit

__all__ = ["TRAINED_SCRIPTS", "DemoResult", "demo", "recipe"]

TRAINED_SCRIPTS = ("Latin", "phonetic", "Cyrillic", "arrows", "mathematics")
"""Scripts that train and choose; every other script is kept for the calibration and the test."""

MARKER = "demo.json"


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo came to.

    Attributes:
        out: the folder, in which are `model` (the bundle), `index`, `pictures`, `page.html` and
            `demo.json`.
        identities: how many characters trained, chose, calibrated and tested; no two of these share
            one.
        calibration: the threshold and what it promises.
        numbers: what was measured on the test characters, with intervals.
        verdicts, identifications: of the pairs and queries that the story shows.
        seconds: of every step.
        story: the same in plain words with pictures; `terminal.screen.story` and `report.page.page`
            show it.
    """

    out: Path
    pictures: int
    identities: dict[str, int]
    calibration: Calibration
    numbers: tuple[Estimate, ...]
    verdicts: tuple[Verdict, ...]
    identifications: tuple[Identification, ...]
    seconds: dict[str, float]
    story: Story

    def plain(self) -> dict[str, Any]:
        """Everything but the story, JSON-able."""
        told = asdict(replace(self, story=Story(title="", lead="", steps=())))
        return {name: value for name, value in told.items() if name != "story"} | {
            "out": str(self.out)
        }


def recipe() -> Recipe:
    """What the demo trains with: small pictures, a small encoder, so many batches on any machine.

    The time is only a limit for machines that are ten times slower: a training of two batches would
    show nothing.
    """
    return Recipe.model_validate(
        {
            "input": {"name": "Image", "size": 28, "channels": 1, "mean": 1.0, "std": 0.35},
            "augment": {"rotation": 4, "scale": 0.05, "shear": 0.08, "shift": 0.02},
            "encoder": {"name": "resnet_small", "dim": 128, "width": 16},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 32,
            "k": 4,
            "epochs": 8,
            "max_seconds": 400.0,
            "optimiser": {"learning_rate": 4e-3, "weight_decay": 0.05},
            "ema": 0.99,
        }
    )


def demo(
    out: str | Path,
    *,
    seed: int = 0,
    far: float = 1e-2,
    settings: Recipe | None = None,
    drawn: Alphabets | None = None,
    watch: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> DemoResult:
    """Draw, examine, train, calibrate, evaluate, verify, identify; and write bundle, index, pictures and page to `out`.

    Args:
        out: a folder that is made, or an earlier demo's, which is replaced when all went well.
        seed: of split, weights, order and choice of what is shown.
        far: false-accept rate to certify.
        settings: another recipe than `recipe()`.
        drawn: other characters than all of `twofold.data.fonts`.
        watch: called after every training step.
        say: called with what is done next, a few words.

    Raises:
        MissingExtra: matplotlib, whose fonts are drawn, is not installed.
        CannotWrite: something else stands at `out`.
    """
    settings = settings or recipe()
    clock = _Clock(say)
    with new_folder(out, marker=MARKER) as folder:
        with clock("draw", "drawing characters in the fonts of matplotlib"):
            drawn = drawn or alphabets()
            parts = _parts(drawn.items, seed)
        with clock("examine", "looking for what is wrong with the pictures"):
            findings = diagnosed(drawn.items, build.input(settings), recipe=settings)
        with clock("train", "training"):
            bundle = fit(
                build.twin(settings, seed),
                parts.train,
                parts.valid,
                recipe=settings,
                seed=seed,
                watch=watch,
            )
        judged = judge(bundle, parts, folder, far=far, seed=seed, clock=clock)
        story = steps.story(
            [
                steps.drawn(drawn, seed=seed),
                steps.examined(findings),
                steps.trained(parts, judged.bundle),
                *_judged_steps(judged, Path(out), folder),
                steps.next_commands(Path(out)),
            ],
            seconds=sum(clock.seconds.values()),
        )
        result = _result(judged, Path(out), story, pictures=len(drawn.items), seconds=clock.seconds)
        (folder / "page.html").write_text(page(story), encoding="utf-8")
        (folder / MARKER).write_text(
            json.dumps(result.plain(), indent=1, allow_nan=False), encoding="utf-8"
        )
    return result


class _Clock:
    """Seconds of every step, each announced before it starts."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str, text: str) -> Iterator[None]:
        if self.say:
            self.say(text)
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 1)


def _judged_steps(judged: Judged, out: Path, folder: Path) -> list[Step]:
    """What the trained bundle said, told; the pictures that the commands name are written."""
    test = judged.parts.test
    for number, (a, b, _) in enumerate(judged.pairs, start=1):
        _write_picture(folder, f"{number}a", test.values[a])
        _write_picture(folder, f"{number}b", test.values[b])
    for number, (asked, row, _) in enumerate(judged.queries, start=1):
        _write_picture(folder, f"query{number}", asked.values[row])
    model, index, pictures = (out / name for name in ("model", "index", "pictures"))
    return [
        steps.calibrated(judged.calibration),
        steps.evaluated(test, judged.numbers, judged.shares),
        steps.verified(
            test,
            judged.pairs,
            [f"twofold verify {model} {pictures}/{n}a.png {pictures}/{n}b.png" for n in (1, 2)],
        ),
        steps.identified(
            judged.one_shot,
            judged.queries,
            [f"twofold identify {model} {index} {pictures}/query{number}.png" for number in (1, 2)],
        ),
    ]


def _result(
    judged: Judged, out: Path, story: Story, *, pictures: int, seconds: dict[str, float]
) -> DemoResult:
    return DemoResult(
        out=out,
        pictures=pictures,
        identities={part: len(names) for part, names in judged.parts.names().items()},
        calibration=judged.calibration,
        numbers=(*judged.numbers, *judged.one_shot.numbers),
        verdicts=tuple(verdict for _, _, verdict in judged.pairs),
        identifications=tuple(found for _, _, found in judged.queries),
        seconds=seconds,
        story=story,
    )


def _parts(items: Items, seed: int) -> Parts:
    """Some scripts train and choose; the characters of all others calibrate (0.6 of them) and test (0.4)."""
    trained = [script for script in items.groups if script in TRAINED_SCRIPTS]
    seen = items.where(groups=trained).split(0.85, 0.15, calibrate=0.0, test=0.0, seed=seed)
    others = items.where(
        groups=[script for script in items.groups if script not in TRAINED_SCRIPTS]
    )
    unseen = others.split(0.0, 0.0, calibrate=0.6, test=0.4, seed=seed)
    return Parts(train=seen.train, valid=seen.valid, calibrate=unseen.calibrate, test=unseen.test)


def _write_picture(folder: Path, name: str, pixels: np.ndarray) -> None:
    """Where the commands that are shown can find it."""
    (folder / "pictures").mkdir(exist_ok=True)
    PIL.Image.fromarray(pixels).save(folder / "pictures" / f"{name}.png")

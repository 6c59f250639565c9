"""Live bars of what takes long, on standard error; nothing is shown where no terminal is."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from twofold.results import Progress, Tracked, Tuning

__all__ = ["TrainingBar", "bar", "frames", "stages", "training", "training_numbers", "tuning"]


@contextmanager
def bar(description: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error that takes (done, total); nothing is shown when `quiet` or where no terminal is."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bars(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as bars:
        task = bars.add_task(description, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def stages(*, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for `evaluate(watch=...)`: one thing after the other, each with its speed and the time it still takes."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[numbers]}", markup=False),
        TimeRemainingColumn(),
    )
    with Bars(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bars.update(task, visible=False)
                tasks[what] = bars.add_task(what, total=total, numbers="")
            speed = bars.tasks[tasks[what]].speed
            numbers = "" if speed is None else f"{_short(speed)}/s"
            bars.update(tasks[what], completed=done, total=total, numbers=numbers)

        yield watch


@contextmanager
def frames(
    *, quiet: bool = False
) -> Iterator[Callable[[int, int | None, Sequence[Tracked]], None]]:
    """A bar for `track(watch=...)`: frames, frames per second, and whether what is followed is lost."""
    console = Console(stderr=True)
    columns = (
        TextColumn("frames", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}", markup=False),
        TimeRemainingColumn(),
    )
    with Bars(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as bars:
        task = bars.add_task("frames", total=None, numbers="")

        def watch(done: int, total: int | None, found: Sequence[Tracked]) -> None:
            speed = bars.tasks[0].speed
            states = " ".join("lost" if each.lost else f"{each.confidence:.2f}" for each in found)
            numbers = states if speed is None else f"{speed:.0f} frames/s  {states}"
            bars.update(task, completed=done, total=total, numbers=numbers)

        yield watch


@contextmanager
def training(
    *, quiet: bool = False, numbers: Callable[[Progress], str] | None = None
) -> Iterator["TrainingBar"]:
    """A bar for `fit(watch=...)`, on standard error; nothing is shown when `quiet` or where no terminal is.

    Args:
        numbers: what is told beside it; `training_numbers` by default.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[numbers]}", markup=False),
    )
    shown = not quiet and console.is_terminal
    with Bars(*columns, console=console, transient=True, disable=not shown) as bars:
        lines = None if quiet or shown else console
        yield TrainingBar(bars, lines=lines, numbers=numbers or training_numbers)


@contextmanager
def tuning(*, quiet: bool = False) -> Iterator[Callable[[Tuning], None]]:
    """A bar for `tune(watch=...)`: which trial it is, and where its training stands."""
    with training(quiet=quiet, numbers=_trial_numbers) as shown:

        def watch(tuning: Tuning) -> None:
            heading = [f"{tuning.stage} {tuning.number} of {tuning.total}"]
            if tuning.best is not None:
                heading.append(f"best {tuning.monitor} {tuning.best:.4f}")
            if tuning.seconds_left is not None:
                heading.append(f"{_clock(tuning.seconds_left)} left in all")
            shown.heading = ", ".join(heading)
            shown(tuning.training)

        yield watch


LINE_SECONDS = 30.0
"""Between two lines of progress where no terminal shows a bar: a log of a day stays under 3,000 lines."""


class TrainingBar:
    """Takes the `Progress` of a training run; `say` tells what goes on before and after it.

    Args:
        lines: gets a line now and then, where there is no bar: for logs.
        numbers: what is told of the progress.

    Attributes:
        heading: what the training is.
    """

    def __init__(
        self,
        bars: Bars,
        *,
        lines: Console | None = None,
        numbers: Callable[[Progress], str],
    ) -> None:
        self._bars, self._lines, self._spoken = bars, lines, time.monotonic()
        self._numbers = numbers
        self._task = bars.add_task("", total=None, numbers="")
        self.heading = "training"

    def __call__(self, progress: Progress) -> None:
        if self._lines is not None and time.monotonic() - self._spoken >= LINE_SECONDS:
            self._spoken = time.monotonic()
            where = f"epoch {progress.epoch} of {progress.epochs}, step {progress.step} of {progress.steps}"
            self._lines.print(
                f"{self.heading}, {where}: {self._numbers(progress)}",
                soft_wrap=True,
                markup=False,
            )
        done = (progress.epoch - 1 + progress.step / max(progress.steps, 1)) / progress.epochs
        self._bars.update(
            self._task,
            description=f"{self.heading}, epoch {progress.epoch} of {progress.epochs}",
            completed=done,
            total=1.0,
            numbers=self._numbers(progress),
        )

    def say(self, text: str) -> None:
        """Show `text` beside a bar that only tells that something goes on."""
        self._bars.reset(self._task, description=text, total=None, numbers="")


MUCH_WAITING = 0.1
"""From this share on it is said that training waits for its data."""


def training_numbers(progress: Progress) -> str:
    """Loss, speed, the validation number and the time left, in one line."""
    speed = (
        f"{_short(progress.items_per_second)} items/s, {_short(progress.pairs_per_second)} pairs/s"
    )
    parts = [f"loss {progress.loss:.3f}", speed]
    if progress.waiting >= MUCH_WAITING:
        parts.append(f"{progress.waiting:.0%} of it waiting for data")
    if progress.monitored is not None and progress.best is not None:
        parts.append(
            f"{progress.monitor} on unseen {progress.monitored:.4f} (best {progress.best:.4f})"
        )
    return ", ".join([*parts, f"{_clock(progress.seconds_left)} left"])


def _trial_numbers(progress: Progress) -> str:
    """Speed and the validation number: a tuning says beside them what is left of all."""
    known = "" if progress.monitored is None else f", {progress.monitor} {progress.monitored:.4f}"
    return f"{_short(progress.items_per_second)} items/s{known}"


def _clock(seconds: float) -> str:
    """1:05, or 75:00."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _short(count: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.3g}"

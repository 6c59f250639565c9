"""What is shown in a terminal: pictures, stories and live bars, as rich renderables. Nothing here prints by itself."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import PIL.Image
from jaxtyping import UInt8
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from twofold.report.story import Row, Scores, Step, Story
from twofold.results import Estimate, Progress

__all__ = ["Picture", "TrainingBar", "bar", "ending", "stages", "story", "training"]

_MARKS = {"right": ("✓ ", "green"), "wrong": ("✗ ", "red"), "": ("", "")}
_COLUMNS = 14
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII_SHADES = " .:+*#"
# braille's eight dots by (row, column) of a cell of 4 x 2 pixels: their order in the code point is historical
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


class Picture:
    """A small picture: half blocks in greys where the terminal has colours, braille dots or ASCII where not.

    Args:
        pixels: grey (height, width) or colour (height, width, 3), uint8.
        columns: width in characters; a character is taken to be twice as high as wide.
    """

    def __init__(self, pixels: UInt8[np.ndarray, "..."], *, columns: int = _COLUMNS) -> None:
        self.pixels = pixels
        self.columns = columns

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment | Text]:
        lines = max(1, round(self.columns * self.pixels.shape[0] / self.pixels.shape[1] / 2))
        if options.ascii_only:
            yield from _plain_lines(_shades(self._grey(lines, self.columns)))
        elif console.color_system is None or console.no_color:
            yield from _plain_lines(_braille(self._grey(4 * lines, 2 * self.columns)))
        else:
            yield from _half_blocks(self._sized(2 * lines, self.columns, "RGB"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.columns, self.columns)

    def _sized(self, height: int, width: int, mode: str) -> np.ndarray:
        picture = PIL.Image.fromarray(np.ascontiguousarray(self.pixels)).convert(mode)
        return np.asarray(picture.resize((width, height), PIL.Image.Resampling.BOX))

    def _grey(self, height: int, width: int) -> np.ndarray:
        return self._sized(height, width, "L")


def story(told: Story) -> RenderableType:
    """The whole story, a numbered step after the other."""
    steps = [_step(number, step) for number, step in enumerate(told.steps, start=1)]
    return Group(Text(told.title, style="bold"), _said(told.lead), *steps)


@contextmanager
def bar(description: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error that takes (done, total); nothing is shown when `quiet` or where no terminal is."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bars:
        task = bars.add_task(description, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def ending() -> Iterator[Callable[[], int]]:
    """Inside, work can be asked to end where it can be gone on with; what is yielded says by which signal (0: none).

    SIGTERM only takes a note. So does the first Ctrl-C once the work has begun to ask; before that, and the second
    time, it ends at once.
    """
    came: list[int] = []
    asks = 0

    def note(number: int, frame: object) -> None:
        if number == signal.SIGINT and (not asks or signal.SIGINT in came):
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            os.write(2, b"twofold: the state is kept after this step; Ctrl-C again ends at once\n")
        came.append(number)

    def asked() -> int:
        nonlocal asks
        asks += 1
        return came[0] if came else 0

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    with Bars(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bars:
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
def training(*, quiet: bool = False) -> Iterator["TrainingBar"]:
    """A bar for `fit(watch=...)`, on standard error; nothing is shown when `quiet` or where no terminal is."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[numbers]}", markup=False),
    )
    shown = not quiet and console.is_terminal
    with Bars(*columns, console=console, transient=True, disable=not shown) as bars:
        yield TrainingBar(bars, lines=None if quiet or shown else console)


LINE_SECONDS = 30.0
"""Between two lines of progress where no terminal shows a bar: a log of a day stays under 3,000 lines."""


class TrainingBar:
    """Takes the `Progress` of a training run; `say` tells what goes on before and after it.

    Args:
        lines: gets a line now and then, where there is no bar: for logs.
    """

    def __init__(self, bars: Bars, *, lines: Console | None = None) -> None:
        self._bars, self._lines, self._spoken = bars, lines, time.monotonic()
        self._task = bars.add_task("", total=None, numbers="")

    def __call__(self, progress: Progress) -> None:
        if self._lines is not None and time.monotonic() - self._spoken >= LINE_SECONDS:
            self._spoken = time.monotonic()
            where = f"epoch {progress.epoch} of {progress.epochs}, step {progress.step} of {progress.steps}"
            self._lines.print(f"training, {where}: {training_numbers(progress)}", soft_wrap=True, markup=False)
        done = (progress.epoch - 1 + progress.step / max(progress.steps, 1)) / progress.epochs
        self._bars.update(
            self._task,
            description=f"training, epoch {progress.epoch} of {progress.epochs}",
            completed=done,
            total=1.0,
            numbers=training_numbers(progress),
        )

    def say(self, text: str) -> None:
        """Show `text` beside a bar that only tells that something goes on."""
        self._bars.reset(self._task, description=text, total=None, numbers="")


MUCH_WAITING = 0.1
"""From this share on it is said that training waits for its data."""


def training_numbers(progress: Progress) -> str:
    """Loss, speed, the validation number and the time left, in one line."""
    speed = f"{_short(progress.items_per_second)} items/s, {_short(progress.pairs_per_second)} pairs/s"
    parts = [f"loss {progress.loss:.3f}", speed]
    if progress.waiting >= MUCH_WAITING:
        parts.append(f"{progress.waiting:.0%} of it waiting for data")
    if progress.monitored is not None and progress.best is not None:
        parts.append(f"{progress.monitor} on unseen {progress.monitored:.4f} (best {progress.best:.4f})")
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return ", ".join([*parts, f"{minutes}:{seconds:02d} left"])


def _short(count: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.3g}"


def _step(number: int, step: Step) -> RenderableType:
    parts: list[RenderableType] = [_said(step.text)]
    if step.numbers:
        parts += [Text(""), _numbers(step.numbers)]
    if step.scores is not None:
        parts.append(_histograms(step.scores))
    parts += map(_row, step.rows)
    # commands stand outside the padding, which would cut them at the terminal's edge: they are there to be copied
    commands = [Text(f"  {command}", style="bold", no_wrap=True, overflow="ignore") for command in step.commands]
    gap = [Text("")] if commands else []
    return Group(Text(f"\n{number} {step.title}", style="bold"), Padding(Group(*parts), (0, 0, 0, 2)), *gap, *commands)


def _row(row: Row) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in row.pictures:
        grid.add_column(width=_COLUMNS)
    grid.add_column(min_width=16, vertical="middle")
    sign, colour = _MARKS[row.mark]
    lines = [_said(f"{sign}{row.said}", style=f"bold {colour}".strip()), _said(row.detail)] if row.said else []
    captions = [_said(caption, style="dim") for caption in row.captions]
    grid.add_row(*(Picture(pixels, columns=_COLUMNS) for pixels in row.pictures), Group(*lines, *captions))
    return Padding(grid, (1, 0, 0, 0))


def _said(text: str, style: str = "") -> Text:
    """Text that is wrapped at words even where the console leaves that to the terminal."""
    return Text(text, style=style, no_wrap=False, overflow="fold")


def _numbers(numbers: tuple[Estimate, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "value", f"{numbers[0].confidence:.0%} interval"):
        table.add_column(heading, justify="left" if not heading else "right")
    for number in numbers:
        interval = f"{100 * number.low:.2f} to {number.high:.2%}"
        table.add_row(number.name.replace("_", " "), f"{number.value:.2%}", interval)
    return table


class _Histogram:
    """One line of blocks, or of shades where the terminal has ASCII only."""

    def __init__(self, shares: np.ndarray) -> None:
        self.shares = shares / max(float(shares.max()), 1e-12)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment | Text]:
        signs = _ASCII_SHADES if options.ascii_only else _BLOCKS
        yield Text("".join(signs[int(np.ceil(share * (len(signs) - 1)))] for share in self.shares))


def _histograms(scores: Scores) -> RenderableType:
    bins = len(scores.genuine)
    place = int(np.clip(np.searchsorted(scores.edges, scores.threshold) - 1, 0, bins - 1))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_row("different", _Histogram(scores.impostor))
    table.add_row("the same", _Histogram(scores.genuine))
    table.add_row("", Text(" " * place + f"^ threshold {scores.threshold:.3f}"))
    return Padding(table, (1, 0, 0, 0))


def _plain_lines(lines: list[str]) -> Iterator[Segment]:
    for line in lines:
        yield Segment(line)
        yield Segment.line()


def _shades(grey: np.ndarray) -> list[str]:
    steps = ((255 - grey.astype(int)) * len(_ASCII_SHADES)) // 256
    return ["".join(_ASCII_SHADES[step] for step in row) for row in steps]


def _braille(grey: np.ndarray) -> list[str]:
    ink = (grey < 128).reshape(grey.shape[0] // 4, 4, grey.shape[1] // 2, 2)
    codes = (ink * _DOTS[None, :, None, :]).sum(axis=(1, 3))
    return ["".join(chr(0x2800 + code) for code in row) for row in codes]


def _half_blocks(pixels: np.ndarray) -> Iterator[Segment]:
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            yield Segment("▀", Style(color=_hex(above), bgcolor=_hex(below)))
        yield Segment.line()


def _hex(pixel: np.ndarray) -> str:
    red, green, blue = (int(value) for value in pixel)
    return f"#{red:02x}{green:02x}{blue:02x}"

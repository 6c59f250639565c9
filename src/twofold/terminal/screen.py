"""What is shown in a terminal: pictures and stories, as rich renderables. Nothing here prints by itself."""

from collections.abc import Iterator

import numpy as np
import PIL.Image
from jaxtyping import UInt8
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from twofold.report.story import Row, Scores, Step, Story
from twofold.results import Estimate

__all__ = ["Picture", "story"]

_MARKS = {"right": ("✓ ", "green"), "wrong": ("✗ ", "red"), "": ("", "")}

_COLUMNS = 14

_BLOCKS = " ▁▂▃▄▅▆▇█"

_ASCII_SHADES = " .:+*#"


# braille's eight dots by (row, column) of a cell of 4 x 2 pixels: their order in the code point is
# historical
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

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[Segment | Text]:
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


def _step(number: int, step: Step) -> RenderableType:
    parts: list[RenderableType] = [_said(step.text)]
    if step.numbers:
        parts += [Text(""), _numbers(step.numbers)]
    if step.scores is not None:
        parts.append(_histograms(step.scores))
    parts += map(_row, step.rows)
    # commands stand outside the padding, which would cut them at the terminal's edge: they are
    # there to be copied
    commands = [
        Text(f"  {command}", style="bold", no_wrap=True, overflow="ignore")
        for command in step.commands
    ]
    gap = [Text("")] if commands else []
    return Group(
        Text(f"\n{number} {step.title}", style="bold"),
        Padding(Group(*parts), (0, 0, 0, 2)),
        *gap,
        *commands,
    )


def _row(row: Row) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in row.pictures:
        grid.add_column(width=_COLUMNS)
    grid.add_column(min_width=16, vertical="middle")
    sign, colour = _MARKS[row.mark]
    lines = (
        [_said(f"{sign}{row.said}", style=f"bold {colour}".strip()), _said(row.detail)]
        if row.said
        else []
    )
    captions = [_said(caption, style="dim") for caption in row.captions]
    grid.add_row(
        *(Picture(pixels, columns=_COLUMNS) for pixels in row.pictures), Group(*lines, *captions)
    )
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

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[Segment | Text]:
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

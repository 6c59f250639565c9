"""What is measured of two pictures laid over each other: detail by bands, colour, light, and what was drawn over."""

from dataclasses import dataclass

import numpy as np

from twofold.copies.bands import SQUARE, Band, bands_of
from twofold.copies.overlays import covering_of, foreign, lopsided
from twofold.copies.registration import LENIENT, Apart, Demand, as_given, lay_over
from twofold.copies.tones import blocks_of, line_of, other_colours, other_light, paper_of

__all__ = ["PAPER", "Compared", "compared"]


MOST_COVERED = 0.5
"""Largest share of the pixels that may be covered: beyond it too little is left to judge by."""


PAPER = 0.5
"""Share of pixels of one brightness at which a picture is paper: the writing is then its
contents."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What speaks for and against two pictures being copies.

    Attributes:
        whole: bands of all pixels. clear: of the pixels left beside those that differ strongly
            (overlaid letters); as `whole` if there are none, and on paper.
        covered: share of those pixels. foreign: whether what covers is drawn: of two colours, or
            shining through.
        lopsided: finest detail of the covered pixels in the picture that has less of it there, to
            that of the other.
        gain: contrast of the second to the first. inside: share of the first that the second
            covers.
        colour: share of squares whose colour differs. light: share whose light differs. grey: one
            of the two is grey.
        paper: share of pixels of one light, as of a page. pixels: of the coarser picture.
        blocks: how much stronger steps between pixels are where JPEG's blocks meet, in tenths, in
            the poorer one.
        agreement: share of the detail that agreed when they were laid over each other.
    """

    whole: tuple[Band, ...]
    clear: tuple[Band, ...]
    covered: float
    foreign: bool
    lopsided: float
    gain: float
    inside: float
    colour: float
    light: float
    grey: bool
    paper: float
    pixels: int
    blocks: int
    agreement: float


def compared(
    one: np.ndarray,
    other: np.ndarray,
    matrix: np.ndarray,
    *,
    search: bool = True,
    demand: Demand = LENIENT,
) -> Compared | Apart:
    """Everything that is measured of two pictures, if they can be laid over each other.

    Args:
        one, other: light and two channels of colour.
        matrix: from pixels (x, y, 1) of the first to those of the second.
        search: whether that is rough, and a better one is looked for.
        demand: what must agree in that search for the rest to be measured.
    """
    laid = lay_over(one, other, matrix, demand=demand) if search else as_given(one, other, matrix)
    if isinstance(laid, Apart) or laid.inside.sum() < 4 * SQUARE**2:
        return Apart(agreement=laid.agreement)
    light, below, inside = laid.one[:, :, 0], laid.other[:, :, 0], laid.inside
    raw, clear, gain = below, inside, 1.0
    for _ in range(2):  # letters over a tenth of a flat picture would bend the line
        gain, offset, spread = line_of(light[clear], raw[clear])
        # pixels outside count in no band
        below = np.where(inside, (raw - offset) / gain, light)
        covering = covering_of(light, below, spread / gain) & inside
        clear = inside & ~covering if covering.sum() < MOST_COVERED * inside.sum() else clear
    covering = inside & ~clear
    covered = float(covering.sum() / inside.sum())
    paper = max(paper_of(light, inside), paper_of(below, inside))
    whole, beside = bands_of(light, below, inside), None
    if covered and paper < PAPER:
        between = np.where(covering, (light + below) / 2, 0)
        beside = bands_of(
            np.where(covering, between, light), np.where(covering, between, below), clear
        )
    grey, colour = other_colours(laid, gain, clear)
    return Compared(
        whole=whole,
        clear=beside or whole,
        covered=covered,
        foreign=beside is not None and foreign(light, below, covering),
        lopsided=1.0 if beside is None else lopsided(light, below, covering),
        gain=gain,
        inside=float(inside.mean()),
        colour=colour,
        light=other_light(light, below, inside),
        grey=grey,
        paper=paper,
        pixels=int(inside.sum()),
        blocks=max(blocks_of(one[:, :, 0]), blocks_of(other[:, :, 0])),
        agreement=laid.agreement,
    )

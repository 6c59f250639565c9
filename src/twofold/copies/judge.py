"""Are two pictures copies? What differs locally decides, after one was laid over the other.

Both are taken apart into bands of detail (Burt and Adelson 1983), each band into squares of eight pixels, and each
square into what its rows share, what its columns share, and the rest: lines of text at the same places make rows agree,
never the rest. Letters, digits, bars, a face are told from each other in some square of some band; a poor JPEG, a blur
or a change of size lowers all squares alike, which is measured on the pair itself and held to be noise.
"""

from dataclasses import dataclass

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float

from twofold.copies.registration import Laid, lay_over

__all__ = [
    "DETAIL",
    "DIFFERENT",
    "FIRST",
    "UNKNOWN",
    "Compared",
    "Verdict",
    "blocks_of",
    "compared",
    "detail_of",
    "verdict",
]

DETAIL = 512
"""Longer side, in pixels, at which two pictures are compared: letters of a page are five pixels high."""

FIRST = 256
"""Longer side of a first look, which most pairs of different pictures do not pass."""

BANDS = 4
SQUARE = 8
FLOOR = (4.0, 3.0, 2.0, 1.5)
"""Variance in grey values squared that each band may differ by in good copies: rounding and resampling."""

PLENTY = 6.0
"""Variance from which on a square has detail: lower is the grain of a flat wall."""

CLEAR = 4.0
"""Times the noise that the variance of a square must have to be evidence."""

STARK = 25.0
"""Times the noise from which on a single bad square is a letter or a digit, not an accident."""

GOOD, BAD = 0.8, 0.4
"""Likeness of a square from which on it speaks for copies; and below which against them. 1 is equal, 0 unrelated."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """What one band of detail says; shares are of the squares that lie inside both pictures.

    Attributes:
        squares: how many. ratio: energy of the weaker picture to that of the stronger. energy: standard deviation.
        evidence, good, bad: shares of squares. worst: share of the largest connected set of bad ones.
        agreement: mean likeness, each square counted by its energy. noise: standard deviation.
        bad_energy: share of the evidence's energy in bad squares. stark: bad squares far above the noise.
        steady: what is left is as loud in busy squares as in quiet ones, as the grain of a sensor is.
    """

    squares: int
    ratio: float
    energy: float
    evidence: float
    good: float
    bad: float
    worst: float
    agreement: float
    noise: float
    bad_energy: float
    stark: int
    steady: bool


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What speaks for and against two pictures being copies.

    Attributes:
        whole: bands of everything. clear: of what is left beside the pixels that differ strongly (letters laid over).
        covered: share of those pixels. foreign: whether what covers is drawn: of two colours, or shining through.
        gain: contrast of the second to the first. inside: share of the first that the second covers.
        colour: share of squares whose colour differs. light: share whose light differs. grey: one of the two is grey.
        paper: share of pixels of one light, as of a page. pixels: of the coarser picture.
        blocks: how much stronger steps between pixels are where JPEG's blocks meet, in tenths, in the poorer one.
    """

    whole: tuple[Band, ...]
    clear: tuple[Band, ...]
    covered: float
    foreign: bool
    gain: float
    inside: float
    colour: float
    light: float
    grey: bool
    paper: float
    pixels: int
    blocks: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`copy`, `perhaps` or `different`; and a score in [0, 1]: from 0.9 on copies, from 0.5 on those that may be."""

    says: str
    score: float


def detail_of(picture: PIL.Image.Image, side: int = DETAIL) -> Float[np.ndarray, "height width 3"]:
    """Light and two colour channels (ITU-R 601) of a picture, at most so many pixels long."""
    share = side / max(picture.size)
    if share < 1:
        size = (max(round(picture.width * share), 1), max(round(picture.height * share), 1))
        picture = picture.convert("RGB").resize(size, PIL.Image.Resampling.LANCZOS)
    return np.asarray(picture.convert("RGB").convert("YCbCr")).astype(np.float32)


def compared(one: np.ndarray, other: np.ndarray, matrix: np.ndarray) -> Compared | None:
    """Everything that is measured of two pictures; None where they cannot be laid over each other.

    Args:
        one, other: of `detail_of`. matrix: a rough matrix from pixels (x, y, 1) of the first to those of the second.
    """
    laid = lay_over(one, other, matrix)
    if laid is None or laid.inside.sum() < 4 * SQUARE**2:
        return None
    light, below, inside = laid.one[:, :, 0], laid.other[:, :, 0], laid.inside
    gain, offset, spread = _light(light[inside], below[inside])
    below = np.where(inside, (below - offset) / gain, light)  # outside nothing is said, in no band
    strong = max(STRONG, 4 * spread / gain)
    covering = _grown(np.abs(_smooth(below - light)) > strong) & inside
    clear = inside & ~covering
    between = np.where(covering, (light + below) / 2, 0)
    beside = (np.where(covering, between, light), np.where(covering, between, below))
    grey, colour = _colours(laid, gain, clear)
    return Compared(
        whole=_bands(light, below, inside),
        clear=_bands(*beside, clear),
        covered=float(covering.sum() / inside.sum()),
        foreign=_foreign(light, below, covering),
        gain=gain,
        inside=float(inside.mean()),
        colour=colour,
        light=_other_light(light, below, inside),
        grey=grey,
        paper=max(_paper(light, inside), _paper(below, inside)),
        pixels=int(inside.sum()),
        blocks=max(blocks_of(one[:, :, 0]), blocks_of(other[:, :, 0])),
    )


STRONG = 25.0
"""Grey values by which a pixel differs strongly: more than a poor JPEG does."""


def _light(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """(gain, offset, spread of the rest): the second's light as a line of the first's, those far off it left out."""
    weight = np.ones_like(one)
    gain, offset, spread = 1.0, 0.0, 1.0
    for _ in range(4):
        total = weight.sum()
        middle, level = (weight * one).sum() / total, (weight * other).sum() / total
        gain = float(
            (weight * (one - middle) * (other - level)).sum() / max((weight * (one - middle) ** 2).sum(), 1e-6)
        )
        gain = min(max(gain, 0.3), 3.0)
        offset = float(level - gain * middle)
        left = np.abs(other - gain * one - offset)
        spread = 1.5 * float(np.median(left)) + 2
        weight = 1 / (1 + (left / spread) ** 2)
    return gain, offset, spread


def _standing(bands: tuple[Band, ...], absent: float) -> tuple[int | None, float, bool]:
    """(the finest band that speaks for copies, how many squares of it do, whether some band speaks against them)."""
    finest, good = None, 0.0
    for number, band in enumerate(bands):
        evidence = band.evidence * band.squares
        if band.ratio < absent or evidence < FEW:
            continue
        against = band.bad_energy > AGAINST or band.worst * band.squares > max(2.0, 0.01 * band.squares)
        agrees = band.good >= MOSTLY * band.evidence
        if agrees and not against:
            finest = number if finest is None else finest
            good += band.good * band.squares if number <= 2 else 0
        elif against and (finest is not None or band.good > NOISY * band.evidence):
            return None, 0.0, True  # beside squares that agree well others do not: that is no noise
    return finest, good, False


ABSENT, FAINT, FEW = 0.1, 0.3, 4.0
"""Share of the other's energy under which a band was blurred away in one of the two; and nearly so, where a copy is
possible but never sure; squares that say nothing."""

MOSTLY, AGAINST, NOISY = 0.75, 0.03, 0.3
"""Of a band's evidence: share of good squares with which it speaks for copies; of energy in bad ones against them; of
good squares up to which all of it may be noise."""


def verdict(found: Compared | None, *, colours: bool = True) -> Verdict:
    """What the measurements say; the rule is described in docs/dedup.md.

    Args:
        colours: whether another colour makes another picture.
    """
    if found is None or (colours and found.colour > TINTED):
        return DIFFERENT
    plain = _told(found.whole, shaded=found.light > SHADED, blocks=found.blocks)
    if plain.says != "different":
        return plain
    faint = _told(found.whole, shaded=found.light > SHADED, blocks=0, absent=FAINT)
    if faint.says != "different":
        return Verdict(says="perhaps", score=min(faint.score, 0.89))
    over = _told(found.clear, shaded=False, blocks=found.blocks)
    if over.says == "different" or not _drawn_over(found):
        return plain
    if over.says == "copy" and found.foreign and found.covered < COVERED:
        return over
    return Verdict(says="perhaps", score=min(over.score, 0.89))


DIFFERENT = Verdict(says="different", score=0.0)
UNKNOWN = Verdict(says="different", score=0.3)
"""Different, for nothing speaks for copies; nothing speaks against them either."""


def _told(bands: tuple[Band, ...], *, shaded: bool, blocks: int, absent: float = ABSENT) -> Verdict:
    finest, good, against = _standing(bands, absent)
    if against or shaded:
        return DIFFERENT
    if finest is None:
        return UNKNOWN
    middle = bands[min(1, len(bands) - 1)]
    doubted = sum(band.stark for band in bands[:2])
    fine = max(0.0, 2 * bands[finest].agreement - 1)
    if middle.ratio >= absent and middle.energy**2 > PLENTY and middle.agreement < UNTOLD:
        return DIFFERENT
    sure = finest == 0 or (finest == 1 and (middle.agreement >= CERTAIN or bands[0].steady))
    sure = sure or (blocks >= BLOCKS and finest == 2 and bands[2].agreement >= CERTAIN and good >= SOME)
    smooth = finest >= 1 and all(band.energy**2 < PLENTY for band in bands[:finest])  # nothing finer in either
    sure = sure or (smooth and bands[finest].agreement >= CERTAIN and bands[finest].good >= bands[finest].evidence)
    enough = SOME if finest >= 2 or smooth else FEWER if bands[0].squares >= LARGE else ENOUGH
    if sure and good >= enough and not doubted:
        return Verdict(says="copy", score=0.9 + 0.1 * fine)
    return Verdict(says="perhaps", score=0.5 + 0.39 * fine) if good >= SOME else UNKNOWN


TINTED, SHADED, COVERED = 0.02, 0.03, 0.25
"""Shares: of connected squares of another colour, of another light, and of pixels covered by letters in a sure copy."""

BLOCKS = 4
"""Tenths from which on blocks explain why the finest two bands disagree: JPEG of quality 15 and less."""

ENOUGH, FEWER, SOME, LARGE = 24.0, 12.0, 6.0, 30
"""Good squares that make it sure; in pictures of so many squares and more; that make a copy possible; and so many
squares: in pictures of 32 x 32 pixels a turn by five degrees is not seen."""

CERTAIN, UNTOLD = 0.88, 0.55
"""Agreement of the second band that makes it sure where the first is noise (two photographs of one person in a row
reach .83); and under which it is no copy at all."""


def _drawn_over(found: Compared) -> bool:
    """Whether the pixels that differ are letters or a mark over a photograph, not the contents of a form."""
    detailed = found.clear[1].evidence if len(found.clear) > 1 else 0.0
    perfect = bool(found.clear) and found.clear[0].agreement >= PERFECT
    return found.covered < 0.35 and (found.foreign or perfect) and found.paper < 0.5 and detailed > 0.4


PERFECT = 0.96
"""Agreement of the finest band beside the letters: nothing but a copy has so much wherever there is detail."""


def _smooth(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """1 2 1 both ways."""
    wide = np.pad(image, 1, mode="edge")
    down = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    return (down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]) / 16


def _grown(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    wide = np.pad(mask, 1)
    return wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:] | mask


def _bands(one: np.ndarray, other: np.ndarray, counted: np.ndarray) -> tuple[Band, ...]:
    found = []
    for floor in FLOOR[:BANDS]:
        if min(one.shape) < 2 * SQUARE:
            break
        finer = [each - _smooth(_smooth(each)) for each in (one, other)]
        found.append(_band(finer[0] * counted, finer[1] * counted, counted, floor))
        one, other, counted = _smooth(one)[::2, ::2], _smooth(other)[::2, ::2], counted[::2, ::2]
    return tuple(found)


def _band(one: np.ndarray, other: np.ndarray, counted: np.ndarray, floor: float) -> Band:
    """Likeness square by square: 2 cov / (var + var), the least of what rows, columns and the rest say."""
    inside = _cut(counted.astype(np.float32)).mean(axis=(2, 3)) > 0.5
    squares = max(int(inside.sum()), 1)
    parts = [
        ((a * a).mean(axis=(2, 3)), (b * b).mean(axis=(2, 3)), (a * b).mean(axis=(2, 3)))
        for a, b in zip(_apart(_cut(one)), _apart(_cut(other)), strict=True)
    ]
    mine, theirs = (float(sum(part[which][inside].sum() for part in parts) / squares) for which in (0, 1))
    weaker, stronger = sorted((mine, theirs))
    # the louder picture is turned down: a blur and a resize take energy from all squares alike
    down = ((theirs + 0.1) / (mine + 0.1), 1.0) if mine > theirs else (1.0, (mine + 0.1) / (theirs + 0.1))
    parts = [(a * down[0], b * down[1], ab * np.sqrt(down[0] * down[1])) for a, b, ab in parts]
    energy = np.add.reduce([(a + b) / 2 for a, b, _ in parts])
    left = np.add.reduce([(a + b) / 2 - ab for a, b, ab in parts])
    likeness = np.minimum.reduce([(2 * ab + floor) / (a + b + floor) for a, b, ab in parts])
    detailed = inside & (energy > PLENTY)
    noise = max(floor, float(np.median(left[detailed]))) if detailed.any() else floor
    evidence = inside & (energy > max(PLENTY, CLEAR * noise))
    good, bad = evidence & (likeness > GOOD), evidence & (likeness < BAD)
    total = max(float(energy[detailed].sum()), 1e-9)
    return Band(
        squares=squares,
        ratio=weaker / max(stronger, 1e-9),
        energy=float(np.sqrt(stronger)),
        evidence=float(evidence.sum() / squares),
        good=float(good.sum() / squares),
        bad=float(bad.sum() / squares),
        worst=_largest(bad) / squares,
        agreement=float((likeness * energy)[detailed].sum() / total),
        noise=float(np.sqrt(noise)),
        bad_energy=float(energy[bad].sum() / max(float(energy[evidence].sum()), 1e-9)),
        steady=_steady(left[inside], energy[inside]),
        stark=int((bad & (energy > STARK * noise)).sum()),
    )


def _steady(left: Float[np.ndarray, "squares"], energy: Float[np.ndarray, "squares"]) -> bool:
    """Whether the rest of the busiest third is hardly louder than that of the quietest."""
    if len(left) < 12:
        return False
    quiet, busy = (float(np.median(part)) for part in np.array_split(left[np.argsort(energy)], 3)[::2])
    return quiet > PLENTY / 4 and busy < STEADY * quiet


STEADY = 2.0


def _cut(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "rows columns 8 8"]:
    rows, columns = values.shape[0] // SQUARE, values.shape[1] // SQUARE
    cut = values[: rows * SQUARE, : columns * SQUARE].reshape(rows, SQUARE, columns, SQUARE)
    return cut.transpose(0, 2, 1, 3)


def _apart(squares: Float[np.ndarray, "rows columns 8 8"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is left beside rows and columns; the rows; the columns. Their energies add up."""
    squares = squares - squares.mean(axis=(2, 3), keepdims=True)
    rows, columns = squares.mean(axis=3, keepdims=True), squares.mean(axis=2, keepdims=True)
    return squares - rows - columns, rows, columns


def _largest(mask: Bool[np.ndarray, "rows columns"]) -> int:
    """Squares of the largest connected set, corners included."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    largest = 0
    while left:
        waiting, count = [left.pop()], 0
        while waiting:
            row, column = waiting.pop()
            count += 1
            around = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            waiting += around
        largest = max(largest, count)
    return largest


def _colours(laid: Laid, gain: float, clear: np.ndarray) -> tuple[bool, float]:
    """Whether one of the two is grey; and the share of squares in which the colours differ."""
    one, other = laid.one[:, :, 1:] - 128, (laid.other[:, :, 1:] - 128) / gain
    if not clear.any():
        return False, 0.0
    strength = sorted(float(np.abs(each[clear]).mean()) for each in (one, other))
    if strength[0] < GREY and strength[1] > 2 * strength[0]:
        return True, 0.0
    counted = _cut(clear.astype(np.float32)).mean(axis=(2, 3))
    apart = np.hypot(*(_cut((one - other)[:, :, c] * clear).mean(axis=(2, 3)) for c in (0, 1)))
    apart = np.where(counted > 0.5, apart / np.maximum(counted, 0.5), 0)
    bound = HUE + 2 * float(np.median(apart[counted > 0.5])) if (counted > 0.5).any() else HUE
    return False, _largest(apart > bound) / max(int((counted > 0.5).sum()), 1)


def blocks_of(light: Float[np.ndarray, "h w"]) -> int:
    """How much stronger steps between pixels are where JPEG's blocks meet than elsewhere, in tenths."""
    found = 1.0
    for each in (light, light.T):
        if min(each.shape) < 32:
            continue
        steps = np.abs(np.diff(each, axis=1)).mean(axis=0)
        at = np.zeros(len(steps), bool)
        at[7::8] = True
        found = max(found, float(steps[at].mean() / max(float(steps[~at].mean()), 0.25)))
    return int((found - 1) * 10)


GREY, HUE = 1.0, 18.0
"""Mean strength of colour under which a picture is grey; and how far the colours of a square may lie apart, beside
twice what they lie apart in the median square (a poor JPEG has large steps of colour)."""


def _other_light(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> float:
    """Share of the largest set of squares whose mean light differs, contrast and brightness set aside."""
    counted = _cut(inside.astype(np.float32)).mean(axis=(2, 3)) > 0.9
    apart = np.abs(_cut(one).mean(axis=(2, 3)) - _cut(other).mean(axis=(2, 3)))
    if not counted.any():
        return 0.0
    bound = DARKER + 3 * float(np.median(apart[counted]))
    return _largest(counted & (apart > bound)) / int(counted.sum())


DARKER = 16.0
"""Grey values by which the mean of a square may differ, beside three times what it does in the median square."""


def _paper(light: np.ndarray, inside: np.ndarray) -> float:
    """Share of pixels within 8 grey values of the most common ones."""
    counts = np.bincount(np.clip(light[inside], 0, 255).astype(np.int64) // 4, minlength=64)
    together = np.convolve(counts, np.ones(4), mode="same")
    return float(together.max() / max(counts.sum(), 1))


def _foreign(one: np.ndarray, other: np.ndarray, covering: np.ndarray) -> bool:
    """Whether what covers was drawn over: flat ink of two colours over what was many, or what shines through."""
    if not covering.any():
        return False
    inks = sorted(_inked(each[covering]) for each in (one, other))
    if inks[1] > INKED and inks[0] < INKED - 0.15:
        return True
    finer = [each - _smooth(_smooth(each)) for each in (one, other)]
    a, b = (each[covering] - each[covering].mean() for each in finer)
    return bool((a * b).mean() > SHINING * np.sqrt((a * a).mean() * (b * b).mean() + 1e-9))


INKED, SHINING = 0.55, 0.6
"""Share of covered pixels that two lights take up, 24 grey values each; correlation of the detail under a watermark."""


def _inked(values: np.ndarray) -> float:
    """Share of values in the two fullest ranges of 24."""
    counts = np.bincount(np.clip(values, -64, 319).astype(np.int64) // 8 + 8, minlength=48).astype(np.float64)
    taken = 0.0
    for _ in range(2):
        together = np.convolve(counts, np.ones(3), mode="same")
        middle = int(together.argmax())
        taken += together[middle]
        counts[max(middle - 1, 0) : middle + 2] = 0
    return float(taken / max(len(values), 1))

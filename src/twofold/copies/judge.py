"""Are two pictures copies? What differs locally decides, after one was laid over the other.

Letters, digits, bars and faces differ in some square of some band of detail; what lowers all
squares alike (a poor JPEG, a blur, a change of size) is noise. `bands`, `tones` and `overlays`
measure it.
"""

from dataclasses import dataclass

from twofold.copies.bands import PLENTY, Band
from twofold.copies.coarse import Coarse
from twofold.copies.measured import PAPER, Compared
from twofold.copies.registration import Apart

__all__ = ["DIFFERENT", "UNKNOWN", "Verdict", "coarse_verdict", "verdict"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`copy`, `perhaps` or `different`, and a score in [0, 1]: copies have 0.9 or more, possible copies 0.5 or more."""

    says: str
    score: float


def _standing(bands: tuple[Band, ...], absent: float) -> tuple[int | None, float, bool]:
    """(the finest band that speaks for copies, how many of its squares do, whether any band speaks against them)."""
    finest, good = None, 0.0
    for number, band in enumerate(bands):
        evidence = band.evidence * band.squares
        if band.ratio < absent or evidence < FEW:
            continue
        against = band.bad_energy > AGAINST or band.worst * band.squares > max(
            2.0, 0.01 * band.squares
        )
        agrees = band.good >= MOSTLY * band.evidence
        if agrees and not against:
            finest = number if finest is None else finest
            good += band.good * band.squares if number <= 2 else 0
        elif against and (finest is not None or band.good > NOISY * band.evidence):
            return None, 0.0, True  # some squares agree well and others do not: that is not noise
    return finest, good, False


ABSENT, FAINT, FEW = 0.1, 0.3, 4.0
"""Share of the other's energy below which a band was blurred away in one picture; the share below
which it nearly was, so that a copy is possible but never sure; and the number of squares that say
nothing."""

MOSTLY, AGAINST, NOISY = 0.75, 0.03, 0.3
"""Of a band's evidence: share of good squares with which it speaks for copies; of energy in bad
ones against them; of good squares up to which all of it may be noise."""


def verdict(found: Compared | Apart, *, colours: bool = True) -> Verdict:
    """What the measurements say; the rule is described in docs/dedup.md.

    Args:
        colours: whether another colour makes another picture.
    """
    if isinstance(found, Apart) or (colours and found.colour > TINTED):
        return DIFFERENT
    shaded = found.light > SHADED
    plain = _told(found.whole, found, shaded=shaded)
    if plain.says == "copy":
        return plain
    over = _beside_letters(found)
    faint = _told(found.whole, found, shaded=shaded, absent=FAINT)
    doubtful = [each for each in (plain, faint) if each.says != "different"]
    if over.says == "copy" or not doubtful:
        return over if over.says != "different" else plain
    return _doubted(max(doubtful, key=lambda each: each.score))


def _doubted(found: Verdict) -> Verdict:
    return Verdict(says="perhaps", score=min(found.score, 0.89))


def _beside_letters(found: Compared) -> Verdict:
    """The verdict on what is left beside strongly differing pixels, if those are letters or a mark over a photograph.

    The entries of a form do not count: there both pictures hold something of the same kind, on
    paper.
    """
    if not found.covered or found.covered > MOST or found.paper >= PAPER:
        return DIFFERENT
    over = _told(found.clear, found, shaded=False)
    if over.says == "different":
        return DIFFERENT
    detailed = max(band.evidence for band in found.clear[:2])
    perfect = found.clear[0].agreement >= PERFECT
    drawn = found.foreign or found.lopsided < ONE_SIDED
    if detailed <= (SPARSE if perfect and drawn else DETAILED):
        return DIFFERENT
    if not (drawn or (perfect and found.lopsided < TWO_SIDED)):
        return DIFFERENT
    sure = (
        over.says == "copy" and (found.foreign or (perfect and drawn)) and found.covered < COVERED
    )
    sure = sure and detailed > DETAILED
    return over if sure else _doubted(over)


DIFFERENT = Verdict(says="different", score=0.0)
UNKNOWN = Verdict(says="different", score=0.3)
"""Nothing speaks for copies and nothing against them: *different*."""


def coarse_verdict(found: Coarse | None) -> Verdict:
    """What a comparison without fine detail says: *perhaps* at most."""
    if found is None or found.colour > COLOURED:
        return DIFFERENT
    limit = COARSE / found.side
    return (
        Verdict(says="perhaps", score=0.5 + 0.39 * (1 - found.left / limit))
        if found.left <= limit
        else DIFFERENT
    )


COARSE, COLOURED = 4.0, 16.0
"""Share of the detail that may be left, times pixels of the side: .06 at 64 pixels, where copies
blurred by 1 to 4 % of the side reach .045 and blurred pages of one layout .09; .25 at 16, where
strangers have .37. And distance of colours, which JPEG of quality 3 brings to 14."""


def _told(
    bands: tuple[Band, ...], found: Compared, *, shaded: bool, absent: float = ABSENT
) -> Verdict:
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
    sure, coarse = _sure(bands, finest, found)
    enough = SOME if coarse else FEWER if bands[0].squares >= LARGE else ENOUGH
    if sure and good >= enough and not doubted:
        return Verdict(says="copy", score=0.9 + 0.1 * fine)
    return Verdict(says="perhaps", score=0.5 + 0.39 * fine) if good >= SOME else UNKNOWN


def _sure(bands: tuple[Band, ...], finest: int, found: Compared) -> tuple[bool, bool]:
    """Whether the finest band that speaks is enough, and whether it is a coarse one.

    It is coarse if nothing finer is left, since JPEG's blocks are all there is or both pictures are
    smooth. Then, and in small pictures, it is enough only in a photograph with detail everywhere:
    about an unreadable page it says nothing.
    """
    filled = found.paper < SHEET and max(band.evidence for band in bands[:3]) >= FILLED
    smooth = finest >= 1 and all(band.energy**2 < PLENTY for band in bands[:finest])
    if smooth or (finest == 2 and found.blocks >= BLOCKS):
        agrees = bands[finest].agreement >= CERTAIN
        return filled and agrees and (
            not smooth or bands[finest].good >= bands[finest].evidence
        ), True
    second = finest == 1 and (bands[1].agreement >= CERTAIN or bands[0].steady)
    return (finest == 0 or second) and (filled or found.pixels >= SMALL), False


SHEET, FILLED, SMALL = 0.35, 0.8, 6400
"""Share of pixels of one brightness at which a small or coarse picture may be a page; share of
squares with detail that make it a photograph; and how many pixels are few: those of 80 x 80."""

BLOCKS = 4
"""Tenths at which blocks explain why the finest two bands disagree: JPEG of quality 15 or less."""

TINTED, SHADED = 0.02, 0.03
"""Shares of connected squares of another colour, and of another light."""

COVERED, MOST, DETAILED, SPARSE = 0.35, 0.45, 0.4, 0.15
"""Shares: of pixels covered by letters in a sure copy, and at most; of squares that must have
detail of their own beside the letters; and of a flat picture, which may be a copy if its few
details all agree."""

ONE_SIDED, TWO_SIDED = 0.12, 0.5
"""Detail of the covered pixels in the picture with less of it, to that of the other: letters that
only one of the two has give .02 to .08, marks that shine through .4 to .9; two captions, two
portraits about 1."""

ENOUGH, FEWER, SOME, LARGE = 24.0, 12.0, 6.0, 30
"""Good squares that make it sure; in pictures of so many squares and more; that make a copy
possible; and how many squares those are: in pictures of 32 x 32 pixels a turn by five degrees is
not seen."""

CERTAIN, UNTOLD = 0.88, 0.55
"""Agreement of the second band that makes a copy sure if the first is noise (two photographs of one
person in a row reach .83); and below which it is not a copy."""


PERFECT = 0.96
"""Agreement of the finest band beside the letters that only copies reach wherever there is
detail."""

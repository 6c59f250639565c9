"""The judge at work: pairs of a collection laid over each other, each file decoded again once while it is needed."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import PIL.Image
from jaxtyping import Float, UInt8

from twofold.copies.alignment import matrices, placements
from twofold.copies.coarse import coarsely, tiny
from twofold.copies.judge import DIFFERENT, Verdict, coarse_verdict, verdict
from twofold.copies.measured import compared
from twofold.copies.reading import MAX_PIXELS, Collection, Seen, pages_of
from twofold.copies.registration import LENIENT, STERN, USUAL, Demand
from twofold.errors import UnreadableInput
from twofold.inputs.image_decoding import decode

__all__ = ["STRICTNESS", "Judge", "Placed", "detail_pixels", "matrix_of", "reduced"]

STRICTNESS = ("exact", "strict", "normal", "loose")
"""What counts as a copy: equal bytes; finest detail alike and nothing drawn over; the rule;
doubtful ones as well."""

DETAIL = 512
"""Longer side, in pixels, at which two pictures are compared: letters of a page are five pixels
high."""

GLANCE, FIRST = 128, 256
"""Longer sides of the earlier comparisons, which most pairs of different pictures fail."""

EQUAL = Verdict(says="copy", score=1.0)
HELD = 96
"""Pictures that are held decoded, 800 kilobytes each at most."""

GONE = Verdict(says="different", score=0.0)
"""For a file that is gone or can no longer be read; not kept in the cache."""

WHOLE = (0.0, 0.0, 1.0, 1.0)
"""Left, top, right and bottom of a picture without anything cut away, as shares."""

MOST_PAGES = 64
"""Pages of a file that are compared; files of more are never copies, since all pages are held in
memory."""

HOPELESS = 0.4
"""Fit of the better half of the squares below which no closer look is worth it: no copy was seen
there."""

Base = tuple[UInt8[np.ndarray, "64 64"], tuple[float, float, float, float]]


@dataclass(kw_only=True)
class Judge:
    """Verdicts about pairs of places of a collection of pictures.

    Attributes:
        strictness: one of STRICTNESS. mirrored: mirror images count, too. colours: another colour
            is another picture.
        known: verdicts about pairs of contents, of this and earlier runs. asked: how many were made
            anew.
    """

    collection: Collection
    strictness: str = "normal"
    mirrored: bool = False
    colours: bool = True
    known: dict[tuple[str, str], Verdict] = field(default_factory=dict)
    asked: int = 0
    _held: "OrderedDict[int, np.ndarray]" = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, pairs: Sequence[tuple[int, int]]) -> list[Verdict]:
        """One verdict per pair, whatever its order; things other than pictures are copies if equal in content."""
        contents = [each.content for each in self.collection.seen]
        pictures = [each.plane is not None for each in self.collection.seen]
        pairs = [
            (first, second) if contents[first] <= contents[second] else (second, first)
            for first, second in pairs
        ]
        told: list[Verdict | None] = [None] * len(pairs)
        new: list[int] = []
        for number, (first, second) in enumerate(pairs):
            if contents[first] == contents[second]:
                told[number] = EQUAL
            elif self.strictness == "exact" or not (pictures[first] and pictures[second]):
                told[number] = DIFFERENT
            else:
                told[number] = self.known.get((contents[first], contents[second]))
                new += [number] if told[number] is None else []
        for number, found in zip(
            new, self._compared([pairs[number] for number in new]), strict=True
        ):
            told[number] = found
            if found is not GONE:
                first, second = pairs[number]
                self.known[contents[first], contents[second]] = found
        return [self._by_strictness(each) for each in told if each is not None]

    def _by_strictness(self, found: Verdict) -> Verdict:
        if self.strictness == "loose" and found.says == "perhaps":
            return Verdict(says="copy", score=found.score)
        if self.strictness == "strict" and found.says == "copy" and found.score < STRICT:
            return Verdict(says="perhaps", score=min(found.score, 0.89))
        return found

    def _compared(self, pairs: Sequence[tuple[int, int]]) -> list[Verdict]:
        if not pairs:
            return []
        self.asked += len(pairs)
        placed = self.place(pairs)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(pool.map(self._verdict, pairs, placed))

    def place(self, pairs: Sequence[tuple[int, int]]) -> list["Placed"]:
        """For each pair the best way to lay one picture, with or without border, into the other."""
        ways: list[tuple[int, _Way]] = []
        for number, (first, second) in enumerate(pairs):
            ways += [(number, way) for way in self._ways(first, second)]
        cut, whole = (
            np.stack(planes)
            for planes in zip(*((way.cut[0], way.whole[0]) for _, way in ways), strict=True)
        )
        numbers = np.array([number for number, _ in ways])
        fits, places, unmoved = placements(cut, whole, numbers)
        # the first way of a pair: both whole
        straight = unmoved[np.unique(numbers, return_index=True)[1]]
        best: list[Placed | None] = [None] * len(pairs)
        for (number, way), fit, place in zip(ways, fits, places, strict=True):
            old = best[number]
            if old is None or fit.sum() > old.fit.sum():
                best[number] = Placed(
                    way=way, fit=fit, place=place, unmoved=float(straight[number])
                )
        return [each for each in best if each is not None]

    def _ways(self, first: int, second: int) -> list["_Way"]:
        found = []
        for one, other in ((first, second), (second, first)):
            for cut in _bases(self.collection.seen[one]):
                for whole in _bases(self.collection.seen[other]):
                    found.append(_Way(one=one, other=other, cut=cut, whole=whole))
                    if self.mirrored:
                        flipped = (np.ascontiguousarray(cut[0][:, ::-1]), cut[1])
                        found.append(
                            _Way(one=one, other=other, cut=flipped, whole=whole, flipped=True)
                        )
        return found

    def _verdict(self, pair: tuple[int, int], placed: "Placed") -> Verdict:
        seen = [self.collection.seen[place] for place in pair]
        try:
            if max(each.frames for each in seen) > 1:
                return self._of_pages(pair)
            if placed.fit[2] < HOPELESS:
                return DIFFERENT
            details = [self._detail(placed.way.one), self._detail(placed.way.other)]
        except (UnreadableInput, OSError):
            return GONE
        found = _closely(details[0], details[1], placed, colours=self.colours)
        if found.says == "different" and _was_moved(placed) and placed.unmoved >= FITTING:
            found = max(
                found,
                _as_it_lies(*map(self._detail, pair), colours=self.colours),
                key=lambda each: each.score,
            )
        return found

    def _detail(self, place: int) -> UInt8[np.ndarray, "height width 3"]:
        with self._lock:
            if place in self._held:
                self._held.move_to_end(place)
                return self._held[place]
        found = detail_pixels(self.collection.values[place])
        with self._lock:
            self._held[place] = found
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return found

    def _of_pages(self, pair: tuple[int, int]) -> Verdict:
        """Files of several pages are copies where all pages are, in their order."""
        one, other = (self.collection.seen[place].frames for place in pair)
        if one != other or one > MOST_PAGES:
            return DIFFERENT
        pages = [pages_of(self.collection.values[place], MOST_PAGES) for place in pair]
        told = [_of_pictures(first, second) for first, second in zip(*pages, strict=True)]
        return min(
            told, key=lambda each: (("different", "perhaps", "copy").index(each.says), each.score)
        )


STRICT = 0.98
"""Score at which a copy passes the strict rule, too: an agreement of .9 in the finest band."""


@dataclass(frozen=True, kw_only=True)
class _Way:
    """One picture, whole or without its border, inside another one."""

    one: int
    other: int
    cut: Base
    whole: Base
    flipped: bool = False


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The best way, how well it fits and where (`placements`); and how well the two fit unmoved."""

    way: _Way
    fit: Float[np.ndarray, "3"]
    place: Float[np.ndarray, "4"]
    unmoved: float


def _bases(seen: Seen) -> list[Base]:
    if seen.plane is None:
        return []
    return (
        [(seen.plane, WHOLE)]
        if seen.inner is None
        else [(seen.plane, WHOLE), (seen.inner, seen.box)]
    )


def detail_pixels(value: object) -> UInt8[np.ndarray, "height width 3"]:
    """Light and colour (YCbCr) at up to 512 pixels."""
    drawn = decode(value, side=DETAIL, background=255, max_pixels=MAX_PIXELS).convert("RGB")
    if max(drawn.size) > DETAIL:
        share = DETAIL / max(drawn.size)
        size = (max(round(drawn.width * share), 1), max(round(drawn.height * share), 1))
        drawn = drawn.resize(size, PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(drawn.convert("YCbCr"))


def _was_moved(placed: Placed) -> bool:
    """Whether a picture was laid elsewhere than it is."""
    still = (
        placed.way.cut[1] == WHOLE == placed.way.whole[1]
        and np.abs(placed.place - UNMOVED).max() < MOVED
    )
    return not (still or placed.way.flipped)


UNMOVED, MOVED = (0.0, 0.0, 1.0, 0.0), 0.05
"""Top, left, side, degrees of a picture that lies as it is; and by how much it is elsewhere."""


FITTING = 0.9
"""Fit of the better half of the squares at which a picture is compared unmoved, too: loud letters
may have drawn its placement away."""


def _as_it_lies(one: np.ndarray, other: np.ndarray, *, colours: bool) -> Verdict:
    """Without any search for a better place."""
    one, other = reduced(one, FIRST), reduced(other, FIRST)
    share = np.array(other.shape[1::-1]) / one.shape[1::-1]
    if abs(share[0] / share[1] - 1) > 0.03:
        return DIFFERENT
    matrix = np.hstack([np.diag(share), np.zeros((2, 1))])
    found = verdict(compared(one, other, matrix, search=False), colours=colours)
    return (
        Verdict(says="perhaps", score=0.89) if found.says == "copy" and tiny(one, other) else found
    )


def _closely(one: np.ndarray, other: np.ndarray, placed: Placed, *, colours: bool) -> Verdict:
    """By fine detail; if one picture has none, by what both have, and then at most *perhaps*."""
    if placed.way.flipped:
        one = one[:, ::-1]
    demand = _demand(placed)
    found, agreement = _finely(one, other, placed, demand, colours=colours)
    if found.says == "copy" and tiny(one, other):
        return Verdict(says="perhaps", score=min(found.score, 0.89))
    if found.says != "different" or agreement < demand.best:
        return found
    matrix = matrix_of(placed, one.shape, other.shape)
    rough = coarse_verdict(coarsely(one.astype(np.float32), other.astype(np.float32), matrix))
    return found if rough.says == "different" else rough


def _demand(placed: Placed) -> Demand:
    """How much must agree roughly before two pictures are looked at closely.

    Next to nothing if neither was moved: strangers hardly ever fit so, and in a flat picture loud
    letters hide the rest.
    """
    if not _was_moved(placed):
        return LENIENT
    return STERN if placed.fit[1] < POOR[0] and placed.fit[2] < POOR[1] else USUAL


POOR = (0.4, 0.8)
"""Fits of edges and of the better half of the squares below which the coarsest level must agree,
too: of 418 copies two fitted so poorly, and they agreed to .8."""


def _finely(
    one: np.ndarray, other: np.ndarray, placed: Placed, demand: Demand, *, colours: bool
) -> tuple[Verdict, float]:
    """At a quarter and a half of the detail first, which tells most different pictures apart.

    A small picture is compared once at its own size: smaller still it would lose detail that the
    other has.

    Returns:
        also the share of the detail that agreed at first.
    """
    found, agreement = DIFFERENT, 0.0
    small = min(max(one.shape[:2]), max(other.shape[:2])) <= FIRST * 1.2
    for side in (DETAIL,) if small else (GLANCE, FIRST, DETAIL):
        shown = [reduced(each, side) for each in (one, other)]
        laid = compared(
            shown[0], shown[1], matrix_of(placed, shown[0].shape, shown[1].shape), demand=demand
        )
        found = verdict(laid, colours=colours)
        agreement = max(agreement, laid.agreement)
        if found == DIFFERENT or (found.says == "different" and side > GLANCE):
            break
    return found, agreement


def reduced(image: np.ndarray, side: int) -> Float[np.ndarray, "height width 3"]:
    share = side / max(image.shape[:2])
    if share >= 1:
        return image.astype(np.float32)
    size = (max(round(image.shape[1] * share), 1), max(round(image.shape[0] * share), 1))
    drawn = PIL.Image.fromarray(np.ascontiguousarray(image), mode=None)
    return np.asarray(drawn.resize(size, PIL.Image.Resampling.BILINEAR)).astype(np.float32)


def matrix_of(
    placed: Placed, one: tuple[int, ...], other: tuple[int, ...]
) -> Float[np.ndarray, "2 3"]:
    """From pixels of the one to pixels of the other, each with its border."""
    sizes, corners = [], []
    for shape, (left, top, right, bottom) in (
        (one, placed.way.cut[1]),
        (other, placed.way.whole[1]),
    ):
        size = np.array([shape[1], shape[0]], np.float64)
        corners.append(size * (left, top))
        sizes.append(size * (right - left, bottom - top))
    matrix = matrices(placed.place[None], sizes[0][None], sizes[1][None])[0]
    matrix[:, 2] += corners[1] - matrix[:, :2] @ corners[0]
    return matrix


def _of_pictures(first: PIL.Image.Image, second: PIL.Image.Image) -> Verdict:
    """Two pictures that lie as they are."""
    if (
        first.size == second.size
        and first.mode == second.mode
        and first.tobytes() == second.tobytes()
    ):
        return EQUAL
    one, other = detail_pixels(first), detail_pixels(second)
    size = [np.array([[each.shape[1], each.shape[0]]], np.float64) for each in (one, other)]
    matrix = matrices(np.array([[0.0, 0.0, 1.0, 0.0]]), *size)[0]
    return verdict(compared(one.astype(np.float32), other.astype(np.float32), matrix))

"""The demo's data: the same character drawn in the free fonts that matplotlib ships. Nothing is downloaded.

An identity is a character, its items are the fonts that have it, its group is its script. Law 2 is
served before any split: characters that are one picture (Latin A, Greek Alpha, Cyrillic A; o and O)
become one identity, not two.
"""

import importlib.util
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Float, UInt8
from PIL import ImageFont

from twofold.data.items import Items
from twofold.errors import DataError, MissingExtra, UnknownName, nearest

__all__ = ["FONTS", "SCRIPTS", "Alphabets", "alphabets", "font_folder"]

FONTS = {
    "DejaVuSans": "DejaVu Sans",
    "DejaVuSans-Bold": "DejaVu Sans Bold",
    "DejaVuSans-Oblique": "DejaVu Sans Oblique",
    "DejaVuSans-BoldOblique": "DejaVu Sans Bold Oblique",
    "DejaVuSansMono": "DejaVu Sans Mono",
    "DejaVuSansMono-Bold": "DejaVu Sans Mono Bold",
    "DejaVuSansMono-Oblique": "DejaVu Sans Mono Oblique",
    "DejaVuSansMono-BoldOblique": "DejaVu Sans Mono Bold Oblique",
    "DejaVuSerif": "DejaVu Serif",
    "DejaVuSerif-Bold": "DejaVu Serif Bold",
    "DejaVuSerif-Italic": "DejaVu Serif Italic",
    "DejaVuSerif-BoldItalic": "DejaVu Serif Bold Italic",
    "STIXGeneral": "STIX",
    "STIXGeneralBol": "STIX Bold",
    "STIXGeneralItalic": "STIX Italic",
    "STIXGeneralBolIta": "STIX Bold Italic",
    "cmr10": "Computer Modern",
    "cmb10": "Computer Modern Bold",
    "cmss10": "Computer Modern Sans",
    "cmti10": "Computer Modern Italic",
    "cmtt10": "Computer Modern Typewriter",
}
"""File name -> name of the font. Those of matplotlib that put the characters of Unicode where
Unicode puts them."""

SCRIPTS = {
    "Latin": ((0x0021, 0x007F), (0x00A1, 0x0250)),
    "phonetic": ((0x0250, 0x02B0),),
    "Greek": ((0x0370, 0x0400),),
    "Cyrillic": ((0x0400, 0x0530),),
    "Armenian": ((0x0531, 0x0590),),
    "Hebrew": ((0x05D0, 0x05EB),),
    "Arabic": ((0x0620, 0x064B), (0x0660, 0x06E0)),
    "Lao": ((0x0E80, 0x0EE0),),
    "Georgian": ((0x10A0, 0x1100), (0x2D00, 0x2D30)),
    "arrows": ((0x2190, 0x2200),),
    "mathematics": ((0x2200, 0x2300),),
}
"""Script -> ranges of code points, the end excluded."""

# the Computer Modern files hold Greek and accents at code points of their own: only ASCII stands
# where it should
_ASCII_ONLY = "cm"
# a code point that is assigned to nothing for ever: a font draws its "I have no such character" box
# for it
_NOBODY = "\U0010fffe"
# letters, numbers, symbols; dots, dashes and accents alone are too much alike
_KINDS = ("L", "N", "Sm", "So")
_EM_PIXELS = 48
"""Pixels of an em at which characters are drawn."""

_MARGIN_PIXELS = 2
"""Blank pixels around a drawn character."""


Pictures = dict[str, dict[str, UInt8[np.ndarray, "height width"]]]


@dataclass(frozen=True, kw_only=True)
class Alphabets:
    """Characters drawn in fonts.

    Attributes:
        items: one item per character and font, "greek small letter xi/DejaVu Serif"; groups are the
            scripts.
        look_alikes: what was left out, because in some font it is the picture of a character that
            was kept: (name that was left out, name that was kept).
        fonts: the fonts used.
    """

    items: Items
    look_alikes: tuple[tuple[str, str], ...]
    fonts: tuple[str, ...]


def alphabets(
    scripts: Sequence[str] = tuple(SCRIPTS),
    *,
    size: int = 28,
    least: int = 4,
    alike: float = 0.93,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Alphabets:
    """Draw the characters of `scripts` in every font that has them; a drawing that another font also gave counts once.

    A picture is black on white, HW uint8, `size` x `size`: the ink's bounding box, brought to the
    same size and centred, so that neither place nor size says what a character is (o and O are then
    the same, and count as such).

    Args:
        scripts: of `SCRIPTS`.
        least: characters that fewer fonts draw differently are left out.
        alike: two characters are look-alikes if in some font the cosine between their pictures' ink
            reaches this; the one of the higher code point is left out.
        most: at most so many characters a script, those with the lowest code points.
        progress: called with (done, total) after every font.

    Raises:
        UnknownName: no such script.
        MissingExtra: matplotlib is not installed.
        DataError: matplotlib is, but its fonts are not where it keeps them.
    """
    files = [path for name in FONTS if (path := font_folder() / f"{name}.ttf").is_file()]
    if len(files) < least:
        raise DataError(
            f"{font_folder()} holds {len(files)} of the {len(FONTS)} fonts to draw with: "
            f"reinstall matplotlib"
        )
    script_of = _candidates(scripts)
    pictures: Pictures = {character: {} for character in script_of}
    for done, path in enumerate(files, start=1):
        _draw_all(pictures, path, size)
        if progress:
            progress(done, len(files))
    different = {character: _without_copies(drawn) for character, drawn in pictures.items()}
    pictures = _first(
        {c: drawn for c, drawn in different.items() if len(drawn) >= least}, script_of, most
    )
    kept, look_alikes = _without_look_alikes(pictures, alike)
    chosen = {character: pictures[character] for character in kept}
    return Alphabets(
        items=_items(chosen, script_of),
        look_alikes=tuple((_name(dropped), _name(like)) for dropped, like in look_alikes),
        fonts=tuple(FONTS[path.stem] for path in files),
    )


def font_folder() -> Path:
    """Where matplotlib keeps its fonts, found without importing it.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        raise MissingExtra(
            "the demo draws with the fonts that matplotlib ships, and matplotlib is not installed: "
            "pip install 'twofold[demo]'"
        )
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"


def _candidates(scripts: Sequence[str]) -> dict[str, str]:
    """Character -> script, in the order of code points; letters, numbers and symbols only."""
    script_of: dict[str, str] = {}
    for script in scripts:
        if script not in SCRIPTS:
            raise UnknownName(f"no script is called {script!r}: {nearest(script, SCRIPTS)}")
        for first, end in SCRIPTS[script]:
            characters = map(chr, range(first, end))
            script_of |= {
                character: script
                for character in characters
                if unicodedata.category(character).startswith(_KINDS)
            }
    return dict(sorted(script_of.items()))


def _draw_all(pictures: Pictures, path: Path, size: int) -> None:
    """Add the drawings of one font to `pictures`."""
    # the basic layout gives the same glyphs whether or not libraqm is there: Arabic letters in
    # their isolated form
    font = ImageFont.truetype(str(path), _EM_PIXELS, layout_engine=ImageFont.Layout.BASIC)
    missing = _grey(font.getmask(_NOBODY))
    for character, drawn in pictures.items():
        if path.stem.startswith(_ASCII_ONLY) and not character.isascii():
            continue
        ink = font.getmask(character)
        if (box := ink.getbbox()) is not None and (grey := _grey(ink)) != missing:
            drawn[FONTS[path.stem]] = _centred(
                PIL.Image.frombytes("L", ink.size, grey).crop(box), size
            )


def _grey(ink: Any) -> bytes:
    """The pixels of what Pillow's getmask gives, which has no type that a checker knows."""
    return bytes(ink)


def _centred(ink: PIL.Image.Image, size: int) -> UInt8[np.ndarray, "size size"]:
    scale = (size - 2 * _MARGIN_PIXELS) / max(ink.size)
    width, height = (max(1, round(side * scale)) for side in ink.size)
    smaller = ink.resize(
        (width, height), PIL.Image.Resampling.BOX if scale < 1 else PIL.Image.Resampling.BILINEAR
    )
    page = np.full((size, size), 255, dtype=np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    page[top : top + height, left : left + width] = 255 - np.asarray(smaller)
    return page


def _without_copies(drawn: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One drawing of each: some "oblique" arrows are the upright ones, and a pair of copies would teach nothing."""
    seen: set[bytes] = set()
    return {
        font: page
        for font, page in drawn.items()
        if not ((key := page.tobytes()) in seen or seen.add(key))
    }


def _first(pictures: Pictures, script_of: dict[str, str], most: int | None) -> Pictures:
    taken: Counter[str] = Counter()
    first: Pictures = {}
    for character, drawn in pictures.items():
        script = script_of[character]
        if most is None or taken[script] < most:
            taken[script] += 1
            first[character] = drawn
    return first


def _without_look_alikes(
    pictures: Pictures, alike: float
) -> tuple[list[str], list[tuple[str, str]]]:
    """Which characters stay, and (left out, whom it looks like) for the others."""
    characters = list(pictures)
    nearest_cosine = _alikeness(pictures)
    kept: list[int] = []
    look_alikes = []
    for row in range(len(characters)):
        closest = kept[int(np.argmax(nearest_cosine[row, kept]))] if kept else row
        if kept and nearest_cosine[row, closest] >= alike:
            look_alikes.append((characters[row], characters[closest]))
        else:
            kept.append(row)
    return [characters[row] for row in kept], look_alikes


def _alikeness(pictures: Pictures) -> Float[np.ndarray, "n n"]:
    """Largest cosine over the fonts between the ink of every two characters; 0 where no font has both."""
    characters = list(pictures)
    largest = np.zeros((len(characters), len(characters)), dtype=np.float32)
    for font in FONTS.values():
        rows = np.array(
            [row for row, c in enumerate(characters) if font in pictures[c]], dtype=np.int64
        )
        if not len(rows):
            continue
        ink = np.stack(
            [255.0 - pictures[characters[row]][font].ravel().astype(np.float32) for row in rows]
        )
        ink /= np.linalg.norm(ink, axis=1, keepdims=True)
        block = np.ix_(rows, rows)
        largest[block] = np.maximum(largest[block], ink @ ink.T)
    return largest


def _items(pictures: Pictures, script_of: dict[str, str]) -> Items:
    rows = [(character, font) for character, drawn in pictures.items() for font in drawn]
    return Items.from_arrays(
        [pictures[character][font] for character, font in rows],
        [_name(character) for character, _ in rows],
        group=[script_of[character] for character, _ in rows],
        ids=[f"{_name(character)}/{font}" for character, font in rows],
    )


def _name(character: str) -> str:
    """Unicode's name: ASCII, so that every terminal can show what it may have no font for."""
    return unicodedata.name(character, f"u+{ord(character):04x}").lower()

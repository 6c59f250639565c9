"""Different pictures of one look, drawn by script: every two of a kind differ in something that a person sees.

The rule for copies was chosen by these kinds. It is reported on those of bench/copies_reported.py.
"""

from collections.abc import Callable

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter

from stationery import Picture, font_of, paper, price_of, scene, word, words

__all__ = ["CHOSEN", "Kind", "drawn"]

Kind = Callable[[np.random.Generator], Picture]


def drawn(kind: Kind, count: int, *, seed: int) -> list[Picture]:
    """The same seed draws the same."""
    return [kind(np.random.default_rng((seed, place))) for place in range(count)]


def pages(generator: np.random.Generator) -> Picture:
    """Lines of random words, all of one layout, in one of several fonts."""
    picture, draw = paper(620, 877)
    font = font_of(14, generator if generator.random() < 0.5 else None)
    for line in range(38):
        draw.text((60, 60 + line * 20), words(generator, 14)[:68], fill=(0, 0, 0), font=font)
    return picture


def receipts(generator: np.random.Generator) -> Picture:
    """The same shop, other goods and prices."""
    picture, draw = paper(300, 560, 248)
    font = font_of(15)
    draw.text((70, 20), "CORNER  SHOP", fill=(20, 20, 20), font=font_of(22))
    draw.text((60, 52), "Main Street 4, Anytown", fill=(40, 40, 40), font=font)
    for line in range(14):
        draw.text((24, 96 + 24 * line), words(generator, 2)[:18], fill=(30, 30, 30), font=font)
        draw.text((230, 96 + 24 * line), price_of(generator), fill=(30, 30, 30), font=font)
    draw.line((20, 440, 280, 440), fill=(0, 0, 0), width=2)
    draw.text((24, 452), "TOTAL", fill=(0, 0, 0), font=font_of(22))
    draw.text(
        (206, 452),
        f"{int(generator.integers(100, 1000))}.{int(generator.integers(100)):02}",
        fill=0,
        font=font_of(22),
    )
    draw.text((60, 505), "Thank you, come again", fill=(40, 40, 40), font=font)
    return picture


def tables(generator: np.random.Generator) -> Picture:
    """A grid of numbers under the same heads."""
    picture, draw = paper(640, 420)
    font = font_of(15)
    for column in range(6):
        draw.text((30 + column * 100, 20), f"Q{column + 1} 2024", fill=(0, 0, 0), font=font)
        for line in range(14):
            draw.text(
                (34 + column * 100, 50 + 25 * line),
                str(int(generator.integers(10, 99999))),
                fill=(0, 0, 0),
                font=font,
            )
    for line in range(16):
        draw.line((20, 44 + 25 * line, 620, 44 + 25 * line), fill=(150, 150, 150))
    for column in range(7):
        draw.line((20 + column * 100, 12, 20 + column * 100, 419), fill=(150, 150, 150))
    return picture


def barcodes(generator: np.random.Generator) -> Picture:
    """Bars of random widths, with their digits."""
    picture, draw = paper(360, 200)
    place = 30
    while place < 326:
        width = int(generator.integers(1, 5)) * 2
        draw.rectangle((place, 20, place + width - 1, 150), fill=(0, 0, 0))
        place += width + int(generator.integers(1, 5)) * 2
    draw.text(
        (80, 160),
        " ".join(str(digit) for digit in generator.integers(0, 10, 12)),
        fill=(0, 0, 0),
        font=font_of(20),
    )
    return picture


def slides(generator: np.random.Generator) -> Picture:
    """One template, another title and other points."""
    picture, draw = paper(640, 360, 250)
    draw.rectangle((0, 0, 640, 70), fill=(28, 58, 108))
    draw.rectangle((0, 340, 640, 360), fill=(200, 90, 30))
    draw.text((30, 18), words(generator, 3).title()[:30], fill=(255, 255, 255), font=font_of(30))
    for line in range(4):
        draw.ellipse((40, 108 + 56 * line, 50, 118 + 56 * line), fill=(28, 58, 108))
        draw.text(
            (66, 98 + 56 * line), words(generator, 5)[:40], fill=(40, 40, 40), font=font_of(22)
        )
    return picture


def framed(generator: np.random.Generator) -> Picture:
    """Different pictures in the same broad ornamented frame."""
    ornament = scene(np.random.default_rng(77), 400, 340).convert("L").convert("RGB")
    ornament.paste(scene(generator, 240, 180), (80, 80))
    return ornament


def shirts(generator: np.random.Generator) -> Picture:
    """One shirt on white, in another colour each; every two far apart in hue or lightness."""
    step = int(generator.integers(24))
    colour = (
        PIL.Image.new("HSV", (1, 1), (step % 12 * 21, 220, 120 + 110 * (step // 12)))
        .convert("RGB")
        .getpixel((0, 0))
    )
    picture, draw = paper(300, 320)
    outline = [
        (100, 40),
        (60, 60),
        (20, 120),
        (60, 150),
        (80, 120),
        (80, 290),
        (220, 290),
        (220, 120),
        (240, 150),
    ]
    outline += [(280, 120), (240, 60), (200, 40), (180, 60), (120, 60)]
    draw.polygon(outline, fill=colour)
    shade = np.random.default_rng(5).integers(0, 40, (32, 30)).astype(np.uint8)
    folds = PIL.Image.fromarray(shade).resize(picture.size, PIL.Image.Resampling.BICUBIC)
    dark = np.asarray(picture).astype(int) - (
        np.asarray(folds)[:, :, None] * (np.asarray(picture) < 250).any(2, keepdims=True)
    )
    return PIL.Image.fromarray(np.clip(dark, 0, 255).astype(np.uint8))


def skies(generator: np.random.Generator) -> Picture:
    """Stars and noise on black."""
    grid = np.abs(generator.normal(8, 3, (240, 320)))
    for _ in range(120):
        row, column = int(generator.integers(1, 239)), int(generator.integers(1, 319))
        light = float(generator.exponential(70)) + 30
        grid[row, column] += light
        grid[row - 1 : row + 2, column - 1 : column + 2] += light / 4
    grid = np.clip(grid, 0, 255).astype(np.uint8)
    return PIL.Image.fromarray(grid).convert("RGB")


def letters(generator: np.random.Generator) -> Picture:
    """One letterhead, another addressee and text, in serifs."""
    picture, draw = paper(600, 800, 252)
    draw.rectangle((0, 0, 600, 12), fill=(120, 30, 40))
    draw.text(
        (400, 40), "Office of Works\nP.O. Box 17\nAnytown", fill=(60, 60, 60), font=font_of(16)
    )
    draw.text(
        (60, 140),
        f"{words(generator, 2).title()}\n{word(generator).title()} "
        f"{int(generator.integers(1, 99))}",
        fill=0,
        font=font_of(16),
    )
    for line in range(int(generator.integers(16, 20))):
        draw.text(
            (60, 240 + 24 * line), words(generator, 12)[:58], fill=(10, 10, 10), font=font_of(16)
        )
    draw.text((60, 740), "Yours sincerely", fill=(10, 10, 10), font=font_of(16))
    return picture


def forms(generator: np.random.Generator) -> Picture:
    """A printed form, filled in by others."""
    picture, draw = paper(600, 780)
    draw.text((150, 24), "APPLICATION FORM B-12", fill=(0, 0, 0), font=font_of(24))
    names = (
        "Family name",
        "First name",
        "Born on",
        "Street",
        "Town",
        "Telephone",
        "Occupation",
        "Employer",
        "Since",
        "Remarks",
    )
    for line, name in enumerate(names):
        top = 90 + 64 * line
        draw.rectangle((40, top, 560, top + 46), outline=(90, 90, 90))
        draw.text((48, top + 4), name, fill=(90, 90, 90), font=font_of(12))
        ink = (20, 30, 140)
        draw.text((180, top + 14), words(generator, 2).title()[:26], fill=ink, font=font_of(22))
    return picture


def music(generator: np.random.Generator) -> Picture:
    """Staves with random notes."""
    picture, draw = paper(600, 780)
    for stave in range(8):
        top = 40 + 92 * stave
        for line in range(5):
            draw.line((30, top + 10 * line, 570, top + 10 * line), fill=(0, 0, 0))
        for bar in range(5):
            draw.line((30 + 135 * bar, top, 30 + 135 * bar, top + 40), fill=(0, 0, 0), width=2)
        for note in range(16):
            left, height = 44 + 33 * note, top + 5 * int(generator.integers(-1, 10))
            draw.ellipse((left, height - 5, left + 12, height + 4), fill=(0, 0, 0))
            draw.line((left + 12, height, left + 12, height - 30), fill=(0, 0, 0), width=2)
    return picture


def cards(generator: np.random.Generator) -> Picture:
    """Identity cards of one office: other name, number and portrait."""
    picture, draw = paper(480, 300, 235)
    for line in range(0, 300, 6):
        draw.line((0, line, 480, line + 30), fill=(205, 220, 235))
    draw.text((20, 14), "CITY LIBRARY  ·  MEMBER", fill=(20, 60, 120), font=font_of(24))
    skin = tuple(int(value) for value in generator.integers((150, 100, 70), (240, 200, 180)))
    draw.rectangle((24, 70, 154, 250), fill=(180, 195, 210))
    draw.ellipse((54, 100, 124, 190), fill=skin)
    draw.pieslice(
        (46 + int(generator.integers(8)), 88, 132, 170),
        180,
        360,
        fill=tuple(int(v) for v in generator.integers(0, 120, 3)),
    )
    draw.ellipse((36, 190, 142, 290), fill=tuple(int(v) for v in generator.integers(0, 200, 3)))
    draw.text((180, 90), words(generator, 2).title()[:20], fill=(0, 0, 0), font=font_of(24))
    draw.text(
        (180, 140), f"born {int(generator.integers(1940, 2010))}", fill=(0, 0, 0), font=font_of(20)
    )
    draw.text(
        (180, 190), f"No. {int(generator.integers(10**7, 10**8))}", fill=(0, 0, 0), font=font_of(24)
    )
    return picture


def matrix_codes(generator: np.random.Generator) -> Picture:
    """Square codes of one size: finder squares, random modules."""
    cells = np.ones((33, 33), np.uint8)
    cells[2:31, 2:31] = generator.integers(0, 2, (29, 29))
    finder = np.zeros((7, 7), np.uint8)
    finder[1:6, 1:6] = 1
    finder[2:5, 2:5] = 0
    for row, column in ((2, 2), (2, 24), (24, 2)):
        cells[max(row - 1, 0) : row + 8, max(column - 1, 0) : column + 8] = 1
        cells[row : row + 7, column : column + 7] = finder
    return PIL.Image.fromarray(np.kron(cells, np.ones((8, 8), np.uint8)) * np.uint8(255)).convert(
        "RGB"
    )


def screens(generator: np.random.Generator) -> Picture:
    """A phone's screen with bars above and below, and another picture between them."""
    picture, draw = paper(270, 560, 0)
    draw.text((12, 8), "9:41", fill=(255, 255, 255), font=font_of(16))
    draw.rectangle((228, 10, 256, 22), outline=(255, 255, 255))
    draw.rectangle((0, 40, 270, 86), fill=(245, 245, 245))
    draw.text((90, 50), "Photos", fill=(0, 90, 220), font=font_of(22))
    picture.paste(scene(generator, 270, 202), (0, 170))
    for icon in range(4):
        draw.ellipse((24 + 64 * icon, 510, 54 + 64 * icon, 540), fill=(90, 90, 200))
    return picture


def letterboxed(generator: np.random.Generator) -> Picture:
    """Other frames of films between black bars."""
    picture, _ = paper(360, 300, 0)
    picture.paste(scene(generator, 360, 150), (0, 75))
    return picture


def polaroids(generator: np.random.Generator) -> Picture:
    """Other pictures in the same white frame, broader below."""
    picture, draw = paper(300, 360, 246)
    draw.rectangle((0, 0, 299, 359), outline=(200, 200, 200), width=3)
    picture.paste(scene(generator, 250, 250), (25, 25))
    return picture


def watermarked(generator: np.random.Generator) -> Picture:
    """Other pictures under the same large half-transparent letters."""
    picture = scene(generator, 320, 240).filter(PIL.ImageFilter.GaussianBlur(2))
    mark = PIL.Image.new("L", picture.size, 0)
    draw = PIL.ImageDraw.Draw(mark)
    for row in range(4):
        draw.text(
            (10 - 30 * (row % 2), 10 + 58 * row), "SAMPLE © SAMPLE", fill=150, font=font_of(36)
        )
    picture.paste((255, 255, 255), mask=mark)
    return picture


def mugs(generator: np.random.Generator) -> Picture:
    """One mug before one kitchen, in another colour each."""
    picture = scene(np.random.default_rng(31), 280, 260).filter(PIL.ImageFilter.GaussianBlur(3))
    draw = PIL.ImageDraw.Draw(picture)
    step = int(generator.integers(20))
    hue = PIL.Image.new("HSV", (1, 1), (step % 10 * 25, 200, 130 + 100 * (step // 10)))
    colour = tuple(hue.convert("RGB").tobytes())
    draw.ellipse((170, 90, 240, 180), outline=colour, width=14)
    draw.rectangle((80, 70, 190, 210), fill=colour)
    draw.ellipse((80, 55, 190, 88), fill=tuple(value // 2 for value in colour))
    draw.text((100, 125), "MORNING", fill=(255, 255, 255), font=font_of(18))
    return picture


def labels(generator: np.random.Generator) -> Picture:
    """Packets of one brand, another flavour each."""
    picture = scene(np.random.default_rng(90), 260, 340).filter(PIL.ImageFilter.GaussianBlur(5))
    draw = PIL.ImageDraw.Draw(picture)
    draw.rectangle((30, 20, 230, 320), fill=(240, 235, 225))
    draw.text((58, 40), "GOOD FARM", fill=(20, 90, 40), font=font_of(26))
    step = int(generator.integers(12))
    hue = PIL.Image.new("HSV", (1, 1), (step * 21, 190, 210)).convert("RGB").getpixel((0, 0))
    draw.ellipse((80, 90, 180, 190), fill=hue)
    flavours = [
        "apple",
        "pear",
        "cherry",
        "plum",
        "grape",
        "orange",
        "lemon",
        "peach",
        "berry",
        "mango",
        "fig",
        "kiwi",
    ]
    draw.text((70, 215), flavours[step].upper(), fill=(60, 30, 30), font=font_of(28))
    draw.text((70, 270), "yoghurt 500 g", fill=(60, 60, 60), font=font_of(18))
    return picture


def dusks(generator: np.random.Generator) -> Picture:
    """Dark, nearly flat: a gradient, noise, and one lit window somewhere."""
    grid = (
        np.linspace(26, 8, 240)[:, None]
        + np.zeros((240, 320))
        + generator.normal(0, 2.5, (240, 320))
    )
    row, column = int(generator.integers(100, 220)), int(generator.integers(20, 280))
    grid[row : row + 14, column : column + 12] += 90
    return PIL.Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8)).convert("RGB")


CHOSEN: dict[str, Kind] = {
    "pages": pages,
    "receipts": receipts,
    "tables": tables,
    "barcodes": barcodes,
    "slides": slides,
    "framed": framed,
    "shirts": shirts,
    "skies": skies,
    "letters": letters,
    "forms": forms,
    "music": music,
    "cards": cards,
    "matrix_codes": matrix_codes,
    "screens": screens,
    "letterboxed": letterboxed,
    "polaroids": polaroids,
    "watermarked": watermarked,
    "mugs": mugs,
    "labels": labels,
    "dusks": dusks,
}

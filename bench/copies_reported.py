"""Different pictures of one look on which the rule for copies is reported. It was not chosen by any of these kinds.

Every two of a kind differ in something that a person sees. The kinds that the rule was chosen by
are in bench/copies_negatives.py.
"""

from itertools import pairwise

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter

from copies_negatives import Kind
from stationery import Picture, font_of, paper, scene, word, words

__all__ = ["BEFORE", "REPORTED"]

BLACK, GREY, WHITE = (0, 0, 0), (150, 150, 150), (255, 255, 255)


def colour_of(
    generator: np.random.Generator, low: int = 0, high: int = 230
) -> tuple[int, int, int]:
    """Any colour whose channels lie between two values."""
    red, green, blue = (int(value) for value in generator.integers(low, high, 3))
    return red, green, blue


def calendars(generator: np.random.Generator) -> Picture:
    """A month as a grid, with other appointments."""
    picture, draw = paper(560, 440)
    draw.rectangle((0, 0, 560, 48), fill=(180, 40, 40))
    month, year = int(generator.integers(1, 13)), int(generator.integers(1990, 2040))
    draw.text((20, 10), f"{month:02} / {year}", fill=WHITE, font=font_of(26))
    first, days = int(generator.integers(7)), int(generator.integers(28, 32))
    for line in range(7):
        draw.line((0, 70 + 61 * line, 560, 70 + 61 * line), fill=GREY)
        draw.line((80 * line, 70, 80 * line, 440), fill=GREY)
    for day in range(days):
        line, column = divmod(first + day, 7)
        draw.text((4 + 80 * column, 72 + 61 * line), str(day + 1), fill=BLACK, font=font_of(14))
        if generator.random() < 0.25:
            place = (6 + 80 * column, 94 + 61 * line)
            draw.text(place, word(generator)[:9], fill=(20, 60, 160), font=font_of(13))
    return picture


def maps(generator: np.random.Generator) -> Picture:
    """The same roads and river, with other places named on it."""
    picture, draw = paper(480, 400, 238)
    land = np.random.default_rng(41)
    for _ in range(9):
        bends = [tuple(int(value) for value in land.integers((0, 0), (480, 400))) for _ in range(4)]
        draw.line(bends, fill=(240, 190, 80), width=5)
    river = [(column, 200 + int(60 * np.sin(column / 70))) for column in range(0, 481, 8)]
    draw.line(river, fill=(110, 160, 220), width=14)
    for _ in range(12):
        left, top = int(generator.integers(10, 380)), int(generator.integers(10, 370))
        draw.ellipse((left, top, left + 8, top + 8), fill=(200, 30, 30))
        draw.text(
            (left + 12, top - 5), word(generator).title()[:12], fill=(40, 40, 40), font=font_of(15)
        )
    return picture


def charts(generator: np.random.Generator) -> Picture:
    """Axes with a grid, and another curve and other bars in them."""
    picture, draw = paper(520, 360)
    for line in range(9):
        draw.line((50, 30 + 35 * line, 500, 30 + 35 * line), fill=(220, 220, 220))
        draw.text((14, 22 + 35 * line), str(80 - 10 * line), fill=(80, 80, 80), font=font_of(13))
    draw.line((50, 20, 50, 310, 500, 310), fill=BLACK, width=2)
    heights = generator.uniform(10, 270, 12)
    for bar, height in enumerate(heights.tolist()):
        draw.rectangle((62 + 36 * bar, 310 - height, 84 + 36 * bar, 310), fill=(70, 130, 180))
        draw.text((64 + 36 * bar, 318), "JFMAMJJASOND"[bar], fill=(80, 80, 80), font=font_of(13))
    walk = np.clip(170 + np.cumsum(generator.normal(0, 28, 12)), 30, 300)
    draw.line(
        [(73 + 36 * bar, float(height)) for bar, height in enumerate(walk)],
        fill=(210, 90, 30),
        width=3,
    )
    return picture


def spreadsheets(generator: np.random.Generator) -> Picture:
    """A program's window with rows of words and numbers."""
    picture, draw = paper(640, 420)
    draw.rectangle((0, 0, 640, 34), fill=(33, 115, 70))
    draw.text((12, 7), "Book1 - Sheets", fill=WHITE, font=font_of(17))
    draw.rectangle((0, 34, 640, 58), fill=(230, 230, 230))
    for column in range(7):
        draw.text((70 + 92 * column, 38), "ABCDEFG"[column], fill=(60, 60, 60), font=font_of(14))
        draw.line((40 + 92 * column, 34, 40 + 92 * column, 420), fill=(205, 205, 205))
    for line in range(17):
        top = 60 + 21 * line
        draw.line((0, top - 2, 640, top - 2), fill=(205, 205, 205))
        draw.text((10, top), str(line + 1), fill=(60, 60, 60), font=font_of(13))
        draw.text((46, top), word(generator)[:10], fill=BLACK, font=font_of(14))
        for column in range(1, 6):
            number = f"{generator.uniform(0, 5000):.2f}"
            draw.text((46 + 92 * column, top), number, fill=BLACK, font=font_of(14))
    return picture


def chess(generator: np.random.Generator) -> Picture:
    """The same board, another position; pieces as letters on discs."""
    picture, draw = paper(400, 400)
    for row in range(8):
        for column in range(8):
            square = (50 * column, 50 * row, 50 * column + 50, 50 * row + 50)
            draw.rectangle(
                square, fill=(240, 217, 181) if (row + column) % 2 == 0 else (181, 136, 99)
            )
    for place in generator.permutation(64)[: int(generator.integers(10, 33))].tolist():
        row, column = divmod(place, 8)
        white = bool(generator.integers(2))
        body, ink = (WHITE, BLACK) if white else (BLACK, WHITE)
        draw.ellipse(
            (50 * column + 8, 50 * row + 8, 50 * column + 42, 50 * row + 42),
            fill=body,
            outline=BLACK,
        )
        piece = "KQRBNP"[int(generator.integers(6))]
        draw.text((50 * column + 18, 50 * row + 13), piece, fill=ink, font=font_of(20))
    return picture


def price_tags(generator: np.random.Generator) -> Picture:
    """A shop's labels: a name, a price, and a code of bars."""
    picture, draw = paper(380, 180, 252)
    draw.rectangle((0, 0, 380, 30), fill=(250, 210, 0))
    draw.text((12, 5), "OFFER OF THE WEEK", fill=(180, 0, 0), font=font_of(18))
    draw.text((14, 44), words(generator, 2)[:18].upper(), fill=BLACK, font=font_of(22))
    draw.text((200, 84), f"{generator.uniform(0.5, 99):.2f}", fill=(180, 0, 0), font=font_of(48))
    place = 16
    while place < 170:
        width = int(generator.integers(1, 4))
        draw.rectangle((place, 90, place + width - 1, 150), fill=BLACK)
        place += width + int(generator.integers(1, 4))
    draw.text((16, 154), str(int(generator.integers(10**11, 10**12))), fill=BLACK, font=font_of(15))
    return picture


def icon_sheets(generator: np.random.Generator) -> Picture:
    """A grid of simple signs in one style."""
    picture, draw = paper(400, 400, 245)
    for place in range(25):
        row, column = divmod(place, 5)
        left, top, kind = 80 * column + 16, 80 * row + 16, int(generator.integers(6))
        box, ink = (left, top, left + 48, top + 48), (50, 70, 110)
        if kind == 0:
            draw.ellipse(box, outline=ink, width=5)
        elif kind == 1:
            draw.rectangle(box, outline=ink, width=5)
        elif kind == 2:
            draw.polygon(
                [(left + 24, top), (left + 48, top + 48), (left, top + 48)], outline=ink, width=5
            )
        elif kind == 3:
            draw.line((left, top, left + 48, top + 48), fill=ink, width=6)
            draw.line((left + 48, top, left, top + 48), fill=ink, width=6)
        elif kind == 4:
            draw.rectangle((left + 18, top, left + 30, top + 48), fill=ink)
            draw.rectangle((left, top + 18, left + 48, top + 30), fill=ink)
        else:
            draw.pieslice(box, int(generator.integers(360)), 300, fill=ink)
    return picture


def star_charts(generator: np.random.Generator) -> Picture:
    """The night above one hill and one house: other stars, another moon."""
    grid = np.linspace(10, 40, 260)[:, None] + generator.normal(0, 2, (260, 340))
    for _ in range(90):
        row, column = int(generator.integers(2, 190)), int(generator.integers(2, 337))
        grid[row - 1 : row + 1, column - 1 : column + 1] += float(generator.exponential(60)) + 40
    picture = PIL.Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8)).convert("RGB")
    draw = PIL.ImageDraw.Draw(picture)
    left, top = int(generator.integers(20, 290)), int(generator.integers(15, 120))
    draw.ellipse((left, top, left + 30, top + 30), fill=(235, 230, 200))
    draw.polygon([(0, 260), (0, 220), (120, 190), (340, 235), (340, 260)], fill=(5, 8, 6))
    draw.rectangle((180, 185, 220, 215), fill=(25, 18, 15))
    draw.rectangle((192, 192, 202, 202), fill=(250, 200, 90))
    return picture


def knitting(generator: np.random.Generator) -> Picture:
    """Stitches in two colours, each pattern a tile of its own that repeats."""
    tile = generator.integers(0, 2, (12, 6))
    tile = np.hstack([tile, tile[:, ::-1]])
    cells = np.tile(tile, (3, 3))
    picture, draw = paper(360, 360, 235)
    for row in range(36):
        for column in range(36):
            left, top = 10 * column, 10 * row
            ink = (170, 40, 50) if cells[row, column] else (225, 220, 205)
            draw.polygon(
                [(left, top), (left + 5, top + 4), (left + 5, top + 10), (left, top + 6)], fill=ink
            )
            draw.polygon(
                [(left + 9, top), (left + 5, top + 4), (left + 5, top + 10), (left + 9, top + 6)],
                fill=ink,
            )
    return picture


def product_cards(generator: np.random.Generator) -> Picture:
    """A shop's page: one frame, stars and button, another thing on it."""
    picture, draw = paper(320, 420)
    draw.rectangle((4, 4, 315, 415), outline=(210, 210, 210), width=2)
    middle, ink = (160, 140), colour_of(generator, 20, 220)
    kind, wide, high = (
        int(generator.integers(3)),
        int(generator.integers(40, 110)),
        int(generator.integers(40, 100)),
    )
    box = (middle[0] - wide, middle[1] - high, middle[0] + wide, middle[1] + high)
    (draw.ellipse, draw.rectangle, draw.rounded_rectangle)[kind](
        box, fill=ink, outline=(60, 60, 60), width=3
    )
    draw.text((20, 262), words(generator, 3)[:26].title(), fill=(30, 30, 30), font=font_of(20))
    for star in range(5):
        fill = (250, 170, 0) if star < generator.integers(1, 6) else (220, 220, 220)
        draw.ellipse((20 + 24 * star, 300, 38 + 24 * star, 318), fill=fill)
    draw.text((20, 328), f"€ {generator.uniform(3, 900):.2f}", fill=(160, 20, 20), font=font_of(26))
    draw.rounded_rectangle((20, 370, 300, 405), 8, fill=(255, 200, 60))
    draw.text((110, 377), "Add to basket", fill=(30, 30, 30), font=font_of(16))
    return picture


def chats(generator: np.random.Generator) -> Picture:
    """A messenger on a phone: bubbles left and right on one background."""
    picture = scene(np.random.default_rng(63), 300, 540).filter(PIL.ImageFilter.GaussianBlur(12))
    draw = PIL.ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 300, 52), fill=(20, 90, 80))
    draw.text((60, 14), "Family", fill=WHITE, font=font_of(20))
    top = 66
    while top < 480:
        mine, lines = bool(generator.integers(2)), int(generator.integers(1, 4))
        left = 90 if mine else 12
        fill = (215, 248, 200) if mine else WHITE
        draw.rounded_rectangle((left, top, left + 196, top + 14 + 20 * lines), 10, fill=fill)
        for line in range(lines):
            draw.text(
                (left + 10, top + 6 + 20 * line),
                words(generator, 5)[:24],
                fill=BLACK,
                font=font_of(14),
            )
        top += 26 + 20 * lines
    return picture


def floor_plans(generator: np.random.Generator) -> Picture:
    """One outer wall, other rooms inside it, with their areas."""
    picture, draw = paper(460, 340)
    draw.rectangle((20, 20, 440, 320), outline=BLACK, width=8)
    columns = [20, *sorted(int(value) for value in generator.integers(90, 370, 2)), 440]
    for left, right in pairwise(columns):
        split = int(generator.integers(90, 250))
        draw.line((right, 20, right, 320), fill=BLACK, width=5)
        draw.line((left, split, right, split), fill=BLACK, width=5)
        for top in (60, split + 20):
            area = f"{generator.uniform(4, 40):.1f} m2"
            draw.text((left + 10, top), area, fill=(70, 70, 70), font=font_of(15))
    return picture


BEFORE: dict[str, Kind] = {
    "calendars": calendars,
    "maps": maps,
    "charts": charts,
    "spreadsheets": spreadsheets,
}
"""Kinds that were looked at before the rule's last changes, and were not used to choose them."""

REPORTED: dict[str, Kind] = {
    "chess": chess,
    "price_tags": price_tags,
    "icon_sheets": icon_sheets,
    "star_charts": star_charts,
    "knitting": knitting,
    "product_cards": product_cards,
    "chats": chats,
    "floor_plans": floor_plans,
}
"""Kinds that the rule had never seen when they were first reported."""

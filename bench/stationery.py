"""What pictures of one look are drawn with: words, fonts, sheets of paper, and scenes instead of photographs."""

from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
import PIL.ImageFont

__all__ = ["Draw", "Picture", "font_of", "paper", "price_of", "scene", "word", "words"]

Draw = PIL.ImageDraw.ImageDraw
Picture = PIL.Image.Image

SYLLABLES = "ba ce di fo gu ha ke li mo nu pa re si to vu wa xe yi zo an er il on ut stra bel ghi qua tor men"


def font_of(
    size: float, generator: np.random.Generator | None = None
) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    """Pillow's own; or by chance one of matplotlib's, where that is installed."""
    if generator is not None:
        try:
            import matplotlib

            folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
            names = (
                "DejaVuSans.ttf",
                "DejaVuSerif.ttf",
                "DejaVuSansMono.ttf",
                "STIXGeneral.ttf",
                "DejaVuSans-Bold.ttf",
            )
            return PIL.ImageFont.truetype(
                str(folder / names[int(generator.integers(len(names)))]), size
            )
        except (ImportError, OSError):
            pass
    return PIL.ImageFont.load_default(size=size)


def word(generator: np.random.Generator) -> str:
    return "".join(generator.choice(SYLLABLES.split(), int(generator.integers(1, 5))))


def words(generator: np.random.Generator, count: int) -> str:
    return " ".join(word(generator) for _ in range(count))


def paper(width: int, height: int, colour: int = 255) -> tuple[Picture, Draw]:
    picture = PIL.Image.new("RGB", (width, height), (colour,) * 3)
    return picture, PIL.ImageDraw.Draw(picture)


def price_of(generator: np.random.Generator) -> str:
    return f"{int(generator.integers(1, 100))}.{int(generator.integers(100)):02}"


def scene(generator: np.random.Generator, width: int = 320, height: int = 240) -> Picture:
    """Squares of many sizes, with colours and edges: a spectrum like a photograph's."""
    grid = np.zeros((height, width, 3))
    for size in (80, 40, 20, 10, 5):
        small = generator.standard_normal((-(-height // size), -(-width // size), 3))
        small = small * 0.4 + small.mean(axis=2, keepdims=True) * 0.9
        grid += np.kron(small * size, np.ones((size, size, 1)))[:height, :width]
    grid = (grid - grid.min()) / np.ptp(grid) * 255
    return PIL.Image.fromarray(grid.astype(np.uint8)).filter(PIL.ImageFilter.GaussianBlur(0.7))

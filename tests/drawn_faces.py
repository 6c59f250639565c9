"""Faces that nobody has: drawn with ellipses, so that tests need no photograph of a person."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter

SIDE = 240
"""Pixels in which a face is drawn before it is brought to its size."""


def drawn_face(size: int = SIDE, *, seed: int = 0) -> PIL.Image.Image:
    """A front view of a face on grey; another seed gives other proportions and colours."""
    random = np.random.default_rng(seed)
    skin = np.array([205, 165, 140]) + random.integers(-25, 25)
    hair = tuple(int(tone) for tone in random.integers(20, 90, 3))
    apart, low = int(random.integers(34, 40)), int(random.integers(170, 178))
    picture = PIL.Image.new("RGB", (SIDE, SIDE), (120, 125, 130))
    draw = PIL.ImageDraw.Draw(picture)

    def ellipse(x: float, y: float, width: float, height: float, colour) -> None:
        box = (x - width, y - height, x + width, y + height)
        draw.ellipse(box, fill=tuple(int(tone) for tone in colour))

    ellipse(120, 115, 82, 105, hair)
    ellipse(120, 128, 68, 92, skin)
    for side in (-1, 1):
        eye = 120 + side * apart
        ellipse(eye, 108, 22, 13, skin * 0.8)
        ellipse(eye, 110, 15, 8, (240, 240, 240))
        ellipse(eye, 110, 7, 8, (50, 35, 30))
        ellipse(eye, 92, 19, 4, hair)
        ellipse(120 + side * 9, 150, 6, 4, skin * 0.55)
    ellipse(120, 138, 9, 18, skin * 1.08)
    ellipse(120, low, 26, 8, (165, 80, 80))
    ellipse(120, low, 22, 2, (90, 40, 40))
    shade = np.asarray(picture, dtype=np.float64)
    light = 1.05 - 0.25 * np.abs(np.linspace(-1, 1, SIDE))[None, :, None]
    picture = PIL.Image.fromarray(np.clip(shade * light, 0, 255).astype(np.uint8))
    return picture.filter(PIL.ImageFilter.GaussianBlur(2)).resize((size, size))


def on_page(
    width: int, height: int, faces: list[tuple[int, int, int]], *, seed: int = 0
) -> PIL.Image.Image:
    """A grey picture with faces at (left, top, size)."""
    page = PIL.Image.new("RGB", (width, height), (120, 125, 130))
    for number, (left, top, size) in enumerate(faces):
        page.paste(drawn_face(size, seed=seed + number), (left, top))
    return page

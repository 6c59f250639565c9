"""What happens to pictures on their way through the web, made by script, after the attacks of the Copydays set."""

import io
from collections.abc import Callable

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
import PIL.ImageFont

__all__ = ["FAMILIES", "attacked"]

Attack = Callable[[PIL.Image.Image, np.random.Generator], PIL.Image.Image]


def jpeg(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """Quality 75, 50, 30, 20, 15, 10, 8, 5 or 3 (Copydays' nine)."""
    return _recompressed(picture, int(generator.choice([75, 50, 30, 20, 15, 10, 8, 5, 3])))


def crop(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """10 to 80 % of the area cut away, anywhere; the sides keep their ratio."""
    kept = np.sqrt(1 - generator.choice([0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]))
    left, top = generator.uniform(0, 1 - kept, 2) * picture.size
    box = (int(left), int(top), int(left + kept * picture.width), int(top + kept * picture.height))
    return picture.crop(box)


def resize(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """To 20 to 150 % of its width and, by itself, to 80 to 125 % of that share of its height."""
    share, squeeze = generator.uniform(0.2, 1.5), generator.uniform(0.8, 1.25)
    width, height = round(picture.width * share), round(picture.height * share * squeeze)
    return picture.resize((max(width, 16), max(height, 16)), PIL.Image.Resampling.BICUBIC)


def blur(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """A Gaussian of 1 to 4 % of the side."""
    return picture.filter(PIL.ImageFilter.GaussianBlur(generator.uniform(0.01, 0.04) * picture.width))


def text(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """One to three lines of bold letters, black on white or white on black, across the picture."""
    changed = picture.copy()
    draw = PIL.ImageDraw.Draw(changed)
    for _ in range(int(generator.integers(1, 4))):
        font = PIL.ImageFont.load_default(size=float(generator.uniform(0.07, 0.15)) * picture.height)
        words = "".join(generator.choice(list("ABCDEFGHKLMNOPRSTUVWXYZ "), 12))
        dark = bool(generator.integers(2))
        place = (generator.uniform(-0.1, 0.3) * picture.width, generator.uniform(0, 0.85) * picture.height)
        ink, rim = ((0, 0, 0), (255, 255, 255)) if dark else ((255, 255, 255), (0, 0, 0))
        draw.text(place, words, font=font, fill=ink, stroke_width=1, stroke_fill=rim)
    return changed


def rotation(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """A quarter turn, a half turn, or 2 to 20 degrees with black corners."""
    if generator.integers(2):
        return picture.transpose(PIL.Image.Transpose(int(generator.integers(2, 5))))
    angle = float(generator.uniform(2, 20) * generator.choice([-1, 1]))
    return picture.rotate(angle, PIL.Image.Resampling.BICUBIC)


def strong(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """Several at once: cut by up to 40 %, brighter or darker, text, small JPEG."""
    kept = generator.uniform(0.77, 1.0)
    left, top = generator.uniform(0, 1 - kept, 2) * picture.size
    cut = picture.crop((int(left), int(top), int(left + kept * picture.width), int(top + kept * picture.height)))
    gain, offset = generator.uniform(0.6, 1.0), generator.uniform(0, 60)
    light = cut.point(lambda value: value * gain + offset)
    return _recompressed(text(light, generator), int(generator.integers(10, 40)))


FAMILIES: dict[str, Attack] = {
    "jpeg": jpeg,
    "crop": crop,
    "resize": resize,
    "blur": blur,
    "text": text,
    "rotation": rotation,
    "strong": strong,
}


def _recompressed(picture: PIL.Image.Image, quality: int) -> PIL.Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return PIL.Image.open(stream).convert("RGB")


def attacked(family: str, pictures: list[PIL.Image.Image], *, seed: int) -> list[PIL.Image.Image]:
    """One attack of the family on each picture; the same seed makes the same."""
    return [FAMILIES[family](each, np.random.default_rng((seed, place))) for place, each in enumerate(pictures)]

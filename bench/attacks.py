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
    return picture.filter(
        PIL.ImageFilter.GaussianBlur(generator.uniform(0.01, 0.04) * picture.width)
    )


def text(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """One to three lines of bold letters, black on white or white on black, across the picture."""
    changed = picture.copy()
    draw = PIL.ImageDraw.Draw(changed)
    for _ in range(int(generator.integers(1, 4))):
        font = PIL.ImageFont.load_default(
            size=float(generator.uniform(0.07, 0.15)) * picture.height
        )
        words = "".join(generator.choice(list("ABCDEFGHKLMNOPRSTUVWXYZ "), 12))
        dark = bool(generator.integers(2))
        place = (
            generator.uniform(-0.1, 0.3) * picture.width,
            generator.uniform(0, 0.85) * picture.height,
        )
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
    cut = picture.crop(
        (int(left), int(top), int(left + kept * picture.width), int(top + kept * picture.height))
    )
    gain, offset = generator.uniform(0.6, 1.0), generator.uniform(0, 60)
    light = cut.point(lambda value: value * gain + offset)
    return _recompressed(text(light, generator), int(generator.integers(10, 40)))


def quarter_turn(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """By 90, 180 or 270 degrees."""
    return picture.transpose(PIL.Image.Transpose(int(generator.integers(2, 5))))


def mirror(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """Left and right swapped, half of them turned by a half, too."""
    flipped = picture.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
    return flipped.transpose(PIL.Image.Transpose.ROTATE_180) if generator.integers(2) else flipped


def border(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """A frame of one colour, 4 to 12 % of the side."""
    width = round(generator.uniform(0.04, 0.12) * max(picture.size))
    colour = tuple(int(value) for value in generator.choice([0, 30, 128, 255], 1).repeat(3))
    framed = PIL.Image.new("RGB", (picture.width + 2 * width, picture.height + 2 * width), colour)
    framed.paste(picture, (width, width))
    return framed


def screenshot(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """On a phone's screen, as wide as it, with bars and signs above and below."""
    width = max(round(picture.width * generator.uniform(0.8, 1.5)), 64)
    height = round(picture.height * width / picture.width)
    high = max(round(width * 2.05), round(height * 1.25))
    dark = bool(generator.integers(2))
    page, ink = ((0, 0, 0), (240, 240, 240)) if dark else ((255, 255, 255), (20, 20, 20))
    screen = PIL.Image.new("RGB", (width, high), page)
    draw = PIL.ImageDraw.Draw(screen)
    size = max(width / 16, 6)
    draw.text((size, size / 3), "12:30", fill=ink, font=PIL.ImageFont.load_default(size=size))
    draw.rectangle((width - 2.5 * size, size / 2, width - size, 1.2 * size), outline=ink)
    for sign in range(4):
        left = (sign + 0.5) * width / 4 - size / 2
        draw.ellipse((left, high - 1.6 * size, left + size, high - 0.6 * size), fill=ink)
    screen.paste(
        picture.resize((width, height), PIL.Image.Resampling.BICUBIC), (0, (high - height) // 2)
    )
    return screen


def grey(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """Without colour."""
    return picture.convert("L").convert("RGB")


def brightness(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """40 grey values darker to 60 brighter."""
    offset = float(generator.uniform(20, 60)) * (1 if generator.integers(2) else -0.67)
    return picture.point(lambda value: value + offset)


def contrast(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """Times 0.6 to 1.4 about the middle grey."""
    gain = float(
        generator.uniform(0.6, 0.85) if generator.integers(2) else generator.uniform(1.15, 1.4)
    )
    return picture.point(lambda value: (value - 128) * gain + 128)


def watermark(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """Half-transparent letters across the picture."""
    mark = PIL.Image.new("L", picture.size, 0)
    draw = PIL.ImageDraw.Draw(mark)
    size = float(generator.uniform(0.1, 0.2)) * picture.height
    opacity = int(generator.uniform(0.25, 0.5) * 255)
    for row in range(int(generator.integers(1, 4))):
        place = (
            generator.uniform(-0.1, 0.2) * picture.width,
            (row * 0.3 + generator.uniform(0, 0.2)) * picture.height,
        )
        draw.text(place, "© SAMPLE PHOTO", font=PIL.ImageFont.load_default(size=size), fill=opacity)
    changed = picture.copy()
    changed.paste((255, 255, 255) if generator.integers(2) else (0, 0, 0), mask=mark)
    return changed


def aspect(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """Squeezed to 60 to 85 % one way."""
    share = float(generator.uniform(0.6, 0.85))
    size = (share, 1.0) if generator.integers(2) else (1.0, share)
    shape = (round(picture.width * size[0]), round(picture.height * size[1]))
    return picture.resize(shape, PIL.Image.Resampling.BICUBIC)


def eighth(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """To an eighth of the side, but no less than 16 pixels."""
    return picture.resize(
        (max(picture.width // 8, 16), max(picture.height // 8, 16)), PIL.Image.Resampling.BOX
    )


def double(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """To twice the side."""
    return picture.resize((picture.width * 2, picture.height * 2), PIL.Image.Resampling.BICUBIC)


def small_turn(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """By 3 to 7 degrees, with black corners."""
    return picture.rotate(
        float(generator.uniform(3, 7)) * (1 if generator.integers(2) else -1),
        PIL.Image.Resampling.BICUBIC,
    )


def collage(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    """Beside its own mirror image upside down, which stands for another picture."""
    both = PIL.Image.new("RGB", (2 * picture.width, picture.height))
    both.paste(picture, (0, 0))
    both.paste(
        picture.transpose(PIL.Image.Transpose.TRANSVERSE).resize(picture.size), (picture.width, 0)
    )
    return both


FAMILIES: dict[str, Attack] = {
    "jpeg": jpeg,
    "crop": crop,
    "resize": resize,
    "blur": blur,
    "text": text,
    "rotation": rotation,
    "strong": strong,
    "quarter_turn": quarter_turn,
    "small_turn": small_turn,
    "mirror": mirror,
    "border": border,
    "screenshot": screenshot,
    "grey": grey,
    "brightness": brightness,
    "contrast": contrast,
    "watermark": watermark,
    "aspect": aspect,
    "eighth": eighth,
    "double": double,
    "collage": collage,
}


def _recompressed(picture: PIL.Image.Image, quality: int) -> PIL.Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return PIL.Image.open(stream).convert("RGB")


def attacked(family: str, pictures: list[PIL.Image.Image], *, seed: int) -> list[PIL.Image.Image]:
    """One attack of the family on each picture; the same seed makes the same."""
    return [
        FAMILIES[family](each, np.random.default_rng((seed, place)))
        for place, each in enumerate(pictures)
    ]

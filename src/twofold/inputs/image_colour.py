"""Any mode of Pillow -> grey or RGB in sRGB: colour profiles, transparency, 16 bits."""

import io
from functools import lru_cache

import numpy as np
import PIL.Image
from PIL import ImageChops, ImageCms

from twofold.errors import UnreadableInput
from twofold.inputs.image_levels import levels

__all__ = ["PAPER", "flat", "to_bytes"]

PAPER = "paper"
"""Where an image keeps the grey that was put behind it, in `info`."""

VISIBLE = 32
"""Levels of 255 by which a pixel must differ from what is behind it, in one channel, to be seen."""

VISIBLE_SHARE = 0.05
"""If fewer of the opaque pixels than this can be seen on the background, the opposite one is taken."""

LARGEST_PROFILE = 4 * 2**20
"""Bytes. Profiles of printing processes have up to 3 MB."""

NEAR_SRGB = 2
"""A profile that moves no colour by more levels is sRGB in other words, and left alone."""

_GREY_MODES = ("1", "L", "LA", "La")


def flat(image: PIL.Image.Image, *, background: int, rules: int) -> PIL.Image.Image:
    """An image of mode L or RGB: transparency laid on a background, 16 bits mapped linearly, colours in sRGB.

    Args:
        background: grey in [0, 255] behind transparent pixels. By rules 2 its opposite (0 for 128
            and more, else 255) is taken where the opaque pixels cannot be told from it.
            `info[PAPER]` says which it was.
        rules: 1 neither looks at colour profiles nor chooses a background.

    Raises:
        UnreadableInput: nothing can be seen, or the samples have no declared range.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep(image)
    if image.mode == "LAB":
        return _from_lab(image)
    profile = image.info.get("icc_profile") if rules > 1 else None
    if image.has_transparency_data:
        return _on_paper(image, profile, background=background, rules=rules)
    plain = (
        image
        if image.mode in ("L", "RGB")
        else image.convert("L" if image.mode == "1" else _opaque_mode(image))
    )
    return _in_srgb(plain, profile)


def _opaque_mode(image: PIL.Image.Image) -> str:
    return "CMYK" if image.mode == "CMYK" else "RGB"


def _on_paper(
    image: PIL.Image.Image, profile: object, *, background: int, rules: int
) -> PIL.Image.Image:
    layer = image.convert("RGBA")
    if profile:
        colours = _in_srgb(layer.convert("RGB"), profile)
        colours.putalpha(layer.getchannel("A"))
        layer = colours
    shade = background if rules == 1 else _paper(layer, background)
    paper = PIL.Image.new("RGBA", layer.size, (shade, shade, shade, 255))
    found = PIL.Image.alpha_composite(paper, layer).convert(
        "L" if image.mode in _GREY_MODES else "RGB"
    )
    found.info[PAPER] = shade
    return found


def _paper(layer: PIL.Image.Image, background: int) -> int:
    """What to lay an RGBA image on: the background, or its opposite where nothing could be seen on it.

    White icons on transparency would all become the same white page.
    """
    alpha = layer.getchannel("A")
    levels = np.asarray(alpha)
    low, high = int(levels.min()), int(levels.max())
    if high == 0:
        raise UnreadableInput(
            "is transparent all over, so that nothing can be seen: replace it or leave it out"
        )
    if low == 255:
        return background
    opposite = 0 if background > 127 else 255
    least = min(127, high - 1)  # of a picture that is faint all over, its strongest pixels count
    mask = alpha.point([255 * (level > least) for level in range(256)])
    share = _visible_share(layer, mask, background)
    if share < VISIBLE_SHARE and _visible_share(layer, mask, opposite) > share:
        return opposite
    return background


def _visible_share(layer: PIL.Image.Image, mask: PIL.Image.Image, shade: int) -> float:
    red, green, blue = (
        ImageChops.difference(layer.getchannel(name), PIL.Image.new("L", layer.size, shade))
        for name in "RGB"
    )
    counts = ImageChops.lighter(ImageChops.lighter(red, green), blue).histogram(mask)
    return sum(counts[VISIBLE:]) / max(1, sum(counts))


def _in_srgb(image: PIL.Image.Image, profile: object) -> PIL.Image.Image:
    """An L, RGB or CMYK image with its profile applied, as L or RGB."""
    usable = isinstance(profile, bytes) and 128 <= len(profile) <= LARGEST_PROFILE
    transform = _transform(profile, image.mode) if usable else None  # pyright: ignore[reportArgumentType]
    if transform is None:
        return image.convert("RGB") if image.mode == "CMYK" else image
    converted = _applied(image, transform)
    return converted.convert("L") if image.mode == "L" else converted


def _applied(image: PIL.Image.Image, transform: ImageCms.ImageCmsTransform) -> PIL.Image.Image:
    return ImageCms.applyTransform(image, transform)  # pyright: ignore[reportReturnType]  # None only in place


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where the profile is broken, for another kind of image, or near sRGB anyway."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        made = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode == "CMYK":
            return made
        levels = np.linspace(0, 255, 9).round().astype(np.uint8)
        grid = np.stack(np.meshgrid(*[levels] * len(mode)), axis=-1).reshape(1, -1, len(mode))
        moved = _applied(PIL.Image.fromarray(grid if mode == "RGB" else grid[:, :, 0]), made)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return made if np.abs(np.asarray(moved).astype(int) - grid).max() > NEAR_SRGB else None


def _from_lab(image: PIL.Image.Image) -> PIL.Image.Image:
    made = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    return _applied(image, made)


def _from_deep(image: PIL.Image.Image) -> PIL.Image.Image:
    # Pillow's own conversion clips: 40000 of 65535 becomes 255.
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PPM", "PNG")):
        raise UnreadableInput(
            f"has 32-bit samples (mode {image.mode}) whose range is not declared: save it with 8 "
            f"or 16 bits per sample"
        )
    return PIL.Image.fromarray(to_bytes(np.asarray(image).astype(np.uint16)))


def to_bytes(samples: np.ndarray) -> np.ndarray:
    """0..65535 -> 0..255 linearly, rounded: v / 257."""
    return levels(samples, 0, 65535)

"""Picture files that are small, or within the limits, and cost as much as their format lets them."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image

__all__ = ["BOMBS"]

SIDE = 4900
"""24 million pixels: just within the limit."""


def zeros(size: int) -> bytes:
    """So many zeros, deflated."""
    packer, block = zlib.compressobj(9), bytes(2**20)
    parts = [packer.compress(block[: min(2**20, size - start)]) for start in range(0, size, 2**20)]
    return b"".join([*parts, packer.flush()])


def tiff(strips: list[bytes], width: int, height: int, bits: list[int], **tags: int) -> bytes:
    """A TIFF of one directory; `tags` are named in `TAGS`."""
    known = {
        256: [width],
        257: [height],
        258: bits,
        262: [2 if len(bits) == 3 else 1],
        277: [len(bits)],
    }
    known |= {TAGS[name]: [value] for name, value in tags.items()}
    places = list(np.cumsum([8, *map(len, strips)])[:-1].tolist())
    known |= {273: places, 279: list(map(len, strips))}
    body = b"".join(strips)
    lists, entries, start = b"", b"", 8 + len(body)
    for tag, values in sorted(known.items()):
        data = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            data, lists = struct.pack("<I", start + len(lists)), lists + data
        entries += struct.pack("<HHI", tag, 4, len(values)) + data
    head = struct.pack("<2sHI", b"II", 42, start + len(lists))
    return head + body + lists + struct.pack("<H", len(known)) + entries + bytes(4)


TAGS = {"compression": 259, "rows": 278, "planar": 284, "kind": 262}


def saved(form: str, side: int = SIDE, mode: str = "RGB", **options: Any) -> bytes:
    """A black square."""
    stream = io.BytesIO()
    PIL.Image.new(mode, (side, side)).save(stream, form, **options)
    return stream.getvalue()


def noise(form: str, side: int, **options: Any) -> bytes:
    """A square of noise, which packs badly."""
    values = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    PIL.Image.fromarray(values).save(stream, form, **options)
    return stream.getvalue()


def avif_of_another_size() -> bytes:
    """Its box of sizes says 60,000 x 60,000."""
    data = bytearray(saved("AVIF", 64))
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", 60_000, 60_000)
    return bytes(data)


def bitmap(runs: bytes) -> bytes:
    """A run-length coded BMP of 5,000 x 5,000."""
    header = struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 54 + 1024, 40, 5000, 5000, 1, 8, 1, *[0] * 5
    )
    return header + b"".join(bytes([k, k, k, 0]) for k in range(256)) + runs


BOMBS: dict[str, Callable[[], bytes]] = {
    "tiff_deflate": lambda: tiff(
        [zeros(3 * SIDE**2)], SIDE, SIDE, [8] * 3, compression=8, rows=SIDE
    ),
    "tiff_strip_of_2_GB": lambda: tiff([zeros(2**31)], 64, 64, [8], compression=8, rows=2**31),
    "tiff_lzw": lambda: saved("TIFF", compression="tiff_lzw"),
    "tiff_group_4": lambda: saved("TIFF", mode="1", compression="group4"),
    "tiff_jpeg": lambda: saved("TIFF", compression="jpeg"),
    "tiff_16_bits": lambda: tiff(
        [zeros(8 * SIDE**2)], SIDE, SIDE, [16] * 4, compression=8, rows=SIDE, kind=5
    ),
    "tiff_12_bits": lambda: tiff(
        [zeros(9 * SIDE**2 // 2)], SIDE, SIDE, [12] * 3, compression=8, rows=SIDE
    ),
    "tiff_strips": lambda: tiff([b"\0\0\0"] * 65_535, 1, 65_535, [8] * 3, rows=1),
    "avif": lambda: saved("AVIF"),
    "avif_of_another_size": avif_of_another_size,
    "avif_noise": lambda: noise("AVIF", 1500, quality=90, speed=10),
    "jpeg": lambda: saved("JPEG", 5000, quality=95),
    "jpeg_progressive": lambda: noise("JPEG", 4000, quality=95, progressive=True),
    "jpeg_16_times": lambda: saved("JPEG", 19_000, "L"),
    "webp": lambda: noise("WEBP", 2500, quality=95, method=0),
    "gif": lambda: noise("GIF", 3000),
    "bmp_rows": lambda: bitmap(b"\0\0" * 4999 + b"\1\1\0\1"),
    "bmp_runs": lambda: bitmap((b"\1\1" * 5000 + b"\0\0") * 400 + b"\0\1"),
    "pgm": lambda: b"P2\n5000 5000\n255\n" + b"7 " * 25_000_000,
}

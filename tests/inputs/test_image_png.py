"""PNGs written by hand: every colour type and depth, with every kind of transparency, whole and damaged."""

import struct
import zlib

import numpy as np
import pytest

from twofold.errors import UnreadableInput
from twofold.inputs.image import Image

HEIGHT, WIDTH = 5, 11
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = [
    (0, 1),
    (0, 2),
    (0, 4),
    (0, 8),
    (0, 16),
    (2, 8),
    (2, 16),
    (3, 1),
    (3, 2),
    (3, 4),
    (3, 8),
    (4, 8),
    (4, 16),
]
DEPTHS += [(6, 8), (6, 16)]
PALETTE = np.random.default_rng(3).integers(0, 256, (256, 3))


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def packed(values: np.ndarray, depth: int) -> bytes:
    rows = values.reshape(HEIGHT, -1)
    if depth >= 8:
        return b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in rows)
    texts = ["".join(f"{int(value):0{depth}b}" for value in row) for row in rows]
    return b"".join(
        b"\0" + int(t.ljust(-(-len(t) // 8) * 8, "0"), 2).to_bytes(-(-len(t) // 8)) for t in texts
    )


def written(values: np.ndarray, colour: int, depth: int, *extra: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if colour == 3:
        chunks.append((b"PLTE", PALETTE[: 1 << depth].astype(np.uint8).tobytes()))
    chunks += [*extra, (b"IDAT", zlib.compress(packed(values, depth))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def drawn(colour: int, depth: int) -> np.ndarray:
    values = np.random.default_rng(10 * colour + depth).integers(
        0, 1 << depth, (HEIGHT, WIDTH, SAMPLES[colour])
    )
    values[0, 0], values[-1, -1] = 0, (1 << depth) - 1
    return values


def reference(values: np.ndarray, colour: int, depth: int, clear: np.ndarray | None) -> np.ndarray:
    """By the definition: samples to 0..255, then laid on 255 by their alpha."""
    shown = (
        PALETTE[values[:, :, 0]].astype(float)
        if colour == 3
        else values * 255.0 / ((1 << depth) - 1)
    )
    alpha = np.ones(values.shape[:2])
    if colour in (4, 6):
        shown, alpha = shown[:, :, :-1], shown[:, :, -1] / 255
    if clear is not None:
        alpha = alpha * clear
    return alpha[:, :, None] * shown + (1 - alpha[:, :, None]) * 255


def read(data: bytes, colour: int) -> np.ndarray:
    return (
        Image(size=(HEIGHT, WIDTH), channels=1 if colour in (0, 4) else 3, rules=1)
        .read(data)
        .astype(float)
    )


@pytest.mark.parametrize(("colour", "depth"), DEPTHS)
def test_every_colour_type_and_depth(colour, depth):
    values = drawn(colour, depth)
    found = read(written(values, colour, depth), colour)
    exact = colour in (0, 2, 3) and (depth <= 8 or colour == 0)
    assert np.abs(found - reference(values, colour, depth, None)).max() <= (0.5 if exact else 1.5)


@pytest.mark.parametrize(("colour", "depth"), [each for each in DEPTHS if each[0] in (0, 2)])
def test_one_transparent_value(colour, depth):
    values = drawn(colour, depth)
    chosen = values[2, 3].copy()
    values[1, 1:4] = chosen
    content = struct.pack(f">{len(chosen)}H", *chosen.tolist())
    clear = ~(values == chosen).all(axis=2)
    found = read(written(values, colour, depth, (b"tRNS", content)), colour)
    assert np.abs(found - reference(values, colour, depth, clear)).max() <= (
        1.5 if depth == 16 else 0.5
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("given", [1, 2])
def test_transparent_palette_entries(depth, given):
    values = drawn(3, depth)
    alpha = np.ones(256)
    alpha[:given] = [0, 100 / 255][:given]
    content = (alpha[:given] * 255).round().astype(np.uint8).tobytes()
    found = read(written(values, 3, depth, (b"tRNS", content)), 3)
    assert np.abs(found - reference(values, 3, depth, alpha[values[:, :, 0]])).max() <= 1.5


@pytest.mark.parametrize(("colour", "depth"), DEPTHS)
def test_no_flipped_bit_goes_by_unnoticed(colour, depth):
    data = written(drawn(colour, depth), colour, depth)
    expected = read(data, colour)
    # 11 and 8 share no factor: every bit of a byte has its turn
    for place in range(0, 8 * len(data), 11):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        try:
            found = read(bytes(damaged), colour)
        except UnreadableInput:
            continue
        np.testing.assert_array_equal(found, expected)


def test_a_cut_file_is_refused_at_every_length():
    data = written(drawn(2, 8), 2, 8)
    for length in range(len(data)):
        with pytest.raises(UnreadableInput):
            read(data[:length], 2)


def test_the_chunk_whose_checksum_does_not_fit_is_named():
    data = bytearray(written(drawn(2, 8), 2, 8))
    data[data.index(b"IDAT") + 20] ^= 4
    with pytest.raises(UnreadableInput, match="the checksum of its IDAT chunk does not fit"):
        read(bytes(data), 2)


def test_comments_count_for_nothing_however_large_or_damaged():
    values = drawn(2, 8)
    bomb = zlib.compress(bytes(5_000_000))
    texts = [(b"zTXt", b"a\0\0" + bomb), (b"iTXt", b"a\0\1\0\0\0" + bomb), (b"tEXt", b"a\0b")]
    data = written(values, 2, 8, *texts)
    np.testing.assert_array_equal(read(data, 2), values)
    place = data.index(b"a\0b")
    np.testing.assert_array_equal(read(data[:place] + b"x" + data[place + 1 :], 2), values)


def test_a_broken_or_huge_profile_counts_as_none():
    values = drawn(2, 8)
    for profile in (b"name\0\0nonsense", b"name", b"name\0\0" + zlib.compress(bytes(5_000_000), 9)):
        found = Image(size=(HEIGHT, WIDTH)).read(written(values, 2, 8, (b"iCCP", profile)))
        np.testing.assert_array_equal(found, values)


def test_a_flood_of_chunks_is_refused():
    with pytest.raises(UnreadableInput, match="has more than 200,000 chunks"):
        read(written(drawn(2, 8), 2, 8, *[(b"tEXt", b"")] * 200_001), 2)

"""Perceptual hashes against the slow definition, and what they must survive."""

import numpy as np
import pytest

from twofold.copies.hashing import (
    CROPS,
    SIDE,
    Candidates,
    aligned_correlation,
    candidates,
    grey_plane,
    perceptual_hashes,
)
from twofold.data.synthetic import glyphs


def drawings(count: int, size: int = 96) -> list[np.ndarray]:
    return [np.asarray(value) for value in glyphs(count, 1, size=size, strokes=5, seed=4).values]


def planes(pictures: list[np.ndarray]) -> np.ndarray:
    return np.stack([grey_plane(picture) for picture in pictures])


def test_the_hash_is_the_sign_of_cosine_coefficients_about_their_median() -> None:
    plane = planes(drawings(1))[0]
    middle = (np.arange(SIDE) + 0.5) / SIDE
    waves = [
        [
            (plane * np.outer(np.cos(np.pi * u * middle), np.cos(np.pi * v * middle))).sum()
            for v in range(8)
        ]
        for u in range(8)
    ]
    # a wave integrated over a pixel is the wave at its middle, times sinc(k / 64)
    shrunk = np.array(waves) * np.outer(np.sinc(np.arange(8) / 64), np.sinc(np.arange(8) / 64))
    flat = shrunk.ravel()
    bits = flat > np.median(flat[1:])
    bits[0] = False
    assert np.array_equal(np.unpackbits(perceptual_hashes(plane[None])[0]).astype(bool), bits)


def test_a_crop_s_hash_is_that_of_the_cut_out_picture() -> None:
    pictures = drawings(6, size=128)
    crop = (0.25, 0.125, 0.5)
    cut = planes([picture[32:96, 16:80] for picture in pictures])
    ours, theirs = perceptual_hashes(planes(pictures), crop=crop), perceptual_hashes(cut)
    assert (
        np.unpackbits(np.bitwise_xor(ours, theirs).astype(np.uint8), axis=1).sum(axis=1).max() <= 6
    )


@pytest.mark.parametrize("shape", [(32, 32, 1), (37, 61, 3), (9, 150, 3), (100, 64, 4), (1, 1, 1)])
@pytest.mark.parametrize("side", [32, 64])
def test_a_plane_is_the_mean_over_each_cell_s_area(shape: tuple[int, int, int], side: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    height, width, _ = shape
    # every pixel cut into side x side equal parts: then each cell is a whole number of parts
    grey = picture.mean(axis=2).repeat(side, axis=0).repeat(side, axis=1)
    expected = grey.reshape(side, height, side, width).mean(axis=(1, 3))
    assert np.abs(grey_plane(picture, side) - expected).max() < 0.5 + 1e-4


def test_a_plane_averages_areas() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    expected = picture.reshape(SIDE, 2, SIDE, 3, 3).mean(axis=(1, 3, 4))
    assert np.abs(grey_plane(picture) - expected).max() <= 0.51
    assert abs(float(grey_plane(picture[:50, :37]).mean()) - float(picture[:50, :37].mean())) < 1


def test_altered_copies_are_candidates_and_correlate_and_strangers_do_not() -> None:
    pictures = drawings(40, size=48)
    darker = [(picture * 0.6 + 20).astype(np.uint8) for picture in pictures[:10]]
    cut = [picture[2:47, 1:46] for picture in pictures[:10]]
    all_planes = planes([*pictures, *darker, *cut])
    found = candidates(all_planes)
    alike = aligned_correlation(all_planes, found) >= 0.95
    pairs = {
        tuple(sorted(pair))
        for pair in zip(found.cut[alike].tolist(), found.whole[alike].tolist(), strict=True)
    }
    assert {(i, 40 + i) for i in range(10)} | {(i, 50 + i) for i in range(10)} <= pairs
    assert {(a % 10, b % 10) for a, b in pairs} == {(i, i) for i in range(10)}


def test_correlation_of_copies_is_one_and_of_one_grey_zero() -> None:
    both = np.concatenate([planes(drawings(2)), np.full((2, SIDE, SIDE), 77, np.uint8)])
    both[1] = 255 - both[0] // 2
    pairs = Candidates(
        cut=np.array([0, 0, 2]), whole=np.array([0, 1, 3]), crop=np.zeros(3, np.int64)
    )
    same, negative, flat = aligned_correlation(both, pairs)
    assert abs(same - 1) < 1e-5 and negative <= 0 and flat == 0


def test_candidates_are_linear_in_number_and_none_of_one_picture() -> None:
    many = np.repeat(planes(drawings(1)), 200, axis=0)
    found = candidates(many)
    assert len(found.cut) <= 200 * 9 * len(CROPS) and (found.cut != found.whole).all()
    assert len(candidates(many[:1]).cut) == 0

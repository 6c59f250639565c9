"""Pictures laid over each other, and what can be told of them before that is done to the end."""

import numpy as np
import pytest

from twofold.copies.bands import smooth
from twofold.copies.coarse import PASSES, _matched, _smoothed
from twofold.copies.measured import compared
from twofold.copies.registration import USUAL, Apart, Demand, Laid, lay_over
from twofold.copies.tones import median_of

UPRIGHT = np.eye(2, 3)


def light(seed, height=96, width=88):
    """Smooth light of many sizes, HWC float32 with two channels of no colour."""
    plane = np.random.default_rng(seed).normal(128, 200, (height, width)).astype(np.float32)
    for _ in range(4):
        plane = smooth(plane)
    return np.stack([plane, np.full_like(plane, 128), np.full_like(plane, 128)], axis=2)


def test_a_moved_picture_is_laid_back():
    laid = lay_over(light(1), np.roll(light(1), 3, axis=0), UPRIGHT)
    assert isinstance(laid, Laid) and laid.agreement > 0.9
    assert np.abs(laid.matrix - [[1, 0, 0], [0, 1, 3]]).max() < 0.1


def test_strangers_are_apart_and_nothing_more_is_measured():
    for seed in range(4):
        found = compared(light(seed), light(seed + 50), UPRIGHT, demand=USUAL)
        assert isinstance(found, Apart) and found.agreement < USUAL.best


def test_what_must_agree_at_first_stops_the_search():
    moved = np.roll(light(1), 3, axis=0)
    assert isinstance(lay_over(light(1), moved, UPRIGHT, demand=Demand(first=1.1, best=0.0)), Apart)


@pytest.mark.parametrize("shape", [(5, 7), (9, 4)])
def test_smooth_is_one_two_one_with_the_rim_repeated(shape):
    plane = np.random.default_rng(0).normal(0, 9, shape).astype(np.float32)
    wide = np.pad(plane, 1, mode="edge")
    slow = np.zeros(shape)
    for row in range(3):
        for column in range(3):
            weight = (1, 2, 1)[row] * (1, 2, 1)[column] / 16
            slow += weight * wide[row : row + shape[0], column : column + shape[1]]
    assert np.allclose(smooth(plane), slow, atol=1e-5)


def test_many_passes_at_once_are_smooth_again_and_again():
    plane = light(2, 20, 33)[:, :, 0]
    slow, done = plane, 0
    for passes, found in zip(PASSES, _smoothed(plane), strict=True):
        for _ in range(passes - done):
            slow = smooth(slow)
        done = passes
        assert np.allclose(found, slow, atol=1e-2)


def test_a_smoothed_picture_is_matched_by_smoothing_the_other_one():
    sharp = light(3, 64, 64)[:, :, 0]
    soft = sharp
    for _ in range(8):
        soft = smooth(soft)
    everywhere = np.ones(sharp.shape, bool)
    for one, other in ((sharp, 0.6 * soft + 30), (soft, sharp)):
        left, passes = _matched(one, other, everywhere)
        assert left < 1e-3 and passes == 8


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_the_median_is_that_of_numpy(count):
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)
    assert median_of(values) == pytest.approx(float(np.median(values)))

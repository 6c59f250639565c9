"""Which pairs are worth a look, and how many of them."""

import numpy as np
import PIL.Image

from twofold.copies.candidates import CUT_PARTNERS, _best_of_each, _once, candidates
from twofold.copies.reading import picture_seen
from twofold.inputs.image import Image


def seen(pictures):
    return [
        picture_seen(picture, str(place), Image(size=128)) for place, picture in enumerate(pictures)
    ]


def scene(seed, widths, side=160):
    rng = np.random.default_rng(seed)
    grid = sum(
        np.kron(
            rng.standard_normal((side // width, side // width)) * width, np.ones((width, width))
        )
        for width in widths
    )
    grey = ((grid - grid.min()) / np.ptp(grid) * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def test_a_cut_out_is_brought_together_with_its_whole():
    shown = [scene(seed, (80, 40, 20, 10)) for seed in range(12)]
    part = np.asarray(PIL.Image.fromarray(shown[0][10:122, 40:152]))
    pairs = {(pair.first, pair.second) for pair in candidates(seen([*shown, part]), None)}
    assert (0, 12) in pairs


def test_smooth_strangers_do_not_bring_all_pairs():
    count = 40
    shown = seen([scene(seed, (80, 40)) for seed in range(count)])
    brought = candidates(shown, None)
    near = [pair for pair in brought if pair.likeness < 0.65]  # not by the signature of the whole
    assert 0 < len(near) <= CUT_PARTNERS * count


def test_each_picture_keeps_its_best_pairs_once():
    ends = np.array([[0, 1], [0, 1], [0, 2], [1, 2], [0, 3], [2, 3]])
    scores = np.array([0.5, 0.9, 0.8, 0.7, 0.6, 0.1])
    ends, scores = _best_of_each(*_once(ends, scores), most=1)
    assert ends.tolist() == [[0, 1], [0, 2], [0, 3]] and scores.tolist() == [0.9, 0.8, 0.6]


def test_no_pairs_are_no_pairs():
    ends, scores = _best_of_each(*_once(np.zeros((0, 2), np.int64), np.zeros(0)), most=3)
    assert ends.shape == (0, 2) and scores.shape == (0,)

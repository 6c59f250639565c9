"""Windows of a frame: where a pixel lands, what lies outside, and that large ones cost no more memory."""

import numpy as np
import pytest
import torch

from twofold.tracking.windows import Window, around, context_side, crops, mean_colour


def picture(height: int = 60, width: int = 80) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_side_is_that_of_siamfc():
    assert context_side(10, 10) == pytest.approx(20)
    assert context_side(30, 10) == pytest.approx(((30 + 20) * (10 + 20)) ** 0.5)


def test_a_window_of_its_own_size_is_the_frame_itself():
    frame = picture()
    (crop,) = crops(frame, [Window(5, 7, 32, 32)], mean_colour(frame))
    assert np.array_equal(crop.permute(1, 2, 0).numpy(), frame[7:39, 5:37])


def test_a_flat_patch_lands_where_the_window_says():
    frame = np.zeros((60, 80, 3), np.uint8)
    frame[20:30, 40:56] = 255
    window = Window(30, 10, 32, 64)
    (crop,) = crops(frame, [window], torch.zeros(3, dtype=torch.uint8))
    rows, columns = np.nonzero(crop[0].numpy() > 127)
    box = window.to_crop(np.array([48.0, 25.0, 16.0, 10.0]))
    assert [columns.min(), columns.max() + 1] == [box[0] - box[2] / 2, box[0] + box[2] / 2]
    assert [rows.min(), rows.max() + 1] == [box[1] - box[3] / 2, box[1] + box[3] / 2]


def test_there_and_back():
    window, box = around(33.3, 21.7, 50.2, 128), np.array([30.0, 20.0, 11.0, 7.0])
    assert np.allclose(window.to_frame(window.to_crop(box)), box)


@pytest.mark.parametrize("corner", [(-20, -20), (70, 50), (-300, 10), (500, 500)])
def test_outside_lies_the_mean_colour(corner):
    frame = picture()
    fill = mean_colour(frame)
    left, top = corner
    (crop,) = crops(frame, [Window(left, top, 40, 40)], fill)
    wide = np.full((1200, 1200, 3), fill.numpy(), np.uint8)
    wide[400:460, 400:480] = frame
    expected = wide[400 + top : 440 + top, 400 + left : 440 + left]
    assert np.array_equal(crop.permute(1, 2, 0).numpy(), expected)


def test_a_window_far_larger_than_the_frame():
    frame = np.full((60, 80, 3), 200, np.uint8)
    (crop,) = crops(frame, [Window(-9960, -9970, 20000, 100)], torch.zeros(3, dtype=torch.uint8))
    assert (
        crop.shape == (3, 100, 100) and crop.max() == 0
    )  # a pixel of the crop is 200 of the frame


def test_fine_stripes_become_grey_and_not_stripes():
    frame = np.zeros((256, 256, 3), np.uint8)
    frame[:, ::2] = 255
    (crop,) = crops(frame, [Window(0, 0, 256, 64)], mean_colour(frame))
    inner = crop[:, 4:-4, 4:-4].float()
    assert inner.std() < 3 and abs(inner.mean() - 127.5) < 3


def test_a_frame_that_may_not_be_written_to():
    frame = picture()
    frame.flags.writeable = False
    assert crops(frame, [Window(0, 0, 60, 32)], mean_colour(frame)).shape == (1, 3, 32, 32)

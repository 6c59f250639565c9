"""Size, stacking and constants of pictures."""

import json

import numpy as np
import pytest
import torch

from twofold.errors import RecipeError, UnreadableInput
from twofold.inputs.image import Image


def page(height: int, width: int, box: tuple[int, int, int, int]) -> np.ndarray:
    """White with a black box at (top, bottom, left, right)."""
    array = np.full((height, width), 255, np.uint8)
    top, bottom, left, right = box
    array[top:bottom, left:right] = 0
    return array


class TestSize:
    def test_a_picture_of_the_right_size_is_left_alone(self):
        array = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        for fit in ("stretch", "pad", "crop"):
            np.testing.assert_array_equal(Image(size=(9, 7), fit=fit).read(array), array)

    def test_shrinking_averages_over_the_area(self):
        stripes = np.zeros((64, 64), np.uint8)
        stripes[:, ::2] = 255  # a decoder that skips pixels would return black or white
        read = Image(size=8, channels=1).read(stripes)
        assert np.abs(read.astype(int) - 127).max() <= 20

    def test_shrinking_keeps_the_mean(self):
        array = np.random.default_rng(0).integers(0, 256, (105, 105), dtype=np.uint8)
        assert abs(Image(size=35, channels=1).read(array).mean() - array.mean()) < 1

    def test_stretch_fills_the_frame(self):
        read = Image(size=10, channels=1, fit="stretch").read(page(20, 40, (0, 20, 0, 20)))
        assert (read[:, :4] == 0).all()
        assert (read[:, 6:] == 255).all()

    def test_pad_keeps_the_shape_and_adds_background(self):
        read = Image(size=12, channels=1, fit="pad", background=99).read(
            np.zeros((10, 20), np.uint8)
        )
        assert (read[3:9] == 0).all()
        assert (read[:3] == 99).all()
        assert (read[9:] == 99).all()

    def test_pad_of_a_line_leaves_at_least_a_pixel(self):
        assert (Image(size=8, channels=1, fit="pad").read(np.zeros((1, 800), np.uint8)) == 0).any()

    def test_crop_takes_the_middle(self):
        read = Image(size=10, channels=1, fit="crop").read(page(20, 60, (0, 20, 20, 40)))
        assert read.max() < 20  # the filter reaches a little over the edge

    def test_growing(self):
        read = Image(size=40, channels=1).read(page(10, 10, (0, 10, 0, 5)))[20, :, 0].astype(int)
        assert (np.diff(read) >= 0).all()
        assert read[0] == 0 and read[-1] == 255


class TestBatch:
    def test_stack_turns_hwc_arrays_into_a_bchw_tensor(self):
        input = Image(size=(4, 6))
        arrays = [
            np.random.default_rng(i).integers(0, 256, (4, 6, 3), dtype=np.uint8) for i in range(5)
        ]
        batch = input.stack(arrays)
        assert batch.shape == (5, 3, 4, 6)
        assert batch.dtype == torch.uint8
        np.testing.assert_array_equal(batch[2].numpy(), arrays[2].transpose(2, 0, 1))

    def test_stack_refuses_what_read_did_not_make(self):
        with pytest.raises(
            UnreadableInput, match=r"shape \(5, 6, 3\) .* cannot be stacked: \(4, 6, 3\) of uint8"
        ):
            Image(size=(4, 6)).stack([np.zeros((5, 6, 3), np.uint8)])

    @pytest.mark.parametrize(
        ("mean", "std"), [(0.5, 0.25), ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)), (0.1, [0.1, 0.2, 0.3])]
    )
    def test_normalise(self, mean, std):
        input = Image(size=4, mean=mean, std=std)
        batch = input.stack([np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)])
        shape = (-1, 1, 1)
        expected = (batch.numpy() / 255 - np.reshape(mean, shape)) / np.reshape(std, shape)
        for given in (batch, batch.float()):
            normal = input.normalise(given)
            assert normal.dtype == torch.float32
            np.testing.assert_allclose(normal.numpy(), expected, atol=1e-5)

    def test_white_paper_can_be_zero(self):
        input = Image(size=4, channels=1, mean=1.0, std=0.3)
        assert input.normalise(input.stack([input.example()])).abs().max() < 1e-6


class TestDescription:
    def test_arguments_rebuild_it_after_json(self):
        input = Image(
            size=(35, 40),
            channels=3,
            fit="pad",
            mean=(0.4, 0.5, 0.6),
            std=0.2,
            background=0,
            max_pixels=9999,
        )
        again = Image(**json.loads(json.dumps(input.arguments())))
        assert again == input
        assert hash(again) == hash(input)

    def test_facts_for_the_builder(self):
        assert Image(size=35, channels=1).facts() == {
            "kind": "pictures",
            "channels": 1,
            "size": (35, 35),
        }

    def test_example_is_what_read_returns(self):
        input = Image(size=(5, 6), channels=1, background=7)
        assert input.example().shape == input.read(np.zeros((9, 9), np.uint8)).shape
        assert (input.example() == 7).all()
        assert input.example().dtype == np.uint8

    def test_name_and_version(self):
        assert (Image.name, Image().version, Image(rules=1).version) == ("Image", 2, 1)

    def test_rules_1_are_described_as_before_there_were_others(self):
        assert "rules" not in Image(rules=1).arguments()
        assert Image(**Image.left_out | Image(rules=1).arguments()) == Image(rules=1)
        assert Image(**Image.left_out | Image().arguments()) == Image()

    def test_unknown_rules_are_refused(self):
        with pytest.raises(RecipeError, match="rules = 3 is unknown: this twofold knows 1 to 2"):
            Image(rules=3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fit": "padd"}, r"fit = 'padd' is not a way to fit a picture: did you mean 'pad'\?"),
        ({"channels": 4}, "channels = 4 is not possible"),
        ({"size": 0}, "size = 0 .* must be positive"),
        ({"size": [1, 2, 3]}, r"size = \[1, 2, 3\] is not possible"),
        ({"background": 256}, "background = 256 is not a grey value"),
        ({"mean": [0.5, 0.5]}, "mean = .* does not fit 3 channels"),
        ({"mean": float("nan")}, "mean = nan does not fit"),
        ({"std": 0.0}, "std = 0.0 must be positive"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(RecipeError, match=message):
        Image(**fields)

"""Augmentation: against slow references, by key alone, each setting felt, off means untouched."""

import math

import numpy as np
import PIL.Image
import pytest
import torch

from twofold.errors import RecipeError, UsageError
from twofold.inputs.image import Image
from twofold.inputs.image_augment import LIMITS, Augment
from twofold.inputs.image_warp import backward_map, rotations, warp

GENTLE = {
    "rotation": 20.0,
    "flip": True,
    "scale": 0.2,
    "aspect": 0.2,
    "shear": 0.2,
    "shift": 0.15,
    "crop": 0.2,
    "contrast": 0.4,
    "brightness": 0.2,
    "blur": 1.5,
    "noise": 0.1,
    "erasing": 0.3,
}
EVERYTHING = Augment(**GENTLE, quarter_turns_as_classes=True)


def batch(count: int = 12, side: int = 21, channels: int = 1) -> torch.Tensor:
    """Smooth blobs, so that a half-pixel shift is a small change."""
    noise = np.random.default_rng(0).integers(0, 256, (count, channels, 5, 5), dtype=np.uint8)
    big = torch.nn.functional.interpolate(
        torch.from_numpy(noise).float(), size=(side, side), mode="bicubic"
    )
    return big.clamp(0, 255).round().to(torch.uint8)


def keys(count: int = 12, **columns) -> np.ndarray:
    table = np.zeros((count, 4), np.int64)
    table[:, 2] = np.arange(count)
    for name, values in columns.items():
        table[:, ("seed", "epoch", "item", "variant").index(name)] = values
    return table


class TestWarp:
    """The fused warp against a composition of 3 x 3 matrices and a loop over pixels."""

    PARTS = (
        {
            "degrees": 0.0,
            "quarter": 0,
            "scale": (1.0, 1.0),
            "shear": (0.0, 0.0),
            "shift": (0.0, 0.0),
            "zoom": 1.0,
        },
        {
            "degrees": 25.0,
            "quarter": 0,
            "scale": (1.2, 0.8),
            "shear": (0.2, -0.1),
            "shift": (1.5, -2.0),
            "zoom": 0.8,
        },
        {
            "degrees": -10.0,
            "quarter": 1,
            "scale": (-1.0, 1.0),
            "shear": (0.0, 0.3),
            "shift": (0.0, 0.4),
            "zoom": 1.0,
        },
        {
            "degrees": 170.0,
            "quarter": 3,
            "scale": (0.7, 0.7),
            "shear": (-0.3, 0.0),
            "shift": (3.0, 0.0),
            "zoom": 0.6,
        },
    )
    CENTRE = (1.0, -0.5)

    def maps(self) -> torch.Tensor:
        column = lambda name: torch.tensor([part[name] for part in self.PARTS], dtype=torch.float64)  # noqa: E731
        return backward_map(
            rotations(column("degrees"), torch.tensor([part["quarter"] for part in self.PARTS])),
            scale=column("scale"),
            shear=column("shear"),
            shift=column("shift"),
            zoom=column("zoom"),
            centre=torch.tensor([self.CENTRE] * len(self.PARTS), dtype=torch.float64),
        )

    def inverse(self, part) -> np.ndarray:
        """The elementary steps one after the other, as homogeneous matrices, and then numpy's inverse."""
        angle = math.radians(part["degrees"] + 90 * part["quarter"])
        steps = [
            [[1, 0, -self.CENTRE[0]], [0, 1, -self.CENTRE[1]], [0, 0, 1]],
            [[1 / part["zoom"], 0, 0], [0, 1 / part["zoom"], 0], [0, 0, 1]],
            [[part["scale"][0], 0, 0], [0, part["scale"][1], 0], [0, 0, 1]],
            [[1, part["shear"][0], 0], [part["shear"][1], 1, 0], [0, 0, 1]],
            [
                [math.cos(angle), math.sin(angle), 0],
                [-math.sin(angle), math.cos(angle), 0],
                [0, 0, 1],
            ],
            [[1, 0, part["shift"][0]], [0, 1, part["shift"][1]], [0, 0, 1]],
        ]
        forward = np.eye(3)
        for step in steps:
            forward = np.array(step, dtype=float) @ forward
        return np.linalg.inv(forward)[:2]

    def test_the_map_is_the_inverse_of_its_steps(self):
        for part, found in zip(self.PARTS, self.maps().numpy(), strict=True):
            np.testing.assert_allclose(found, self.inverse(part), atol=1e-12)

    @pytest.mark.parametrize("fill", [None, 200.0])
    @pytest.mark.parametrize("size", [(9, 9), (8, 11)])
    def test_pixels_against_a_loop(self, size, fill):
        pictures = torch.from_numpy(
            np.random.default_rng(0).uniform(0, 255, (4, 2, *size)).astype(np.float32)
        )
        found = warp(pictures, self.maps(), fill=fill).numpy()
        height, width = size
        for item, part in enumerate(self.PARTS):
            inverse = self.inverse(part)
            for row in range(height):
                for column in range(width):
                    x, y = inverse @ (column + 0.5 - width / 2, row + 0.5 - height / 2, 1)
                    expected = self.bilinear(
                        pictures[item].numpy(), y + height / 2 - 0.5, x + width / 2 - 0.5, fill
                    )
                    np.testing.assert_allclose(found[item, :, row, column], expected, atol=0.02)

    @staticmethod
    def bilinear(picture: np.ndarray, y: float, x: float, fill: float | None) -> np.ndarray:
        height, width = picture.shape[1:]
        total = np.zeros(len(picture))
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                weight = (1 - abs(y - row)) * (1 - abs(x - column))
                inside = 0 <= row < height and 0 <= column < width
                if inside or fill is None:
                    total += (
                        weight
                        * picture[:, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
                    )
                else:
                    total += weight * fill
        return total

    def test_pixels_against_pillow(self):
        pictures = batch(4, side=40)
        found = warp(pictures.float(), self.maps(), fill=0.0).numpy()
        for item, part in enumerate(self.PARTS):
            (a, b, c), (d, e, f) = self.inverse(part)
            # Pillow counts from the corner of the picture, we from its middle
            corner = (a, b, c + 20 - 20 * (a + b), d, e, f + 20 - 20 * (d + e))
            picture = PIL.Image.fromarray(pictures[item, 0].numpy())
            expected = np.asarray(
                picture.transform((40, 40), PIL.Image.Transform.AFFINE, corner, 2)
            ).astype(float)
            # Pillow drops a pixel whose middle is outside where we fade; compare what both have
            both = (expected > 0) & (found[item, 0] > 0)
            assert both.mean() > 0.3
            assert np.abs(expected - found[item, 0])[both].mean() < 3


class TestQuarterTurns:
    def test_variants_are_exact_counter_clockwise_turns(self):
        augment = Image(size=21).augmentation(quarter_turns_as_classes=True)
        assert augment.variants == 4
        pictures = batch(channels=3)
        for variant in range(4):
            turned = augment(pictures, keys(variant=variant))
            np.testing.assert_array_equal(
                turned.numpy(), np.rot90(pictures.numpy(), variant, axes=(2, 3))
            )

    def test_they_add_to_a_rotation(self):
        augment = Augment(rotation=30.0, quarter_turns_as_classes=True)
        pictures = batch()
        found = [augment(pictures, keys(variant=variant)) for variant in range(4)]
        assert len({tensor.numpy().tobytes() for tensor in found}) == 4

    def test_oblong_pictures_are_refused(self):
        with pytest.raises(
            RecipeError,
            match="quarter_turns_as_classes needs square pictures, and these are 20 x 30",
        ):
            Image(size=(20, 30)).augmentation(quarter_turns_as_classes=True)

    def test_a_variant_that_does_not_exist_is_refused(self):
        with pytest.raises(UsageError, match="variants 0 to 3 were asked for, and there are 1"):
            Augment(rotation=5.0)(batch(4), keys(4, variant=[0, 1, 2, 3]))


class TestKeys:
    def test_the_same_key_gives_the_same_picture(self):
        assert torch.equal(EVERYTHING(batch(), keys()), EVERYTHING(batch(), keys()))

    @pytest.mark.parametrize("column", ["seed", "epoch", "item", "variant"])
    def test_every_part_of_a_key_counts(self, column):
        changed = EVERYTHING(batch(), keys(**{column: 3}))
        same = (changed == EVERYTHING(batch(), keys())).flatten(1).all(dim=1)
        assert same.sum() <= (1 if column == "item" else 0)

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("fill", ["border", "background"])
    @pytest.mark.parametrize("threads", [1, 2])
    def test_the_rest_of_the_batch_does_not_matter(self, channels, fill, threads):
        augment = Augment(**GENTLE, fill=fill)
        pictures, table = batch(37, channels=channels), keys(37)
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            whole = augment(pictures, table)
            for some in ([5], [36, 0, 7], list(range(11, 37))):
                assert torch.equal(augment(pictures[some], table[some]), whole[some])
        finally:
            torch.set_num_threads(before)

    def test_memory_layout_does_not_matter(self):
        pictures = batch(channels=3)
        last = pictures.contiguous(memory_format=torch.channels_last)
        assert torch.equal(EVERYTHING(pictures, keys()), EVERYTHING(last, keys()))

    def test_switching_a_setting_on_leaves_the_others_as_they_were(self):
        pictures = batch()
        turned = Augment(rotation=20.0)(pictures, keys())
        both = Augment(rotation=20.0, erasing=0.1)(pictures, keys())
        assert (turned == both).float().mean() > 0.85


class TestSettings:
    def test_off_means_untouched(self):
        pictures = batch()
        assert Augment()(pictures, keys()) is pictures
        assert Augment().variants == 1

    @pytest.mark.parametrize("name", GENTLE)
    def test_each_setting_changes_pictures_and_no_input(self, name):
        pictures = batch()
        before = pictures.clone()
        changed = Augment(**{name: GENTLE[name]})(pictures, keys())
        assert changed.dtype == torch.uint8
        assert changed.shape == pictures.shape
        assert (changed != before).flatten(1).any(dim=1).sum() >= 3
        assert torch.equal(pictures, before)

    @pytest.mark.parametrize("name", LIMITS)
    def test_the_largest_value_still_gives_pictures(self, name):
        assert Augment(**{name: LIMITS[name]})(batch(), keys()).float().isfinite().all()

    @pytest.mark.parametrize("name", sorted(set(GENTLE) - {"flip", "erasing", "noise"}))
    def test_a_small_value_is_a_small_change(self, name):
        pictures = batch()
        changed = Augment(**{name: GENTLE[name] / 1000})(pictures, keys())
        assert (changed.float() - pictures.float()).abs().max() <= 2

    def test_flip_mirrors_one_in_two(self):
        pictures = batch(400, side=6)
        flipped = Augment(flip=True)(pictures, keys(400))
        mirrored = (flipped == pictures.flip(3)).flatten(1).all(dim=1)
        kept = (flipped == pictures).flatten(1).all(dim=1)
        assert (mirrored | kept).all()
        assert 150 <= mirrored.sum() <= 250

    def test_shift_moves_by_pixels_of_the_side(self):
        line = torch.full((200, 1, 20, 20), 255, dtype=torch.uint8)
        line[:, :, :, 10] = 0
        moved = 255 - Augment(shift=0.2)(line, keys(200))[:, 0, 10].float()
        places = (moved * torch.arange(20)).sum(dim=1) / moved.sum(dim=1) - 10
        assert places.abs().max() <= 4.01
        assert places.min() < -3.5 and places.max() > 3.5

    def test_brightness_adds_a_fraction_of_the_range(self):
        grey = torch.full((200, 1, 4, 4), 128, dtype=torch.uint8)
        change = (Augment(brightness=0.2)(grey, keys(200)).float() - 128).amax(dim=(1, 2, 3))
        assert change.abs().max() <= 51 and change.min() < -45 and change.max() > 45

    def test_contrast_keeps_the_mean(self):
        pictures = (batch(50).float() / 2 + 64).to(torch.uint8)
        changed = Augment(contrast=0.3)(pictures, keys(50)).float()
        assert (changed.mean(dim=(1, 2, 3)) - pictures.float().mean(dim=(1, 2, 3))).abs().max() < 1
        ratio = changed.std(dim=(1, 2, 3)) / pictures.float().std(dim=(1, 2, 3))
        assert 0.69 < ratio.min() < 0.8 and 1.2 < ratio.max() < 1.31

    def test_noise_has_the_stated_deviation_at_most(self):
        grey = torch.full((100, 1, 40, 40), 128, dtype=torch.uint8)
        deviation = Augment(noise=0.1)(grey, keys(100)).float().std(dim=(1, 2, 3))
        assert 20 < deviation.max() < 27

    def test_blur_is_a_gaussian(self):
        point = torch.zeros((30, 1, 21, 21), dtype=torch.uint8)
        point[:, :, 10, 10] = 255
        blurred = Augment(blur=1.5)(point, keys(30))[:, 0].float()
        assert (blurred.sum(dim=(1, 2)) - 255).abs().max() < 20  # rounding to whole grey levels
        across = torch.arange(21) - 10
        for picture in blurred:
            beside = picture[10, 11] / picture[10, 10]  # exp(-1 / (2 sigma^2))
            expected = beside ** (across**2)
            expected = 255 * torch.outer(expected, expected) / expected.sum() ** 2
            assert (picture - expected).abs().max() < 4
        assert torch.equal(blurred, blurred.flip(2)) and torch.equal(blurred, blurred.mT)

    def test_blur_leaves_an_even_picture_alone(self):
        grey = torch.full((3, 1, 5, 5), 77, dtype=torch.uint8)  # smaller than the filter's reach
        assert torch.equal(Augment(blur=5.0)(grey, keys(3)), grey)

    def test_erasing_covers_up_to_the_stated_area(self):
        white = torch.full((300, 1, 30, 30), 255, dtype=torch.uint8)
        painted = (
            Augment(erasing=0.3, fill="background", background=0)(white, keys(300)) == 0
        ).float()
        area = painted.mean(dim=(1, 2, 3))
        assert 0.27 < area.max() < 0.33
        assert area.mean().item() == pytest.approx(0.15, abs=0.03)

    def test_erasing_paints_the_mean_where_the_border_is_repeated(self):
        pictures = batch(side=30)
        changed = Augment(erasing=0.5)(pictures, keys())
        erased = 0
        for picture, result in zip(pictures, changed, strict=True):
            painted = result[result != picture]
            assert len(painted.unique()) <= 1
            if len(painted):
                erased += 1
                assert abs(painted[0].item() - picture.float().mean().item()) <= 1
        assert erased > len(pictures) / 2

    def test_fill(self):
        black = torch.zeros((20, 1, 12, 12), dtype=torch.uint8)
        assert (Augment(shift=0.5)(black, keys(20)) == 0).all()
        assert (Augment(shift=0.5, fill="background", background=255)(black, keys(20)) == 255).any()

    def test_the_background_is_the_input_types(self):
        assert Image(size=8, background=7).augmentation(fill="background").background == 7

    def test_crop_shows_a_window_inside(self):
        rows = (
            torch.arange(40, dtype=torch.uint8)
            .mul(6)[None, None, :, None]
            .expand(100, 1, 40, 40)
            .contiguous()
        )
        shown = Augment(crop=0.5)(rows, keys(100)).float()
        span = (shown[:, 0, -1, 0] - shown[:, 0, 0, 0]) / (39 * 6)
        assert span.min() > 0.48 and span.max() <= 1.0
        assert shown[:, 0, 0, 0].max() > 60 and shown[:, 0, -1, 0].min() < 180


@pytest.mark.parametrize(("name", "value"), [("flip", 0.5), ("quarter_turns_as_classes", 1)])
def test_a_switch_is_true_or_false(name, value):
    # As in production, where no annotation is enforced: a TOML file brings whatever was typed.
    augment = object.__new__(Augment)
    for field, default in {**vars(Augment()), name: value}.items():
        object.__setattr__(augment, field, default)
    with pytest.raises(
        RecipeError, match=rf"augment\.{name} = {value} is not possible: true or false"
    ):
        augment.__post_init__()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rotations": 10},
            r"augment\.rotations is not a setting for pictures: did you mean 'rotation'\?",
        ),
        ({"background": 3}, r"augment\.background is not a setting for pictures"),
        (
            {"rotation": -1},
            r"augment\.rotation = -1 is not possible: a number from 0 \(off\) to 180",
        ),
        ({"scale": 1.5}, r"augment\.scale = 1\.5 is not possible: a number from 0 \(off\) to 0\.9"),
        ({"fill": "white"}, r"augment\.fill = 'white' is not possible"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(RecipeError, match=message):
        Image().augmentation(**settings)

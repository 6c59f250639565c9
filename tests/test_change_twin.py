"""ChangeTwin: symmetric in the dates, one number per pixel, with every network of `nn.dense`."""

import numpy as np
import pytest
import torch

from twofold import build
from twofold.config import Recipe
from twofold.errors import RecipeError, UnknownName, UsageError
from twofold.inputs import Raster
from twofold.inputs.raster_source import ArraySource, statistics
from twofold.nn import dense
from twofold.twin import ChangeTwin

NETWORKS = [name for name in dense.__all__ if name != "ChangeNetwork"]


def twin_of(name: str, bands: int = 3) -> ChangeTwin:
    recipe = Recipe(
        kind="change", input={"name": "Raster", "bands": bands}, encoder=name, monitor="f1"
    )
    return build.change_twin(recipe, seed=1).eval()


def dates(bands: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    return tuple(
        torch.from_numpy(rng.normal(size=(2, bands, height, width)).astype(np.float32))
        for _ in range(2)
    )  # type: ignore[return-value]


@pytest.mark.parametrize("name", NETWORKS)
def test_swapping_the_dates_gives_the_same_bits(name: str):
    twin = twin_of(name)
    before, after = dates(3, 48, 64)
    with torch.no_grad():
        one, other = twin.logits(before, after), twin.logits(after, before)
    assert one.shape == (2, 48, 64)
    assert torch.equal(one, other)
    assert not torch.equal(one, twin.logits(before, before))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bands", [1, 13])
def test_any_number_of_bands(name: str, bands: int):
    twin = twin_of(name, bands)
    assert twin.logits(*dates(bands, 32, 32)).shape == (2, 32, 32)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_beyond_the_margin_moves_a_probability(name: str):
    twin = twin_of(name)
    before, after = dates(3, 16, 16 * 23)
    changed = after.clone()
    changed[..., :16] += 10
    with torch.no_grad():
        one, other = twin.logits(before, after), twin.logits(before, changed)
    assert not torch.equal(one[..., :16], other[..., :16])
    inner = (..., slice(16 + twin.margin, None))
    torch.testing.assert_close(one[inner].sigmoid(), other[inner].sigmoid(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_learns(name: str):
    twin = twin_of(name).train()
    sum(each.square().mean() for each in twin(*dates(3, 32, 32))).backward()
    for weight in twin.parameters():
        assert weight.grad is not None and bool(weight.grad.isfinite().all())


def test_standardising_takes_a_date_by_itself():
    twin = twin_of("fc_siam_diff")
    pixels = np.random.default_rng(0).integers(100, 2000, (3, 20, 30)).astype(np.uint16)
    pixels[:, 0, 0] = 65535
    found = statistics(ArraySource(array=pixels))
    values = twin.normalise(pixels, found)
    assert abs(values.mean()) < 0.1 and values.max() == 5.0
    brighter = statistics(ArraySource(array=pixels[:, 1:] * 2))
    np.testing.assert_allclose(
        twin.normalise(pixels[:, 1:] * 2, brighter),
        twin.normalise(pixels[:, 1:], statistics(ArraySource(array=pixels[:, 1:]))),
        atol=1e-4,
    )
    valid = np.ones((20, 30), bool)
    valid[3] = False
    assert (twin.normalise(pixels, found, valid)[:, 3] == 0).all()


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(UnknownName, match="no network of change is called 'resnet18'"):
        build.change_twin(Recipe(input="Raster", encoder="resnet18"))
    with pytest.raises(RecipeError, match="a twin of change reads Raster"):
        build.change_twin(Recipe(encoder="change_unet"))
    with pytest.raises(UsageError, match="reads 3 bands, and the input has 4"):
        ChangeTwin(Raster(bands=4), dense.change_unet(3))
    with pytest.raises(UsageError, match="does not compare two dates"):
        ChangeTwin(Raster(), torch.nn.Identity())

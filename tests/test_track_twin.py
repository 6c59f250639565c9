"""TrackTwin: maps of every network of `nn.tracking`, and what does not fit is refused."""

import pytest
import torch

from twofold import build, recipes
from twofold.config import Recipe
from twofold.errors import RecipeError, UnknownName, UsageError
from twofold.inputs import Image
from twofold.nn import tracking
from twofold.twin import TrackTwin

NETWORKS = [name for name in tracking.__all__ if name != "TrackNetwork"]


def twin_of(name: str) -> TrackTwin:
    recipe = recipes.find("track").replace({"encoder.name": name, "encoder.width": 8})
    return build.track_twin(recipe, seed=1).eval()


def pictures(twin: TrackTwin, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(0)
    sides = twin.exemplar_side, twin.search_side
    crops, windows = (
        torch.randint(0, 256, (count, 3, side, side), generator=drawn, dtype=torch.uint8)
        for side in sides
    )
    return crops, torch.full((count, 2), twin.exemplar_side / 2), windows


@pytest.mark.parametrize("name", NETWORKS)
def test_a_map_of_scores_and_boxes(name: str):
    twin = twin_of(name)
    crops, sizes, windows = pictures(twin, 2)
    with torch.no_grad():
        maps = twin(crops, sizes, windows)
    cells = twin.search_side // twin.stride
    assert maps.scores.shape == (2, cells, cells) and maps.sides.shape == (2, 4, cells, cells)
    assert bool(maps.scores.isfinite().all())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pair_does_not_depend_on_the_others(name: str):
    twin = twin_of(name)
    crops, sizes, windows = pictures(twin, 3)
    with torch.no_grad():
        together = twin(crops, sizes, windows)
        alone = twin(crops[1:2], sizes[1:2], windows[1:2])
    torch.testing.assert_close(together.scores[1:2], alone.scores, atol=1e-2, rtol=1e-3)
    torch.testing.assert_close(together.sides[1:2], alone.sides, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_several_objects_share_the_maps_of_one_window(name: str):
    twin = twin_of(name)
    crops, sizes, windows = pictures(twin, 2)
    with torch.no_grad():
        template = twin.exemplar(crops, sizes)
        shared = twin.compare(template, twin.features(windows[:1]))
        alone = twin.compare(template, twin.features(windows[[0, 0]]))
    torch.testing.assert_close(shared.scores, alone.scores, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_any_window_of_whole_multiples(name: str):
    twin = twin_of(name)
    crops, sizes, _ = pictures(twin, 1)
    window = torch.zeros((1, 3, 4 * twin.multiple, 9 * twin.multiple), dtype=torch.uint8)
    with torch.no_grad():
        maps = twin.compare(twin.exemplar(crops, sizes), twin.features(window))
    cells = twin.multiple // twin.stride
    assert maps.scores.shape == (1, 4 * cells, 9 * cells)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_copy_to_run_says_the_same(name: str):
    twin = twin_of(name)
    crops, sizes, windows = pictures(twin, 1)
    with torch.no_grad():
        twin.train()
        twin(crops.repeat(2, 1, 1, 1), sizes.repeat(2, 1), windows.repeat(2, 1, 1, 1))
        slow = twin.eval()(crops, sizes, windows)
        run = twin.folded()
        fast = run(crops, sizes, windows)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in run.modules())
    torch.testing.assert_close(slow.scores, fast.scores, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(slow.sides, fast.sides, atol=2e-2, rtol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_learns(name: str):
    twin = twin_of(name).train()
    maps = twin(*pictures(twin, 2))
    (maps.scores.square().mean() + maps.sides.square().mean()).backward()
    for weight in twin.parameters():
        assert weight.grad is not None and bool(weight.grad.isfinite().all())


def test_boxes_are_relative_to_the_exemplar():
    twin = twin_of("track_lite0")
    crops, _, windows = pictures(twin, 1)
    with torch.no_grad():
        twin.network.head["box"].weight.zero_()
        sides = twin(crops, torch.tensor([[40.0, 20.0]]), windows).sides
    torch.testing.assert_close(
        sides[0, :, 3, 3], torch.tensor([20.0, 10.0, 20.0, 10.0]), atol=1e-4, rtol=0
    )


def test_what_does_not_fit_is_refused_by_name():
    recipe = recipes.find("track")
    with pytest.raises(UnknownName, match="no network of tracking is called 'resnet18'"):
        build.track_twin(Recipe(encoder="resnet18"))
    with pytest.raises(RecipeError, match="a twin of tracking reads Image"):
        build.track_twin(recipe.replace({"input": "Raster"}))
    with pytest.raises(RecipeError, match=r"input.channels = 1: tracking takes 3"):
        build.track_twin(recipe.replace({"input.channels": 1}))
    with pytest.raises(UsageError, match="does not track"):
        TrackTwin(Image(), torch.nn.Identity())
    with pytest.raises(RecipeError, match="training of tracking measures overlap"):
        build.check(recipe.replace({"monitor": "eer"}))
    with pytest.raises(RecipeError, match="memory is for embeddings: a recipe of track"):
        build.check(recipe.replace({"memory": 64}))
    with pytest.raises(RecipeError, match="'overlap' is measured by recipes of kind track"):
        build.check(recipes.find("generic").replace({"monitor": "overlap"}))

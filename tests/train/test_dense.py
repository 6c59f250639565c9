"""Training on scenes: it learns, chooses its threshold on other places, and resumes bit for bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import drawn_scenes
from twofold import build, recipes
from twofold.change_bundle import ChangeBundle
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.data.scenes import Scenes
from twofold.errors import DataError, Interrupted, NotEnoughData, RecipeError, TrainingError
from twofold.metrics import scene_threshold, spatial
from twofold.scene import Scene, opened, probabilities
from twofold.train.checkpoint import Checkpoints
from twofold.train.dense import fit_scenes, threshold_on
from twofold.train.fit import fit_recipe
from twofold.train.tiles import TileFeed, augmentation

RECIPE = recipes.change().replace(
    {
        "encoder.name": "fc_siam_diff",
        "layer_decay": 1.0,
        "tiles.size": 32,
        "tiles.count": 4,
        "epochs": 2,
        "fewest_steps": 0,
        "optimiser.learning_rate": 3e-3,
        "ema": 0.5,
    }
)


def of_arrays(count: int = 6, *, change: bool = True, side: int = 64) -> Scenes:
    made = [drawn_scenes.scene(n, change=change, side=side) for n in range(count)]
    before, after = (tuple(s[date].transpose(2, 0, 1) for s in made) for date in (0, 1))
    names = tuple(f"place{n}" for n in range(count))
    return Scenes(
        before=before, after=after, mask=tuple(s[2][None] for s in made), ids=names, group=names
    )


def weights(bundle: ChangeBundle) -> list[torch.Tensor]:
    return list(bundle.twin.state_dict().values())


@pytest.fixture(scope="module")
def trained() -> ChangeBundle:
    return fit_scenes(RECIPE.replace({"epochs": 20, "validate_every": 5}), of_arrays(), seed=0)


@pytest.fixture(scope="module")
def whole() -> ChangeBundle:
    return fit_scenes(RECIPE, of_arrays(), seed=3)


def test_it_learns_what_changed(trained: ChangeBundle):
    threshold = trained.deciding()
    assert threshold.f1 > 0.6 and threshold.standing == "estimate"
    assert threshold.scenes == 1 and threshold.certificate_scenes > 14
    assert trained.provenance.counts == {"train": 4, "valid": 1, "test": 1}
    first, last = (trained.training["history"][n]["loss"] for n in (0, -1))
    assert last < first


def test_the_same_seed_gives_the_same_weights(whole: ChangeBundle):
    other = fit_scenes(RECIPE, of_arrays(), seed=3)
    assert whole.fingerprint == other.fingerprint
    assert whole.deciding() == other.deciding()


def test_an_interrupted_training_gives_the_same_bits(tmp_path: Path, whole: ChangeBundle):
    asked = iter([False] * 5 + [True] * 99)
    folder = Checkpoints(tmp_path / "states", asked=lambda: next(asked))
    with pytest.raises(Interrupted):
        fit_scenes(RECIPE, of_arrays(), seed=3, checkpoints=folder)
    again = replace(folder, resume=True, asked=lambda: False)
    resumed = fit_scenes(RECIPE, of_arrays(), seed=3, checkpoints=again)
    assert all(map(torch.equal, weights(whole), weights(resumed)))
    assert resumed.threshold == whole.threshold
    with pytest.raises(
        DataError, match="the data has changed since the training began: restore it"
    ):
        fit_scenes(RECIPE, of_arrays(5), seed=3, checkpoints=again)


def test_validation_scenes_of_ones_own():
    scenes = of_arrays()
    bundle = fit_scenes(RECIPE, scenes.take([0, 1, 2, 3]), valid=scenes.take([4, 5]))
    assert bundle.provenance.counts == {"train": 4, "valid": 2}
    with pytest.raises(DataError, match="place1 both trains and chooses"):
        fit_scenes(RECIPE, scenes.take([0, 1]), valid=scenes.take([1]))


def test_a_scene_beside_itself_has_not_changed(trained: ChangeBundle):
    scenes = list(opened(of_arrays(), trained.twin))[:3]
    known = threshold_on(scenes, trained.twin)
    assert known.f1 > 0.6 and known.scenes == 3
    for scene in scenes:
        said = spatial.levels_of(probabilities(trained.twin, scene.after, scene.after))
        counts = np.bincount(said.ravel(), minlength=spatial.LEVELS + 1)
        # also where the offset alone would mark some
        for above in (known.relative.above, -2.0) if known.relative else ():
            relative = replace(known.relative, above=above)
            cut = scene_threshold.of_scene(replace(known, relative=relative), counts)
            assert not (said >= spatial.level_of(cut)).any()


def test_without_validation_there_is_no_threshold():
    shares = {"split.train": 1.0, "split.valid": 0.0, "split.test": 0.0}
    bundle = fit_scenes(RECIPE.replace(shares), of_arrays(2))
    assert bundle.threshold is None


@pytest.mark.parametrize("loss", ["dice", "focal", "cross_entropy", "contrastive"])
def test_every_loss_and_the_metric_form_train(loss: str):
    settings = {"loss.name": loss, "encoder.name": "change_metric", "encoder.width": 8}
    bundle = fit_scenes(RECIPE.replace(settings), of_arrays(3))
    assert np.isfinite(bundle.training["history"][-1]["loss"])


def test_a_small_set_is_trained_for_enough_steps():
    bundle = fit_scenes(RECIPE.replace({"epochs": 1, "fewest_steps": 9}), of_arrays(3))
    assert bundle.training["steps"] >= 9
    assert "epochs = " in bundle.training["adapted"][0]
    kept = fit_scenes(
        RECIPE.replace({"epochs": 1, "fewest_steps": 9}), of_arrays(3), fixed=("epochs",)
    )
    assert kept.training["epochs"] == 1


def test_masks_without_change_are_refused():
    with pytest.raises(NotEnoughData, match="no pixel has changed in 1 training scene"):
        fit_scenes(RECIPE, of_arrays(3, change=False))


def test_a_blown_up_training_is_stopped():
    with pytest.raises(TrainingError):
        fit_scenes(
            RECIPE.replace({"optimiser.learning_rate": 1e30, "epochs": 60, "clip_norm": 1e30}),
            of_arrays(3),
        )


def twin_of(recipe: Recipe = RECIPE):
    return build.change_twin(recipe).eval()


def scenes_of(count: int = 3, **settings: int) -> list[Scene]:
    return list(opened(of_arrays(count, **settings), twin_of()))


def test_tiles_hold_the_asked_share_of_changed_ones():
    recipe = RECIPE.replace({"tiles.changed": 1.0, "tiles.count": 8, "tiles.size": 32})
    feed = TileFeed(scenes_of(), recipe, 0)
    for planned in feed.plan(0):
        _, targets = feed.batch(planned, 0)
        assert bool((targets.changed.sum((1, 2)) > 0).all())
    assert feed.plan(0)[0].tolist() == feed.plan(0)[0].tolist() != feed.plan(1)[0].tolist()


def test_processes_share_the_tiles_of_a_batch():
    scenes = scenes_of()
    whole = TileFeed(scenes, RECIPE, 0)
    planned = whole.plan(0)[0]
    batch, targets = whole.batch(planned, 0)
    parts = [TileFeed(scenes, RECIPE, 0, share=(rank, 3)).batch(planned, 0) for rank in range(3)]
    assert [len(part[0]) for part in parts] == [2, 1, 1]
    assert torch.equal(torch.cat([part[0].after for part in parts]), batch.after)
    assert torch.equal(torch.cat([part[1].changed for part in parts]), targets.changed)
    with pytest.raises(NotEnoughData, match="4 tiles cannot be shared by 5 processes"):
        TileFeed(scenes, RECIPE, 0, share=(0, 5))


def test_both_dates_and_the_mask_share_one_geometry():
    scene = scenes_of(1)[0]
    marked = np.where(scene.truth, np.float32(3), np.float32(-1))[None].repeat(3, 0)
    marked = replace(scene, before=marked, after=marked)
    recipe = RECIPE.replace({"tiles.count": 16}).model_copy(
        update={"augment": {"turn": True, "rotation": 30, "scale": 0.3}}
    )
    feed = TileFeed([marked], recipe, 1)
    batch, targets = feed.batch(feed.plan(0)[0], 0)
    assert torch.equal(batch.before, batch.after)
    inside = targets.valid & ((batch.before[:, 0] > 2.5) | (batch.before[:, 0] < -0.5))
    agree = (batch.before[:, 0] > 1) == (targets.changed > 0.5)
    assert bool(agree[inside].all()) and bool(inside.float().mean() > 0.3)


def test_a_turned_tile_is_not_blurred():
    scene = scenes_of(1)[0]
    recipe = RECIPE.replace({"tiles.count": 8}).model_copy(update={"augment": {"turn": True}})
    feed = TileFeed([scene], recipe, 2)
    batch, targets = feed.batch(feed.plan(0)[0], 0)
    values = torch.from_numpy(np.unique(scene.before[0]))
    for tile, valid in zip(batch.before[:, 0], targets.valid, strict=True):
        apart = (tile[valid][:, None] - values).abs().amin(1)
        assert float(apart.max()) < 1e-3


def test_dates_have_a_light_of_their_own_and_change_places():
    scene = scenes_of(1)[0]
    same = replace(scene, after=scene.before)
    recipe = RECIPE.model_copy(update={"augment": {"brightness": 0.2, "colour": 0.2}})
    batch, _ = TileFeed([same], recipe, 0).batch(TileFeed([same], recipe, 0).plan(0)[0], 0)
    assert not torch.allclose(batch.before, batch.after)
    swapping = RECIPE.replace({"tiles.count": 16}).model_copy(update={"augment": {"swap": True}})
    plain = swapping.model_copy(update={"augment": {}})
    feed, other = TileFeed([scene], swapping, 0), TileFeed([scene], plain, 0)
    planned = feed.plan(0)[0]
    a, b = feed.batch(planned, 0)[0], other.batch(planned, 0)[0]
    swapped = [torch.equal(x, y) for x, y in zip(a.before, b.after, strict=True)]
    assert 2 < sum(swapped) < 14


def test_augmentations_are_checked_by_name():
    for settings, said in (
        ({"colours": 0.2}, "augment.colours: did you mean 'colour'"),
        ({"turn": 1}, "augment.turn = 1: must be true or false"),
        ({"scale": -1}, "augment.scale = -1: must be a number of 0 or more"),
    ):
        with pytest.raises(RecipeError, match=said):
            augmentation(RECIPE.model_copy(update={"augment": settings}))


def test_large_scenes_are_said_in_tiles_as_in_one(monkeypatch: pytest.MonkeyPatch):
    twin = twin_of(recipes.change().replace({"encoder.name": "fc_siam_diff"}))
    rng = np.random.default_rng(0)
    before, after = (rng.normal(size=(3, 40, 500)).astype(np.float32) for _ in range(2))
    whole = probabilities(twin, before, after)
    monkeypatch.setattr("twofold.tiling.TILE", 352)
    np.testing.assert_allclose(probabilities(twin, before, after), whole, atol=5e-5)


def test_recipes_of_change_are_checked_before_anything_is_read():
    for settings, said in (
        ({"monitor": "eer"}, "measures f1"),
        ({"memory": 100}, "memory is for embeddings"),
        ({"tiles.size": 100}, "tiles.size = 100 must be a multiple of 16"),
        ({"loss.name": "supcon"}, "no loss of maps is called 'supcon'"),
        ({"encoder.name": "resnet18"}, "no network of change is called 'resnet18'"),
        ({"input.name": "Image"}, "reads Raster"),
    ):
        with pytest.raises((RecipeError, Exception), match=said):
            build.check(RECIPE.replace(settings))
    with pytest.raises(RecipeError, match="is measured by recipes of kind change"):
        build.check(Recipe(monitor="f1"))
    with pytest.raises(RecipeError, match="the recipe is of kind change, and these are items"):
        fit_recipe(RECIPE, Items.from_arrays([np.zeros((8, 8), np.uint8)] * 2, ["a", "b"]))

"""Training of tracking: on drawn pictures and a drawn sequence, resumed, and with a trunk that stands still."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from twofold import build, recipes
from twofold.config import Recipe
from twofold.data.cutouts import drawn_texture
from twofold.data.footage import Footage
from twofold.errors import DataError, NotEnoughData, RecipeError
from twofold.train.checkpoint import Checkpoints
from twofold.train.footage import material_of
from twofold.train.motion_feed import MotionFeed, motion_of
from twofold.train.motion_maps import StillFeed
from twofold.train.track import best_boxes, fit_tracks, overlaps
from twofold.twin import TrackMaps


def small(**changes: object) -> Recipe:
    known = {
        "encoder": {"name": "track_lite0", "width": 8},
        "windows": {"count": 4, "steps": 2, "repeats": 2, "films": 0},
        "epochs": 2,
        "validate_every": 2,
    }
    return Recipe.model_validate(
        recipes.find("track").model_dump(mode="json", exclude_none=True) | known | changes
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("pictures")
    for number in range(8):
        rng = np.random.default_rng(number)
        PIL.Image.fromarray(drawn_texture(rng, 160)).save(made / f"scene{number}.png")
        pixels = np.dstack([drawn_texture(rng, 64), np.zeros((64, 64), np.uint8)])
        pixels[10:50, 20:40, 3] = 255
        PIL.Image.fromarray(pixels).save(made / f"thing{number}.png")
    return made


@pytest.fixture(scope="module")
def sequences(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("sequences")
    for name in ("a", "b", "c", "d", "e", "f"):
        (made / name / "img").mkdir(parents=True)
        for number in range(3):
            picture = drawn_texture(np.random.default_rng(ord(name)), 120)
            PIL.Image.fromarray(picture).save(made / name / "img" / f"{number:04}.png")
        boxes = "\n".join(f"{30 + 4 * number},40,30,20" for number in range(3))
        (made / name / "groundtruth_rect.txt").write_text(boxes)
    return made


def test_pictures_with_transparency_are_the_objects(folder: Path):
    found = material_of(Footage.open(folder), exemplar_side=80)
    assert found.pictures is not None and not found.clips
    assert len(found.pictures.scenes) == len(found.pictures.things) == 8
    assert found.pictures.things[0].size.tolist() == [20, 40]


def test_a_frame_of_a_sequence_has_the_object_in_its_middle(sequences: Path):
    found = material_of(Footage.open(sequences), exemplar_side=80)
    assert len(found.clips) == 6 and len(found.clips[0]) == 3
    frame = found.clips[0][0]
    assert frame.picture.shape == (240, 240, 3)
    around = np.sqrt((30 + 25) * (20 + 25))
    np.testing.assert_allclose(frame.size, np.array([30, 20]) * 80 / around)


def test_parts_keep_files_whole(folder: Path):
    parts = Footage.open(folder).split(small().split, seed=0)
    names = [name for part in parts.values() for name in part.identities]
    assert sorted(names) == sorted(Footage.open(folder).identities)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 12,
        "valid": 2,
        "calibrate": 2,
    }


@pytest.mark.parametrize("data", ["folder", "sequences"])
def test_training_makes_a_bundle(data: str, request, tmp_path: Path):
    bundle = fit_tracks(small(), Footage.open(request.getfixturevalue(data)), seed=1)
    assert bundle.training["steps"] == 4 and 0 <= bundle.training["best"]["overlap"] <= 1
    assert set(bundle.provenance.counts) == {"train", "valid", "calibrate"}
    bundle.save(tmp_path / "model")


def test_a_training_goes_on_where_it_stopped(folder: Path, tmp_path: Path):
    footage = Footage.open(folder)
    recipe = small(ema=None, schedule="constant")
    whole = fit_tracks(recipe, footage, seed=3)
    kept = Checkpoints(tmp_path / "states")
    with pytest.raises(KeyboardInterrupt):
        fit_tracks(recipe, footage, seed=3, checkpoints=kept, watch=_stop_after(3))
    resumed = fit_tracks(
        recipe, footage, seed=3, checkpoints=Checkpoints(tmp_path / "states", resume=True)
    )
    assert resumed.training["steps"] == whole.training["steps"]
    for one, other in zip(whole.twin.parameters(), resumed.twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def _stop_after(steps: int):
    seen = []

    def watch(progress: object) -> None:
        seen.append(progress)
        if len(seen) == steps:
            raise KeyboardInterrupt

    return watch


def test_a_still_trunk_makes_its_maps_once(folder: Path):
    recipe = small()
    twin = build.track_twin(recipe).eval()
    material = material_of(Footage.open(folder), exemplar_side=80)
    feed = StillFeed(
        MotionFeed(material, recipe, 0, sides=(80, 160)), twin, twin.network, repeats=2
    )
    batch, boxes = feed.batch(feed.plan(0)[0], 0)
    first = int(feed.plan(0)[0][0])
    again = next(each for each in feed.plan(1) if int(each[0]) == first)
    assert feed.batch(again, 1)[0] is batch
    assert feed.batch(again, 2)[0] is not batch and len(feed.kept) == 1
    pixels, same = feed.feed.batch(again, 0)
    torch.testing.assert_close(boxes, same, equal_nan=True)
    with torch.no_grad():
        scores, sides = batch.compared(twin.network)
        maps = twin(pixels.exemplars, pixels.sizes, pixels.windows)
    torch.testing.assert_close(scores, maps.scores, atol=2e-2, rtol=1e-2)
    torch.testing.assert_close(sides, maps.sides, atol=0.5, rtol=1e-2)


def test_a_held_trunk_says_the_same():
    twin = build.track_twin(small()).eval()
    windows = torch.randint(0, 256, (3, 3, 160, 160), dtype=torch.uint8)
    with torch.no_grad():
        before = twin.features(windows)
        twin.network.hold_trunk(True)
        for one, other in zip(before, twin.features(windows), strict=True):
            torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
    assert not any(name.startswith("_held") for name in twin.network.state_dict())


def test_the_box_at_the_best_place():
    scores = torch.zeros(1, 4, 4)
    scores[0, 1, 2] = 5
    sides = torch.full((1, 4, 4, 4), 3.0)
    sides[0, :, 1, 2] = torch.tensor([10.0, 4, 6, 8])
    boxes, best = best_boxes(TrackMaps(scores=scores, sides=sides), 8)
    assert boxes.tolist() == [[10.0, 8.0, 26.0, 20.0]] and best.tolist() == [5.0]
    other = torch.tensor([[10.0, 8.0, 18.0, 20.0]])
    assert overlaps(boxes, other).tolist() == [0.5]
    assert bool(overlaps(boxes, torch.full((1, 4), torch.nan)).isnan().all())


def test_what_does_not_fit_is_refused(tmp_path: Path, folder: Path):
    with pytest.raises(DataError, match="is not a folder"):
        Footage.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no pictures and no sequences"):
        Footage.open(tmp_path)
    PIL.Image.new("RGB", (400, 300)).save(tmp_path / "black.png")
    with pytest.raises(NotEnoughData, match="cannot be split into train, valid, calibrate"):
        Footage.open(tmp_path).split(small().split, seed=0)
    with pytest.raises(NotEnoughData, match="a tracker needs pictures of 128 pixels"):
        material_of(Footage.open(tmp_path), exemplar_side=80)
    with pytest.raises(RecipeError, match=r"augment.absence: did you mean 'absent'"):
        motion_of(small(augment={"absence": 1}))
    with pytest.raises(RecipeError, match=r"augment.distractors = 1.5: must be a whole number"):
        motion_of(small(augment={"distractors": 1.5}))

"""Thresholds that follow the scene: where they help, where they are refused, and what bounds them."""

import math

import numpy as np
import pytest

from twofold.metrics import scene_threshold, spatial
from twofold.metrics.spatial import LEVELS
from twofold.results import ChangeThreshold, RelativeThreshold


def drawn(seed: int, *, moved: float = 0.0, changed: float = 0.03, side: int = 80):
    """Logits around -4, of change around 2, all moved by the light of the scene; and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.random((side, side)) < changed
    return rng.normal(-4 + 6 * truth, 1) + moved, truth


def probability(logits):
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def table(logits, truth):
    return spatial.histogram(probability(logits), truth, np.ones(truth.shape, bool))


def f1(known: ChangeThreshold, each) -> float:
    cut = scene_threshold.of_scene(known, each.sum(0))
    return spatial.scores(spatial.of_histogram(each, cut))["f1"]


MOVED = [table(*drawn(seed, moved=moved)) for seed, moved in enumerate((-1.5, 2.0))]


def test_a_threshold_follows_the_light_of_a_scene():
    known = scene_threshold.best(MOVED)
    assert known.relative is not None and known.f1 > 0.9
    plain = ChangeThreshold.from_dict(known.to_dict() | {"relative": None})
    for seed, moved in ((7, -3.0), (8, 0.5), (9, 3.0)):
        other = table(*drawn(seed, moved=moved))
        assert f1(known, other) > 0.9
    assert f1(plain, table(*drawn(9, moved=3.0))) < 0.7


def test_the_threshold_is_the_background_and_so_much_more():
    known = scene_threshold.best(MOVED)
    told = known.relative
    assert told is not None
    logits, truth = drawn(5, moved=0.3)
    counts = table(logits, truth).sum(0)
    background = np.quantile(logits, told.quantile)
    assert scene_threshold.background(counts) == pytest.approx(background, abs=0.01)
    cut = scene_threshold.of_scene(known, counts)
    assert math.log(cut / (1 - cut)) == pytest.approx(background + told.above, abs=0.01)
    assert scene_threshold.notes(known, counts) == ()


def test_a_scene_in_which_nothing_changed_shows_nothing():
    # a tenth changed in the scenes that choose: the threshold lies below their background
    chosen = [table(*drawn(seed, moved=seed, changed=0.1)) for seed in (0, 1)]
    quiet = probability(np.random.default_rng(0).normal(-6, 0.4, (80, 80)))
    still = float(quiet.max())
    known = scene_threshold.best(chosen, still=still)
    assert known.relative is not None and known.relative.above < 0
    counts = np.bincount(spatial.levels_of(quiet).ravel(), minlength=LEVELS + 1)
    cut = spatial.level_of(scene_threshold.of_scene(known, counts))
    assert not (spatial.levels_of(quiet) >= cut).any()
    assert "little of this scene stands out" in scene_threshold.notes(known, counts)[0]


def test_a_scene_that_changed_throughout_is_told():
    known = scene_threshold.best(MOVED)
    counts = table(*drawn(3, moved=9.0)).sum(0)
    assert known.relative is not None
    cut = scene_threshold.of_scene(known, counts)
    assert math.log(cut / (1 - cut)) == pytest.approx(known.relative.highest)
    assert "more of this scene stands out" in scene_threshold.notes(known, counts)[0]


def test_one_threshold_for_all_where_that_does_better():
    # the same light, and shares of change that differ: a scene's background says nothing
    scenes = [table(*drawn(n, changed=share)) for n, share in enumerate((0.002, 0.3, 0.02, 0.5))]
    known = scene_threshold.best(scenes)
    assert known.relative is None and known.f1 > 0.95
    assert scene_threshold.of_scene(known, scenes[0].sum(0)) == known.probability


def test_one_scene_says_nothing_of_others():
    assert scene_threshold.best(MOVED[:1]).relative is None


def test_scenes_without_change_or_without_pixels():
    quiet = table(drawn(0)[0], np.zeros((80, 80), bool))
    empty = np.zeros_like(quiet)
    for scenes in ([quiet, quiet], [quiet, empty], [quiet, MOVED[0]]):
        assert scene_threshold.best(scenes).relative is None
    for scenes in ([*MOVED, empty], [*MOVED, quiet]):
        assert scene_threshold.best(scenes).relative is not None
    known = scene_threshold.best(MOVED)
    assert scene_threshold.of_scene(known, np.zeros(LEVELS + 1, int)) == known.probability


def test_what_was_kept_comes_back():
    known = scene_threshold.best(MOVED)
    assert ChangeThreshold.from_dict(known.to_dict()) == known
    old = {
        name: value for name, value in known.to_dict().items() if name != "relative"
    }  # as bundles of before have it
    assert ChangeThreshold.from_dict(old).relative is None


@pytest.mark.parametrize(
    "odd", [{"quantile": 1.0}, {"above": math.nan}, {"lowest": 3.0}, {"highest": math.inf}]
)
def test_what_is_no_threshold(odd: dict):
    told = {"quantile": 0.95, "above": 0.5, "lowest": -2.0, "highest": 2.0}
    with pytest.raises(ValueError, match="a threshold"):
        RelativeThreshold(**(told | odd))

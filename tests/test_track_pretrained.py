"""The bundle that comes with twofold: small, whole, and good for something."""

import numpy as np
import pytest
import torch

from twofold.data.cutouts import drawn_shape, drawn_texture
from twofold.data.motion import Motion, Pictures, motion_pair
from twofold.track_bundle import PRETRAINED, TrackBundle
from twofold.train.motion_feed import batch_of
from twofold.train.track import best_boxes, overlaps

LARGEST = 3_000_000
"""Bytes: a wheel that everybody downloads."""


@pytest.fixture(scope="module")
def bundle() -> TrackBundle:
    return TrackBundle.pretrained()


def test_it_is_small():
    assert sum(path.stat().st_size for path in PRETRAINED.iterdir()) < LARGEST


def test_it_was_trained_on_pictures_and_says_so(bundle):
    assert bundle.training["steps"] > 1000 and bundle.provenance.counts["train"] > 400
    assert "track_lite0" in bundle.facts()["network"]
    assert bundle.deciding().films > 1


def test_it_finds_objects_that_nobody_has_seen(bundle):
    scenes = tuple(drawn_texture(np.random.default_rng(number), 400) for number in range(6))
    halves = Pictures(scenes=scenes).levels
    things = tuple(
        drawn_shape(np.random.default_rng(number), halves[number]) for number in range(6)
    )
    drawn = Pictures(scenes=scenes, things=things)
    easy = Motion(absent=0, cutouts=1, distractors=1, occluded=0, other_scene=0)
    sides = {"exemplar_side": bundle.twin.exemplar_side, "search_side": bundle.twin.search_side}
    pairs = [motion_pair(drawn, easy, np.random.default_rng(n), **sides) for n in range(24)]
    batch, boxes = batch_of(pairs)
    with torch.no_grad():
        maps = bundle.twin(batch.exemplars, batch.sizes, batch.windows)
    found, _ = best_boxes(maps, bundle.twin.stride)
    assert float(overlaps(found, boxes).mean()) > 0.5

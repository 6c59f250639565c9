"""A tracker's confidence, fitted on films that were drawn."""

from dataclasses import replace

import numpy as np
import pytest

import drawn_tracks
from twofold.calibration.track import calibrate_track
from twofold.data import motion_films
from twofold.errors import NotEnoughData


@pytest.fixture(scope="module")
def films():
    """Six short ones."""
    with pytest.MonkeyPatch.context() as patch:
        for name, frames in {"BEFORE": (14, 16), "ABSENT": 12, "AFTER": 14}.items():
            patch.setattr(motion_films, name, frames)
        return list(motion_films.motion_films(6, seed=5, size=(96, 160), events=("leaves",)))


def test_it_is_higher_on_the_object_than_without_it(films):
    bundle, done = drawn_tracks.by_colour(), []
    found = calibrate_track(bundle, films, watch=done.append)
    assert found.auroc > 0.8 and found.films == 6 and found.standing == "estimate"
    assert done == [1, 2, 3, 4, 5, 6]
    logit, _, likeness = found.weights[:3]
    assert logit > 0 and likeness > 0
    best, worst = np.array(found.means) + found.scales, np.array(found.means) - found.scales
    best[4], worst[4] = worst[4], best[4]  # boxes of neighbours that differ speak against it
    assert found.probability(best.tolist()) > 0.5 > found.probability(worst.tolist())


def test_what_a_bundle_knew_before_does_not_matter(films):
    bundle = drawn_tracks.by_colour()
    found = calibrate_track(bundle, films[:2])
    assert calibrate_track(replace(bundle, confidence=found), films[:2]) == found


def test_one_film_is_too_little(films):
    with pytest.raises(NotEnoughData, match="2 or more"):
        calibrate_track(drawn_tracks.by_colour(), films[:1])

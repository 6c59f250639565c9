"""What a tracker remembers: sizes do not run away, and confidence is carried over as far as it should be."""

import numpy as np
import pytest
import torch

from twofold.tracking.readings import Smoothing
from twofold.tracking.targets import Settings, Sighting, Target

LOOK = [torch.tensor([1.0, 0.0])]


def target(**settings):
    box = np.array([50.0, 50.0, 20.0, 30.0])
    return Target(
        box=box,
        size=box[2:].copy(),
        first=[],
        example=[],
        looks=[LOOK],
        settings=Settings(**settings),
    )


def sighting(box, confidence=0.9, look=LOOK):
    return Sighting(
        box=box, readings=(1.0,), confidence=confidence, score=1.0, near=True, look=look
    )


@pytest.mark.parametrize(("pull", "largest"), [(0.1, 1.7), (0.3, 1.2)])
def test_a_size_that_is_read_too_large_does_not_add_up(pull: float, largest: float):
    followed = target(smoothing=Smoothing(pull=pull))
    for _ in range(300):
        followed.take([sighting(followed.box * np.array([1, 1, 1.1, 1.1]))])
    assert (followed.box[2:] / followed.size < largest).all()
    free = target(smoothing=Smoothing(pull=0.0))
    for _ in range(300):
        free.take([sighting(free.box * np.array([1, 1, 1.1, 1.1]))])
    assert (free.box[2:] / free.size > 100).all()


def test_confidence_is_carried_as_far_as_the_look_is_the_last_one():
    followed = target()
    assert followed.carried(LOOK) == pytest.approx(1.0)
    other = [torch.tensor([0.6, 0.8])]
    assert followed.carried(other) == pytest.approx(0.6)
    followed.take([sighting(followed.box, confidence=0.5, look=other)])
    assert followed.carried(other) == pytest.approx(0.5)
    assert followed.carried(LOOK) == pytest.approx(0.3)


def test_what_was_not_taken_is_not_the_last_look():
    followed = target()
    far = [torch.tensor([0.0, 1.0])]
    unlikely = Sighting(
        box=followed.box, readings=(-3.0,), confidence=0.1, score=0.1, near=True, look=far
    )
    followed.take([unlikely])
    assert followed.carried(LOOK) == pytest.approx(0.1) and followed.carried(far) == 0

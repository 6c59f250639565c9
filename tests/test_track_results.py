"""What a tracker is sure of: a logistic of its readings, kept as plain values."""

import math

import pytest

from twofold.results import TrackConfidence
from twofold.results.track import READINGS

OTHERS = (9.0,) * (len(READINGS) - 1)


def confidence(**changes):
    count = len(READINGS)
    known = {
        "weights": (2.0,) + (0.0,) * (count - 1),
        "means": (1.0,) * count,
        "scales": (4.0,) * count,
        "bias": 0.5,
        "auroc": 0.9,
        "films": 12,
    }
    return TrackConfidence(**known | changes)


def test_logistic_of_standardised_readings():
    found = confidence().probability([5.0, *OTHERS])
    assert found == pytest.approx(1 / (1 + math.exp(-(0.5 + 2.0 * (5.0 - 1.0) / 4.0))))


def test_probabilities_never_overflow():
    assert confidence().probability([-1e9, *OTHERS]) == pytest.approx(0.0, abs=1e-9)
    assert confidence().probability([1e9, *OTHERS]) == pytest.approx(1.0)


def test_plain_values_and_back():
    assert TrackConfidence.from_dict(confidence().to_dict()) == confidence()


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": (1.0,)},
        {"bias": math.nan},
        {"scales": (0.0,) * len(READINGS)},
        {"standing": "certified"},
    ],
)
def test_what_is_no_confidence_is_refused(changes):
    with pytest.raises((TypeError, ValueError)):
        TrackConfidence.from_dict(confidence().to_dict() | changes)

"""Tracking measures, against loops written from their definitions."""

import numpy as np
import pytest

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.tracking import (
    MEASURES,
    Followed,
    centre_errors,
    lost_auroc,
    overlaps,
    tracking_estimates,
)

BOX = np.array([[10.0, 10.0, 20.0, 10.0]])


def drawn(seed: int, frames: int = 40) -> Followed:
    draw = np.random.default_rng(seed)
    truth = np.column_stack([draw.uniform(0, 100, (frames, 2)), draw.uniform(5, 50, (frames, 2))])
    return Followed(truth=truth, boxes=truth + draw.normal(0, 6, truth.shape))


def overlap_by_pixels(a: np.ndarray, b: np.ndarray) -> float:
    """Of boxes of whole numbers: pixels of both over pixels of either."""
    grid = np.zeros((2, 60, 60), bool)
    for plane, (x, y, w, h) in zip(grid, (a.astype(int), b.astype(int)), strict=True):
        plane[y : y + h, x : x + w] = True
    return float((grid[0] & grid[1]).sum() / (grid[0] | grid[1]).sum())


def test_overlap_is_that_of_pixels():
    draw = np.random.default_rng(0)
    a, b = (draw.integers(1, 25, (50, 4)).astype(float) for _ in range(2))
    expected = [overlap_by_pixels(one, other) for one, other in zip(a, b, strict=True)]
    assert np.allclose(overlaps(a, b), expected) and np.array_equal(overlaps(a, b), overlaps(b, a))


def test_a_lost_or_empty_box_overlaps_nothing():
    lost, empty = np.full((1, 4), np.nan), np.array([[10.0, 10.0, 0.0, 0.0]])
    assert overlaps(BOX, BOX) == 1 and overlaps(BOX, lost) == 0 and overlaps(BOX, empty) == 0
    assert (
        centre_errors(BOX, lost) == np.inf and centre_errors(BOX, BOX + np.array([3, 4, 0, 0])) == 5
    )


def test_measures_by_their_definitions():
    one = drawn(1)
    shared, apart = overlaps(one.truth, one.boxes), centre_errors(one.truth, one.boxes)
    success = np.mean([np.mean([o > t / 20 for o in shared]) for t in range(21)])
    assert MEASURES["success_auc"](one) == pytest.approx(success)
    assert MEASURES["precision_at_20"](one) == np.mean([error <= 20 for error in apart])
    assert MEASURES["average_overlap"](one) == pytest.approx(shared[1:].mean())
    assert MEASURES["success_rate_50"](one) == np.mean(shared[1:] > 0.5)
    assert MEASURES["success_rate_75"](one) == np.mean(shared[1:] > 0.75)
    wide = Followed(truth=BOX, boxes=BOX + np.array([[5.0, 0.0, 0.0, 0.0]]))
    assert MEASURES["normalised_precision"](wide) == pytest.approx(26 / 51)  # off by a quarter


def test_frames_without_the_object_do_not_count():
    one = drawn(2)
    truth = one.truth.copy()
    truth[5:9] = np.nan
    kept = np.isfinite(truth).all(axis=1)
    gone = Followed(truth=truth, boxes=one.boxes)
    left = Followed(truth=one.truth[kept], boxes=one.boxes[kept])
    assert all(measure(gone) == measure(left) for measure in MEASURES.values())
    with pytest.raises(NotEnoughData, match="in none of"):
        MEASURES["success_auc"](Followed(truth=np.full((3, 4), np.nan), boxes=one.boxes[:3]))


def test_each_sequence_counts_once_and_intervals_resample_sequences():
    perfect = Followed(truth=np.tile(BOX, (900, 1)), boxes=np.tile(BOX, (900, 1)))
    others = [drawn(seed, frames=10) for seed in range(5)]
    found = {each.name: each for each in tracking_estimates([perfect, *others])}
    mean = np.mean([MEASURES["average_overlap"](each) for each in (perfect, *others)])
    known = found["average_overlap"]
    assert known.value == pytest.approx(mean) and known.unit == "sequence" and known.resampled == 6
    assert known.low < known.value < known.high
    alone = tracking_estimates({"one": perfect})[0]
    assert alone.low == alone.value == alone.high


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="2 boxes for 3 frames"):
        Followed(truth=np.zeros((3, 4)), boxes=np.zeros((2, 4)))
    with pytest.raises(NotEnoughData, match="no sequence"):
        tracking_estimates([])


def test_lost_auroc_counts_pairs_of_frames():
    confidences = np.array([0.9, 0.2, 0.5, 0.5, 0.1])
    on = np.array([True, True, False, True, False])
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0 for a in confidences[on] for b in confidences[~on]
    ]
    assert lost_auroc(confidences, on) == np.mean(pairs)
    assert np.isnan(lost_auroc(confidences, np.ones(5, bool)))

"""Maps of change against the truth: loops from the definitions, regions, thresholds, intervals by scene."""

import math

import numpy as np
import pytest

from twofold.errors import UsageError
from twofold.metrics import spatial
from twofold.metrics.regions import regions
from twofold.metrics.spatial import LEVELS, Counts, counted, pooled, scores


def maps(seed: int, shape: tuple[int, int] = (17, 23)):
    rng = np.random.default_rng(seed)
    return rng.random(shape) < 0.4, rng.random(shape) < 0.3, rng.random(shape) < 0.9


def flooded(mask: np.ndarray) -> np.ndarray:
    """Regions by a flood, one pixel at a time."""
    labels, number = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        number += 1
        todo = [start]
        while todo:
            row, column = todo.pop()
            inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
            if not inside or not mask[row, column] or labels[row, column]:
                continue
            labels[row, column] = number
            todo += [(row + a, column + b) for a, b in ((0, 1), (0, -1), (1, 0), (-1, 0))]
    return labels


@pytest.mark.parametrize("seed", range(5))
def test_regions_are_those_of_a_flood(seed: int):
    mask = np.random.default_rng(seed).random((19, 31)) < 0.35
    np.testing.assert_array_equal(regions(mask), flooded(mask))


def test_regions_at_the_edges():
    assert regions(np.zeros((3, 4), bool)).max() == 0
    assert (regions(np.ones((3, 4), bool)) == 1).all()
    np.testing.assert_array_equal(regions(np.eye(4, dtype=bool)), np.diag(range(1, 5)))
    spiral = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]], bool)
    assert regions(spiral).max() == 1


@pytest.mark.parametrize("seed", range(4))
def test_scores_against_loops(seed: int):
    mask, truth, valid = maps(seed)
    counts = counted(mask, truth, valid)
    cells = [(m, t) for m, t, v in zip(mask.flat, truth.flat, valid.flat, strict=True) if v]
    hits, false = sum(m and t for m, t in cells), sum(m and not t for m, t in cells)
    missed, quiet = sum(t and not m for m, t in cells), sum(not m and not t for m, t in cells)
    assert (counts.hits, counts.false, counts.missed, counts.quiet) == (hits, false, missed, quiet)
    found, n = scores(counts), len(cells)
    precision, recall = hits / (hits + false), hits / (hits + missed)
    assert found["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert found["iou"] == pytest.approx(hits / (hits + false + missed))
    chance = ((hits + false) * (hits + missed) + (missed + quiet) * (false + quiet)) / n**2
    assert found["kappa"] == pytest.approx(((hits + quiet) / n - chance) / (1 - chance))
    assert found["false_change_rate"] == pytest.approx(false / (false + quiet))
    labels = flooded(truth & valid)
    good = [
        ((labels == k) & mask & valid).sum() >= 0.5 * (labels == k).sum()
        for k in range(1, labels.max() + 1)
    ]
    assert found["object_recall"] == pytest.approx(np.mean(good))


def test_kappa_is_that_of_scikit_learn():
    from sklearn.metrics import cohen_kappa_score

    mask, truth, _ = maps(9)
    found = scores(counted(mask, truth, np.ones_like(mask)))
    assert found["kappa"] == pytest.approx(cohen_kappa_score(truth.ravel(), mask.ravel()))


def test_what_cannot_be_said_is_nan():
    empty = np.zeros((4, 4), bool)
    found = scores(counted(empty, empty, ~empty))
    assert math.isnan(found["f1"]) and math.isnan(found["recall"])
    assert found["false_change_rate"] == 0
    with pytest.raises(UsageError, match="one size"):
        counted(empty, empty[:2], empty)


def test_the_best_threshold_is_that_of_a_search():
    rng = np.random.default_rng(0)
    tables, every = [], []
    for _ in range(3):
        truth = rng.random((20, 20)) < 0.2
        said = (rng.random((20, 20)) * 0.7 + 0.3 * truth * rng.random((20, 20))).astype(np.float32)
        valid = rng.random((20, 20)) < 0.9
        tables.append(spatial.histogram(said, truth, valid))
        every.append((said, truth, valid))
    threshold, f1 = spatial.best_threshold(tables)
    tried = [
        scores(pooled(spatial.of_histogram(table, step / 1000) for table in tables))["f1"]
        for step in range(1, 1000)
    ]
    assert max(each for each in tried if each == each) <= f1 <= max(tried) + 0.01
    cut = spatial.level_of(threshold)
    whole = pooled(counted(spatial.levels_of(said) >= cut, t, v) for said, t, v in every)
    assert scores(whole)["f1"] == pytest.approx(f1, abs=1e-12)


def test_levels_and_back():
    said = np.array([[0, 1, 0.5, np.nan, 0.123456, -0.1, 1.2]], np.float32)
    levels = spatial.levels_of(said)
    assert levels.tolist() == [[0, LEVELS, LEVELS // 2, spatial.NOTHING, 6173, 0, LEVELS]]
    back = spatial.probabilities_of(levels)
    np.testing.assert_allclose(back, said.clip(0, 1), atol=1 / LEVELS)
    assert [spatial.level_of(each) for each in (1e-9, 0.5, 0.50001, 1)] == [
        *(1, LEVELS // 2, LEVELS // 2 + 1, LEVELS)
    ]


def test_without_change_the_threshold_stays_in_the_middle():
    truth = np.zeros((4, 4), bool)
    table = spatial.histogram(np.full((4, 4), 0.3, np.float32), truth, ~truth)
    assert spatial.best_threshold([table]) == (0.5, 0.0)


def test_intervals_resample_scenes():
    parts = [Counts(hits=h, false=10, missed=20, quiet=1000) for h in (10, 40, 80, 200)]
    found = spatial.estimates(parts)
    f1 = found["f1"]
    assert f1.low < f1.value < f1.high and f1.unit == "scene" and f1.resampled == 4
    assert f1.low >= scores(parts[0])["f1"] - 1e-9 and f1.high <= scores(parts[3])["f1"] + 1e-9
    assert found["false_change_rate"].value == pytest.approx(10 / 1010)
    alone = spatial.estimates(parts[:1])["f1"]
    assert (alone.low, alone.high) == (0.0, 1.0) and alone.says_nothing
    again = spatial.estimates(parts)
    assert again == found


@pytest.mark.parametrize("rate", [0.3, 0.05, 0.01, 0.0])
def test_a_certificate_takes_as_many_scenes_as_its_bound_says(rate: float):
    from twofold.metrics.guarantee import largest_rate

    needed = spatial.certificate_scenes(rate)
    rate = max(rate, 1e-4)
    assert (largest_rate(2 * rate, needed) or 0) >= rate
    assert needed == 1 or (largest_rate(2 * rate, needed * 9 // 10) or 0) < rate

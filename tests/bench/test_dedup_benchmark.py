"""The figures of bench/dedup.py are what they say."""

import json
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import attacks
import copies_negatives
import copies_pictures
import copies_reported
import copies_worth
import dedup


def test_planted_pairs_are_as_near_as_they_say():
    rows, first, second = dedup.planted(2000, np.random.default_rng(0))
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    cosine = (rows[first] * rows[second]).sum(axis=1)
    assert len(first) == 200 and cosine.min() >= 0.9 and cosine.max() <= 1 + 1e-5
    assert not set(first) & set(second)


def test_recall_at_a_precision():
    scores = np.zeros((4, 6))
    scores[np.arange(4), np.arange(4)] = [0.9, 0.8, 0.7, 0.6]
    assert copies_pictures.found_at(scores) == 1
    scores[0, 5] = 0.75  # one wrong answer above the last two
    assert copies_pictures.found_at(scores) == 0.5
    scores[0, 5] = 0.8  # level with the second: they come together
    assert copies_pictures.found_at(scores) == 0.25
    assert copies_pictures.found_at(np.zeros((4, 6))) == 0


@pytest.mark.parametrize("family", list(attacks.FAMILIES))
def test_attacks_change_pictures_and_are_the_same_each_time(family):
    picture = copies_pictures.invented(1)
    once, again = (attacks.attacked(family, [picture], seed=3)[0] for _ in range(2))
    assert once.mode == "RGB" and min(once.size) >= 16
    assert once.size != picture.size or (np.asarray(once) != np.asarray(picture)).any()
    assert (np.asarray(once) == np.asarray(again)).all()


def test_the_package_carries_what_was_measured():
    carried = json.loads(copies_worth.CARRIED.read_text(encoding="utf-8"))
    assert carried == copies_worth.worth_of(copies_worth.measured())
    assert set(carried["changes"]) == set(attacks.FAMILIES)  # the families that do badly, too
    assert set(carried["different"]) >= {*dedup.CHOSEN, *dedup.BEFORE, *dedup.REPORTED}


def test_a_triple_has_three_sizes():
    sizes = sorted(
        each.shape[0] for each in copies_pictures.three_sizes(copies_pictures.invented(1), 4)
    )
    assert sizes == [128, 144, 160]


def test_a_pair_has_one_number():
    assert (dedup.coded(np.array([3, 5]), np.array([5, 3])) == (5 << 32 | 3)).all()


def test_invented_pictures_differ():
    assert isinstance(copies_pictures.invented(1), PIL.Image.Image)
    assert (
        np.asarray(copies_pictures.invented(1)) != np.asarray(copies_pictures.invented(2))
    ).any()


def test_kinds_of_both_sides_are_others_and_their_pictures_differ():
    chosen, reported = copies_negatives.CHOSEN, copies_reported.BEFORE | copies_reported.REPORTED
    assert not chosen.keys() & reported.keys()
    for name, kind in (chosen | reported).items():
        one, other = copies_negatives.drawn(kind, 2, seed=2)
        assert one.mode == "RGB" and one.size == other.size, name
        assert (
            one.tobytes() != other.tobytes()
            and one.tobytes() == copies_negatives.drawn(kind, 1, seed=2)[0].tobytes()
        )

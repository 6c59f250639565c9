"""Synthetic films: the same seed gives the same pixels; who leaves is away for two seconds, and returns elsewhere."""

import numpy as np
import pytest

from twofold.data.motion_films import ABSENT, motion_films

SMALL = (144, 256)


def films(count, **asked):
    return list(motion_films(count, size=SMALL, **asked))


def test_the_same_seed_gives_the_same_film():
    a, b = films(1, seed=4), films(1, seed=4)
    assert np.array_equal(a[0].boxes, b[0].boxes, equal_nan=True)
    for one, other, _ in zip(a[0].frames(), b[0].frames(), range(3), strict=False):
        assert np.array_equal(one, other)
    assert not np.array_equal(next(films(1, seed=5)[0].frames()), next(a[0].frames()))


def test_who_leaves_is_away_for_two_seconds_and_returns_elsewhere():
    for film in films(6, events=("leaves",)):
        there = np.isfinite(film.boxes).all(axis=1)
        assert there[0] and there[-1] and film.visible[0] > 0.5
        assert ABSENT <= (~there).sum() <= ABSENT + 24  # it may take a moment to cross the border
        gone = np.flatnonzero(~there)
        assert np.array_equal(gone, np.arange(gone[0], gone[-1] + 1))
        assert (film.visible[gone] < 0.25).all()


def test_the_object_lies_in_its_box():
    """Against the same film without it: all pixels that differ lie in the box."""
    (film,) = films(1, events=("stays",), seed=2)
    sprites = list(film.sprites)
    without = type(film)(**vars(film) | {"sprites": sprites[:-1]})
    for number, (a, b) in enumerate(zip(film.frames(), without.frames(), strict=True)):
        rows, columns = np.nonzero((a != b).any(axis=2))
        x, y, width, height = film.boxes[number]
        assert x - 3 <= columns.min() and columns.max() <= x + width + 3
        assert y - 3 <= rows.min() and rows.max() <= y + height + 3
        span = np.ptp(columns) + 1, np.ptp(rows) + 1
        if film.visible[number] > 0.999:
            assert span[0] == pytest.approx(width, abs=5) and span[1] == pytest.approx(
                height, abs=5
            )


def test_who_is_hidden_comes_back_in_the_same_place():
    (film,) = films(1, events=("hidden",), seed=1)
    gone = np.flatnonzero(np.isnan(film.boxes).any(axis=1))
    assert 2 <= len(gone) <= 60 and film.visible[-1] > 0.9


def test_pictures_become_backdrops():
    red = np.full((300, 400, 3), (250, 0, 0), np.uint8)
    shown = [next(each.frames()).reshape(-1, 3).mean(0) for each in films(8, pictures=[red])]
    assert sum(bool(colour[0] > 180 and colour[1] < 60) for colour in shown) >= 2


def test_an_object_that_turns_shows_another_side_and_keeps_its_place():
    asked = {"events": ("stays",), "seed": 3}
    (still,), (turning,) = films(1, **asked), films(1, **asked, turning=2.0)
    assert np.array_equal(still.boxes, turning.boxes)
    assert np.array_equal(next(still.frames()), next(turning.frames()))
    target = turning.sprites[-1]
    looks = [np.asarray(target.look(number)) for number in range(len(turning))]
    apart = [np.abs(look[:, :, :3].astype(int) - looks[0][:, :, :3]).mean() for look in looks]
    assert max(apart) > 20
    assert all(np.array_equal(look[:, :, 3], looks[0][:, :, 3]) for look in looks)

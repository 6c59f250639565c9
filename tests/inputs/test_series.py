"""Series: scaled channel by channel, gaps closed; what is no series is refused with its place."""

from pathlib import Path

import numpy as np
import pytest
import torch

from twofold.errors import RecipeError, UnreadableInput
from twofold.inputs import Series
from twofold.inputs.optional import quality, show, traits, windows_of

NAN = np.nan


def wave(length=40, channels=1, seed=0):
    draw = np.random.default_rng(seed)
    return np.cumsum(draw.normal(size=(length, channels)), axis=0)


def test_each_channel_has_mean_zero_and_deviation_one():
    raw = wave(50, 3) * [1.0, 100.0, 1e-3] + [5.0, -1e6, 0.0]
    found = Series(channels=3).read(raw)
    assert found.dtype == np.float32 and found.shape == (50, 3)
    assert np.allclose(found, (raw - raw.mean(axis=0)) / raw.std(axis=0), atol=1e-4)
    assert np.array_equal(Series(channels=3, scaling="none").read(raw), raw.astype(np.float32))


def test_level_and_scale_do_not_count():
    raw = wave()
    assert np.allclose(Series().read(raw * 7.0 + 3.0), Series().read(raw), atol=1e-5)


def test_missing_values_lie_between_their_neighbours():
    plain = Series(scaling="none", missing=0.7)
    given = [NAN, 1.0, NAN, NAN, 4.0, NAN]
    assert plain.read(given).ravel().tolist() == [1, 1, 2, 3, 4, 4]
    assert np.array_equal(Series(missing=0.7).read(given), Series().read([1, 1, 2, 3, 4, 4]))
    with pytest.raises(UnreadableInput, match="67% of the values of channel 1 are missing"):
        Series().read([NAN, 1.0, NAN, NAN, 4.0, NAN])
    with pytest.raises(UnreadableInput, match="100% of the values"):
        Series(missing=0.9).read([NAN, NAN])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1.0], "has 1 value: 2 are the fewest"),
        ([2.0, 2.0, 2.0], r"the series is constant \(2\)"),
        ([1.0, np.inf, 3.0], "value 2 of channel 1 is infinite"),
        (np.zeros((5, 2)), "has 2 channels, and 1 is wanted"),
        ([[1.0, 2.0], [3.0]], "lists of one length"),
        ("a fine day", "is not a number of a series"),
        ("[[1, 2], [3]]", "is not a series"),
        (np.zeros((2, 2, 2)), "a series is numbers, length or length x channels"),
        (np.array(["a", "b"]), "a series is numbers"),
        (7, "a int is not a series"),
        (Path("photo.png"), "is not a file of a series"),
        (Path("nowhere.csv"), "cannot be read"),
    ],
)
def test_what_is_no_series_is_refused(value, said):
    with pytest.raises(UnreadableInput, match=said):
        Series().read(value)


def test_a_constant_channel_beside_one_that_moves_is_zero():
    raw = np.concatenate([wave(), np.full((40, 1), 3.0)], axis=1)
    assert not Series(channels=2).read(raw)[:, 1].any()
    assert Series(scaling="none").read([2.0, 2.0]).tolist() == [[2.0], [2.0]]


def test_texts_and_files_of_one_series(tmp_path):
    raw = wave(9, 2)
    series = Series(channels=2, scaling="none")
    wanted = series.read(raw)
    rows = "\n".join(f"{a},{b}" for a, b in raw)
    (tmp_path / "plain.csv").write_text(rows)
    (tmp_path / "named.csv").write_text("x,y\n" + rows)
    timed = "\n".join(f"2026-11-{n + 1:02};{a};{b}" for n, (a, b) in enumerate(raw))
    (tmp_path / "timed.txt").write_text("Time;x;y\n" + timed)
    np.save(tmp_path / "array.npy", raw)
    ts = ":".join(",".join(map(str, channel)) for channel in raw.T)
    (tmp_path / "one.ts").write_text(f"@classLabel false\n@data\n{ts}\n")
    for file in tmp_path.iterdir():
        assert np.allclose(series.read(file), wanted), file.name
    assert np.allclose(series.read(str(raw.tolist())), wanted)
    gaps = Series(scaling="none").read("[1, nan, 3, None, 5]")
    assert gaps.ravel().tolist() == [1, 2, 3, 4, 5]
    assert Series(scaling="none").read("1 2;3").ravel().tolist() == [1, 2, 3]


def test_windows_cover_a_long_series_and_training_reads_the_first():
    series = Series(longest=16)
    array = series.read(wave(50))
    parts = windows_of(series, array)
    assert [len(part) for part in parts] == [16] * 4
    assert np.array_equal(parts[0], array[:16]) and np.array_equal(parts[-1], array[-16:])
    batch = series.stack([array, array[:5]])
    assert batch.lengths.tolist() == [16, 5] and batch.values.shape == (2, 16, 1)


def test_a_page_draws_few_places_and_no_spike_is_lost():
    raw = np.sin(np.arange(10_000) / 50.0)
    raw[7_777] = 30.0
    drawn = show(Series(scaling="none"), raw)
    assert isinstance(drawn, np.ndarray) and len(drawn) <= 400 and drawn.max() == 30.0
    assert show(Series(), [1.0]) is None


def test_quality_and_traits_say_how_something_was_recorded():
    array = Series().read([0.0, 0.0, 1.0, 2.0, 2.0])
    assert quality(Series(), array) == {"length": 5.0, "moving": 0.5}
    found = traits(Series(), [5.0, NAN, 7.0], Series().read([5.0, NAN, 7.0]))
    assert found["share of missing values"] == (pytest.approx(1 / 3),)
    assert set(found) >= {"level of the series", "scale of the series", "length of the series"}


def test_words_of_the_command_line(tmp_path):
    assert np.array_equal(Series().argument("[1, 2, 3]"), [[1.0], [2.0], [3.0]])
    (tmp_path / "a.csv").write_text("1\n2\n")
    assert Series().argument(str(tmp_path / "a.csv")) == tmp_path / "a.csv"
    with pytest.raises(UnreadableInput, match=r"photo\.png is not a series: write"):
        Series().argument("photo.png")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"channels": 0}, "channels = 0"),
        ({"scaling": "batch"}, "scaling = 'batch': series or none"),
        ({"longest": 1}, "longest = 1"),
        ({"missing": 1.0}, "missing = 1.0"),
    ],
)
def test_fields_that_do_not_fit(settings, said):
    with pytest.raises(RecipeError, match=said):
        Series(**settings)


EVERYTHING = {
    "crop": 0.5,
    "warp": 0.3,
    "scale": 0.2,
    "jitter": 0.1,
    "mask": 0.2,
    "channels": 0.5,
}


def test_augmentation_depends_on_the_key_alone_and_leaves_the_batch():
    series = Series(channels=2)
    batch = series.stack([series.read(wave(n, 2, seed=n)) for n in (30, 50)])
    before = batch.values.clone()
    change = series.augmentation(**EVERYTHING)
    keys = np.array([[0, 1, 5, 0], [0, 1, 9, 0]])
    found = change(batch, keys)
    assert torch.equal(batch.values, before) and bool((found.lengths <= batch.lengths).all())
    alone = change(batch[1:2], keys[1:])
    length = int(found.lengths[1])
    assert torch.equal(alone.values[0, :length], found.values[1, :length])
    assert not torch.equal(change(batch, keys + 1).values[0, :10], found.values[0, :10])


@pytest.mark.parametrize("name", EVERYTHING)
def test_each_setting_changes_something_and_zero_nothing(name):
    series = Series(channels=3)
    batch = series.stack([series.read(wave(30, 3))])
    keys = np.array([[0, 0, 3, 0]])
    changed = series.augmentation(**{name: EVERYTHING[name]})(batch, keys)
    assert changed.values.shape != batch.values.shape or not torch.equal(
        changed.values, batch.values
    )
    same = series.augmentation(**{name: 0.0})(batch, keys)
    assert torch.equal(same.values, batch.values)


def test_a_warp_keeps_both_ends_and_the_order():
    series = Series(scaling="none")
    batch = series.stack([series.read(np.arange(50.0))])
    found = series.augmentation(warp=1.0)(batch, np.array([[0, 0, 1, 0]])).values[0, :, 0]
    assert found[0] == 0 and found[-1] == pytest.approx(49) and bool((found.diff() > 0).all())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rotate": 1.0}, "series have no augmentation 'rotate'"),
        ({"crop": 1.5}, "must be from 0 to 1"),
        ({"jitter": -1.0}, "must be a number from 0 on"),
        ({"warp": "much"}, "must be a number from 0 on"),
    ],
)
def test_augmentation_that_does_not_fit(settings, said):
    with pytest.raises(RecipeError, match=said):
        Series().augmentation(**settings)

"""Films and clips: which frames are taken, what is refused, and what augmentation does to a clip."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from drawn_films import numbered, write_film
from twofold.errors import MissingExtra, RecipeError, UnreadableInput
from twofold.inputs import Input, Video
from twofold.inputs.video_decoding import _upright, film

SMALL = Video(frames=4, size=16)


def told(array: np.ndarray) -> list[int]:
    """Which of the numbered frames these are."""
    return [round(float(frame.mean()) / 8) for frame in array]


def test_it_is_an_input_that_its_arguments_rebuild():
    assert isinstance(SMALL, Input) and Video(**SMALL.arguments()) == SMALL
    assert SMALL.stack([SMALL.example()] * 2).shape == (2, 4, 3, 16, 16)
    assert SMALL.normalise(SMALL.stack([SMALL.example()])).shape == (1, 4, 3, 16, 16)


@pytest.mark.parametrize("name", ["film.mp4", "film.avi", "film.mkv"])
def test_frames_stand_in_the_middles_of_equal_parts(tmp_path, name):
    path = write_film(tmp_path / name, numbered(20))
    assert told(SMALL.read(path)) == [2, 7, 12, 17]
    assert told(SMALL.read(path.read_bytes())) == [2, 7, 12, 17]
    assert told(SMALL.read(numbered(20))) == [2, 7, 12, 17]


def test_time_stamps_count_and_not_frames(tmp_path):
    """Ten frames in the first second, then one a second."""
    times = [*range(10), *range(10, 110, 10)]
    path = write_film(tmp_path / "film.mkv", numbered(20), times=times)
    assert told(SMALL.read(path)) == [10, 12, 15, 18]


def test_frames_between_are_skipped_from_key_to_key(tmp_path):
    path = write_film(tmp_path / "film.mp4", numbered(30), keys=3)
    with film(path) as opened:
        assert len(opened.times) == 30 and opened.seconds == pytest.approx(3.0)
        assert told(np.stack([frame.picture for frame in opened.at([0, 1, 16, 16, 29])])) == [
            0,
            1,
            16,
            16,
            29,
        ]


def test_a_short_film_repeats_frames(tmp_path):
    path = write_film(tmp_path / "one.mp4", numbered(2)[1:])
    assert told(SMALL.read(path)) == [1, 1, 1, 1]


def test_clips_are_parts_of_a_film_and_training_reads_the_middle_one():
    video = Video(frames=2, clips=3, size=16)
    array = video.read(numbered(12))
    assert [told(clip) for clip in video.windows_of(array)] == [[1, 3], [5, 7], [9, 11]]
    assert told(video.stack([array])[0].numpy()) == [5, 7]


def test_a_turned_film_is_turned_upright():
    frame = SimpleNamespace(
        rotation=90, to_ndarray=lambda **_: np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    )
    assert np.array_equal(_upright(frame)[:, 0], [[3, 4, 5], [0, 1, 2]])  # type: ignore[arg-type]


def test_what_is_no_film_is_refused_by_name(tmp_path):
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("not a film")
    empty.touch()
    for value, said in (
        (text, "text.mp4 is not a film that can be read"),
        (empty, "empty.mp4 is empty"),
        (tmp_path / "none.mp4", "there is no file"),
        (b"123", "the film is not a film"),
        (3, "a int is not a film"),
        (np.zeros((4, 4), np.uint8), "is not a clip"),
        (np.zeros((0, 4, 4), np.uint8), "is not a clip"),
    ):
        with pytest.raises(UnreadableInput, match=said):
            SMALL.read(value)


def test_a_word_is_never_taken_for_an_address(tmp_path):
    with pytest.raises(UnreadableInput, match="there is no file"):
        SMALL.read("http://127.0.0.1:9/film.mp4")
    with pytest.raises(UnreadableInput, match="there is no file"):
        SMALL.read("concat:a.mp4|b.mp4")


def test_a_film_that_breaks_off_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3), dtype=np.uint8)
    path = write_film(tmp_path / "film.mkv", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableInput, match=r"film\.mkv is truncated: .* of 3\.0 seconds"):
        SMALL.read(path)
    mp4 = write_film(tmp_path / "film.mp4", noise)
    content = mp4.read_bytes()
    mp4.write_bytes(content[: len(content) // 2])  # its index is at the end
    with pytest.raises(UnreadableInput, match=r"film\.mp4 is not a film"):
        SMALL.read(mp4)


def test_large_frames_are_refused_before_one_is_decoded(tmp_path):
    path = write_film(tmp_path / "film.mp4", numbered(2))
    with pytest.raises(UnreadableInput, match="64 x 48 pixels, more than 100"):
        Video(frames=2, size=16, max_pixels=100).read(path)


def test_sound_alone_is_no_film(tmp_path):
    import av

    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UnreadableInput, match="has no picture"):
        SMALL.read(path)


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    path = write_film(tmp_path / "film.mp4", numbered(2))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"pip install 'twofold\[video\]'"):
        SMALL.read(path)
    assert len(SMALL.read(numbered(2))) == 4


def test_differences_show_what_moves_and_not_the_scene():
    moving = SMALL.__class__(**{**SMALL.arguments(), "differences": True})
    frames = numbered(SMALL.frames)
    scene = np.random.default_rng(0).integers(0, 100, frames.shape[1:], dtype=np.uint8)
    both = [frames // 4, frames // 4 + scene]
    batch = moving.normalise(moving.stack([moving.read(each) for each in both]))
    assert batch.shape == (2, SMALL.frames, 3, *SMALL.picture.shape)
    torch.testing.assert_close(batch[0], batch[1], atol=0.2, rtol=0)
    torch.testing.assert_close(batch[:, -1], batch[:, -2])
    with pytest.raises(UnreadableInput, match="nothing moves in the film"):
        moving.read(np.stack([scene] * 5))
    with pytest.raises(RecipeError, match="two frames or more"):
        SMALL.__class__(frames=1, differences=True)


def test_a_page_shows_frames_beside_each_other(tmp_path):
    path = write_film(tmp_path / "film.mp4", numbered(20))
    assert SMALL.show(path, side=96).shape == (32, 192, 3)
    assert SMALL.show(path).shape == (16, 96, 3)
    assert SMALL.show(tmp_path / "gone.mp4", side=96) is None


def test_quality_says_how_much_moves():
    still = SMALL.read(np.full((4, 16, 16, 3), 100, np.uint8))
    moving = SMALL.read(numbered(16))
    assert SMALL.quality(still)["motion"] == 0 < SMALL.quality(moving)["motion"]
    assert {"sharpness", "contrast", "brightness"} < SMALL.quality(still).keys()


def test_all_frames_of_a_clip_are_changed_alike():
    frame = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    batch = SMALL.stack([np.stack([frame] * 4)] * 2)
    keys = np.array([[0, 0, 1, 0], [0, 0, 2, 0]])
    change = SMALL.augmentation(rotation=30, flip=True, contrast=0.5)
    changed = change(batch, keys)
    assert (changed == changed[:, :1]).all() and (changed[0] != changed[1]).any()
    assert (change(batch[1:], keys[1:]) == changed[1:]).all()


def test_a_crop_in_time_shows_a_part_in_order():
    video = Video(frames=16, size=16)
    batch = video.stack([video.read(numbered(16))] * 8)
    keys = np.array([[0, 0, item, 0] for item in range(8)])
    shown = [told(clip) for clip in video.augmentation(time_crop=0.8)(batch, keys).numpy()]
    assert all(each == sorted(each) for each in shown)
    assert any(len(set(each)) < 12 for each in shown) and len({tuple(each) for each in shown}) > 4


@pytest.mark.parametrize("settings", [{"frames": 0}, {"clips": 0}, {"frames": 5000}, {"size": 0}])
def test_settings_that_do_not_fit_are_refused(settings):
    with pytest.raises(RecipeError):
        Video(**settings)


@pytest.mark.parametrize("value", [True, "much", -0.1, 0.95])
def test_crops_that_do_not_fit_are_refused(value):
    with pytest.raises(RecipeError, match="time_crop"):
        SMALL.augmentation(time_crop=value)
    with pytest.raises(RecipeError, match="not a setting"):
        SMALL.augmentation(warp=1)

"""Films, folders and cameras as sources of frames; turned films, broken ones, and cameras that are not there."""

import numpy as np
import PIL.Image
import pytest

from drawn_films import numbered, write_film
from twofold.errors import NotEnoughData, UnreadableInput
from twofold.tracking.frame_sources import frame_source, is_camera


def brightness(source):
    with frame_source(source) as found:
        frames = list(found.frames)
    return [round(float(each.picture.mean()) / 8) for each in frames], frames, found


def test_all_frames_of_a_film_in_their_order(tmp_path):
    path = write_film(tmp_path / "film.mp4", numbered(23), keys=5)
    values, frames, found = brightness(path)
    assert values == list(range(23))
    assert found.count == 23 and found.rate == pytest.approx(10)
    assert [each.seconds for each in frames] == pytest.approx([k / 10 for k in range(23)])


def test_a_folder_in_the_natural_order_of_its_names(tmp_path):
    for number in range(12):
        picture = PIL.Image.fromarray(np.full((8, 8, 3), 8 * number, np.uint8))
        picture.save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    values, frames, found = brightness(tmp_path)
    assert values == list(range(12)) and found.count == 12
    assert frames[5].seconds == pytest.approx(0.2)


def test_a_folder_as_otb_has_it(tmp_path):
    (tmp_path / "img").mkdir()
    PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "img" / "0001.jpg")
    assert brightness(tmp_path)[0] == [0]


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(NotEnoughData, match="holds no pictures"), frame_source(tmp_path):
        pass


def turned(path):
    """Write a turn by 90 degrees into the film's header (ISO 14496-12, the matrix of tkhd)."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    assert data[place : place + 4] == (1 << 16).to_bytes(4, "big")
    one, none = (1 << 16).to_bytes(4, "big"), bytes(4)
    minus = (-(1 << 16)).to_bytes(4, "big", signed=True)
    data[place : place + 20] = none + one + none + minus + none
    path.write_bytes(bytes(data))
    return path


def test_a_film_that_is_to_be_turned_gives_upright_frames(tmp_path):
    frames = np.zeros((3, 32, 64, 3), np.uint8)
    frames[:, :, :16] = 255  # the left end
    path = turned(write_film(tmp_path / "film.mp4", frames))
    _, found, _ = brightness(path)
    picture = found[0].picture
    assert picture.shape == (64, 32, 3)
    bright = picture.mean(axis=(1, 2)) > 127
    assert bright.sum() == 16 and (bright[:16].all() or bright[-16:].all())


@pytest.mark.parametrize("ending", ["avi", "mkv"])
def test_a_film_that_was_cut_off_gives_what_is_there_and_says_so(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    path = write_film(tmp_path / f"film.{ending}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seen = []
    with pytest.raises(UnreadableInput, match="is truncated"), frame_source(path) as found:
        seen.extend(found.frames)
    assert 5 <= len(seen) < 40


def test_a_film_without_its_index_cannot_be_read(tmp_path):
    path = write_film(tmp_path / "film.mp4", numbered(20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableInput, match="not a film"), frame_source(path):
        pass


def test_a_camera_that_is_not_there():
    with pytest.raises(UnreadableInput, match="camera 97 cannot be read"), frame_source("97"):
        pass


def test_a_file_of_that_name_is_no_camera(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_camera("7")
    (tmp_path / "7").write_bytes(b"")
    assert not is_camera("7")

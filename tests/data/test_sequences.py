"""Sequences of frames with boxes: layouts, absences, and what is refused."""

import numpy as np
import PIL.Image
import pytest

from twofold.data.sequences import read_sequences, write_boxes
from twofold.errors import DataError, NotEnoughData

LINES = "11,21,5,6\n12,22,5,6\n0,0,0,0\n"


def pictures(folder, count=3):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        PIL.Image.new("L", (40, 40)).save(folder / f"{number + 1}.png")


def otb(folder, lines=LINES, count=3):
    pictures(folder / "img", count)
    (folder / "groundtruth_rect.txt").write_text(lines)
    return folder


@pytest.mark.parametrize("gap", [",", "\t", " "])
def test_otb_is_one_based_with_any_gap(tmp_path, gap):
    (one,) = read_sequences(otb(tmp_path / "Ball", LINES.replace(",", gap)))
    assert one.name == "Ball" and [path.name for path in one.frames] == ["1.png", "2.png", "3.png"]
    assert np.array_equal(one.boxes[:2], [[10, 20, 5, 6], [11, 21, 5, 6]])
    assert np.isnan(one.boxes[2]).all()


def test_got10k_marks_absence(tmp_path):
    pictures(tmp_path / "one")
    (tmp_path / "one" / "groundtruth.txt").write_text("1,1,5,6\n2,2,5,6\n3,3,5,6\n")
    (tmp_path / "one" / "absence.label").write_text("0\n1\n0\n")
    (one,) = read_sequences(tmp_path)
    assert np.array_equal(one.boxes[0], [0, 0, 5, 6])
    assert np.isnan(one.boxes[1]).all() and one.boxes[2, 0] == 2


def test_a_film_beside_its_table(tmp_path):
    (tmp_path / "walk.mp4").write_bytes(b"film")
    (tmp_path / "walk.csv").write_text("frame,x,y,w,h\n0,1,2,3,4\n1,,,,\n")
    (one,) = read_sequences(tmp_path)
    assert one.frames == tmp_path / "walk.mp4" and np.array_equal(one.boxes[0], [1, 2, 3, 4])
    assert np.isnan(one.boxes[1]).all()


def test_sequences_come_in_natural_order(tmp_path):
    for name in ("s10", "s2", "s1"):
        otb(tmp_path / name)
    (tmp_path / "notes").mkdir()
    assert [one.name for one in read_sequences(tmp_path)] == ["s1", "s2", "s10"]


def test_written_boxes_are_read_again(tmp_path):
    (one,) = read_sequences(otb(tmp_path / "Ball"))
    for layout in ("otb", "got10k"):
        place = tmp_path / layout
        pictures(place / "img")
        write_boxes(place / "groundtruth_rect.txt", one.boxes, layout=layout)
        (again,) = read_sequences(place)
        assert np.array_equal(again.boxes, one.boxes, equal_nan=True)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        read_sequences(tmp_path / "none")
    with pytest.raises(NotEnoughData, match="holds no sequence"):
        read_sequences(tmp_path)
    with pytest.raises(DataError, match="2 pictures and 3 boxes"):
        read_sequences(otb(tmp_path / "few", count=2))
    with pytest.raises(DataError, match="line 2: '1 x 3 4' is not"):
        read_sequences(otb(tmp_path / "odd", "1,2,3,4\n1,x,3,4\n3,3,3,3\n"))
    films = tmp_path / "films"
    films.mkdir()
    (films / "film.avi").write_bytes(b"film")
    (films / "film.csv").write_text("x,y,w\n1,2,3\n")
    with pytest.raises(DataError, match="no column h"):
        read_sequences(films)

"""Scenes: the layouts of public data sets, splits by place, and what is refused in one line."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import drawn_scenes
from twofold.config import Split
from twofold.data.scenes import Scenes, found_in
from twofold.errors import DataError, NotEnoughData


def save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(picture).save(path)
    return path


@pytest.mark.parametrize("masks", ["label", "GT", "mask", "OUT"])
def test_two_folders_and_one_of_masks(tmp_path: Path, masks: str):
    drawn_scenes.write(tmp_path, 3)
    (tmp_path / "label").rename(tmp_path / masks)
    scenes = Scenes.open(tmp_path)
    assert scenes.ids == scenes.group == ("place0", "place1", "place2")
    assert scenes.mask[0] == tmp_path / masks / "place0.png"
    assert found_in(tmp_path)


def test_the_layout_of_oscd(tmp_path: Path):
    before, after, mask = drawn_scenes.scene(0)
    for city in ("rome", "oslo", "unlabelled"):
        save(tmp_path / "images" / city / "pair" / "img1.png", before)
        save(tmp_path / "images" / city / "pair" / "img2.png", after)
    save(tmp_path / "labels" / "rome" / "cm" / "rome-cm.tif", (mask > 0).astype(np.uint8) + 1)
    save(tmp_path / "labels" / "oslo" / "cm" / "cm.png", mask)
    scenes = Scenes.open(tmp_path)
    assert scenes.ids == ("oslo", "rome")
    assert scenes.mask[1].name == "rome-cm.tif"
    with pytest.raises(DataError, match=r"oslo: .*B01.tif is missing"):
        Scenes.open(tmp_path, bands=13)


def test_oscd_without_masks(tmp_path: Path):
    before, after, _ = drawn_scenes.scene(0)
    save(tmp_path / "rome" / "pair" / "img1.png", before)
    save(tmp_path / "rome" / "pair" / "img2.png", after)
    with pytest.raises(DataError, match="1 pair of pictures and no masks"):
        Scenes.open(tmp_path)


def test_numbered_folders(tmp_path: Path):
    for name in ("Szada/1", "Szada/2"):
        for file, picture in zip(("im1", "im2", "gt"), drawn_scenes.scene(1), strict=True):
            save(tmp_path / name / f"{file}.png", picture)
    assert Scenes.open(tmp_path).ids == ("Szada/1", "Szada/2")
    (tmp_path / "Szada" / "2" / "gt.png").unlink()
    with pytest.raises(DataError, match="has no gt: it has im1, im2"):
        Scenes.open(tmp_path)


def test_a_table(tmp_path: Path):
    drawn_scenes.write(tmp_path, 3)
    table = tmp_path / "scenes.csv"
    rows = [f"A/place{n}.png,B/place{n}.png,label/place{n}.png,{'ab'[n % 2]}" for n in range(3)]
    table.write_text("\n".join(["before,after,mask,group", *rows]))
    scenes = Scenes.open(table)
    assert sorted(scenes.group) == ["a", "a", "b"] and scenes.identities == ["a", "b"]
    table.write_text("before,after\nA/place0.png,B/place0.png")
    with pytest.raises(DataError, match="has no column mask"):
        Scenes.open(table)
    table.write_text("before,after,mask\nA/place0.png,B/place9.png,label/place0.png")
    with pytest.raises(DataError, match=r"row 1 of .*place9.png is missing"):
        Scenes.open(table)


def test_a_missing_partner_is_named(tmp_path: Path):
    drawn_scenes.write(tmp_path, 2)
    (tmp_path / "B" / "place1.png").unlink()
    with pytest.raises(DataError, match="B has no place1"):
        Scenes.open(tmp_path)


def test_no_masks_and_no_scenes(tmp_path: Path):
    with pytest.raises(DataError, match="holds no scenes: give the folders A, B and label"):
        Scenes.open(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        Scenes.open(tmp_path / "nowhere")
    drawn_scenes.write(tmp_path, 2)
    (tmp_path / "label").rename(tmp_path / "answers")
    with pytest.raises(DataError, match="has A and B and no masks: add a folder label"):
        Scenes.open(tmp_path)


def arrays(groups: list[str]) -> Scenes:
    values = tuple(np.full((1, 2, 2), n, np.uint8) for n in range(len(groups)))
    return Scenes(
        before=values, after=values, mask=values, ids=tuple(map(str, values)), group=tuple(groups)
    )


@pytest.mark.parametrize("places", range(2, 12))
def test_every_part_that_has_a_share_gets_a_place(places: int):
    scenes = arrays([f"p{n % places}" for n in range(2 * places)])
    shares = Split(train=0.6, valid=0.2, calibrate=0.0, test=0.2)
    parts = scenes.split(shares, seed=3)
    assert set(parts) == {"train", "valid", "test"} if places > 2 else {"train", "valid"}
    groups = [set(part.group) for part in parts.values()]
    assert sum(map(len, groups)) == places == len(set().union(*groups))
    assert scenes.split(shares, seed=3)["train"].group == parts["train"].group


def test_one_place_cannot_be_split():
    with pytest.raises(NotEnoughData, match="3 scenes of 1 place cannot be split"):
        arrays(["a"] * 3).split(Split(), seed=0)


def test_contents_are_those_of_both_dates():
    scenes = arrays(["b", "a", "b"])
    assert scenes.identity.tolist() == [1, 0, 1, 1, 0, 1]
    hashes = scenes.content_hashes()
    assert len(hashes) == 6 and hashes[0] == hashes[3] != hashes[1]


def test_a_table_may_say_the_parts(tmp_path: Path):
    drawn_scenes.write(tmp_path, 4)
    table = tmp_path / "scenes.csv"

    def written(column: str, parts: list[str], groups: str = "abcd") -> Path:
        rows = [
            f"A/place{n}.png,B/place{n}.png,label/place{n}.png,{groups[n]},{parts[n]}"
            for n in range(4)
        ]
        table.write_text("\n".join([f"before,after,mask,group,{column}", *rows]))
        return table

    for column, valid in (("part", "valid"), ("split", "val")):
        scenes = Scenes.open(written(column, ["train", valid, "train", "test"]))
        parts = scenes.split(Split(), seed=0)
        assert {name: part.group for name, part in parts.items()} == {
            "train": ("a", "c"),
            "valid": ("b",),
            "test": ("d",),
        }
    with pytest.raises(DataError, match="part 'other' is not one of"):
        Scenes.open(written("part", ["train", "other", "train", "test"]))
    with pytest.raises(DataError, match="the place a stands in the parts train and test"):
        Scenes.open(written("part", ["train", "train", "train", "test"], "abca"))
    with pytest.raises(NotEnoughData, match="no scene has the part train"):
        Scenes.open(written("part", ["valid"] * 4)).split(Split(), seed=0)

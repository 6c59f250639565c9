"""What is read of a folder: links and second names are left out, pages count, borders are found; and the cache."""

import os

import numpy as np
import PIL.Image
import pytest

from twofold.apps.dedup import Copies, dedup
from twofold.copies.quality import best_first, quality_of
from twofold.copies.reading import distinct, inner_box
from twofold.data.items import Items
from twofold.errors import LeftOut, UsageError


def scene(seed, side=96):
    rng = np.random.default_rng(seed)
    grid = sum(
        np.kron(rng.standard_normal((side // w, side // w, 3)) * w, np.ones((w, w, 1)))
        for w in (24, 12, 6, 3)
    )
    return PIL.Image.fromarray(((grid - grid.min()) / np.ptp(grid) * 255).astype(np.uint8))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "photos"
    (place / "2024").mkdir(parents=True)
    for seed in range(3):
        scene(seed).save(place / "2024" / f"p{seed}.png")
    return place


def sets(found):
    return {frozenset((group.kept, *group.copies)) for group in found.groups}


def test_links_and_second_names_are_left_out_and_said(folder):
    (folder / "latest").symlink_to("2024")
    (folder / "soft.png").symlink_to("2024/p0.png")
    (folder / "hard.png").hardlink_to(folder / "2024" / "p1.png")
    with pytest.warns(LeftOut, match="latest \\(a link to a folder that is in the data already\\)"):
        found = dedup(Items.from_folder(folder, levels=0))
    assert not found.groups and found.items == 3
    assert "1 link left out" in found.notes[0]
    assert "1 further name of the same file left out" in found.notes[1]


def test_a_table_that_names_a_file_twice_has_it_once(folder):
    (folder / "2024" / "table.csv").write_text("path\np0.png\n./p0.png\np1.png\n")
    items, notes = distinct(Items.open(folder / "2024" / "table.csv", levels=0))
    assert items.ids == ("p0.png", "p1.png") and "./p0.png = p0.png" in notes[0]


@pytest.mark.parametrize("largest", ["upside down", "upright", "turned"])
def test_a_copy_is_not_missed_because_of_a_third(tmp_path, largest):
    turns = {"upside down": 180, "upright": 0, "turned": 90}
    for name, degrees in turns.items():
        side = 120 if name == largest else 96
        scene(7, 96).resize((side, side), PIL.Image.Resampling.BICUBIC).rotate(degrees).save(
            tmp_path / f"{name}.png"
        )
    found = dedup(Items.from_folder(tmp_path, levels=0))
    assert [(group.kept, len(group.copies)) for group in found.groups] == [(f"{largest}.png", 2)]


def test_files_of_several_pages_are_copies_where_all_pages_are(tmp_path):
    pages = [scene(seed) for seed in range(4)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:3])
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=[pages[1], pages[3]])
    pages[0].save(
        tmp_path / "c.tif", save_all=True, append_images=pages[1:3], compression="tiff_lzw"
    )
    pages[0].save(tmp_path / "d.png")
    assert sets(dedup(Items.from_folder(tmp_path, levels=0))) == {frozenset(("a.tif", "c.tif"))}


def test_what_is_inside_bars_and_borders():
    screen = np.zeros((128, 128, 3), np.uint8)
    screen[40:90] = np.asarray(scene(1, 144).resize((128, 50)))
    left, top, right, bottom = inner_box(screen)
    assert (
        (left, right) == (0.0, 1.0) and abs(top - 40 / 128) < 0.02 and abs(bottom - 90 / 128) < 0.02
    )
    assert inner_box(np.asarray(scene(1, 144).resize((128, 128)))) == (0.0, 0.0, 1.0, 1.0)


def test_of_equal_size_the_colour_picture_the_deeper_and_the_better_stays(tmp_path):
    picture = scene(2)
    picture.save(tmp_path / "colour.jpg", quality=90)
    picture.save(tmp_path / "poor.jpg", quality=10)
    grey = np.asarray(picture.convert("L")).astype(np.uint16) * 257
    PIL.Image.fromarray(grey).save(tmp_path / "grey16.png")
    glass = picture.convert("RGBA")
    glass.putalpha(120)
    glass.save(tmp_path / "glass.png")
    order = {
        name: quality_of(tmp_path / name)
        for name in ("colour.jpg", "poor.jpg", "grey16.png", "glass.png")
    }
    assert min(order, key=lambda name: order[name]) == "colour.jpg"
    assert order["poor.jpg"] < order["grey16.png"] < order["glass.png"]
    assert quality_of(tmp_path / "nothing.png") > order["glass.png"]


@pytest.mark.parametrize("seed", range(6))
def test_histories_of_a_folder_give_with_a_cache_what_a_run_from_scratch_gives(tmp_path, seed):
    rng = np.random.default_rng(seed)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    for _ in range(4):
        folder = folders[int(rng.integers(2))]
        for _ in range(4):
            name = folder / f"p{int(rng.integers(5))}.png"
            way = int(rng.integers(4))
            if way == 0 and name.exists():
                name.unlink()
            elif way == 1 and name.exists():
                name.rename(folder / f"p{int(rng.integers(5))}.png")
            elif way == 2:
                name.write_bytes(b"broken")
            else:
                scene(int(rng.integers(4))).resize((96, 96 - 6 * int(rng.integers(2)))).save(name)
                os.utime(name, ns=(10**18, 10**18))
        if not any(folder.iterdir()):
            continue
        items = Items.from_folder(folder, levels=0)
        cached, fresh = dedup(items, cache=tmp_path / "cache"), dedup(items)
        assert (cached.groups, cached.perhaps, cached.unreadable) == (
            fresh.groups,
            fresh.perhaps,
            fresh.unreadable,
        )


def test_exact_copies_only(folder):
    (folder / "again.png").write_bytes((folder / "2024" / "p0.png").read_bytes())
    scene(1).save(folder / "other.bmp")
    found = dedup(Items.from_folder(folder, levels=0), rule=Copies(strictness="exact"))
    assert sets(found) == {frozenset(("2024/p0.png", "again.png"))} and found.rule == "equal bytes"
    with pytest.raises(
        UsageError, match="strictness = 'strikt' is not known: did you mean 'strict'"
    ):
        Copies(strictness="strikt")


def test_dark_and_blurred_pictures_are_listed(tmp_path):
    PIL.Image.fromarray(np.asarray(scene(1)) // 16).save(tmp_path / "dark.png")
    scene(2).resize((8, 8)).resize((96, 96), PIL.Image.Resampling.BICUBIC).save(
        tmp_path / "soft.png"
    )
    scene(3).save(tmp_path / "sharp.png")
    found = dedup(Items.from_folder(tmp_path, levels=0))
    assert (found.dark, found.blurred) == (("dark.png",), ("soft.png",))


def test_best_first_looks_at_equal_sizes_only(tmp_path, monkeypatch):
    scene(1, side=240).save(tmp_path / "a.png")
    scene(1, side=240).resize((180, 180)).save(tmp_path / "b.png")
    monkeypatch.setattr("twofold.copies.quality.quality_of", lambda value: pytest.fail("decoded"))
    found = dedup(Items.from_folder(tmp_path, levels=0))
    assert found.groups[0].kept == "a.png" and best_first.__doc__

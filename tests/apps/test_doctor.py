"""The checkup: each fault is planted, found, named, and what is to be left out is said."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from twofold import build
from twofold.apps.doctor import Checkup, checkup
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.cleaning import write_cleaned
from twofold.data.items import Items
from twofold.data.synthetic import glyphs
from twofold.errors import DataError, NotEnoughData, UsageError
from twofold.inputs import Image
from twofold.results import Finding

READER = Image(size=48, channels=3)


def written(root: Path, items: Items, *, seed: int = 0, **more: np.ndarray) -> Path:
    """Glyphs as PNG files on paper of random colours, with more pictures by name (__ for the slash)."""
    generator = np.random.default_rng(seed)
    pictures = {
        f"{items.names[c]}/{i}": v
        for v, i, c in zip(items.values, items.ids, items.labels, strict=True)
    }
    for name, picture in pictures.items():
        save(root, name, tinted(picture, generator.integers(-25, 25, 3)))
    for name, picture in more.items():
        save(root, name.replace("__", "/"), picture)
    return root


def tinted(picture: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.clip(np.repeat(picture, 3, axis=2) * 0.7 + 40 + colour, 0, 255).astype(np.uint8)


def save(root: Path, name: str, picture: np.ndarray) -> None:
    path = root / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(picture).save(path)


def examined(items: Items, **more: Any) -> tuple[dict[str, Finding], Checkup]:
    found = checkup(items, more.pop("reader", READER), **more)
    return {finding.code: finding for finding in found.findings}, found


@pytest.fixture(scope="module")
def sound() -> Items:
    return glyphs(16, 8, size=48, jitter=0.03, seed=3)


def test_sound_data_is_not_accused(tmp_path: Path, sound: Items) -> None:
    findings, found = examined(Items.open(written(tmp_path, sound)))
    assert {f.level for f in found.findings} == {"note"} and not found.dropped
    assert set(findings) == {"class-sizes", "adapted", "split", "confound-traits"}


def compressed(picture: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    PIL.Image.fromarray(picture).save(stream, "JPEG", quality=50)
    return np.asarray(PIL.Image.open(stream))


def test_near_copies_and_copies_are_found_and_one_is_kept(tmp_path: Path, sound: Items) -> None:
    picture = tinted(sound.values[0], np.array([5, 0, 9]))
    other = tinted(sound.values[80], np.array([0, 0, 0]))
    more: dict[str, Any] = {
        "glyph 0__a": picture,
        "glyph 0__b": compressed(picture),
        "glyph 0__c": picture,
        "glyph 3__d": other[2:, 2:],
    }
    written(tmp_path, sound, **more)
    items = Items.open(tmp_path)
    findings, found = examined(items)
    # a and c are equal; 0 (of another colour) and b are nearly so
    assert findings["duplicates-within-classes"].files == ("glyph 0/a.png", "glyph 0/c.png")
    assert set(findings["near-duplicates-within-classes"].files) == {
        f"glyph 0/{name}.png" for name in "0abc"
    }
    assert findings["near-duplicates-across-classes"].files == ("glyph 3/d.png", "glyph 10/80.png")
    dropped = {items.ids[place]: reason for place, reason in found.dropped.items()}
    assert dropped.keys() == {
        *(f"glyph 0/{name}.png" for name in "abc"),
        "glyph 3/d.png",
        "glyph 10/80.png",
    }
    assert dropped["glyph 0/c.png"] == "equal to glyph 0/a.png"
    assert dropped["glyph 3/d.png"] == "nearly equal to glyph 10/80.png, which has another label"


def test_overlap_with_other_data(tmp_path: Path, sound: Items) -> None:
    old = Items.open(written(tmp_path / "old", sound.take(range(40))))
    picture = tinted(sound.values[3], np.zeros(3))
    new = Items.open(
        written(
            tmp_path / "new", glyphs(5, 4, size=48, seed=9), x__a=picture, x__b=compressed(picture)
        )
    )
    new = new.where(identities=["x", "glyph 1"])
    findings, found = examined(new, against=old)
    assert "1 identity is on two sides of these items, those compared with (glyph 1)" in (
        findings["overlap-identities"].message
    )
    near = findings["overlap-near"]
    assert set(near.files) == {"x/a.png", "x/b.png", "against: glyph 0/3.png"}
    assert len(found.dropped) == len(new)


def test_parts_of_a_table_that_share_identities_and_contents(tmp_path: Path, sound: Items) -> None:
    items = Items.open(written(tmp_path, sound.take(range(32))))
    parts = ["train"] * 20 + ["test"] * 12  # identity 2 has four items in either
    findings, found = examined(items, against=parts)
    assert findings["overlap-identities"].message.startswith(
        "1 identity is on two sides of test, train (glyph 2)"
    )
    assert list(found.dropped) == [16, 17, 18, 19]  # the larger part gives way
    with pytest.raises(DataError, match="3 parts are given for 32 items"):
        examined(items, against=["a", "b", "c"])


def test_swapped_labels_are_found_where_neighbours_are_good(sound: Items) -> None:
    labels = [sound.names[code] for code in sound.labels]
    for place in (5, 42, 77, 101):
        labels[place] = sound.names[(sound.labels[place] + 5) % 16]
    items = Items.from_arrays(sound.values, labels)
    findings, found = examined(items)
    assert {"5", "42", "101"} <= set(findings["labels-doubtful"].files) <= {"5", "42", "77", "101"}
    assert found.dropped[5] == "doubtful label: its neighbours are glyph 0"


def test_features_that_are_too_weak_accuse_nobody() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 48, 1)).astype(np.uint8)
    findings, found = examined(Items.from_arrays(noise, [str(i // 6) for i in range(60)]))
    assert (
        "nearest neighbours agree with" in findings["labels-not-judged"].message
        and not found.dropped
    )


def test_a_colour_that_tells_who_is_who_is_reported(sound: Items) -> None:
    paper = np.random.default_rng(0).integers(-40, 40, (16, 3))
    items = Items.from_arrays(
        [
            tinted(value, paper[code])
            for value, code in zip(sound.values, sound.labels, strict=True)
        ],
        sound.labels,
    )
    confound = examined(items)[0]["confound"]
    assert (
        confound.level == "warning"
        and "AUC of" in confound.message
        and "mean colour" in confound.message
    )


def test_a_source_and_forgeries_of_another_colour(tmp_path: Path, sound: Items) -> None:
    rows = ["path,label,source,forgery_of"]
    written(tmp_path, sound)
    for value, name, code in zip(sound.values, sound.ids, sound.labels, strict=True):
        label = sound.names[code]
        rows.append(f"{label}/{name}.png,{label},scan {code},")
        if int(name) % 4 == 0:
            save(tmp_path, f"forged {name}", tinted(value[:, ::-1], np.array([60, 0, -60])))
            rows.append(f"forged {name}.png,,scan f,{label}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    findings = examined(Items.open(tmp_path / "table.csv"))[0]
    assert "source 1.000 [" in findings["confound"].message
    assert "mean colour" in findings["confound-forgeries"].message
    assert "told from forgeries by a trivial trait" in findings["confound-forgeries"].message


def test_names_that_the_eye_takes_for_one(tmp_path: Path) -> None:
    pictures = glyphs(4, 4, size=48).values
    names = ["Ana  Lo\u0301pez", "ana L\u00f3pez", "Bo", "Bert"]
    findings = examined(Items.from_arrays(pictures, np.repeat(names, 4)))[0]
    assert findings["names-alike"].message.startswith("1 label is written in more than one way (")
    assert len(findings["names-alike"].files) == 8


def test_a_bundle_serves_as_reader_and_gives_the_same_again(sound: Items) -> None:
    recipe = Recipe.model_validate(
        {
            "input": {"name": "Image", "size": 48, "channels": 1},
            "encoder": {"name": "conv4", "dim": 16},
        }
    )
    bundle = Bundle(twin=build.twin(recipe, seed=0), recipe=recipe)
    few = sound.take(range(64))  # to random weights all are alike: many pairs are looked at
    once = examined(few, reader=bundle)[1]
    assert once == examined(few, reader=bundle)[1]
    told = " ".join(finding.message for finding in once.findings)
    assert "by the bundle's vectors" in told


def test_the_cleaned_table_is_readable_and_gives_reasons(tmp_path: Path, sound: Items) -> None:
    items = Items.open(written(tmp_path / "data", sound.take(range(24))))
    beside = write_cleaned(items, {3: "cannot be read", 5: "a, b"}, tmp_path / "clean.csv")
    again = Items.open(tmp_path / "clean.csv")
    assert [value.resolve() for value in again.values] == [
        items.values[i] for i in range(24) if i not in (3, 5)
    ]
    assert beside.read_text().splitlines()[1:] == [
        "data/glyph 0/3.png,glyph 0,cannot be read",
        'data/glyph 0/5.png,glyph 0,"a, b"',
    ]
    with pytest.raises(NotEnoughData, match="none of 24 items would be left: nothing was written"):
        write_cleaned(items, dict.fromkeys(range(24), "no"), tmp_path / "clean.csv")
    with pytest.raises(UsageError, match=r"must end in \.csv"):
        write_cleaned(items, {}, tmp_path / "clean.txt")
    with pytest.raises(UsageError, match="arrays in memory"):
        write_cleaned(sound, {}, tmp_path / "clean.csv")


def test_forgeries_go_with_the_last_genuine_item(tmp_path: Path) -> None:
    for name in ("a/1", "a_forg/1", "b/1", "b/2"):
        save(tmp_path, name, np.zeros((8, 8, 3), np.uint8))
    items = Items.open(tmp_path)
    beside = write_cleaned(
        items, {items.ids.index("a/1.png"): "unreadable"}, tmp_path / "clean.csv"
    )
    assert "a forgery of somebody of whom no genuine item is left" in beside.read_text()
    assert Items.open(tmp_path / "clean.csv").identities == ("b",)

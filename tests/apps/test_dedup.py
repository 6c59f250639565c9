"""Copies among pictures made here: whole, cut, turned, of two calls, against an index, and of vectors."""

import io
import os

import numpy as np
import PIL.Image
import pytest

from twofold import build, recipes
from twofold.apps.dedup import Copies, dedup, dedup_vectors
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.contract import Calibration
from twofold.copies.measured import compared
from twofold.data.items import Items
from twofold.embedding import embed, pair_scores
from twofold.errors import BundleError, FingerprintMismatch, UnreadableInput, UsageError
from twofold.inputs.image import Image
from twofold.results import Embeddings, Estimate
from twofold.store.index import Index


def scene(seed, side=96):
    """A picture with the spectrum of a photograph, and edges."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((side, side, 3))
    for width in (48, 24, 12, 6, 3):
        small = rng.standard_normal((side // width, side // width, 3)) * width
        picture += np.kron(small, np.ones((width, width, 1)))
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    return PIL.Image.fromarray(picture.astype(np.uint8))


def jpeg(picture, quality):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return PIL.Image.open(stream).convert("RGB")


@pytest.fixture
def folder(tmp_path):
    """Ten scenes; of scene 0 a small one, of 1 a poor JPEG, of 2 a part, of 3 a turned one, of 4 the same bytes."""
    place = tmp_path / "pictures"
    place.mkdir()
    scenes = [scene(seed) for seed in range(10)]
    for number, picture in enumerate(scenes):
        picture.save(place / f"{number}.png")
    scenes[0].resize((48, 48)).save(place / "z0-small.png")
    jpeg(scenes[1], 15).save(place / "z1-poor.png")
    scenes[2].crop((5, 8, 80, 83)).save(place / "z2-part.png")
    scenes[3].transpose(PIL.Image.Transpose.ROTATE_90).save(place / "z3-turned.png")
    scenes[4].save(place / "z4-equal.png")
    return place


def sets(found):
    return {frozenset((group.kept, *group.copies)) for group in found.groups}


PLANTED = {
    frozenset(("0.png", "z0-small.png")),
    frozenset(("1.png", "z1-poor.png")),
    frozenset(("2.png", "z2-part.png")),
    frozenset(("3.png", "z3-turned.png")),
    frozenset(("4.png", "z4-equal.png")),
}


@pytest.fixture
def bundle():
    recipe = Recipe.model_validate(
        {
            "input": {"name": "Image", "size": 32},
            "encoder": {"name": "conv4", "width": 8},
            "loss": "triplet",
        }
    )
    with build.seeded(0):
        twin = build.twin(recipe)
    return Bundle(twin=twin, recipe=recipe)


def test_copies_are_found_and_nothing_else(folder):
    found = dedup(Items.open(folder, levels=0))
    assert sets(found) == PLANTED
    assert (found.items, found.new, found.copies) == (15, 15, 5)
    assert "fit into each other" in found.rule


def test_the_largest_is_kept_or_the_oldest_or_the_first_or_whom_the_user_says(folder):
    os.utime(folder / "z0-small.png", (1, 1))
    items = Items.open(folder, levels=0)

    def kept(keep):
        return {group.kept for group in dedup(items, keep=keep).groups} & {"0.png", "z0-small.png"}

    assert kept("largest") == kept("first") == {"0.png"}
    assert kept("oldest") == {"z0-small.png"}
    assert kept(lambda known, place: -len(known.ids[place])) == {"z0-small.png"}
    with pytest.raises(UsageError, match="keep = 'largst' is not a rule: did you mean 'largest'"):
        kept("largst")


def test_what_cannot_be_read_is_named(folder):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    found = dedup(Items.open(folder, levels=0))
    assert sets(found) == PLANTED
    assert (
        list(found.unreadable) == ["broken.png"] and "broken.png" in found.unreadable["broken.png"]
    )
    assert found.items == 16


def test_nothing_to_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    found = dedup(Items.open(tmp_path, levels=0))
    assert not found.groups and len(found.unreadable) == 1


@pytest.mark.parametrize("with_bundle", [False, True])
def test_two_calls_give_the_groups_of_one(folder, tmp_path, with_bundle, bundle):
    reader = bundle if with_bundle else None
    items = Items.open(folder, levels=0)
    order = np.random.default_rng(0).permutation(len(items))
    mixed = items.take(order)
    cache = tmp_path / "cache"
    first = dedup(mixed.take(np.arange(9)), reader, cache=cache)
    second = dedup(mixed, reader, cache=cache)
    assert (first.new, second.new, second.items) == (9, 6, 15)
    assert second.groups == dedup(mixed, reader).groups
    third = dedup(mixed, reader, cache=cache)
    assert third.new == 0 and third.groups == second.groups


def test_a_cache_serves_every_rule(tmp_path):
    scene(1).save(tmp_path / "a.png")
    scene(1).transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "b.png")
    items, cache = Items.from_folder(tmp_path, levels=0), tmp_path / "cache"
    for mirrored in (False, True, False):
        assert len(dedup(items, cache=cache, rule=Copies(mirrored=mirrored)).groups) == mirrored


def test_what_cannot_be_read_while_it_is_compared_is_compared_the_next_time(
    folder, tmp_path, monkeypatch
):
    items, cache = Items.from_folder(folder, levels=0), tmp_path / "cache"
    with monkeypatch.context() as patched:

        def gone(value):
            raise UnreadableInput(f"{value} is gone")

        patched.setattr("twofold.copies.comparing.detail_pixels", gone)
        assert len(dedup(items, cache=cache).groups) == 1  # of equal bytes
    assert dedup(items, cache=cache).groups == dedup(items).groups


def test_a_cache_of_another_model_is_refused(folder, tmp_path, bundle):
    items = Items.open(folder, levels=0)
    dedup(items, cache=tmp_path / "cache")
    with pytest.raises(FingerprintMismatch, match="was made by another model or reader"):
        dedup(items, bundle, cache=tmp_path / "cache")
    (tmp_path / "cache" / "dedup.json").write_text("{}")
    with pytest.raises(BundleError, match="is not a cache of an earlier dedup"):
        dedup(items, cache=tmp_path / "cache")


def test_a_calibrated_bundle_brings_its_threshold(folder, bundle):
    rate = Estimate(
        name="rate", value=0.01, low=0.0, high=0.02, confidence=0.95, unit="identity", resampled=9
    )
    calibration = Calibration(
        threshold=-0.9,
        far=0.01,
        standing="certified",
        confidence=0.95,
        method="test",
        upper_bound=0.01,
        false_match=rate,
        false_non_match=rate,
        slope=10.0,
        intercept=-9.0,
        prior=0.5,
        identities=9,
        genuine_pairs=9,
        impostor_pairs=9,
        seed=0,
    )
    items = Items.open(folder, levels=0)
    found = dedup(items, bundle.with_calibration(calibration))
    assert (
        "scores of at least -0.9000 (the bundle's threshold for a false-accept rate of 0.01, "
        "certified)" in found.rule
    )
    assert len(found.groups) == 1 and found.copies == 14 and found.threshold == -0.9
    assert "(as you asked)" in dedup(items, bundle, threshold=0.99999).rule
    assert sets(dedup(items, bundle)) == PLANTED


def test_against_an_index(folder, tmp_path, bundle):
    items = Items.open(folder, levels=0)
    old = items.take(
        np.array([place for place, name in enumerate(items.ids) if not name.startswith("z")])
    )
    new = items.take(
        np.array([place for place, name in enumerate(items.ids) if name.startswith("z")])
    )
    with Index.create(tmp_path / "index", bundle.contract) as index:
        index.add(embed(bundle, old))
        found = dedup(new, bundle, against=index, threshold=0.99999)
        equal = [group for group in found.groups if group.kept == "4.png"]
        assert equal and equal[0].known and "z4-equal.png" in equal[0].copies
        assert len(index) == 10
        with pytest.raises(UsageError, match="give a bundle as well"):
            dedup(new, against=index)


def test_things_in_memory(bundle):
    pictures = [np.asarray(scene(seed)) for seed in range(4)]
    items = Items.from_arrays([*pictures, pictures[2]], [0, 1, 2, 3, 4])
    found = dedup(items, Image(size=64))
    assert [(group.kept, group.copies) for group in found.groups] == [("2", ("4",))]


def test_vectors_that_exist_already():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((30, 16)).astype(np.float32)
    rows[10], rows[20] = rows[3] + 0.01 * rows[4], rows[3]
    found = dedup_vectors(rows)
    assert [(group.kept, set(group.copies)) for group in found.groups] == [("3", {"10", "20"})]
    named = Embeddings(
        ids=tuple(f"x{i}" for i in range(30)),
        labels=("a",) * 30,
        vectors=rows,
        fingerprint="f" * 64,
    )
    assert dedup_vectors(named, threshold=0.9).groups[0].kept == "x3"
    with pytest.raises(UsageError, match=r"vectors of shape \(30,\)"):
        dedup_vectors(rows[:, 0])


def test_thousands_that_are_nearly_the_same_are_one_group():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((6000, 32)).astype(np.float32)
    many = rng.permutation(6000)[:4000]
    rows[many] = rng.standard_normal(32) + 0.05 * rng.standard_normal((4000, 32))
    rows[many[:500]] = rows[many[0]]
    found = dedup_vectors(rows, threshold=0.9)
    assert not found.notes
    assert [(group.kept, len(group.copies)) for group in found.groups] == [(str(many.min()), 3999)]
    assert min(found.groups[0].scores) >= 0.9


def test_frames_that_are_nearly_the_same_are_one_group_with_the_preferred_kept(monkeypatch):
    shown = np.asarray(scene(0))
    rng = np.random.default_rng(0)
    frames = [
        np.clip(shown + rng.normal(0, 4, shown.shape), 0, 255).astype(np.uint8) for _ in range(80)
    ]
    items = Items.from_arrays([*frames, np.asarray(scene(1)), shown[::2, ::2]], list(range(82)))
    looked = []
    monkeypatch.setattr(
        "twofold.copies.comparing.compared",
        lambda *given, **how: looked.append(given) or compared(*given, **how),
    )
    found = dedup(
        items, Image(size=64), keep=lambda known, place: (known.ids[place] != "77", place)
    )
    assert [(group.kept, len(group.copies)) for group in found.groups] == [("77", 80)]
    assert len(looked) < 320  # of 3,200 pairs


def test_a_grown_crowd_has_the_groups_of_one_call(tmp_path):
    shown = np.asarray(scene(0))
    rng = np.random.default_rng(0)
    frames = [
        np.clip(shown + rng.normal(0, 4, shown.shape), 0, 255).astype(np.uint8) for _ in range(150)
    ]
    items = Items.from_arrays([*frames, np.asarray(scene(1))], list(range(151)))
    dedup(items.take(np.arange(100)), Image(size=64), cache=tmp_path / "cache")
    grown = dedup(items, Image(size=64), cache=tmp_path / "cache")
    assert grown.new == 51 and sets(grown) == sets(dedup(items, Image(size=64)))


def test_pictures_of_one_grey_are_copies_only_where_they_are_equal():
    greys = [np.full((32, 32, 3), grey, np.uint8) for grey in (*range(40, 240), 77)]
    found = dedup(Items.from_arrays(greys, list(range(201))), Image(size=32))
    assert [(group.kept, group.copies) for group in found.groups] == [("37", ("200",))]


@pytest.mark.parametrize("comparison", ["Matching", "WeightedL1"])
def test_a_learned_comparison_scores_every_pair(comparison, monkeypatch):
    monkeypatch.setattr("twofold.apps.dedup_learned.ROWS", 4)
    recipe = recipes.as_they_are(3, "cosine").replace({"comparison": comparison})
    bundle = Bundle(twin=build.twin(recipe).eval(), recipe=recipe)
    vectors = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    vectors[7], vectors[9] = vectors[2] + 1e-5, vectors[0] - 1e-5
    score = float(pair_scores(bundle, vectors[2:3], vectors[7:8])[0]) - 1e-3
    found = dedup(Items.from_arrays(list(vectors), list(range(10))), bundle, threshold=score)
    assert sorted(sorted(map(int, pair)) for pair in sets(found)) == [[0, 9], [2, 7]]

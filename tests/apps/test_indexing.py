"""Indexing and searching: what is embedded, what is left alone, what is said; parts of Parquet, whole or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from twofold import build
from twofold.apps import indexing
from twofold.apps.indexing import embed_shards, index_items, index_shards
from twofold.apps.search import judged, search
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.data.synthetic import glyphs
from twofold.embedding import embed
from twofold.errors import DamagedIndex, FingerprintMismatch, NewerFormat, StoreError, UsageError
from twofold.store import Index
from twofold.store.shards import Shards

RECIPE = Recipe(
    input={"name": "Image", "size": [16, 16], "channels": 1},
    encoder={"name": "resnet_small", "dim": 8, "width": 8},
)


def bundle_of(comparison: str = "cosine", seed: int = 0, **settings: object) -> Bundle:
    recipe = RECIPE.replace({"comparison": comparison, **settings})
    return Bundle(twin=build.twin(recipe, seed=seed).eval(), recipe=recipe)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return bundle_of()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """20 pictures of 5 classes, identity/file."""
    drawn = glyphs(classes=5, each=4, size=16, seed=0)
    for number, (value, label) in enumerate(zip(drawn.values, drawn.labels, strict=True)):
        place = tmp_path / "data" / f"c{label}"
        place.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.asarray(value).squeeze()).save(place / f"{number % 4}.png")
    return tmp_path / "data"


@pytest.fixture
def index(tmp_path: Path, bundle: Bundle):
    with Index.create(tmp_path / "index", bundle.contract) as made:
        yield made


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many things go through the encoder, call by call."""
    counts: list[int] = []
    real = indexing.embed_read

    def counting(bundle, arrays):
        counts.append(len(arrays))
        return real(bundle, arrays)

    monkeypatch.setattr(indexing, "embed_read", counting)
    return counts


def test_an_index_holds_what_embed_gives(bundle, index, folder):
    items = Items.open(folder)
    told = []
    done = index_items(bundle, index, items, watch=lambda *progress: told.append(progress))
    assert (done.things, done.embedded, done.changed, done.items, done.labels) == (
        20,
        20,
        20,
        20,
        5,
    )
    assert done.unreadable == {}
    assert told == [("indexing", 0, 20), ("indexing", 20, 20)]
    kept, wanted = index.get(items.ids), embed(bundle, items)
    np.testing.assert_allclose(kept.vectors, wanted.vectors, atol=1e-6)
    assert (kept.labels, kept.fingerprint) == (wanted.labels, wanted.fingerprint)
    assert kept.metadata is not None
    assert set(kept.metadata[0]) == {"content"}, "a path is kept only where it is asked for (law 7)"


def test_what_is_known_is_not_embedded_again(bundle, index, folder, encoded):
    index_items(bundle, index, Items.open(folder))
    again = index_items(bundle, index, Items.open(folder))
    assert (again.embedded, again.known, again.changed) == (0, 20, 0)
    Picture.fromarray(np.zeros((16, 16), np.uint8)).save(folder / "c0" / "0.png")
    (folder / "c1" / "0.png").rename(folder / "c2" / "new.png")
    changed = index_items(bundle, index, Items.open(folder), keep_source=True)
    assert changed.embedded == 2, "a changed file and a new name"
    assert changed.replaced == 1, "the changed file"
    assert changed.changed == 20, "all have got a source"
    assert [number for number in encoded if number] == [20, 2]
    hits = {hit.id: hit for hit in search(bundle, index, [folder / "c2" / "new.png"])[0]}
    found = hits["c2/new.png"].metadata
    assert found is not None
    assert found["source"] == str((folder / "c2" / "new.png").absolute())


def test_it_goes_on_where_it_was_interrupted(bundle, index, folder, encoded, monkeypatch):
    monkeypatch.setattr(indexing, "IN_A_TRANSACTION", 8)

    def interrupted(what, done, total):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_items(bundle, index, Items.open(folder), watch=interrupted)
    assert len(index) == 8
    done = index_items(bundle, index, Items.open(folder))
    assert (done.embedded, done.items) == (12, 20)
    assert encoded == [8, 0, 8, 4]


def test_what_cannot_be_read_is_named_and_left_out(bundle, index, folder):
    (folder / "c0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (folder / "c0" / "note.txt").write_text("no picture")
    items = Items.open(folder)
    (folder / "c1" / "0.png").unlink()
    done = index_items(bundle, index, items)
    assert (done.embedded, done.items) == (19, 19)
    assert set(done.unreadable) == {"c0/broken.png", "c0/note.txt", "c1/0.png"}
    assert "is not a picture" in done.unreadable["c0/note.txt"]


def test_columns_are_metadata_to_filter_by(bundle, index, folder):
    table = folder / "shop.csv"
    rows = [
        f"c{label}/0.png,c{label},{'red' if label < 2 else 'blue'},{label}.5,g{label}"
        for label in range(5)
    ]
    table.write_text("\n".join(["path,label,colour,price,group", *rows]))
    index_items(bundle, index, Items.open(table))
    query = [folder / "c0" / "0.png"]
    assert {hit.label for hit in search(bundle, index, query)[0]} == {
        f"c{label}" for label in range(5)
    }
    assert {hit.label for hit in search(bundle, index, query, where={"colour": "blue"})[0]} == {
        "c2",
        "c3",
        "c4",
    }
    assert {
        hit.label
        for hit in search(bundle, index, query, where={"price": {"min": 1, "max": 3.5}})[0]
    } == {
        "c1",
        "c2",
        "c3",
    }
    assert [hit.label for hit in search(bundle, index, query, where={"group": ["g4"]})[0]] == ["c4"]


def test_a_folder_without_labels(bundle, index, folder):
    done = index_items(bundle, index, Items.open(folder, levels=0))
    assert (done.items, done.labels) == (20, 20)
    assert search(bundle, index, [folder / "c3" / "2.png"], k=1)[0][0].label == "c3/2.png"


def test_a_learned_comparison_is_searched_exactly_and_filtered(tmp_path, folder):
    learned = bundle_of("WeightedL1")
    with Index.create(tmp_path / "learned", learned.contract) as index:
        index_items(learned, index, Items.open(folder, levels=2 - 1))
        hits = search(learned, index, [folder / "c3" / "2.png"], k=3)[0]
        assert len(hits) == 3
        assert hits[0].metadata is not None
        only = search(
            learned,
            index,
            [folder / "c3" / "2.png"],
            where={"content": hits[1].metadata["content"]},
        )[0]
        assert [hit.id for hit in only] == [hits[1].id]
        assert search(learned, index, [folder / "c3" / "2.png"], where={"content": "none"}) == [[]]


def test_without_a_calibration_nothing_is_claimed(bundle, index, folder):
    index_items(bundle, index, Items.open(folder))
    hits = search(bundle, index, [folder / "c0" / "0.png"])[0]
    found = judged(bundle, "q", hits)
    assert (found.decision, found.threshold, found.hits[0].probability) == (None, None, None)


def test_another_model_is_refused_before_anything_is_embedded(index, folder, encoded):
    with pytest.raises(FingerprintMismatch):
        index_items(bundle_of(seed=1), index, Items.open(folder))
    assert encoded == []


class TestShards:
    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch):
        pytest.importorskip("pyarrow")
        monkeypatch.setattr(indexing, "PART_ROWS", 6)
        monkeypatch.setattr(indexing, "IN_A_TRANSACTION", 4)

    def test_many_shards_are_the_same_as_one(self, bundle, index, folder, tmp_path, encoded):
        items, out = Items.open(folder), tmp_path / "parts"
        first = embed_shards(bundle, items, out, shard=(0, 2))
        assert (first.things, first.embedded, first.parts, first.written, first.missing) == (
            12,
            12,
            2,
            2,
            2,
        )
        with pytest.raises(
            StoreError, match=r"2 of 4 parts are missing in .* \(the first is part-00001-of-00004"
        ):
            index_shards(index, out)
        second = embed_shards(bundle, items, out, shard=(1, 2))
        assert (second.things, second.missing) == (8, 0)
        done = index_shards(index, out)
        assert (done.things, done.changed, done.items, done.labels) == (20, 20, 20, 5)
        np.testing.assert_allclose(
            index.get(items.ids).vectors, embed(bundle, items).vectors, atol=1e-6
        )
        assert index_shards(index, out).changed == 0
        assert index_items(bundle, index, items).embedded == 0, "contents are known from the parts"
        assert sum(encoded) == 20

    def test_a_second_run_leaves_whole_parts_alone(self, bundle, folder, tmp_path):
        items, out = Items.open(folder), tmp_path / "parts"
        embed_shards(bundle, items, out)
        before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
        again = embed_shards(bundle, items, out)
        assert (again.embedded, again.written) == (0, 0)
        assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
        Picture.fromarray(np.zeros((16, 16), np.uint8)).save(folder / "c0" / "0.png")
        (out / "part-00002-of-00004.parquet").unlink()
        (out / "part-00003-of-00004.parquet").write_bytes(b"half")
        mended = embed_shards(bundle, items, out)
        assert (mended.embedded, mended.written) == (6 + 6 + 2, 3)

    def test_a_kill_leaves_no_half_part(self, bundle, folder, tmp_path):
        out = tmp_path / "parts"

        def killed(what, done, total):
            if done > 8:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            embed_shards(bundle, Items.open(folder), out, watch=killed)
        assert {path.name for path in out.iterdir()} == {
            "embeddings.json",
            "part-00000-of-00004.parquet",
        }

    def test_other_data_or_another_model_is_refused(self, bundle, folder, tmp_path):
        items, out = Items.open(folder), tmp_path / "parts"
        embed_shards(bundle, items, out)
        with pytest.raises(
            StoreError, match=r"the things, whose number is 20, not 3: choose another folder"
        ):
            embed_shards(bundle, items.take(range(3)), out)
        with pytest.raises(StoreError, match="holds vectors of model"):
            embed_shards(bundle_of(seed=1), items, out)
        with (
            Index.create(tmp_path / "other", bundle_of(seed=1).contract) as other,
            pytest.raises(FingerprintMismatch),
        ):
            index_shards(other, out)
        with pytest.raises(
            UsageError, match="there is no shard 2 of 2: they are numbered from 0 to 1"
        ):
            embed_shards(bundle, items, out, shard=(2, 2))

    @pytest.mark.parametrize("place", range(0, 100, 4))
    def test_every_flipped_byte_is_found_or_harmless(self, bundle, index, folder, tmp_path, place):
        out = tmp_path / "parts"
        embed_shards(bundle, Items.open(folder).take(range(6)), out)
        (part,) = out.glob("*.parquet")
        whole, content = Shards.open(out).read(0), bytearray(part.read_bytes())
        content[place * len(content) // 100] ^= 0x10
        part.write_bytes(content)
        try:
            found = Shards.open(out).read(0)
        except DamagedIndex as error:
            assert "is not what was written: delete it" in str(error)
        else:
            assert found.ids == whole.ids
            np.testing.assert_array_equal(found.vectors, whole.vectors)

    def test_a_folder_that_holds_no_parts(self, bundle, tmp_path):
        with pytest.raises(
            StoreError, match=r"holds no embeddings\.json: `twofold embed` makes such a folder"
        ):
            Shards.open(tmp_path)
        place = tmp_path / "embeddings.json"
        place.write_text("{")
        with pytest.raises(DamagedIndex, match="is damaged"):
            Shards.open(tmp_path)
        place.write_text(json.dumps({"format": 9}))
        with pytest.raises(NewerFormat, match="has format 9"):
            Shards.open(tmp_path)

    def test_nothing_readable_is_an_empty_part(self, bundle, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "a.txt").write_text("no picture")
        done = embed_shards(bundle, Items.open(tmp_path / "data", levels=0), tmp_path / "parts")
        assert (done.embedded, done.written, list(done.unreadable)) == (0, 1, ["a.txt"])
        assert replace(Shards.open(tmp_path / "parts").read(0), metadata=None).ids == ()

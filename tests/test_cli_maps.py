"""A comparison on feature maps through the commands: what an index keeps for it, and what is said without."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image as Picture

from exit_codes import exit_code
from twofold import build
from twofold.apps.feature_maps import rows_of
from twofold.apps.identify import identify
from twofold.apps.indexing import index_items
from twofold.apps.migrate import migrate
from twofold.apps.search import recall, search
from twofold.bundle import Bundle
from twofold.data.items import Items
from twofold.data.synthetic import glyphs
from twofold.embedding import embed_values, scores
from twofold.errors import StoreError, UsageError
from twofold.store import Index
from twofold.store.protection.protect import new_key

SETTINGS = (
    "input.size=16",
    "input.channels=1",
    "encoder.width=8",
    "encoder.dim=16",
    "comparison=Relation",
    "epochs=2",
    "fewest_steps=0",
    "p=8",
    "augment={}",
)


def drawn(place, classes: int, seed: int) -> None:
    made = glyphs(classes=classes, each=4, size=16, seed=seed)
    for number, (value, label) in enumerate(zip(made.values, made.labels, strict=True)):
        (place / f"c{label}").mkdir(exist_ok=True)
        Picture.fromarray(np.asarray(value).squeeze()).save(
            place / f"c{label}" / f"{number % 4}.png"
        )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    drawn(place, 60, 0)
    return place


@pytest.fixture(scope="module")
def model(tmp_path_factory, data):
    place = tmp_path_factory.mktemp("models") / "relation"
    settings = [word for each in SETTINGS for word in ("--set", each)]
    assert exit_code("train", "generic", data, "-o", place, *settings) == 0
    words = ("calibrate", place, data, "--far", "0.2", "--standing", "estimate")
    assert exit_code(*words) == 0
    return place


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "pictures"
    place.mkdir()
    drawn(place, 5, 9)
    return place


def found(run, *words: object) -> list[tuple[str, float]]:
    code, out, said = run("search", *words, "-k", 4, "--json")
    assert code in (0, 1, 3), said
    hits = json.loads(out)[0]["hits"]
    assert all("map" not in hit["metadata"] for hit in hits)
    return [(hit["id"], hit["score"]) for hit in hits]


def test_train_calibrate_evaluate_and_verify_by_maps(run, data, model, folder):
    bundle = Bundle.load(model)
    assert bundle.twin.comparison.name == bundle.contract.distance == "Relation"
    assert bundle.calibration is not None
    code, out, _ = run("evaluate", model, data, "--json")
    assert code == 0 and "eer" in out
    a, b = folder / "c0" / "0.png", folder / "c0" / "1.png"
    code, out, _ = run("verify", model, a, b, "--json")
    assert code in (0, 1, 3)
    rows = embed_values(bundle, [a, b])
    score = scores(bundle.twin, rows[:1], rows[1:])[0, 0]
    assert json.loads(out)["score"] == pytest.approx(score, abs=1e-6)


def test_search_reads_the_sources_again_and_finds_what_comparing_all_finds(
    run, model, folder, tmp_path, monkeypatch
):
    assert run("index", model, folder, tmp_path / "i", "--keep-source")[0] == 0
    query = folder / "c2" / "1.png"
    bundle = Bundle.load(model)
    paths = sorted(folder.glob("*/*.png"))
    rows = embed_values(bundle, paths)
    truth = scores(bundle.twin, embed_values(bundle, [query]), rows)[0]
    best = [paths[place].relative_to(folder).as_posix() for place in np.argsort(-truth)[:4]]
    hits = found(run, model, tmp_path / "i", query)
    assert [name for name, _ in hits] == best
    assert [score for _, score in hits] == pytest.approx(np.sort(truth)[::-1][:4], abs=1e-5)
    monkeypatch.setattr("twofold.apps.feature_maps.SHORTLIST_BY_MAPS", 8)
    read: list[int] = []

    def counted(bundle, values):
        read.append(len(values))
        return embed_values(bundle, values)

    monkeypatch.setattr("twofold.apps.feature_maps.embed_values", counted)
    assert found(run, model, tmp_path / "i", query)[0] == hits[0]
    assert read == [8], "no more than the nearest are read again"
    with Index.open(tmp_path / "i") as index:
        assert recall(bundle, index, k=2, sample=5).value > 0.5


def test_kept_maps_need_no_files_and_are_said(run, model, folder, tmp_path):
    code, out, _ = run("index", model, folder, tmp_path / "maps", "--keep-maps")
    assert code == 0 and "a map of 64 bytes is kept with each item (as text, a third more)" in out
    run("index", model, folder, tmp_path / "files", "--keep-source")
    query = tmp_path / "query.png"
    shutil.copy(folder / "c3" / "2.png", query)
    by_files = found(run, model, tmp_path / "files", query)
    out = run("index", model, folder, tmp_path / "maps", "--keep-maps")[1]
    assert "0 embedded, 20 known already; 0 items are new or changed" in out
    shutil.rmtree(folder)
    by_maps = found(run, model, tmp_path / "maps", query)
    assert [name for name, _ in by_maps] == [name for name, _ in by_files]
    assert dict(by_maps) == pytest.approx(dict(by_files), abs=5e-3), "float16"
    code, out, _ = run("identify", model, tmp_path / "maps", query, "--json")
    assert code in (0, 1, 3)
    assert json.loads(out)["candidates"][0]["label"] == by_maps[0][0].split("/")[0]


def test_maps_are_added_to_an_index_that_has_none(run, model, folder, tmp_path):
    run("index", model, folder, tmp_path / "i", "--keep-source")
    out = run("index", model, folder, tmp_path / "i", "--keep-maps")[1]
    assert "20 embedded, 0 known already; 20 items are new or changed" in out
    assert "took the place" not in out, "the content is the same"
    with Index.open(tmp_path / "i") as index:
        block = index.get(index.ids)
        assert all("map" in each and "source" not in each for each in block.metadata or ())


def test_neither_maps_nor_sources(run, model, folder, tmp_path):
    assert run("index", model, folder, tmp_path / "i")[0] == 0
    code, _, said = run("search", model, tmp_path / "i", folder / "c0" / "0.png")
    assert code == 2
    assert (
        "keeps neither a map nor a source of 'c0/0.png', and Relation compares maps: index or "
        "enrol again with --keep-source (files are read again) or --keep-maps" in said
    )
    assert "Traceback" not in said


def test_a_source_that_is_gone_or_has_changed(run, model, folder, tmp_path):
    run("index", model, folder, tmp_path / "i", "--keep-source")
    query = tmp_path / "query.png"
    shutil.copy(folder / "c0" / "0.png", query)
    shutil.copy(folder / "c1" / "0.png", folder / "c4" / "3.png")
    code, _, said = run("search", model, tmp_path / "i", query, "--exact")
    assert code == 2 and "3.png has changed since it was indexed: index it again" in said
    (folder / "c4" / "3.png").unlink()
    code, _, said = run("search", model, tmp_path / "i", query, "--exact")
    assert code == 2
    assert "3.png is gone, and Relation compares by its map: restore it, remove the item" in said


def test_maps_are_not_kept_where_there_are_none_or_they_would_be_readable(
    run, model, folder, tmp_path, monkeypatch
):
    bundle = Bundle.load(model)
    recipe = bundle.recipe.replace({"comparison": "cosine"})
    plain = Bundle(twin=build.twin(recipe, seed=0).eval(), recipe=recipe)
    plain.save(tmp_path / "plain")
    code, _, said = run("index", tmp_path / "plain", folder, tmp_path / "i", "--keep-maps")
    assert code == 2 and "compares embeddings by cosine, which has no maps: leave it out" in said
    with (
        Index.create(tmp_path / "sealed", bundle.contract, protect=new_key()) as index,
        pytest.raises(UsageError, match="is protected, which encrypts vectors but no metadata"),
    ):
        index_items(bundle, index, Items.from_folder(folder), keep_maps=True)
    picture = folder / "c0" / "0.png"
    code, _, said = run("enrol", tmp_path / "plain", tmp_path / "i", "c", picture, "--keep-maps")
    assert code == 2 and "has no maps: leave it out" in said


def test_people_are_enrolled_with_maps_and_identified_without_their_files(
    run, model, folder, tmp_path
):
    gallery, query = tmp_path / "i", tmp_path / "query.png"
    shutil.copy(folder / "c1" / "3.png", query)
    for label in ("c0", "c1", "c2"):
        files = sorted((folder / label).glob("*.png"))
        assert run("enrol", model, gallery, label, *files[:2], "--keep-maps")[0] == 0
    assert run("enrol", model, gallery, "c2", files[2], "--keep-maps", "--replace")[0] == 0
    bundle, files = Bundle.load(model), sorted((folder / "c1").glob("*.png"))
    rows = embed_values(bundle, [query, *files[:2]])
    shutil.rmtree(folder)
    code, out, said = run("identify", model, gallery, query, "--template", "best", "--json")
    assert code in (0, 1, 3), said
    by_label = {hit["label"]: hit["score"] for hit in json.loads(out)["candidates"]}
    expected = scores(bundle.twin, rows[:1], rows[1:]).max()
    assert by_label["c1"] == pytest.approx(expected, abs=2e-3)  # maps are kept as float16
    assert set(by_label) == {"c0", "c1", "c2"}


def test_means_of_identities_are_means_of_rows(model, folder, tmp_path):
    bundle, query = Bundle.load(model), folder / "c1" / "0.png"
    with Index.create(tmp_path / "i", bundle.contract) as index:
        index_items(bundle, index, Items.from_folder(folder), keep_maps=True)
        found = identify(bundle, index, query, template="mean")
        rows = rows_of(bundle, index, index.get([f"c1/{n}.png" for n in range(4)]))
    expected = scores(bundle.twin, embed_values(bundle, [query]), rows.mean(0, keepdims=True))
    by_label = {hit.label: hit.score for hit in found.candidates}
    assert by_label["c1"] == pytest.approx(expected[0, 0], abs=1e-5)


def test_migration_makes_new_maps_from_sources_and_bridges_none(model, folder, tmp_path):
    bundle, items = Bundle.load(model), Items.from_folder(folder)
    other = Bundle(twin=build.twin(bundle.recipe, seed=7).eval(), recipe=bundle.recipe)
    with (
        Index.create(tmp_path / "old", bundle.contract) as index,
        Index.create(tmp_path / "new", other.contract) as target,
    ):
        index_items(bundle, index, items, keep_maps=True)
        with pytest.raises(
            StoreError,
            match=r"20 items have no source .* and Relation compares maps, which are made from",
        ):
            migrate(index, other, target)
        index_items(bundle, index, items, keep_source=True)
        assert migrate(index, other, target).embedded == 20
        (hits,) = search(other, target, [folder / "c1" / "0.png"], k=1)
        assert hits[0].id == "c1/0.png"

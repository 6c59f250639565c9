"""Verdicts: what verify, identify, enrol and forget say, and when they refuse."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from small_bundles import RECIPE, calibration
from twofold import build
from twofold.apps import verify as app
from twofold.apps.gallery import enrol, forget
from twofold.apps.identify import identify
from twofold.apps.search import recall, search, search_vectors
from twofold.apps.verify import verify, verify_pairs
from twofold.bundle import Bundle
from twofold.contract import OpenSet
from twofold.data.pairs import Pairs
from twofold.embedding import embed_values, scores
from twofold.errors import (
    FingerprintMismatch,
    NotCalibrated,
    StoreError,
    UnknownLabel,
    UnreadableInput,
    UsageError,
)
from twofold.results import Embeddings
from twofold.store import Index


def bundle_of(comparison: str = "cosine", *, seed: int = 0, **settings: object) -> Bundle:
    recipe = RECIPE.replace({"comparison": comparison, **settings})
    twin = build.twin(recipe, seed=seed).eval()
    if comparison == "WeightedL1":
        with torch.no_grad():  # weights of both signs, as training leaves them
            twin.comparison.weight.copy_(torch.linspace(-1, 3, 8))
    return Bundle(twin=twin, recipe=recipe)


def at(bundle: Bundle, threshold: float, reject: float | None = None) -> Bundle:
    return bundle.with_calibration(calibration(threshold, reject))


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[str, int], Path]:
    """`picture("anna/1.png", 3)`: a file with the noise of seed 3."""

    def draw(name: str, seed: int) -> Path:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(
            np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)
        ).save(path)
        return path

    return draw


@pytest.mark.parametrize("comparison", ["cosine", "euclidean", "manhattan", "WeightedL1"])
def test_a_verdict_is_the_score_against_the_threshold(picture: Callable, comparison: str) -> None:
    bundle = bundle_of(comparison)
    a, b = picture("a.png", 1), picture("b.png", 2)
    vectors = embed_values(bundle, [a, b])
    score = float(scores(bundle.twin, vectors[:1], vectors[1:])[0, 0])
    for threshold, reject, decision in [
        (score - 0.1, None, "same"),
        (score + 0.1, None, "different"),
        (score + 0.1, score - 0.1, "unsure"),
    ]:
        verdict = verify(at(bundle, threshold, reject), a, b)
        assert verdict.decision == decision
        assert verdict.score == pytest.approx(score, abs=1e-5)
        assert verdict.probability == pytest.approx(
            1 / (1 + np.exp(-10 * (score - threshold))), abs=1e-3
        )
        assert (verdict.threshold, verdict.far, verdict.certified) == (threshold, 0.01, True)
    swapped = verify(at(bundle, 0.0), b, a)
    assert swapped.score == pytest.approx(score, abs=1e-5)


def test_anything_the_input_reads_is_compared(picture: Callable) -> None:
    bundle, path = at(bundle_of(), 0.9), picture("a.png", 1)
    array = np.asarray(Picture.open(path))
    for other in (str(path), path.read_bytes(), array):
        assert verify(bundle, path, other).score == pytest.approx(1.0, abs=1e-5)


def test_pairs_embed_each_thing_once(
    picture: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        picture(f"{number}.png", number)
    rows = [(a, b) for a in range(5) for b in range(5)]
    table = tmp_path / "pictures" / "pairs.csv"
    table.write_text("a,b\n" + "".join(f"{a}.png,{b}.png\n" for a, b in rows))
    bundle, pairs = at(bundle_of(), 0.5), Pairs.from_table(table)
    embedded: list[int] = []

    def counted(bundle: Bundle, values: list) -> np.ndarray:
        embedded.append(len(values))
        return embed_values(bundle, values)

    monkeypatch.setattr(app, "embed_values", counted)
    monkeypatch.setattr(app, "THINGS_AT_ONCE", 3)
    verdicts = verify_pairs(bundle, pairs)
    assert embedded == [3, 2]
    assert len(verdicts) == 25
    for verdict, (a, b) in zip(verdicts, rows, strict=True):
        alone = verify(
            bundle, pairs.values[pairs.ids.index(f"{a}.png")], tmp_path / "pictures" / f"{b}.png"
        )
        assert verdict.score == pytest.approx(alone.score, abs=1e-5)
        assert verdict.decision == alone.decision


@pytest.mark.parametrize("comparison", ["cosine", "squared_euclidean", "manhattan", "WeightedL1"])
def test_identify_names_the_enrolled_or_nobody(
    picture: Callable, tmp_path: Path, comparison: str
) -> None:
    bundle = bundle_of(comparison)
    people = {
        name: [picture(f"{name}/{n}.png", 10 * k + n) for n in range(3)]
        for k, name in enumerate("abc")
    }
    query = picture("query.png", 99)
    with Index.create(tmp_path / "store", bundle.contract) as index:
        for name, files in people.items():
            assert enrol(at(bundle, 0.0), index, name, files) == tuple(
                f"{name}/{n}.png" for n in range(3)
            )
        vectors = embed_values(
            bundle, [query, *(file for files in people.values() for file in files)]
        )
        truth = scores(bundle.twin, vectors[:1], vectors[1:])[0].reshape(3, 3).max(axis=1)
        order = np.argsort(-truth)
        found = identify(at(bundle, float(truth.max()) - 0.01), index, query, candidates=2)
        assert found.label == "abc"[order[0]]
        assert [hit.label for hit in found.candidates] == ["abc"[place] for place in order[:2]]
        assert [hit.score for hit in found.candidates] == pytest.approx(truth[order[:2]], abs=1e-4)
        assert (found.gallery, found.far, found.certified) == (3, 0.01, True)
        stranger = identify(at(bundle, float(truth.max()) + 0.01), index, query)
        assert stranger.label is None
        assert stranger.score == found.score
        assert len(stranger.candidates) == 3


@pytest.mark.parametrize("comparison", ["euclidean", "WeightedL1"])
def test_search_is_brute_force_in_blocks(
    tmp_path: Path, comparison: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_of(comparison)
    random = np.random.default_rng(0)
    vectors, queries = (random.normal(size=(n, 8)).astype(np.float32) for n in (50, 4))
    ids = tuple(f"i{number}" for number in range(50))
    labels = tuple(f"l{number % 9}" for number in range(50))
    blocks = Index.blocks
    monkeypatch.setattr(Index, "blocks", lambda self: blocks(self, 7))
    with Index.create(tmp_path / "store", bundle.contract) as index:
        index.add(
            Embeddings(ids=ids, labels=labels, vectors=vectors, fingerprint=bundle.fingerprint)
        )
        truth = scores(bundle.twin, queries, vectors)
        for row, hits in zip(truth, search_vectors(bundle, index, queries, k=6), strict=True):
            order = np.argsort(-row)[:6]
            assert [hit.id for hit in hits] == [ids[place] for place in order]
            assert [hit.score for hit in hits] == pytest.approx(row[order], abs=1e-4)
        for row, hits in zip(
            truth, search_vectors(bundle, index, queries, k=4, identities=True), strict=True
        ):
            best = {
                label: max(row[place] for place in range(50) if labels[place] == label)
                for label in set(labels)
            }
            assert [hit.label for hit in hits] == sorted(best, key=lambda label: -best[label])[:4]
        with pytest.raises(StoreError, match="k is 0: ask for at least 1"):
            search_vectors(bundle, index, queries, k=0)


def test_a_learned_head_is_asked_about_a_shortlist_and_exactly_if_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_of("WeightedL1")
    with torch.no_grad():
        bundle.twin.comparison.weight.copy_(torch.linspace(0.6, 1.0, 8))
    random = np.random.default_rng(0)
    vectors, queries = (random.normal(size=(n, 8)).astype(np.float32) for n in (600, 3))
    ids = tuple(f"i{number}" for number in range(600))
    # every item near the first query is of one crowd, so that a short list holds no other identity
    crowd = set(np.argsort(np.linalg.norm(vectors - queries[0], axis=1))[:200].tolist())
    labels = tuple("crowd" if number in crowd else f"l{number % 9}" for number in range(600))
    metadata = tuple({"even": number % 2 == 0} for number in range(600))
    truth = scores(bundle.twin, queries, vectors)
    monkeypatch.setattr("twofold.apps.feature_maps.SHORTLIST", 100)
    with Index.create(tmp_path / "store", bundle.contract) as index:
        index.add(
            Embeddings(
                ids=ids,
                labels=labels,
                vectors=vectors,
                fingerprint=bundle.fingerprint,
                metadata=metadata,
            )
        )
        for row, hits in zip(
            truth, search_vectors(bundle, index, queries, k=5, exact=True), strict=True
        ):
            assert [hit.id for hit in hits] == [ids[place] for place in np.argsort(-row)[:5]]
        # nothing reads all items from here on
        monkeypatch.setattr("twofold.apps.search.scan", None)
        for row, hits in zip(truth, search_vectors(bundle, index, queries, k=5), strict=True):
            assert [hit.id for hit in hits] == [ids[place] for place in np.argsort(-row)[:5]]
            assert [hit.score for hit in hits] == pytest.approx(np.sort(row)[::-1][:5], abs=1e-4)
        (even,) = search_vectors(bundle, index, queries[:1], k=400, where={"even": True})
        assert [hit.id for hit in even] == [
            ids[place] for place in np.argsort(-truth[0]) if place % 2 == 0
        ]
        (named,) = search_vectors(bundle, index, queries[:1], k=10, identities=True)
        best = {
            label: max(truth[0][place] for place in range(600) if labels[place] == label)
            for label in set(labels)
        }
        assert len({hit.label for hit in named}) == 10
        assert [hit.label for hit in named][:4] == sorted(best, key=lambda label: -best[label])[:4]
        with pytest.raises(StoreError, match="k is 0: ask for at least 1"):
            search_vectors(bundle, index, queries, k=0)


def test_what_a_shortlist_costs_in_recall_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_of("WeightedL1")
    with torch.no_grad():
        bundle.twin.comparison.weight.copy_(torch.linspace(0.6, 1.0, 8))
    vectors = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    ids = tuple(f"i{number}" for number in range(300))
    with Index.create(tmp_path / "store", bundle.contract) as index:
        index.add(Embeddings(ids=ids, labels=ids, vectors=vectors, fingerprint=bundle.fingerprint))
        assert recall(bundle, index, k=5, sample=20).value == 1.0
        monkeypatch.setattr("twofold.apps.feature_maps.SHORTLIST", 8)
        short = recall(bundle, index, k=5, sample=20)
        assert (short.name, short.resampled) == ("recall_at_5", 20)
        assert 0.5 < short.value < 1.0


def test_an_encoder_without_unit_length_is_enrolled_by_direction(
    picture: Callable, tmp_path: Path
) -> None:
    bundle = at(bundle_of(**{"encoder.unit_norm": False}), 0.99)
    path = picture("a.png", 1)
    with Index.create(tmp_path / "store", bundle.contract) as index:
        enrol(bundle, index, "anna", [path])
        assert np.linalg.norm(index.get(index.ids).vectors) == pytest.approx(1.0, abs=1e-6)
        assert identify(bundle, index, path).label == "anna"
        assert identify(bundle, index, path).score == pytest.approx(1.0, abs=1e-6)


def test_enrolling_again_is_harmless_and_a_taken_name_is_told_apart(
    picture: Callable, tmp_path: Path
) -> None:
    bundle = at(bundle_of(), 0.9)
    first = picture("one/photo.png", 1)
    with Index.create(tmp_path / "store", bundle.contract) as index:
        assert enrol(bundle, index, "anna", str(first)) == ("anna/photo.png",)
        assert enrol(bundle, index, "anna", [first]) == ("anna/photo.png",)
        assert len(index) == 1
        message = r"'anna/photo.png' is enrolled already, by other content: give another id"
        with pytest.raises(StoreError, match=message):
            enrol(bundle, index, "anna", [picture("two/photo.png", 2)], ids=["anna/photo.png"])
        assert len(index) == 1
        names = enrol(
            bundle, index, "anna", [picture("two/photo.png", 2), picture("two/new.png", 3)]
        )
        assert names[0].startswith("anna/photo-") and names[1] == "anna/new.png"
        assert (
            enrol(bundle, index, "anna", [tmp_path / "pictures" / "two" / "photo.png"]) == names[:1]
        )
        assert len(index) == 3
        array = np.random.default_rng(4).integers(0, 256, (16, 16), dtype=np.uint8)
        assert enrol(bundle, index, "bert", [array], ids=["bert, drawn"]) == ("bert, drawn",)
        assert search(bundle, index, [array], k=1)[0][0].label == "bert"


def test_forget_is_for_ever(picture: Callable, tmp_path: Path) -> None:
    bundle, path = at(bundle_of(), 0.9), picture("a.png", 1)
    with Index.create(tmp_path / "store", bundle.contract) as index:
        enrol(bundle, index, "anna", [path])
        enrol(bundle, index, "bert", [picture("b.png", 2)])
        assert forget(bundle, index, "anna").ids == ("anna/a.png",)
        assert [hit.label for hit in identify(bundle, index, path).candidates] == ["bert"]
        with pytest.raises(UnknownLabel, match="nobody called 'anna' is in"):
            forget(bundle, index, "anna")


def test_without_a_threshold_there_is_no_verdict(picture: Callable, tmp_path: Path) -> None:
    bundle, path = bundle_of(), picture("a.png", 1)
    table = tmp_path / "pictures" / "pairs.csv"
    table.write_text("a,b\na.png,a.png\n")
    with Index.create(tmp_path / "store", bundle.contract) as index:
        for call in (
            lambda: verify(bundle, path, path),
            lambda: verify_pairs(bundle, Pairs.from_table(table)),
            lambda: identify(bundle, index, path),
        ):
            with pytest.raises(
                NotCalibrated,
                match="has no threshold yet, so it can give no verdict: run `twofold calib",
            ):
                call()
        assert enrol(bundle, index, "anna", [path]) == ("anna/a.png",)


def test_an_index_of_another_model_is_refused(picture: Callable, tmp_path: Path) -> None:
    bundle, other, path = at(bundle_of(), 0.9), at(bundle_of(seed=1), 0.9), picture("a.png", 1)
    with Index.create(tmp_path / "store", bundle.contract) as index:
        enrol(bundle, index, "anna", [path])
        for call in (
            lambda: identify(other, index, path),
            lambda: search(other, index, [path]),
            lambda: enrol(other, index, "bert", [path]),
            lambda: forget(other, index, "anna"),
        ):
            with pytest.raises(
                FingerprintMismatch, match=f"of model {bundle.fingerprint[:12]}, these are of"
            ):
                call()
        recalibrated = replace(bundle, calibration=calibration(0.1))
        assert identify(recalibrated, index, path).label == "anna"


def test_what_cannot_be_enrolled_or_asked(picture: Callable, tmp_path: Path) -> None:
    bundle, path = at(bundle_of(), 0.9), picture("a.png", 1)
    broken = tmp_path / "broken.jpg"
    broken.write_text("no picture")
    with Index.create(tmp_path / "store", bundle.contract) as index:
        with pytest.raises(StoreError, match="store is empty: enrol somebody first"):
            identify(bundle, index, path)
        with pytest.raises(UsageError, match="nothing to enrol 'anna' by: give at least one file"):
            enrol(bundle, index, "anna", [])
        with pytest.raises(
            UsageError,
            match=r"'x' would name two things: the same file is given twice, or the",
        ):
            enrol(bundle, index, "anna", [path, picture("other/a.png", 2)], ids=["x", "x"])
        with pytest.raises(
            UsageError, match="a bytes has no file name to be called by: give an id for each"
        ):
            enrol(bundle, index, "anna", [path.read_bytes()])
        with pytest.raises(UsageError, match="2 ids for 1 things"):
            enrol(bundle, index, "anna", [path], ids=["x", "y"])
        with pytest.raises(UnreadableInput, match=r"broken\.jpg"):
            enrol(bundle, index, "anna", [path, broken])
        assert len(index) == 0
        with pytest.raises(UnreadableInput, match=r"broken\.jpg"):
            verify(bundle, path, broken)


def for_many(bundle: Bundle, threshold: float, *, size: int) -> Bundle:
    rate = bundle.calibration.false_match
    many = OpenSet(
        threshold=threshold,
        fpir=0.05,
        standing="estimate",
        upper_bound=0.1,
        size=size,
        enrolled=1,
        false_positive=rate,
        false_negative=rate,
        identities=90,
        repeats=10,
        seed=0,
    )
    return bundle.with_calibration(replace(bundle.calibration, open_set=many))


def test_identify_takes_the_threshold_of_many_and_warns_of_a_grown_gallery(
    picture: Callable, tmp_path: Path
) -> None:
    plain, path = at(bundle_of(), 0.5, 0.4), picture("a.png", 1)
    with Index.create(tmp_path / "index", plain.contract) as index:
        enrol(plain, index, "anna", path)
        assert identify(plain, index, path).fpir is None
        found = identify(for_many(plain, 0.9, size=1), index, path)
        assert (found.label, found.decision, found.threshold, found.fpir) == (
            "anna",
            "same",
            0.9,
            0.05,
        )
        assert (found.certified, found.warning) == (False, None)
        # between the lower threshold and that of many nobody is named, but somebody may be
        found = identify(for_many(plain, 1.1, size=1), index, path)
        assert (found.label, found.decision) == (None, "unsure")
        enrol(plain, index, "anna", picture("b.png", 2))
        text = identify(for_many(plain, 0.9, size=1), index, path).warning
        assert text.startswith(
            "1 identity is enrolled with 2 items; the rate 0.05 was measured for 1 with 1 each"
        )
        enrol(plain, index, "bert", picture("c.png", 3))
        assert "--set gallery=2" in identify(for_many(plain, 0.9, size=1), index, path).warning
        assert identify(for_many(plain, 0.9, size=3), index, path).warning is None

"""The gallery: enrolled with a date and through a gate, updated whole, compared by the best or by the mean."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from PIL import ImageFilter

from small_bundles import of_pictures, of_vectors
from twofold.apps.gallery import enrol, forget, update
from twofold.apps.identify import identify
from twofold.apps.quality import Gate, measure
from twofold.apps.templates import means
from twofold.data.hashes import content_hash
from twofold.errors import PoorQuality, StoreError, UnknownLabel, UsageError
from twofold.store import Index

Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """`draw("anna/1.png", 3, grey=lambda g: g // 2)`: a file with the noise of seed 3, changed."""

    def picture(
        name: str, seed: int, change: Callable[[np.ndarray], np.ndarray] = lambda grey: grey
    ) -> Path:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = np.random.default_rng(seed).integers(0, 256, (16, 16)).astype(np.float64)
        Picture.fromarray(change(grey).astype(np.uint8)).save(path)
        return path

    return picture


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.create(tmp_path / "store", of_pictures().contract) as made:
        yield made


def test_enrol_keeps_each_example_apart_and_is_logged(index: Index, draw: Draw) -> None:
    bundle = of_pictures()
    files = [draw(f"anna/{n}.png", n) for n in range(3)]
    assert enrol(bundle, index, "anna", files, expires=date(2999, 1, 1)) == (
        "anna/0.png",
        "anna/1.png",
        "anna/2.png",
    )
    assert len({vector.tobytes() for vector in index.get(index.ids).vectors}) == 3
    assert index.dates(index.ids) == dict.fromkeys(index.ids, "2999-01-01T00:00:00+00:00")
    assert index.get(["anna/0.png"]).metadata == ({},)  # where it lay is nobody's business (law 7)
    assert [(entry.event, entry.items) for entry in index.audit("anna")] == [("enrol", 3)]


def test_the_source_is_kept_only_if_asked(
    index: Index, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = draw("anna/1.png", 1)
    monkeypatch.chdir(path.parent)
    enrol(of_pictures(), index, "anna", ["1.png"], keep_source=True)
    assert index.get(["anna/1.png"]).metadata == (
        {"source": str(path), "content": content_hash(path)},
    )


def test_update_puts_new_things_in_the_place_of_all(index: Index, draw: Draw) -> None:
    bundle = of_pictures()
    enrol(bundle, index, "anna", [draw(f"anna/{n}.png", n) for n in range(3)])
    enrol(bundle, index, "bert", [draw("bert/0.png", 9)])
    # a name that was taken may now stand for other content: that is what an update is for
    assert update(bundle, index, "anna", [draw("new/0.png", 20), draw("new/7.png", 21)]) == (
        "anna/0.png",
        "anna/7.png",
    )
    assert sorted(index.ids) == ["anna/0.png", "anna/7.png", "bert/0.png"]
    assert identify(bundle, index, draw("new/0.png", 20)).candidates[0].id == "anna/0.png"
    with pytest.raises(UnknownLabel, match=r"nobody called 'ana' is in .*did you mean 'anna'\?"):
        update(bundle, index, "ana", [draw("x.png", 1)])
    before = index.ids
    with pytest.raises(PoorQuality):
        update(bundle, index, "anna", [draw("flat.png", 1, lambda grey: grey * 0 + 7)])
    assert index.ids == before


def test_a_flat_picture_is_not_enrolled(index: Index, draw: Draw) -> None:
    good, flat = draw("good.png", 1), draw("flat.png", 2, lambda grey: grey * 0 + 80)
    with pytest.raises(
        PoorQuality, match=r"flat\.png: its contrast is 0, at least 1 is asked: give a better one"
    ):
        enrol(of_pictures(), index, "anna", [good, flat])
    assert len(index) == 0


def test_each_measure_has_its_gate(index: Index, draw: Draw, tmp_path: Path) -> None:
    bundle = of_pictures()
    sharp = draw("sharp.png", 1)
    blurred, dark = tmp_path / "blurred.png", draw("dark.png", 1, lambda grey: grey / 8)
    Picture.open(sharp).filter(ImageFilter.GaussianBlur(2)).save(blurred)
    known = dict(
        zip(("sharp", "blurred", "dark"), measure(bundle, [sharp, blurred, dark]), strict=True)
    )
    assert known["sharp"].sharpness > 20 * known["blurred"].sharpness
    assert known["dark"].brightness == pytest.approx(known["sharp"].brightness / 8, abs=1)
    assert known["sharp"].norm is None  # the encoder brings every vector to length 1
    for gate, path, message in [
        (
            Gate(sharpness=1000),
            blurred,
            r"blurred\.png: its sharpness is .*, at least 1000 is asked: give a better",
        ),
        (Gate(contrast=40), dark, r"dark\.png: its contrast is .*, at least 40 is asked"),
        (
            Gate(brightness=(40, 220)),
            dark,
            r"dark\.png: its brightness is .*, between 40 and 220 is asked: .* too dark",
        ),
        (Gate(brightness=(0, 100)), sharp, "it is too bright"),
        (
            Gate(judge=lambda value, picture: f"is {picture.shape[0]} high"),
            sharp,
            r"sharp\.png: is 16 high",
        ),
    ]:
        with pytest.raises(PoorQuality, match=message):
            enrol(bundle, index, "anna", [path], gate=gate)
        assert len(index) == 0
    enrol(
        bundle, index, "anna", [sharp], gate=Gate(sharpness=1000, contrast=40, brightness=(40, 220))
    )
    assert index.ids == ("anna/sharp.png",)


def test_the_norm_is_a_gate_where_the_encoder_leaves_it(tmp_path: Path, draw: Draw) -> None:
    free = of_pictures(**{"encoder.unit_norm": False})
    path = draw("a.png", 1)
    (quality,) = measure(free, [path])
    with Index.create(tmp_path / "free", free.contract) as index:
        with pytest.raises(PoorQuality, match=r"a\.png: its norm is .*, at least 1000 is asked"):
            enrol(free, index, "anna", [path], gate=Gate(norm=1000))
        enrol(free, index, "anna", [path], gate=Gate(norm=quality.norm * 0.99))
    with (
        Index.create(tmp_path / "unit", of_pictures().contract) as index,
        pytest.raises(UsageError) as caught,
    ):
        enrol(of_pictures(), index, "anna", [path], gate=Gate(norm=1.0))
    assert "the encoder gives vectors of length 1, so their norm says nothing" in str(caught.value)


def test_what_is_no_picture_has_no_sharpness(tmp_path: Path) -> None:
    bundle = of_vectors()
    with Index.create(tmp_path / "store", bundle.contract) as index:
        with pytest.raises(
            UsageError, match=r"sharpness is not measured of what .* \(Vector\): there is nothing"
        ):
            enrol(
                bundle, index, "anna", [np.ones(32, np.float32)], ids=["1"], gate=Gate(sharpness=3)
            )
        enrol(bundle, index, "anna", [np.ones(32, np.float32)], ids=["1"])
        with pytest.raises(PoorQuality, match="a ndarray: no good"):
            enrol(
                bundle,
                index,
                "bert",
                [np.ones(32, np.float32)],
                ids=["2"],
                gate=Gate(judge=lambda *_: "no good"),
            )


@pytest.mark.parametrize(
    "settings",
    [
        {"sharp": 3},
        {"sharpness": "much"},
        {"brightness": 3},
        {"brightness": [1, 2, 3]},
        {"norm": True},
    ],
)
def test_settings_of_a_gate(settings: dict) -> None:
    with pytest.raises(
        UsageError, match=r"there are sharpness=40, .* length=5, norm=5 and brightness=\[40,220\]"
    ):
        Gate.of(settings)


def test_a_gate_of_settings() -> None:
    assert Gate.of({}) == Gate()
    assert Gate.of({"sharpness": 40, "brightness": [40, 220.0]}) == Gate(
        sharpness=40.0, brightness=(40, 220.0)
    )


@pytest.mark.parametrize("comparison", ["cosine", "euclidean", "manhattan"])
def test_the_mean_of_several_against_the_best_of_them(tmp_path: Path, comparison: str) -> None:
    """One enrolled example that happens to be near a stranger is outvoted by the others."""
    bundle = of_vectors(comparison, threshold=-99.0)
    axis = np.eye(32, dtype=np.float32)
    # the last is no good picture of hers
    anna = [axis[0] + 0.3 * axis[n] for n in (1, 2, 3)] + [axis[9]]
    bert = [axis[9] * 0.7 + axis[8] * 0.5 + 0.3 * axis[n] for n in (4, 5, 6)]
    if comparison == "cosine":
        anna, bert = ([v / np.linalg.norm(v) for v in vectors] for vectors in (anna, bert))
    with Index.create(tmp_path / "store", bundle.contract) as index:
        enrol(bundle, index, "anna", anna, ids=[f"a{n}" for n in range(4)])
        enrol(bundle, index, "bert", bert, ids=[f"b{n}" for n in range(3)])
        query = axis[9] if comparison == "cosine" else axis[9] * 0.9
        best, mean = (identify(bundle, index, query, template=each) for each in ("best", "mean"))
        assert (best.label, mean.label) == ("anna", "bert")
        assert best.certified
        assert best.warning is None
        assert not mean.certified
        assert (
            mean.warning
            == "the threshold was set for single items: for means of several, the rate is an "
            "estimate"
        )
        labels, vectors = means(bundle, index)
        truth = np.stack([np.mean(vectors, axis=0) for vectors in (anna, bert)])
        if comparison == "cosine":
            truth /= np.linalg.norm(truth, axis=1, keepdims=True)
        assert labels == ["anna", "bert"]
        np.testing.assert_allclose(vectors, truth, atol=1e-6)
        assert [hit.label for hit in mean.candidates] == ["bert", "anna"]
        with pytest.raises(StoreError, match="candidates is 0: ask for at least 1"):
            identify(bundle, index, query, template="mean", candidates=0)


def test_the_mean_of_one_is_that_one(tmp_path: Path) -> None:
    bundle = of_vectors()
    with Index.create(tmp_path / "store", bundle.contract) as index:
        for n in range(3):
            enrol(bundle, index, f"p{n}", [np.eye(32, dtype=np.float32)[n]], ids=[f"p{n}"])
        best, mean = (
            identify(bundle, index, np.eye(32, dtype=np.float32)[1], template=t)
            for t in ("best", "mean")
        )
        assert best.label == mean.label == "p1"
        assert mean.warning is None


@pytest.mark.parametrize("template", ["best", "mean"])
@pytest.mark.parametrize("comparison", ["cosine", "WeightedL1"])
def test_who_is_revoked_or_expired_is_not_identified(
    tmp_path: Path, template: str, comparison: str
) -> None:
    bundle = (
        of_vectors(threshold=-99.0)
        if comparison == "cosine"
        else of_pictures(comparison=comparison)
    )
    random = np.random.default_rng(0)
    things = {
        name: random.normal(size=32).astype(np.float32)
        if comparison == "cosine"
        else random.integers(0, 256, (16, 16), dtype=np.uint8)
        for name in "abc"
    }
    if comparison == "cosine":
        things = {name: value / np.linalg.norm(value) for name, value in things.items()}
    with Index.create(tmp_path / "store", bundle.contract) as index:
        for name, value in things.items():
            enrol(bundle, index, name, [value], ids=[name])
        assert identify(bundle, index, things["a"], template=template).candidates[0].label == "a"
        assert identify(bundle, index, things["a"], template=template).gallery == 3
        index.revoke("a")
        found = identify(bundle, index, things["a"], template=template)
        assert {hit.label for hit in found.candidates} == {"b", "c"}
        assert found.gallery == 2
        index.expire("b", "2020-01-01")
        assert [
            hit.label for hit in identify(bundle, index, things["b"], template=template).candidates
        ] == ["c"]
        index.revoke("c")
        with pytest.raises(
            StoreError,
            match=r"nobody in .* counts: all are expired or revoked; enrol or restore some",
        ):
            identify(bundle, index, things["c"], template=template)
        index.restore("a")
        assert identify(bundle, index, things["a"], template=template).candidates[0].label == "a"


def test_several_are_forgotten_at_once(index: Index, draw: Draw) -> None:
    bundle = of_pictures()
    for number, name in enumerate(["anna", "bert", "carl"]):
        enrol(bundle, index, name, [draw(f"{name}/1.png", number)])
    receipt = forget(bundle, index, ["anna", "carl"])
    assert (receipt.labels, receipt.left) == (("anna", "carl"), 0)
    assert index.labels == ("bert",)

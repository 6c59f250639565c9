"""What there is, told in a few lines: the usual path, recipes with comments, bundles and data as one line."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from small_bundles import of_pictures
from twofold import recipes
from twofold.config import Recipe
from twofold.data.synthetic import glyphs
from twofold.results import Verdict
from twofold.terminal.wording import verdict


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_the_bare_command_shows_the_usual_path_and_what_was_done(run, tmp_path):
    code, out, _ = run()
    assert code == 0 and "✓" not in out and "there is no bundle in this folder yet" in out
    place = of_pictures().save(tmp_path / "models" / "mine")
    code, out, _ = run()
    assert [line.split()[2] for line in out.splitlines() if line.startswith("✓")] == [
        "train",
        "calibrate",
    ]
    assert "models/mine is trained and calibrated" in out
    told = json.loads((place / "bundle.json").read_text())
    told["contract"]["calibration"] = None
    (place / "bundle.json").write_text(json.dumps(told))
    assert "models/mine is trained, and not calibrated yet" in run()[1]
    (place / "bundle.json").write_text("[]")
    assert run()[0] == 0


def test_every_recipe_is_named_where_a_user_looks_for_it(run):
    told = re.findall(r"\w+", run("train", "--help")[1])
    page = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    for name in recipes.__all__:
        assert name in told and f"`{name}`" in page, name


@pytest.mark.parametrize("name", recipes.__all__)
def test_a_recipe_is_printed_with_comments_and_reads_back_the_same(run, name):
    code, out, _ = run("recipe", name)
    assert code == 0
    assert "# a batch holds p identities with k items each." in out.splitlines()
    assert Recipe.model_validate(tomllib.loads(out)) == recipes.find(name)


def test_a_bundle_and_data_are_one_line_in_a_notebook():
    bundle, items = of_pictures(), glyphs(classes=6, each=3, size=12, seed=0)
    assert len(repr(bundle)) < 400 and bundle.fingerprint[:12] in repr(bundle)
    assert "false-accept rate 0.01 (certified, 9 identities)" in repr(bundle)
    assert "<table>" in bundle._repr_html_() and "none yet" in repr(bundle.with_calibration(None))
    assert repr(items) == "Items(18 items of 6 identities)"


def test_info_leads_with_what_a_person_asks(run, tmp_path):
    of_pictures().save(tmp_path / "model")
    short, whole = run("info", "model")[1], run("info", "model", "--all")[1]
    assert len(short.splitlines()) <= 10 < len(whole.splitlines())
    assert "everything that is kept: twofold info model --all" in short
    assert json.loads(run("info", "model", "--json")[1])["dim"] == 8


def test_a_probability_says_of_what_and_never_contradicts_the_decision():
    known = {"score": 0.4, "threshold": 0.5, "far": 0.01, "standing": "certified"}
    said = verdict(Verdict(decision="different", probability=0.12, **known))
    assert said.endswith(
        "(certified); probability that they are the same 12.0% (if half of all pairs were)"
    )
    assert "probability" not in verdict(Verdict(decision="different", probability=0.7, **known))
    rare = verdict(Verdict(decision="same", probability=0.9, prior=0.01, **known | {"score": 0.6}))
    assert "(if 0.01 of all pairs were)" in rare

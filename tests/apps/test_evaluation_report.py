"""The report of a bundle and of scores: the same numbers as `evaluate`, the right pairs, nothing private unasked."""

import json
import re
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from twofold import Bundle, Recipe, calibrate, cli, evaluate
from twofold.apps.evaluation_report import evaluation_report
from twofold.apps.listed_report import scores_report
from twofold.cli import watch
from twofold.data.scores import Scores
from twofold.data.synthetic import glyphs
from twofold.embedding import embed, scores
from twofold.errors import UsageError
from twofold.report.measured import numbers
from twofold.report.writing import write_report
from twofold.train.fit import fit_recipe


@pytest.fixture(scope="module")
def trained():
    image, encoder = {"name": "Image", "size": 16, "channels": 1}, {"name": "conv4", "dim": 16}
    recipe = Recipe.model_validate({"input": image, "encoder": encoder, "epochs": 1})
    return fit_recipe(
        recipe.replace({"split.calibrate": 0.4, "split.train": 0.4}),
        glyphs(40, 4, size=16),
        device="cpu",
    )


@pytest.fixture(scope="module")
def bundle(trained):
    return calibrate(trained, glyphs(40, 4, size=16), far=0.05, standing="estimate")


@pytest.fixture(scope="module")
def strangers():
    items = glyphs(12, 4, size=16, seed=9)
    items = replace(items, names=tuple(f"new/{name}" for name in items.names))
    items = replace(items, identities=items.names)
    return replace(items, group=items.labels % 3, groups=("one", "two", "three"))


@pytest.fixture(scope="module")
def report(bundle, strangers):
    return evaluation_report(bundle, strangers, commands=("twofold evaluate b d",))


def test_the_numbers_are_those_of_evaluate(bundle, strangers, report):
    assert report.evaluation == evaluate(bundle, strangers)
    told = json.loads(json.dumps(numbers(report), allow_nan=False))
    assert told["estimates"] == [
        vars(each) | {"says_nothing": each.says_nothing} for each in report.evaluation.estimates
    ]
    assert told["curve"]["false_match_rate"] == report.curve.false_match_rate.tolist()
    assert "shown" not in told["hard"][0]


def test_the_hardest_pairs_are_the_hardest_of_each_two_classes(bundle, strangers, report):
    vectors = embed(bundle, strangers).vectors
    score, labels = scores(bundle.twin, vectors, vectors), strangers.labels
    for kind, same in (("false accept", False), ("false reject", True)):
        found = [each for each in report.hard if each.kind == kind]
        best = {}
        for a, b in zip(*np.triu_indices(len(labels), 1), strict=True):
            if (labels[a] == labels[b]) == same:
                key = (min(labels[a], labels[b]), max(labels[a], labels[b]))
                best[key] = max(best.get(key, -np.inf), -score[a, b] if same else score[a, b])
        hardest = sorted(best.values(), reverse=True)[: len(found)]
        assert len(found) == 6
        assert [-each.score if same else each.score for each in found] == pytest.approx(
            hardest, abs=1e-6
        )
        assert all(each.wrong == ((each.score >= report.threshold) != same) for each in found)


def test_groups_count_their_own_pairs_and_the_worst_is_first(report):
    assert {part.name for part in report.groups} == {"one", "two", "three"}
    assert {(part.items, part.genuine_pairs, part.impostor_pairs) for part in report.groups} == {
        (16, 24, 96)
    }
    for parts in (report.groups, report.classes):
        wrong = [
            (part.false_non_match_rate or 0.0) + (part.false_match_rate or 0.0) for part in parts
        ]
        assert wrong == sorted(wrong, reverse=True)


def test_pictures_are_left_out_when_asked(bundle, strangers, report, tmp_path):
    quiet = evaluation_report(bundle, strangers, pictures=False)
    assert all(thing is None for each in quiet.hard for thing in each.shown)
    write_report(quiet, tmp_path / "quiet.html")
    write_report(report, tmp_path / "loud.html")
    assert "data:image" not in (tmp_path / "quiet.html").read_text()
    assert (tmp_path / "loud.html").read_text().count("data:image/png;base64,") == 24


def test_a_bundle_without_a_threshold_is_told_so(trained, strangers):
    found = evaluation_report(trained, strangers)
    assert found.reliability is None
    assert found.standing == "estimate"
    assert np.isfinite(found.threshold)


def test_scores_of_any_model_have_curves_too():
    generator = np.random.default_rng(0)
    first, second = np.triu_indices(20)
    same = first == second
    listed = Scores.from_arrays(
        generator.normal(size=len(same)) + 2.0 * same, same, first=first, second=second
    )
    found = scores_report(listed)
    assert found.ranks == found.groups == found.hard == ()
    assert found.evaluation.units == 20


def test_the_command_writes_a_page_and_a_card_and_the_bundle_still_loads(bundle, tmp_path, capsys):
    items = glyphs(8, 3, size=16, seed=5)
    for value, id, label in zip(items.values, items.ids, items.labels, strict=True):
        folder = tmp_path / "data" / f"stranger{label}"
        folder.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(np.asarray(value).squeeze()).save(
            folder / f"{id.replace('/', '-')}.png"
        )
    bundle.save(tmp_path / "bundle")
    words = [
        "evaluate",
        str(tmp_path / "bundle"),
        str(tmp_path / "data"),
        "--report",
        str(tmp_path / "r.html"),
        "--json",
    ]
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main(words)
    told = json.loads(capsys.readouterr().out)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    rate = next(each for each in told["estimates"] if each["name"] == "false_match_rate")
    assert f"{rate['value']:.2%}" in page
    assert "twofold evaluate" in page
    assert not re.search(r"https?://|@import|url\(|<script", page)
    assert Bundle.load(tmp_path / "bundle").fingerprint == bundle.fingerprint
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"{rate['value']:.2%}" in card


def test_one_bundle_at_a_time(tmp_path):
    with pytest.raises(UsageError, match="leave --against out"):
        watch.evaluate(tmp_path, tmp_path, against=tmp_path, report=tmp_path / "r.html")

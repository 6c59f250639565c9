"""The page, its figures and the model card: complete in themselves, and names are never taken for markup."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from twofold.contract import Calibration
from twofold.metrics.curves import Curve, Reliability
from twofold.report import plots
from twofold.report.measured import Hard, Map, Part, Report
from twofold.report.measured_page import measured_page
from twofold.report.model_card import model_card
from twofold.report.projection import pca, projection
from twofold.report.story import Scores
from twofold.report.summary import advice, promise
from twofold.report.writing import write_report
from twofold.results import Estimate, Evaluation


def estimate(name, value=0.1):
    return Estimate(
        name=name,
        value=value,
        low=value / 2,
        high=min(value * 2, 1.0),
        confidence=0.95,
        unit="identity",
        resampled=60,
    )


def known(*, standing="certified"):
    return Calibration(
        threshold=0.5,
        far=0.01,
        standing=standing,
        confidence=0.95,
        method="made up",
        upper_bound=0.009,
        false_match=estimate("false_match_rate", 0.005),
        false_non_match=estimate("false_non_match_rate", 0.05),
        slope=8.0,
        intercept=-4.0,
        prior=0.5,
        identities=300,
        genuine_pairs=900,
        impostor_pairs=9000,
        seed=0,
    )


def told(**changes):
    names = (
        "eer",
        "auc",
        "tar_at_far",
        "accuracy",
        "false_match_rate",
        "false_non_match_rate",
        "recall_at_1",
    )
    evaluation = Evaluation(
        estimates=tuple(estimate(name, 0.05) for name in names),
        unit="identity",
        units=60,
        items=240,
        genuine_pairs=360,
        impostor_pairs=28320,
        threshold=0.5,
        far=0.01,
        standing="certified",
        holds=True,
        seed=0,
        notes=("a <note>",),
    )
    far = np.geomspace(1e-4, 0.999, 16)
    curve = Curve(
        false_match_rate=far,
        false_non_match_rate=1 - far,
        low=0.9 * (1 - far),
        high=1 - far**2,
        confidence=0.95,
    )
    shares = np.array([0.25, 0.75])
    diagonal = np.array([0.1, 0.9])
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4)
    fields = {
        "title": "T & T",
        "made": "2026-01-02",
        "evaluation": evaluation,
        "calibration": known(),
        "threshold": 0.5,
        "curve": curve,
        "scores": Scores(
            edges=np.array([0.0, 0.5, 1.0]),
            genuine=shares,
            impostor=shares[::-1].copy(),
            threshold=0.5,
        ),
        "reliability": Reliability(
            predicted=diagonal,
            observed=diagonal,
            low=diagonal - 0.1,
            high=diagonal + 0.1,
            weight=shares,
            confidence=0.95,
        ),
        "ranks": tuple(estimate(f"rank_{k}", 0.8 + k / 100) for k in (1, 2, 5)),
        "groups": (
            Part(
                name="g|<1>",
                items=4,
                identities=2,
                genuine_pairs=2,
                impostor_pairs=4,
                false_non_match_rate=0.5,
                false_match_rate=0.25,
                false_match_interval=(0.2, 0.3),
            ),
        ),
        "hard": (
            Hard(
                kind="false accept",
                wrong=True,
                score=0.9,
                probability=0.96,
                ids=("a/1.png", "b/2.png"),
                labels=("<a>", "b"),
                shown=(picture, "a <text>"),
            ),
        ),
        "map": Map(
            points=np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]),
            marked=np.array([0, 1, 2]),
            names=("x", "<y>"),
            method="PCA",
        ),
        "data": {"items": "240"},
        "model": {"encoder": "conv4"},
        "commands": ("twofold evaluate a b",),
    }
    return Report(**(fields | changes))


def test_nothing_is_fetched_and_no_name_is_markup():
    html = measured_page(told())
    assert not re.search(r"https?://|@import|url\(|<script", html)
    for text in (
        "T &amp; T",
        "&lt;a&gt;",
        "a &lt;text&gt;",
        "g|&lt;1&gt;",
        "a &lt;note&gt;",
        "&lt;y&gt;",
    ):
        assert text in html
    assert not re.search("<a>|<y>|<text>|<note>|<1>", html)
    assert "prefers-color-scheme: dark" in html
    assert "5.00%" in html
    assert "✓ certified" in html


def test_every_element_is_closed():
    html = measured_page(told())
    body = html[html.index("<body>") : html.index("</html>")]
    ET.fromstring(re.sub(r"<(br|wbr|img[^>]*)>", r"<\1/>", body))


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": None, "reliability": None},
        {"ranks": (), "groups": (), "hard": (), "map": None, "model": {}, "commands": ()},
    ],
)
def test_what_is_not_known_is_left_out(changes):
    report = told(**changes)
    assert "</html>" in measured_page(report)
    assert model_card(report).startswith("# Model card\n")


def test_figures_are_well_formed_and_hold_no_nan():
    report = told()
    assert report.reliability is not None
    assert report.map is not None
    drawn = [
        plots.det(report.curve, at=(0.01, 0.05), eer=0.03),
        plots.roc(report.curve, at=(0.01, 0.05), eer=0.03),
        plots.histogram(report.scores, thresholds=[("threshold", 0.5)]),
        plots.reliability_diagram(report.reliability),
        plots.cmc(report.ranks),
        plots.embedding_map(report.map),
    ]
    for figure in drawn:
        assert ET.fromstring(figure).get("aria-label")
        assert "nan" not in figure


def test_a_curve_without_errors_can_be_drawn():
    none = np.zeros(4)
    far = np.array([1e-3, 1e-2, 0.1, 0.999])
    curve = Curve(
        false_match_rate=far, false_non_match_rate=none, low=none, high=none + 0.1, confidence=0.95
    )
    for figure in (
        plots.det(curve, at=(0.0, 0.0), eer=0.0),
        plots.roc(curve, at=(0.0, 0.0), eer=0.0),
    ):
        assert "nan" not in figure


def test_the_card_is_markdown_in_which_names_stay_names():
    card = model_card(told())
    assert "g\\|\\<1\\>" in card
    assert "twofold evaluate a b" in card
    assert "25.00% (20.00 to 30.00%)" in card


def test_words_say_whether_it_is_certified_and_what_to_do():
    report = told()
    assert "at most 1% of the pairs" in promise(report)
    assert "300 other identities" in promise(report)
    assert any("calibrate for that group" in said for said in advice(report))
    assert "not certified" in promise(told(calibration=known(standing="estimate")))
    assert "Calibrate it" in advice(told(calibration=None))[0]
    failed = told(evaluation=replace(report.evaluation, holds=False))
    assert "does not agree" in promise(failed)
    assert "certified, but not on data like this" in measured_page(failed)


def test_the_card_stands_beside_what_it_describes(tmp_path):
    page, card = write_report(told(), tmp_path / "r.html", beside=tmp_path)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert card.name == "MODEL_CARD.md"


def test_pca_finds_the_plane_that_vectors_lie_in():
    generator = np.random.default_rng(0)
    flat = generator.normal(size=(20, 2)) * [3.0, 1.0]
    points, share = pca(
        (flat @ np.linalg.qr(generator.normal(size=(5, 5)))[0][:2]).astype(np.float32)
    )
    assert share == pytest.approx(1.0, abs=1e-5)
    apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    assert np.linalg.norm(points[:, None] - points[None], axis=-1) == pytest.approx(apart, abs=1e-4)


def test_a_map_is_the_same_for_the_same_seed():
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    first, method = projection(vectors, seed=1)
    assert first.shape == (40, 2)
    assert method
    np.testing.assert_array_equal(first, projection(vectors, seed=1)[0])

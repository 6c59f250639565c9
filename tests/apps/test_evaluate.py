"""evaluate: the numbers of vectors whose truth is known, and what it refuses."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats
from torch import nn

from twofold.apps import evaluate as module
from twofold.apps.evaluate import evaluate, evaluate_vectors, ranking
from twofold.apps.evaluate_pairs import evaluate_pairs
from twofold.calibration.pairs import calibrate
from twofold.calibration.references import calibrate_references
from twofold.comparison import WeightedL1
from twofold.data.pairs import Pairs
from twofold.data.synthetic import clusters
from twofold.embedding import embed_values, pair_scores, scores
from twofold.errors import DataError, IdentityOverlap, UnknownName, UsageError
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import eer, tally
from twofold.twin import Twin
from vectors import Vector, bundle, renamed


def test_the_numbers_of_a_calibrated_bundle():
    known, items = clusters(60, 4, spread=0.7), renamed(clusters(40, 4, spread=0.7, seed=1))
    done = calibrate(bundle(), known, far=0.1)
    found = evaluate(done, items)
    assert {each.name for each in found.estimates} == {
        "eer", "auc", "best_accuracy", "tar_at_far", "accuracy", "false_match_rate", "false_non_match_rate",
        "map_at_r", "recall_at_1", "accuracy_5_way_1_shot", "accuracy_20_way_1_shot",
    }  # fmt: skip
    vectors = np.stack(items.values).astype(np.float64)
    pairs = AllPairs(lambda rows, cols: vectors[rows] @ vectors[cols].T, items.labels)
    assert found.number("eer").value == pytest.approx(eer(tally(pairs)), abs=1e-4)
    assert (found.items, found.units, found.genuine_pairs, found.impostor_pairs) == (
        160,
        40,
        240,
        12720 - 240,
    )
    assert (found.threshold, found.far, found.certified) == (done.calibration.threshold, 0.1, True)
    assert found.holds and found.number("false_match_rate").value < 0.12
    assert found.notes == ()
    for each in found.estimates:
        assert each.low <= each.value <= each.high and (each.unit, each.confidence) == (
            "identity",
            0.95,
        )
    json.dumps(asdict(found), allow_nan=False)
    assert evaluate(done, items) == found
    with pytest.raises(UnknownName, match="'ear' was not measured: did you mean 'eer'"):
        found.number("ear")


def test_without_a_threshold_and_with_few_classes():
    found = evaluate(bundle(), clusters(7, 3))
    assert (found.threshold, found.holds, found.certified, found.far) == (None, None, False, 0.01)
    assert "accuracy" not in {each.name for each in found.estimates}
    assert found.notes == ("7 classes have 2 items or more: 20-way 1-shot episodes need 20",)
    with pytest.raises(UnknownName, match="20-way 1-shot episodes need 20"):
        found.number("accuracy_20_way_1_shot")


def test_a_rate_that_does_not_hold_is_said():
    done = calibrate(bundle(), clusters(60, 4, spread=0.5), far=0.1)
    assert evaluate(done, renamed(clusters(60, 4, spread=0.5, kin=0.8, seed=3))).holds is False


def test_identities_that_were_used_before_are_refused():
    items = clusters(50, 3)
    first, rest = items.identities[:40], items.identities[40:]
    done = calibrate(
        bundle(train=("x",), calibrate=first), items.where(identities=list(first)), far=0.1
    )
    with pytest.raises(IdentityOverlap, match="the threshold was found on 40 of 50 identities"):
        evaluate(done, items)
    with pytest.raises(IdentityOverlap, match="10 of 50 identities were trained on"):
        evaluate(bundle(train=rest), items)
    assert evaluate(bundle(train=first, test=rest), items).units == 10
    # of data that training did not know the names are kept, too
    elsewhere = calibrate(bundle(train=("x",)), items.where(identities=list(first)), far=0.1)
    assert elsewhere.calibrated(items) == first
    with pytest.raises(IdentityOverlap, match="the threshold was found on 40 of 50 identities"):
        evaluate(elsewhere, items)
    assert (
        "calibrated"
        not in calibrate(done, items.where(identities=list(first)), far=0.2).provenance.parts
    )


@pytest.fixture
def listed(tmp_path):
    """400 pairs of 60 vectors in files; 150 and more of them of the same identity."""
    items = clusters(30, 2, spread=0.6)
    files = tuple(tmp_path / f"{name}.npy" for name in items.ids)
    for file, value in zip(files, items.values, strict=True):
        np.save(file, value)
    generator = np.random.default_rng(0)
    a = generator.integers(0, 60, 400)
    b = np.where(np.arange(400) < 150, a ^ 1, generator.integers(0, 60, 400))
    return Pairs(
        values=files,
        ids=items.ids,
        index_a=a,
        index_b=b,
        answers=(items.labels[a] == items.labels[b]).astype(np.float64),
        identity=items.identity,
        identities=items.identities,
    )


def test_pairs_with_identities_and_without(listed):
    done = calibrate(bundle(), renamed(clusters(60, 4, spread=0.6, seed=1)), far=0.1)
    found = evaluate_pairs(done, listed)
    by_pair = evaluate_pairs(done, replace(listed, identity=None, identities=()))
    assert (found.unit, found.units, found.notes) == ("identity", 30, ())
    assert (by_pair.unit, by_pair.units) == ("pair", 400)
    assert by_pair.notes == (
        "no columns identity_a, identity_b: intervals resample pairs (too narrow)",
    )
    assert found.number("accuracy").value == by_pair.number("accuracy").value > 0.85
    wide, narrow = found.number("accuracy"), by_pair.number("accuracy")
    assert wide.high - wide.low > narrow.high - narrow.low
    assert (found.genuine_pairs + found.impostor_pairs, found.items) == (400, 60)


def test_pairs_that_cannot_be_judged(listed):
    with pytest.raises(DataError, match="the pairs have no answers"):
        evaluate_pairs(bundle(), replace(listed, answers=None))
    with pytest.raises(IdentityOverlap, match="1 of 30 identities were trained on"):
        evaluate_pairs(bundle(train=("identity 3",)), listed)


def test_graded_pairs_are_judged_by_correlations(listed):
    answers = listed.answers * 3 + np.arange(len(listed)) % 3
    found = evaluate_pairs(bundle(), replace(listed, answers=answers))
    assert [each.name for each in found.estimates] == [
        "pearson",
        "spearman",
    ] and "graded" in found.notes[0]
    assert (
        found.unit == "pair"
        and "share things, in 1 group: intervals resample pairs" in found.notes[1]
    )
    vectors = embed_values(bundle(), listed.values)
    scores = pair_scores(bundle(), vectors[listed.index_a], vectors[listed.index_b])
    assert found.number("pearson").value == pytest.approx(stats.pearsonr(scores, answers)[0])
    assert found.number("spearman").value == pytest.approx(stats.spearmanr(scores, answers)[0])
    assert (
        found.number("pearson").low < found.number("pearson").value < found.number("pearson").high
    )


def test_large_data_takes_a_sample_of_the_impostor_pairs_and_says_so(monkeypatch):
    items, log = clusters(150, 4, spread=0.7), []
    whole = evaluate(bundle(), items)
    monkeypatch.setattr(module, "SAMPLED_FROM", 1000)
    monkeypatch.setattr(module, "SAMPLED_PAIRS", 30_000)
    found = evaluate(bundle(), items, watch=lambda *at: log.append(at))
    assert found.genuine_pairs == whole.genuine_pairs == 900
    assert 20_000 < found.impostor_pairs <= 30_000 < whole.impostor_pairs
    assert found.notes == (
        f"error rates are those of all 900 genuine pairs and of {found.impostor_pairs} of "
        f"{whole.impostor_pairs} "
        "impostor pairs, drawn by chance (seed 0)",
    )
    assert found.number("eer").value == pytest.approx(whole.number("eer").value, rel=0.05)
    assert found.number("eer").low < whole.number("eer").value < found.number("eer").high
    assert found.number("map_at_r") == whole.number("map_at_r")  # search sees every pair
    assert list(dict.fromkeys(what for what, *_ in log)) == ["embedding", "error rates", "search"]
    assert all(0 < done <= total for _, done, total in log) and log[-1][1] == log[-1][2]


def test_vectors_that_are_there_already():
    items = clusters(30, 3)
    vectors = np.stack(items.values).astype(np.float32)
    assert evaluate_vectors(bundle(), items, vectors) == evaluate(bundle(), items)
    with pytest.raises(
        UsageError,
        match=r"vectors of shape \(89, 32\) for 90 items of a bundle whose vectors have 32",
    ):
        evaluate_vectors(bundle(), items, vectors[1:])
    with pytest.raises(IdentityOverlap, match="1 of 30 identities were trained on"):
        evaluate_vectors(bundle(train=("identity 3",)), items, vectors)


@pytest.mark.parametrize(
    "comparison", ["cosine", "euclidean", "squared_euclidean", "manhattan", WeightedL1(8)]
)
def test_scores_for_ranking_are_the_scores(comparison):
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    twin, rows, cols = Twin(Vector(8), nn.Identity(), comparison), np.arange(5, 20), np.arange(40)
    fast = ranking(twin, vectors)(rows, cols)
    assert fast.dtype == (np.float64 if comparison == "cosine" else np.float32)
    assert fast == pytest.approx(scores(twin, vectors[rows], vectors[cols]), abs=2e-5)


def test_error_rates_with_several_references_are_those_of_their_thresholds():
    people = clusters(60, 5, spread=1.0)
    done = calibrate_references(calibrate(bundle(), people, far=0.05), people, count=2)
    others = renamed(clusters(50, 5, spread=1.0, seed=1))
    found = {each.name: each for each in evaluate(done, others).estimates}
    plain, several = found["eer"], found["eer (2 references)"]
    assert several.value < plain.value
    assert found["false_match_rate (2 references)"].value <= 0.05
    assert "skilled_eer (2 references)" not in found
    pairs = evaluate(done, others.take([n for n in range(250) if n % 5 < 2]))
    assert "eer (2 references)" not in {each.name for each in pairs.estimates}
    assert any("2 references and a probe take 3 items" in note for note in pairs.notes)

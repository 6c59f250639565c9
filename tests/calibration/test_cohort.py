"""A cohort in the bundle: verdicts by normalised scores, and what stays with plain ones."""

from dataclasses import replace

import numpy as np
import pytest

from twofold import Bundle, Index, enrol, evaluate
from twofold.apps.identify import identify
from twofold.apps.verify import verify
from twofold.calibration.cohort import calibrate_cohort
from twofold.calibration.groups import calibrate_groups, with_groups
from twofold.calibration.open_set import calibrate_gallery
from twofold.calibration.pairs import calibrate, calibration
from twofold.data.synthetic import clusters, glyphs
from twofold.embedding import embed
from twofold.errors import DamagedBundle, IdentityOverlap, NotCalibrated, NotEnoughData, UsageError
from twofold.metrics.cohort import as_norm, cohort_statistics
from twofold.metrics.pairs import AllPairs
from twofold.recipes import character
from twofold.train.fit import fit_recipe
from vectors import bundle, renamed


@pytest.fixture(scope="module")
def items():
    return clusters(120, 3, spread=0.7, uneven=0.3)


@pytest.fixture(scope="module")
def fair(items):
    return calibrate_cohort(calibrate(bundle(), items, far=0.1), items, identities=60, top=20)


def test_normalised_scores_are_calibrated_on_all_others(items, fair):
    plain = calibrate(bundle(), items, far=0.1).calibration
    told = fair.calibration.normalised
    assert (told.cohort, told.top, told.calibration.identities) == (60, 20, 60)
    assert replace(fair.calibration, normalised=None) == plain  # an index goes on by plain scores
    assert fair.provenance.counts == {"calibrated": 120, "cohort": 60}
    rest = fair.outside_cohort(items)
    stack = np.concatenate([np.stack(rest.values), fair.cohort]).astype(np.float64)

    def score(rows, cols):
        return stack[rows] @ stack[cols].T

    statistics = cohort_statistics(score, len(rest), np.arange(len(rest), len(stack)), top=20)
    by_hand = calibration(AllPairs(as_norm(score, statistics), rest.labels), far=0.1)
    assert told.calibration.threshold == pytest.approx(by_hand.threshold, abs=1e-3)


def test_verdicts_go_by_normalised_scores(items, fair, tmp_path):
    a, b, c = (renamed(clusters(3, 2, spread=0.5, seed=5)).values[i] for i in (0, 1, 2))
    same, other = verify(fair, a, b), verify(fair, a, c)
    threshold = fair.calibration.normalised.calibration.threshold
    assert same.threshold == other.threshold == threshold
    assert same.decision == "same" and other.decision == "different" and same.score > 2.0
    with Index.create(tmp_path / "index", fair.contract) as index:
        enrol(fair, index, "first", [a], ids=["first/a"])
        enrol(fair, index, "second", [c], ids=["second/c"])
        who = identify(fair, index, b, candidates=1)
    assert (who.label, who.threshold, len(who.candidates)) == ("first", threshold, 1)
    assert who.score == pytest.approx(same.score, abs=1e-4)


def test_an_evaluation_judges_normalised_scores_and_refuses_the_cohort(items, fair):
    found = evaluate(fair, renamed(clusters(60, 3, spread=0.7, uneven=0.3, seed=1)))
    assert found.threshold == fair.calibration.normalised.calibration.threshold
    assert found.number("false_match_rate").value < 0.15
    with pytest.raises(IdentityOverlap, match="the threshold was found on 120 of 120 identities"):
        evaluate(fair, items)


def test_groups_and_galleries_go_by_normalised_scores_too(items, fair):
    grouped = replace(items, group=(items.identity % 2), groups=("even", "odd"))
    found = calibrate_groups(fair, grouped, far=0.2, standing="estimate")
    done = with_groups(
        calibrate_gallery(fair, items, fpir=0.2, size=20, standing="estimate"), found
    )
    deciding = done.calibration.deciding
    assert [each.name for each in deciding.groups] == [
        "even",
        "odd",
    ] and deciding.open_set.identities == 60
    assert sum(each.calibration.identities for each in deciding.groups) == 60
    assert done.calibration.groups == () and done.cohort is fair.cohort
    assert calibrate(done, items, far=0.2).cohort is None


def test_a_cohort_is_kept_in_the_bundle_and_protected(tmp_path):
    recipe = character().replace(
        {"epochs": 1, "p": 8, "input.size": 16, "encoder.width": 4, "copies": 1}
    )
    drawn = glyphs(60, 3, size=16)
    kept = fit_recipe(
        recipe.replace({"split.train": 0.2, "split.calibrate": 0.6}), drawn, device="cpu"
    )
    done = calibrate_cohort(
        calibrate(kept, drawn, far=0.2, standing="estimate"), drawn, identities=15
    )

    again = Bundle.load(done.save(tmp_path / "bundle"))
    assert np.array_equal(again.cohort, done.cohort) and again.calibration == done.calibration
    assert again.cohort.shape == (15, kept.twin.dim) and again.fingerprint == kept.fingerprint
    assert np.allclose(embed(done, drawn.take([0])).vectors, embed(kept, drawn.take([0])).vectors)
    path = tmp_path / "bundle" / "cohort.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedBundle, match=r"cohort\.safetensors is not what was written"):
        Bundle.load(tmp_path / "bundle")
    plain = calibrate(kept, drawn, far=0.2, standing="estimate").save(tmp_path / "plain")
    (plain / "cohort.safetensors").write_bytes(b"planted")
    with pytest.raises(DamagedBundle, match=r"cohort\.safetensors is not what was written"):
        Bundle.load(plain)


def test_the_weaker_side_is_kept_and_decides(items, tmp_path):
    done = calibrate_cohort(
        calibrate(bundle(), items, far=0.1), items, identities=60, side="weaker"
    )
    told = done.calibration.normalised
    assert (told.side, told.top) == ("weaker", 10)
    a, b = (renamed(clusters(3, 2, spread=0.5, seed=5)).values[i] for i in (0, 1))
    one, other = (verify(done, *both).score for both in ((a, b), (b, a)))
    assert one == pytest.approx(other)
    alike = [np.sort(np.asarray(done.cohort) @ (each / np.linalg.norm(each))) for each in (a, b)]
    weaker = min(each[-10:].mean() for each in alike)
    plain = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert one == pytest.approx(plain - weaker, abs=1e-4)


def test_cohorts_that_cannot_be(items):
    with pytest.raises(NotCalibrated, match="calibrate plain scores first"):
        calibrate_cohort(bundle(), items, identities=20)
    done = calibrate(bundle(), items, far=0.1)
    with pytest.raises(
        UsageError, match="a cohort of 1 identities, of which 200 count: both must be at least 2"
    ):
        calibrate_cohort(done, items, identities=1)
    with pytest.raises(UsageError, match="side = 'weak': did you mean 'weaker'"):
        calibrate_cohort(done, items, identities=20, side="weak")
    with pytest.raises(NotEnoughData, match="120 identities, of which 119 were to be the cohort"):
        calibrate_cohort(done, items, identities=119)

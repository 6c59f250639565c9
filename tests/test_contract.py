"""Distance -> score -> probability -> decision, and the strict way to JSON and back."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twofold.contract import (
    ZERO,
    Calibration,
    Contract,
    GroupCalibration,
    Isotonic,
    Normalised,
    OfReferences,
    Rejection,
    score_from_distance,
    scores_block,
)
from twofold.errors import BundleError, NewerFormat, NotCalibrated, UnknownName, UsageError
from twofold.fusion import Rule
from twofold.results import Estimate

PLAIN = ["cosine", "euclidean", "manhattan", "squared_euclidean"]


def rate(name, value):
    return Estimate(
        name=name,
        value=value,
        low=value / 2,
        high=value * 2,
        confidence=0.95,
        unit="identity",
        resampled=120,
    )


CALIBRATION = Calibration(
    threshold=0.5,
    far=0.01,
    standing="certified",
    confidence=0.95,
    method="a way",
    upper_bound=0.0099,
    false_match=rate("false_match_rate", 0.006),
    false_non_match=rate("false_non_match_rate", 0.08),
    slope=8.0,
    intercept=-4.0,
    prior=0.5,
    identities=120,
    genuine_pairs=1200,
    impostor_pairs=178500,
    seed=0,
)
REJECTION = Rejection(
    frr=0.05,
    upper_bound=0.049,
    false_reject=rate("false_reject_rate", 0.03),
    unsure_genuine=0.05,
    unsure_impostor=0.1,
)
CONTRACT = Contract(fingerprint="ab" * 32, dim=3, distance="cosine", calibration=CALIBRATION)


def test_the_score_of_the_cosine_distance_is_the_cosine_similarity():
    begin_as_it = {"Bilinear", "CrossAttention", "Matching", "Relation"}
    assert dict.fromkeys({"cosine", "ExpL1", "Warping", *begin_as_it}, 1.0) == ZERO
    assert score_from_distance("cosine", 0.25) == 0.75
    assert score_from_distance("WeightedL1", 0.25) == -0.25
    assert (CONTRACT.score(np.array([0.0, 2.0])) == [1.0, -1.0]).all()


def by_loop(name, a, b):
    rows = []
    for x in a:
        for y in b:
            match name:
                case "cosine":
                    rows.append(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
                case "euclidean":
                    rows.append(-np.linalg.norm(x - y))
                case "squared_euclidean":
                    rows.append(-(np.linalg.norm(x - y) ** 2))
                case "manhattan":
                    rows.append(-np.abs(x - y).sum())
    return np.array(rows).reshape(len(a), len(b))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_numpy_scores_are_those_of_the_loop(name, offset):
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(5, 7)) + offset, generator.normal(size=(3, 7)) + offset
    a[0] = b[1]
    assert scores_block(name, a, b) == pytest.approx(by_loop(name, a, b), abs=1e-6)
    contract = Contract(fingerprint="", dim=7, distance=name)
    assert contract.scores(a, b) == pytest.approx(scores_block(name, a, b))


def test_scores_of_a_zero_vector_and_of_no_vectors_are_numbers():
    for name in PLAIN:
        assert np.isfinite(scores_block(name, np.zeros((2, 3)), np.eye(3))).all()
        assert scores_block(name, np.zeros((2, 3)), np.zeros((0, 3))).shape == (2, 0)


def test_scores_that_a_contract_cannot_compute():
    with pytest.raises(UsageError, match="vectors of 4 and 4 numbers: this bundle's have 3"):
        CONTRACT.scores(np.zeros((1, 4)), np.zeros((1, 4)))
    with pytest.raises(UnknownName, match="'WeightedL1' is not a plain distance, so a contract"):
        scores_block("WeightedL1", np.zeros((1, 3)), np.zeros((1, 3)))


def test_decisions_with_and_without_an_unsure_zone():
    assert [CONTRACT.decide(score)[0] for score in (0.51, 0.5, 0.49, -1.0)] == [
        "same",
        "same",
        "different",
        "different",
    ]
    unsure = CONTRACT.with_calibration(replace(CALIBRATION, reject_threshold=0.2))
    assert [unsure.decide(score)[0] for score in (0.5, 0.49, 0.2, 0.19)] == [
        "same",
        "unsure",
        "unsure",
        "different",
    ]


def test_probabilities_follow_platts_map_and_bayes():
    assert CONTRACT.decide(0.5)[1] == pytest.approx(0.5)
    assert CONTRACT.decide(0.75)[1] == pytest.approx(1 / (1 + math.exp(-2.0)))
    assert CALIBRATION.probability(0.5, prior=0.1) == pytest.approx(0.1)
    odds = math.exp(2.0) * (0.2 / 0.8)
    assert CALIBRATION.probability(0.75, prior=0.2) == pytest.approx(odds / (1 + odds))
    assert (CALIBRATION.probabilities(np.array([-1e6, 1e6])) == [0.0, 1.0]).all()
    with pytest.raises(UsageError, match=r"prior is 1\.0"):
        CALIBRATION.probability(0.5, prior=1.0)


def test_no_decision_without_a_threshold_or_of_nan():
    with pytest.raises(NotCalibrated, match="run `twofold calibrate BUNDLE DATA --far 1e-2`"):
        replace(CONTRACT, calibration=None).decide(0.5)
    with pytest.raises(UsageError, match="the score is NaN"):
        CONTRACT.decide(math.nan)


BENT = replace(
    CALIBRATION,
    isotonic=Isotonic(scores=(0.0, 0.5, 1.0), log_odds=(-2.0, 1.0, 1.5)),
    platt_log_loss=0.3,
)
TWO_THRESHOLDS = replace(CALIBRATION, reject_threshold=0.2, rejection=REJECTION)


@pytest.mark.parametrize(
    "contract",
    [
        CONTRACT,
        replace(CONTRACT, calibration=None),
        replace(CONTRACT, calibration=TWO_THRESHOLDS),
        replace(CONTRACT, calibration=BENT),
    ],
)
def test_json_and_back(contract):
    plain = json.loads(json.dumps(contract.to_dict(), allow_nan=False))
    assert Contract.from_dict(plain) == contract


def broken(**changes):
    plain = json.loads(json.dumps(CONTRACT.to_dict()))
    for path, value in changes.items():
        place, *names = plain, *path.split("__")
        for name in names[:-1]:
            place = place[name]
        if value is ...:
            del place[names[-1]]
        else:
            place[names[-1]] = value
    return plain


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"dim": "3"}, "contract: dim is '3'"),
        ({"dim": True}, "contract: dim is True"),
        ({"dim": ...}, r"contract: unknown keys \[\], missing keys \['dim'\]"),
        ({"size": 3}, r"contract: unknown keys \['size'\]"),
        ({"format": "x"}, "the contract has format 'x', where 6 belongs"),
        ({"calibration": 3}, "calibration is 3, where a table belongs"),
        (
            {"calibration__threshold": math.nan},
            "calibration: threshold is nan, and a number must be finite",
        ),
        ({"calibration__threshold": None}, "calibration: threshold is None"),
        ({"calibration__extra": 1}, r"calibration: unknown keys \['extra'\]"),
        ({"calibration__false_match": 0.1}, "false_match is 0.1, where a table belongs"),
        ({"calibration__false_match__low": "0"}, "estimate: low is '0'"),
        ({"calibration__prior": 1.0}, "prior 1.0 and far 0.01 lie between 0 and 1"),
        ({"calibration__reject_threshold": 0.6}, "reject_threshold 0.6 is above threshold 0.5"),
        (
            {"calibration__isotonic": {"scores": [0, 1], "log_odds": [1, 0]}},
            "the isotonic curve does not rise",
        ),
        (
            {"calibration__isotonic": {"scores": 3, "log_odds": [1]}},
            "isotonic: scores is 3, where a list belongs",
        ),
        (
            {"calibration__rejection": {"frr": 0.1}},
            r"rejection: unknown keys \[\], missing keys \['false_reject'",
        ),
    ],
)
def test_what_is_not_ours_is_refused(changes, text):
    with pytest.raises(BundleError, match=text):
        Contract.from_dict(broken(**changes))


def test_whole_numbers_may_stand_for_floats_and_a_newer_format_is_named():
    assert Contract.from_dict(broken(calibration__threshold=1)).calibration.threshold == 1.0
    with pytest.raises(
        NewerFormat, match="the contract has format 7, this twofold reads 6: update twofold"
    ):
        Contract.from_dict(broken(format=7))


def test_a_contract_of_format_1_still_loads():
    plain = json.loads((Path(__file__).parent / "contract_format_1.json").read_text())
    assert plain["format"] == 1
    contract = Contract.from_dict(plain)
    assert contract == CONTRACT
    assert [contract.decide(score)[0] for score in (0.5, 0.49)] == ["same", "different"]
    assert Contract.from_dict(contract.to_dict()) == contract
    del plain["calibration"]["slope"]
    with pytest.raises(BundleError, match=r"missing keys \['slope'\]"):
        Contract.from_dict(plain)


def test_a_contract_of_format_2_still_loads():
    plain = json.loads((Path(__file__).parent / "contract_format_2.json").read_text())
    assert plain["format"] == 2
    known = Contract.from_dict(plain).calibration
    assert (known.groups, known.normalised, known.reference) == ((), None, None)
    assert (
        known.open_set.size == 100
        and known.isotonic == BENT.isotonic
        and known.rejection == REJECTION
    )
    assert Contract.from_dict(Contract.from_dict(plain).to_dict()).calibration == known


def test_a_contract_of_format_3_still_loads_and_its_yes_or_no_becomes_a_standing():
    plain = json.loads((Path(__file__).parent / "contract_format_3.json").read_text())
    assert plain["format"] == 3 and plain["calibration"]["certified"] is True
    known = Contract.from_dict(plain).calibration
    assert (known.standing, known.open_set.standing) == ("certified", "certified")
    assert known.of_group("day").standing == "estimate" and not known.of_group("day").certified
    assert Contract.from_dict(Contract.from_dict(plain).to_dict()).calibration == known
    plain["calibration"]["standing"] = "sworn"
    with pytest.raises(BundleError, match=r"calibration: unknown keys"):
        Contract.from_dict({**plain, "format": 4})


def test_a_contract_of_format_4_still_loads_and_has_no_thresholds_for_references():
    plain = json.loads((Path(__file__).parent / "contract_format_4.json").read_text())
    assert plain["format"] == 4
    known = Contract.from_dict(plain).calibration
    assert known.references == ()
    with pytest.raises(UnknownName, match=r"no threshold for 2 references .* --set references=2"):
        known.of_references(2)


def test_a_contract_of_format_5_still_loads_and_its_cohort_is_of_both_sides():
    plain = json.loads((Path(__file__).parent / "contract_format_5.json").read_text())
    assert plain["format"] == 5
    known = Contract.from_dict(plain)
    assert (known.calibration.normalised.cohort, known.calibration.normalised.side) == (60, "both")
    weaker = replace(known.calibration.normalised, side="weaker")
    other = known.with_calibration(replace(known.calibration, normalised=weaker))
    assert Contract.from_dict(other.to_dict()) == other


def test_the_rule_of_several_references_is_kept_and_its_weights_are_checked():
    rule = Rule(fusion="learned", weights=(0.75, 0.25))
    two = OfReferences(count=2, rule=rule, calibration=replace(CALIBRATION, threshold=0.6))
    contract = Contract(
        fingerprint="",
        dim=3,
        distance="cosine",
        calibration=replace(CALIBRATION, references=(two,)),
    )
    assert Contract.from_dict(contract.to_dict()) == contract
    assert contract.calibration.of_references(2) == two
    moved = contract.calibration.with_prior(0.01).of_references(2).calibration
    assert moved.prior == 0.01 and moved.probability(0.6) < two.calibration.probability(0.6)
    with pytest.raises(UnknownName, match=r"no threshold for 3 references \(it has those for 2\)"):
        contract.calibration.of_references(3)
    plain = contract.to_dict()
    plain["calibration"]["references"][0]["rule"]["weights"] = [1.0]
    with pytest.raises(BundleError, match=r"1 weights for 2 references \(learned\)"):
        Contract.from_dict(plain)


def test_a_group_decides_by_its_own_threshold_and_a_cohort_by_normalised_scores():
    day, night = replace(CALIBRATION, threshold=0.4), replace(CALIBRATION, threshold=0.7)
    groups = (
        GroupCalibration(name="day", calibration=day),
        GroupCalibration(name="night", calibration=night),
    )
    grouped = replace(CALIBRATION, groups=groups)
    assert grouped.of_group("night") == night and grouped.of_group("any") == grouped
    with pytest.raises(
        UnknownName,
        match="no group was given, and each has a threshold of its own: day, night; or 'a",
    ):
        grouped.of_group(None)
    with pytest.raises(
        UnknownName,
        match="group 'noon' is not known, and each has a threshold of its own: day, night",
    ):
        grouped.of_group("noon")
    with pytest.raises(
        UnknownName, match="group 'day': this calibration has one threshold for all"
    ):
        CALIBRATION.of_group("day")
    fair = replace(CALIBRATION, normalised=Normalised(cohort=300, top=200, calibration=grouped))
    assert (
        fair.of_group("day") == day
        and fair.deciding == grouped
        and CALIBRATION.of_group(None) == CALIBRATION
    )
    contract = replace(CONTRACT, calibration=fair)
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract
    rare = fair.with_prior(0.1)
    assert rare.of_group("day").probability(0.5) == pytest.approx(day.probability(0.5, prior=0.1))
    broken = replace(
        fair, normalised=replace(fair.normalised, calibration=replace(CALIBRATION, prior=1.0))
    )
    with pytest.raises(BundleError, match=r"prior 1\.0 and far"):
        Contract.from_dict(replace(CONTRACT, calibration=broken).to_dict())


def test_probabilities_of_an_isotonic_curve_are_linear_between_its_knots():
    assert BENT.probability(0.25) == pytest.approx(1 / (1 + math.exp(0.5)))
    assert BENT.probability(-9.0) == pytest.approx(1 / (1 + math.exp(2.0)))
    assert BENT.probability(9.0) == pytest.approx(1 / (1 + math.exp(-1.5)))
    assert BENT.probability(0.5, prior=0.1) == pytest.approx(1 / (1 + math.exp(-1.0 + math.log(9))))


@pytest.mark.parametrize("calibration", [CALIBRATION, BENT])
def test_another_prior_for_good_is_that_prior_at_every_decision(calibration):
    rare = calibration.with_prior(0.01)
    for score in (-1.0, 0.3, 0.7):
        assert rare.probability(score) == pytest.approx(calibration.probability(score, prior=0.01))
        assert rare.probability(score, prior=0.5) == pytest.approx(calibration.probability(score))
    with pytest.raises(UsageError, match=r"prior is 0\.0"):
        calibration.with_prior(0.0)

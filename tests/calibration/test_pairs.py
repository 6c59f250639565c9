"""calibrate: which identities it uses, what it writes down, and when it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from twofold.calibration.pairs import calibrate, calibration
from twofold.contract import Contract
from twofold.data.items import Items
from twofold.data.synthetic import clusters
from twofold.errors import CannotCertify, IdentityOverlap, NotEnoughData
from twofold.metrics.certification import METHOD
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import rates_at, tally
from twofold.provenance import Provenance
from vectors import bundle


def as_before(items):
    vectors = np.stack(items.values).astype(np.float64)
    return AllPairs(
        lambda rows, cols: vectors[rows] @ vectors[cols].T, items.labels, identity=items.identity
    )


def test_a_certified_threshold_and_what_is_written_down():
    items = clusters(110, 4, spread=0.7, uneven=0.3)
    done = calibrate(bundle(train=("somebody else",)), items, far=1e-2)
    found = done.calibration
    assert (found.certified, found.far, found.confidence, found.method) == (
        True,
        1e-2,
        0.95,
        METHOD,
    )
    assert (found.identities, found.genuine_pairs, found.impostor_pairs) == (
        110,
        110 * 6,
        440 * 439 // 2 - 110 * 6,
    )
    match, non_match = rates_at(tally(as_before(items)), found.threshold)
    assert found.false_match.value == pytest.approx(match, abs=3e-5)
    assert found.false_non_match.value == pytest.approx(non_match, abs=1e-2)
    assert found.false_match.low < match < found.upper_bound <= 1e-2
    assert (found.false_match.unit, found.false_match.resampled) == ("identity", 110)
    assert found.slope > 0 and found.probability(
        found.threshold + 0.4
    ) > 0.9 > 0.1 > found.probability(-0.2)
    assert Contract.from_dict(done.contract.to_dict()) == done.contract
    assert done.contract.decide(found.threshold)[0] == "same"
    assert calibrate(bundle(), items, far=1e-2).calibration == found
    unseen = clusters(400, 3, spread=0.7, uneven=0.3, seed=1)
    assert 0.3e-2 < rates_at(tally(as_before(unseen)), found.threshold)[0] <= 1.1e-2


def test_of_known_data_the_identities_kept_aside_are_used():
    items = clusters(60, 3)
    kept, trained = items.identities[:40], items.identities[40:]
    done = calibrate(bundle(train=trained, calibrate=kept), items, far=0.1)
    assert done.calibration.identities == 40


def test_trained_identities_are_refused():
    items = clusters(40, 3)
    for part in ("train", "valid"):
        with pytest.raises(IdentityOverlap, match="1 of 40 identities were trained on"):
            calibrate(bundle(**{part: items.identities[:1]}), items, far=0.1)
    copied = replace(bundle(), provenance=Provenance.of_format_1({}, items.content_hashes()[:2]))
    with pytest.raises(IdentityOverlap, match="2 of 120 items are copies of what was trained on"):
        calibrate(copied, items, far=0.1)


def test_ten_people_certify_nothing_but_an_estimate_may_be_had():
    # forty people split up leave about ten to calibrate on
    items = clusters(10, 10, spread=0.7)
    with pytest.raises(
        CannotCertify,
        match=r"10 identities cannot show a false-accept rate of 0\.01 with confidence",
    ):
        calibrate(bundle(), items, far=1e-2)
    found = calibrate(bundle(), items, far=1e-2, standing="estimate").calibration
    assert (found.certified, found.method) == (False, "quantile")
    assert found.false_match.value <= 1e-2 < found.upper_bound
    with pytest.raises(
        CannotCertify,
        match=r"4500 impostor pairs cannot even estimate a false-accept rate of 0\.0001",
    ):
        calibrate(bundle(), items, far=1e-4, standing="estimate")


def test_data_without_genuine_pairs_is_refused():
    with pytest.raises(NotEnoughData, match="0 genuine and 780 impostor pairs"):
        calibrate(bundle(), clusters(40, 1), far=0.1)


def test_forgeries_are_impostors_of_their_writer():
    writers = clusters(40, 6, spread=0.9)
    forged = np.arange(len(writers)) % 6 == 5
    names = [
        f"forgery {i}" if fake else writers.names[writers.labels[i]]
        for i, fake in enumerate(forged)
    ]
    plain = Items.from_arrays(list(writers.values), names)
    items = replace(plain, identity=writers.identity, identities=writers.identities, forged=forged)
    with_forgeries = calibrate(bundle(), items, far=0.1).calibration
    without = calibrate(bundle(), writers.take(np.flatnonzero(~forged)), far=0.1).calibration
    assert with_forgeries.identities == without.identities == 40
    assert with_forgeries.genuine_pairs == without.genuine_pairs
    assert with_forgeries.impostor_pairs == without.impostor_pairs
    # the threshold is that of random impostors, and what the forgeries do at it is told apart
    assert with_forgeries.threshold == without.threshold
    assert without.skilled_false_match is None
    assert with_forgeries.skilled_false_match.value > 2 * with_forgeries.false_match.value


def test_a_guarantee_is_taken_where_it_costs_little_and_said_where_it_costs_much():
    many = clusters(70, 3, spread=0.4)
    found = calibrate(bundle(), many, far=0.1).calibration
    assert (found.standing, found.certified) == ("guaranteed", True)
    assert found.upper_bound <= 0.1
    (other,) = found.alternatives
    assert other.standing == "certified" and other.threshold < found.threshold
    assert found.false_non_match.value <= other.false_non_match_rate + 0.05
    dear = calibrate(bundle(), clusters(70, 3, spread=1.2), far=0.1).calibration
    assert dear.standing == "certified"
    assert dear.alternatives[0].false_non_match_rate > dear.false_non_match.value + 0.05
    asked = calibrate(
        bundle(), clusters(70, 3, spread=1.2), far=0.1, standing="guaranteed"
    ).calibration
    assert asked.standing == "guaranteed" and asked.threshold == dear.alternatives[0].threshold
    with pytest.raises(
        CannotCertify, match=r"40 identities cannot guarantee a rate of 0\.1 .* at least 58"
    ):
        calibrate(bundle(), clusters(40, 3), far=0.1, standing="guaranteed")


def test_scores_of_another_model_can_be_calibrated():
    items = clusters(50, 3, spread=0.7)
    found = calibration(as_before(items), far=0.1).with_prior(0.2)
    assert found.prior == 0.2
    assert found.probability(found.threshold, prior=0.5) > found.probability(found.threshold)


def test_two_thresholds_leave_an_unsure_zone():
    items = clusters(110, 4, spread=1.1, uneven=0.3)
    done = calibrate(bundle(), items, far=1e-2, frr=0.05)
    found, plain = done.calibration, calibrate(bundle(), items, far=1e-2).calibration
    assert found.threshold == plain.threshold and plain.rejection is None
    assert found.reject_threshold < found.threshold
    assert found.rejection.false_reject.value <= found.rejection.upper_bound <= 0.05
    middle = (found.reject_threshold + found.threshold) / 2
    decided = [
        done.contract.decide(score)[0]
        for score in (found.threshold, middle, found.reject_threshold - 1e-9)
    ]
    assert decided == ["same", "unsure", "different"]
    counted = tally(as_before(items))
    rates = [rates_at(counted, at) for at in (found.threshold, found.reject_threshold)]
    assert found.rejection.unsure_genuine == pytest.approx(rates[0][1] - rates[1][1], abs=1e-2)
    assert found.rejection.unsure_impostor == pytest.approx(rates[1][0] - rates[0][0], abs=1e-2)
    assert Contract.from_dict(done.contract.to_dict()) == done.contract


def test_scores_that_leave_no_doubt_leave_no_unsure_zone():
    found = calibration(as_before(clusters(120, 4, spread=0.3)), far=1e-2, frr=0.1)
    assert found.reject_threshold == found.threshold
    assert found.rejection.unsure_genuine == found.rejection.unsure_impostor == 0.0
    assert found.rejection.upper_bound <= 0.1


def test_false_rejects_that_cannot_be_shown_are_refused_or_estimated():
    pairs = as_before(clusters(40, 3, spread=1.1))
    with pytest.raises(
        CannotCertify, match=r"40 identities with two items or more cannot show a false-reject rate"
    ):
        calibration(pairs, far=0.1, frr=0.05)
    found = calibration(pairs, far=0.1, frr=0.05, standing="estimate")
    assert (
        found.rejection.false_reject.value < 0.051 < found.rejection.upper_bound
        and not found.certified
    )
    with pytest.raises(
        CannotCertify, match=r"120 genuine pairs cannot even estimate a false-reject rate of 0\.001"
    ):
        calibration(pairs, far=0.1, frr=0.001, standing="estimate")


def test_sites_are_the_unit_where_there_is_such_a_column():
    items = clusters(120, 3, spread=0.7)
    at = replace(
        items, site=items.identity % 60, sites=tuple(f"site {number}" for number in range(60))
    )
    found = calibrate(bundle(), at, far=0.1).calibration
    assert (found.standing, found.identities, found.false_match.unit) == ("certified", 120, "site")
    assert found.false_match.resampled == 60
    assert (
        calibrate(bundle(), at.at_sites("none"), far=0.1).calibration.false_match.unit == "identity"
    )
    few = replace(
        items, site=items.identity % 8, sites=tuple(f"site {number}" for number in range(8))
    )
    with pytest.raises(CannotCertify, match="8 sites are too few to certify by site"):
        calibrate(bundle(), few, far=0.1)
    assert (
        calibrate(bundle(), few, far=0.1, standing="estimate").calibration.false_match.unit
        == "site"
    )


def test_groups_whose_identities_are_alike_are_warned_about():
    items = clusters(120, 3, spread=0.7)
    common = np.random.default_rng(0).normal(size=(4, 32)).astype(np.float32)
    group = items.identity % 4
    values = tuple(value + 0.15 * common[at] for value, at in zip(items.values, group, strict=True))
    alike = replace(items, values=values, group=group, groups=("a", "b", "c", "d"))
    said = calibrate(bundle(), alike, far=0.1, standing="certified").calibration.warnings
    assert [
        each
        for each in said
        if "identities of one group score alike" in each and "--set site=group" in each
    ]
    apart = replace(items, group=group, groups=("a", "b", "c", "d"))
    said = calibrate(bundle(), apart, far=0.1, standing="certified").calibration.warnings
    assert not any("group" in each for each in said)

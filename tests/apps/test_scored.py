"""Scores of any model: a contract comes out, and holds on other identities."""

import numpy as np
import pytest

from twofold.apps.scored import evaluate_scores
from twofold.calibration.pairs import calibrate_scores
from twofold.contract import Contract
from twofold.data.scores import Scores
from twofold.data.synthetic import clusters
from twofold.errors import BundleError, CannotCertify, IdentityOverlap, NotCalibrated


def vectors(identities=110, seed=0):
    items = clusters(identities, 4, spread=0.7, uneven=0.3, seed=seed)
    return Scores.from_vectors(np.stack(items.values).astype(np.float64), items.labels)


def nameless(scores):
    blocks = list(scores.pairs)
    values, same = (
        np.concatenate([getattr(block, name) for block in blocks]) for name in ("scores", "same")
    )
    return Scores.from_arrays(values, same, first=None, second=None)


def test_a_contract_for_any_model(tmp_path):
    contract = calibrate_scores(vectors(), far=1e-2)
    assert contract.calibration.certified and contract.calibration.identities == 110
    assert (contract.fingerprint, contract.distance) == ("", "cosine")
    assert Contract.load(contract.save(tmp_path / "contract.json")) == contract
    assert contract.decide(contract.calibration.threshold)[0] == "same"
    found = evaluate_scores(vectors(seed=1), contract=contract)
    assert found.holds and found.unit == "identity" and found.units == 110
    assert found.number("false_match_rate").value < 2e-2
    assert evaluate_scores(vectors(40, seed=1)).threshold is None


def test_a_contract_is_not_judged_on_the_scores_it_was_made_from():
    contract = calibrate_scores(vectors(), far=1e-2)
    with pytest.raises(IdentityOverlap, match="the scores that the threshold was found on"):
        evaluate_scores(vectors(), contract=contract)


def test_pairs_of_nobody_certify_nothing():
    pairs = nameless(vectors(40))
    with pytest.raises(
        CannotCertify,
        match=r"the identities of the pairs are not given .* so nothing can be certified",
    ):
        calibrate_scores(pairs, far=0.1)
    contract = calibrate_scores(pairs, far=0.1, standing="estimate")
    known = contract.calibration
    assert (known.certified, known.identities, known.false_match.unit) == (False, 0, "pair")
    found = evaluate_scores(nameless(vectors(40, seed=1)), contract=contract)
    assert found.unit == "pair" and "intervals resample pairs" in found.notes[0]


def test_files_that_are_no_contract(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read as a contract in JSON"):
        Contract.load(tmp_path / "x.json")
    with pytest.raises(NotCalibrated, match="has no calibration"):
        evaluate_scores(vectors(5), contract=Contract(fingerprint="", dim=0, distance="score"))

"""Refusals to calibrate: what they offer is granted, and where nothing is offered nothing would be."""

import re

import numpy as np
import pytest

from twofold.calibration.pairs import calibration
from twofold.calibration.remedies import LADDER, more_aside, share_for
from twofold.errors import CannotCertify, NoMeaning, NotEnoughData
from twofold.metrics.pairs import AllPairs

OPTION = re.compile(r"--(far|frr|standing|estimate)(?: ([\w.-]+))?")


def drawn(identities: int, apart: float, *, each: int = 3, seed: int = 0) -> AllPairs:
    """Pairs of identities whose items lie around a place of their own on a line."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), each)
    places = apart * generator.standard_normal(identities)[labels] + generator.standard_normal(
        len(labels)
    )
    return AllPairs(
        lambda a, b: -np.abs(places[a][:, None] - places[b][None]), labels, identity=labels
    )


def offers(refusal: str) -> list[dict]:
    """What a refusal offers, as arguments of `calibration`."""
    told = refusal.partition("; or calibrate with ")[2]
    found = []
    for words in filter(None, told.split(", or with ")):
        options = dict(OPTION.findall(words))
        given = {name: float(value) for name, value in options.items() if name in ("far", "frr")}
        if "standing" in options or "estimate" in options:
            given["standing"] = options.get("standing", "estimate")
        found.append(given)
    return found


@pytest.mark.parametrize("identities", [2, 3, 8, 40])
@pytest.mark.parametrize("standing", [None, "guaranteed", "certified", "estimate"])
@pytest.mark.parametrize(("far", "frr"), [(1e-3, None), (1e-2, 1e-2)])
def test_every_option_that_a_refusal_names_is_granted(identities, standing, far, frr):
    pairs, asked = drawn(identities, 6.0), {"far": far, "frr": frr, "standing": standing}
    try:
        calibration(pairs, **asked)
    except NoMeaning:
        pytest.skip("so few identities that the scores mean nothing")
    except CannotCertify as refused:
        for given in offers(str(refused)):
            assert calibration(pairs, **{**asked, **given}).far == given.get("far", far)
        if not offers(str(refused)):
            assert "no larger rate could be shown either" in str(refused)
            with pytest.raises((CannotCertify, NotEnoughData)):
                calibration(pairs, far=LADDER[-1], frr=frr and LADDER[-1], standing="estimate")


def test_some_of_these_are_refused_with_an_offer():
    for standing, wanted in ((None, {"far": 0.1}), ("estimate", {"far": 1e-3})):
        with pytest.raises(CannotCertify) as refused:
            calibration(drawn(40, 6.0), far=1e-4 if standing else 1e-3, standing=standing)
        assert wanted in [
            {name: given[name] for name in given if name != "standing"}
            for given in offers(str(refused.value))
        ]


def test_where_scores_mean_nothing_no_rate_is_offered():
    for standing in (None, "estimate"):
        with pytest.raises(NoMeaning, match="do not score higher") as refused:
            calibration(drawn(14, 0.0, seed=3), far=1e-3, standing=standing)
        assert "--far" not in str(refused.value)


def test_a_larger_share_is_offered_only_where_it_would_do():
    assert share_for(33, 60) is None and share_for(15, 60) == 0.26
    assert "split.calibrate=0.26 to have 15" in more_aside(0.01, 6, 60, estimate=True)
    assert (
        more_aside(0.1, 6, 20, estimate=False)
        == ". Only 6 of the 20 identities were kept aside to calibrate"
    )
    assert more_aside(0.1, 20, 20, estimate=False) == ""

"""Sites as units: what is counted by them, what they refuse, and whether dependence is found where it is."""

from dataclasses import replace

import numpy as np
import pytest

from twofold.calibration.standings import offers
from twofold.errors import CannotCertify, DataError
from twofold.metrics.certification import certify, certify_rejection
from twofold.metrics.jackknife import involved
from twofold.metrics.pairs import AllPairs
from twofold.metrics.sites import BySite, dependence, sites_of_identities
from twofold.metrics.verification import tally


def people(identities, sites, *, site=0.0, within=0.0, each=2, seed=0):
    """Pairs of identities from sites: an effect of the site on every score, and on scores inside it."""
    generator = np.random.default_rng(seed)
    at = np.arange(identities) % sites
    labels = np.repeat(np.arange(identities), each)
    effect = 0.4 * generator.normal(size=identities) + site * generator.normal(size=sites)[at]
    items = effect[labels] + 0.3 * generator.normal(size=len(labels))
    noise = 0.8 * generator.normal(size=(len(labels),) * 2)

    def score(rows, cols):
        same_site = at[labels[rows]][:, None] == at[labels[cols]]
        found = items[rows][:, None] + items[cols] + noise[np.ix_(rows, cols)] + within * same_site
        return found + 3.0 * (labels[rows][:, None] == labels[cols])

    return AllPairs(score, labels), at


def test_sites_are_what_is_left_out():
    pairs, at = people(12, 4)
    found = involved(BySite(pairs, at), np.array([-np.inf, 0.5]))
    (block,) = list(pairs)
    for site in range(4):
        takes_part = (at[block.first] == site) | (at[block.second] == site)
        for kind, counted in ((True, found.genuine_with), (False, found.impostor_with)):
            chosen = takes_part & (block.same == kind)
            assert counted[site].tolist() == [chosen.sum(), (chosen & (block.scores >= 0.5)).sum()]
    by_site = BySite(pairs, at)
    assert (by_site.units, by_site.identities, by_site.crossed) == (4, 12, 0)


def test_an_identity_stands_at_one_site():
    identity, site = np.array([0, 0, 1, 2]), np.array([5, 5, 7, 5])
    assert sites_of_identities(identity, site, ("x", "y", "z")).tolist() == [5, 7, 5]
    with pytest.raises(
        DataError, match=r"1 identities have several sites \('x' at 2\): give each one site"
    ):
        sites_of_identities(np.array([0, 0, 1]), np.array([5, 7, 7]), ("x", "y"))


def test_few_sites_certify_nothing():
    pairs, at = people(110, 8)
    with pytest.raises(
        CannotCertify,
        match=r"8 sites are too few to certify by site: .* it takes 60 sites and more",
    ):
        certify(BySite(pairs, at), 0.1)
    with pytest.raises(CannotCertify, match="8 sites are too few"):
        certify_rejection(BySite(pairs, at), 0.1)
    pairs, at = people(80, 70)
    with pytest.raises(
        CannotCertify,
        match="80 identities at 70 sites are too few to certify: it takes at least 101",
    ):
        certify(BySite(pairs, at), 0.01)
    with pytest.raises(
        CannotCertify,
        match="80 identities from 70 sites are not independent, and a guarantee needs",
    ):
        offers(
            BySite(pairs, at),
            tally(pairs),
            far=0.1,
            frr=None,
            confidence=0.95,
            standing="guaranteed",
        )


def test_a_certificate_by_site_is_stricter_where_sites_differ():
    pairs, at = people(120, 60, site=0.5)
    assert certify(BySite(pairs, at), 0.1).threshold > certify(pairs, 0.1).threshold


def test_dependence_is_found_where_it_is():
    for asked, smallest in (({"site": 0.4}, "explained"), ({"within": 0.5}, "within")):
        found = dependence(*people(80, 8, **asked))
        assert found.p_value <= 0.01 and getattr(found, smallest) > 0.1
    assert dependence(*people(40, 1)) is None and dependence(*people(40, 40)) is None


def test_where_there_is_none_it_is_not_found():
    chances = np.array([dependence(*people(60, 6, seed=seed)).p_value for seed in range(12)])
    assert (chances <= 0.01).sum() <= 1 and np.median(chances) > 0.2


def test_dependence_does_not_hang_on_the_order_of_identities():
    pairs, at = people(30, 5, site=0.3)
    turned = np.random.default_rng(1).permutation(30)
    place = np.argsort(turned)

    class Turned:
        units, crossed = pairs.units, pairs.crossed

        def __iter__(self):
            for block in pairs:
                yield replace(block, first=place[block.first], second=place[block.second])

    one, other = dependence(pairs, at), dependence(Turned(), at[turned])
    assert one.within == pytest.approx(other.within)

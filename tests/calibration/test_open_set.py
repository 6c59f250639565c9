"""calibrate_gallery: a threshold for one of N enrolled is written beside that of one comparison."""

import pytest

from twofold.calibration.open_set import calibrate_gallery
from twofold.calibration.pairs import calibrate
from twofold.contract import Contract
from twofold.data.synthetic import clusters
from twofold.errors import CannotCertify, IdentityOverlap, NotCalibrated
from vectors import bundle


def test_a_threshold_for_a_gallery_is_written_down():
    items = clusters(120, 3, spread=0.7)
    plain = calibrate(bundle(), items, far=1e-2)
    done = calibrate_gallery(plain, items, fpir=0.1, size=60)
    many = done.calibration.open_set
    assert (many.fpir, many.size, many.enrolled, many.identities, many.certified) == (
        0.1,
        60,
        1,
        120,
        True,
    )
    assert many.false_positive.value < many.upper_bound <= 0.1
    assert done.calibration.threshold == plain.calibration.threshold
    assert Contract.from_dict(done.contract.to_dict()) == done.contract
    assert calibrate_gallery(plain, items, fpir=0.1, size=60).calibration == done.calibration


def test_what_a_gallery_needs():
    items = clusters(40, 3, spread=0.7)
    with pytest.raises(NotCalibrated, match="calibrate for one comparison first"):
        calibrate_gallery(bundle(), items, fpir=0.1, size=10)
    plain = calibrate(bundle(), items, far=0.1, standing="estimate")
    with pytest.raises(
        CannotCertify, match="40 identities cannot show a false-positive identification rate"
    ):
        calibrate_gallery(plain, items, fpir=0.1, size=10)
    assert not calibrate_gallery(
        plain, items, fpir=0.1, size=10, standing="estimate"
    ).calibration.open_set.certified
    trained = calibrate(
        bundle(calibrate=items.identities[:20], train=items.identities[20:]),
        items,
        far=0.5,
        standing="estimate",
    )
    with pytest.raises(IdentityOverlap, match="20 of 20 identities were trained on"):
        calibrate_gallery(trained, items.where(identities=items.identities[20:]), fpir=0.1, size=10)

"""A threshold for each group: certified on its own, or refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from twofold.data.synthetic import clusters
from twofold.errors import CannotCertify, NotEnoughData, UsageError
from twofold.train.calibrate import calibrate
from twofold.train.groups import calibrate_groups
from vectors import bundle


def grouped(items, border):
    """The first `border` identities are "few", the others "many"; those of "few" are alike."""
    codes = (items.identity >= border).astype(np.int64)
    values = [
        value + (0.25 if code == 0 else 0.0) * np.eye(len(value), dtype=np.float32)[0]
        for value, code in zip(items.values, codes, strict=True)
    ]
    return replace(items, values=tuple(values), group=codes, groups=("few", "many"))


def test_each_group_has_its_own_threshold():
    items = grouped(clusters(90, 3, spread=0.7), 40)
    found = calibrate_groups(bundle(), items, far=0.1)
    assert {name: each.identities for name, each in found.items()} == {"few": 40, "many": 50}
    assert all(each.certified and each.false_match.value <= 0.1 for each in found.values())
    alone = calibrate(bundle(), items.where(identities=items.identities[40:]), far=0.1).calibration
    assert found["many"] == alone
    assert bundle().with_calibration(found["few"]).contract.decide(1.0)[0] == "same"


def test_a_group_that_is_too_small_is_named():
    items = grouped(clusters(90, 3, spread=0.7), 20)
    with pytest.raises(CannotCertify, match="group 'few': 20 identities cannot show a false-accept rate of 0"):
        calibrate_groups(bundle(), items, far=0.1)
    assert not calibrate_groups(bundle(), items, far=0.1, estimate=True)["few"].certified
    with pytest.raises(NotEnoughData, match="group 'few': 3 genuine and 0 impostor pairs"):
        calibrate_groups(bundle(), grouped(clusters(90, 3, spread=0.7), 1), far=0.1)
    with pytest.raises(UsageError, match="the items have no groups"):
        calibrate_groups(bundle(), clusters(40, 3), far=0.1)

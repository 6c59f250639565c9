"""A threshold for each group: certified on its own, or refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from twofold import Index, enrol
from twofold.apps.evaluate import evaluate
from twofold.apps.identify import identify
from twofold.apps.verify import verify, verify_pairs
from twofold.calibration.groups import calibrate_groups, with_groups
from twofold.calibration.pairs import calibrate
from twofold.data.pairs import Pairs
from twofold.data.synthetic import clusters
from twofold.errors import CannotCertify, NotCalibrated, NotEnoughData, UnknownName, UsageError
from vectors import bundle, renamed


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


def test_verdicts_go_by_the_group_that_is_given(tmp_path):
    items = grouped(clusters(90, 3, spread=0.7), 40)
    plain = calibrate(bundle(), items, far=0.1)
    found = calibrate_groups(bundle(), items, far=0.1)
    done = with_groups(plain, found)
    a, b = items.values[0], items.values[1]
    few, many, whole = (verify(done, a, b, group=name) for name in ("few", "many", "any"))
    assert (few.threshold, few.group) == (found["few"].threshold, "few")
    assert many.threshold == found["many"].threshold < few.threshold
    assert whole.threshold == plain.calibration.threshold and verify(plain, a, b).group is None
    with pytest.raises(
        UnknownName,
        match="no group was given, and each has a threshold of its own: few, many; or 'any'",
    ):
        verify(done, a, b)
    with pytest.raises(UnknownName, match="group 'new' is not known"):
        verify(done, a, b, group="new")
    with pytest.raises(
        UnknownName, match="group 'few': this calibration has one threshold for all"
    ):
        verify(plain, a, b, group="few")
    with pytest.raises(NotCalibrated, match="calibrate for all pairs first"):
        with_groups(bundle(), found)
    with Index.create(tmp_path / "index", done.contract) as index:
        enrol(done, index, "first", [a], ids=["first/a"])
        assert identify(done, index, b, group="few").threshold == found["few"].threshold


def test_pairs_of_a_table_have_groups(tmp_path):
    items = grouped(clusters(90, 3, spread=0.7), 40)
    done = with_groups(
        calibrate(bundle(), items, far=0.1), calibrate_groups(bundle(), items, far=0.1)
    )
    for name, value in zip("ab", items.values, strict=False):
        np.save(tmp_path / f"{name}.npy", value)
    (tmp_path / "pairs.csv").write_text("a,b,group\na.npy,b.npy,few\na.npy,b.npy,many\n")
    pairs = Pairs.from_table(tmp_path / "pairs.csv")
    assert [each.group for each in verify_pairs(done, pairs)] == ["few", "many"]
    assert [each.group for each in verify_pairs(done, pairs, group="any")] == ["any", "any"]
    (tmp_path / "pairs.csv").write_text("a,b\na.npy,b.npy\n")
    with pytest.raises(UnknownName, match="no group was given"):
        verify_pairs(done, Pairs.from_table(tmp_path / "pairs.csv"))


def test_an_evaluation_judges_each_groups_threshold():
    items = grouped(clusters(90, 3, spread=0.7), 40)
    done = with_groups(
        calibrate(bundle(), items, far=0.1), calibrate_groups(bundle(), items, far=0.1)
    )
    others = renamed(grouped(clusters(90, 3, spread=0.7, seed=1), 40))
    found = evaluate(done, others)
    whole, few = found.number("false_match_rate"), found.number("false_match_rate (few)")
    assert few.resampled == 40 and few.value < 0.2 and whole.resampled == 90
    told = evaluate(done, replace(others, groups=("few", "new")))
    assert told.notes[0] == "group 'new' has no threshold of its own"
    assert told.notes[1].startswith("group 'many': 0 identities")
    assert (
        "the items have no groups"
        in evaluate(done, replace(others, group=None, groups=())).notes[0]
    )


def test_a_group_that_is_too_small_is_named():
    items = grouped(clusters(90, 3, spread=0.7), 20)
    with pytest.raises(
        CannotCertify, match="group 'few': 20 identities cannot show a false-accept rate of 0"
    ):
        calibrate_groups(bundle(), items, far=0.1)
    assert not calibrate_groups(bundle(), items, far=0.1, standing="estimate")["few"].certified
    with pytest.raises(NotEnoughData, match="group 'few': 3 genuine and 0 impostor pairs"):
        calibrate_groups(bundle(), grouped(clusters(90, 3, spread=0.7), 1), far=0.1)
    with pytest.raises(UsageError, match="the items have no groups"):
        calibrate_groups(bundle(), clusters(40, 3), far=0.1)

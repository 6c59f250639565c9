"""What a bundle remembers of its data: keyed hashes only, which still tell who may judge it."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from small_bundles import RECIPE
from twofold import build
from twofold.bundle import Bundle
from twofold.data.items import Items
from twofold.data.synthetic import glyphs
from twofold.errors import DamagedBundle, IdentityOverlap
from twofold.provenance import Provenance

FORMAT_1 = Path(__file__).parent / "bundle_format_1"


def items(names, *, seed=0, each=3):
    arrays = np.random.default_rng(seed).integers(
        0, 256, (len(names) * each, 4, 4, 1), dtype=np.uint8
    )
    return Items.from_arrays(arrays, np.repeat(names, each))


def named(count, prefix="s"):
    return [f"{prefix}{number}" for number in range(count)]


@pytest.fixture
def data():
    return items(named(30))


@pytest.fixture
def bundle(data):
    """Trained on s0 to s21, chosen on s22 and s23, s24 to s26 and s27 to s29 kept aside."""
    records = Provenance()
    for part, low, high in (
        ("train", 0, 22),
        ("valid", 22, 24),
        ("calibrate", 24, 27),
        ("test", 27, 30),
    ):
        records = records.with_part(part, data.where(identities=named(30)[low:high]))
    return Bundle(twin=build.twin(RECIPE, seed=0).eval(), recipe=RECIPE, provenance=records)


def relabelled(data, names):
    return replace(data, identities=tuple(names), names=tuple(names))


def joined(*several):
    values = [value for each in several for value in each.values]
    labels = [each.names[code] for each in several for code in each.labels]
    return Items.from_arrays(values, labels)


def test_of_the_training_data_the_parts_kept_aside_are_used(bundle, data):
    assert bundle.part(data, "test").identities == ("s27", "s28", "s29")
    assert bundle.part(data, "calibrate").identities == ("s24", "s25", "s26")
    assert (
        "the 3 of 30 identities that were kept aside as 'test' are used"
        in bundle.part(data, "test").notes[0]
    )
    with pytest.raises(IdentityOverlap, match="24 of 30 identities were trained on"):
        bundle.refuse_trained(data)


def test_new_data_of_the_same_names_is_used_whole_and_that_is_said(bundle):
    other = items(named(30), seed=1)
    judges = bundle.part(other, "test")
    assert len(judges.identities) == 30
    assert (
        "24 of 30 identities have the names of identities that were trained on (s0, s1, s2 and 21"
        in judges.notes[0]
    )
    assert "all are used" in judges.notes[0]
    assert bundle.part(items(named(30, "new"), seed=1), "test").notes == ()


def test_a_renamed_identity_is_known_by_its_contents(bundle, data):
    turned = relabelled(data, [f"r{number:02}" for number in range(30)])
    names = {*data.where(identities=["s27", "s28", "s29"]).content_hashes()}
    assert {*bundle.part(turned, "test").content_hashes()} == names
    seen = replace(turned, notes=()).where(identities=["r00", "r01"])
    with pytest.raises(IdentityOverlap, match="2 of 2 identities were trained on"):
        bundle.part(seen, "test")


def test_two_identities_that_changed_names_are_still_told_apart(bundle, data):
    names = list(data.identities)
    trained, aside = names.index("s0"), names.index("s27")
    names[trained], names[aside] = names[aside], names[trained]
    judges = bundle.part(relabelled(data, names), "test")
    assert set(judges.identities) == {"s0", "s28", "s29"}, (
        "the name s0 belongs to the pictures of s27 now"
    )


def test_grown_data_leaves_the_new_ones_out_and_says_so(bundle, data):
    judges = bundle.part(joined(data, items(named(4, "new"), seed=2)), "test")
    assert judges.identities == ("s27", "s28", "s29")
    assert "4 identities are new to the model and left out" in judges.notes[0]


def test_new_data_with_copies_of_trained_things_is_refused(bundle, data):
    mixed = joined(
        items(named(30, "new"), seed=2), relabelled(data.where(identities=["s1"]), ["copy"])
    )
    with pytest.raises(
        IdentityOverlap,
        match=r"1 of 31 identities were trained on \(copy; 3 of 93 items are copies",
    ):
        bundle.part(mixed, "test")


def test_further_pictures_of_a_trained_identity_are_refused_beside_known_ones(bundle, data):
    more = joined(data.where(identities=["s27", "s28"]), items(["s3"], seed=5))
    with pytest.raises(IdentityOverlap, match="1 of 3 identities were trained on"):
        bundle.refuse_trained(more)


def test_no_name_and_no_plain_hash_is_written(bundle, data, tmp_path):
    folder = bundle.save(tmp_path / "model")
    written = b"".join(path.read_bytes() for path in folder.iterdir())
    for name in data.identities:
        assert f'"{name}"'.encode() not in written
        assert hashlib.sha256(name.encode()).digest()[:16] not in written
    for content in data.content_hashes():
        assert content.encode() not in written
        assert bytes.fromhex(content)[:16] not in written
    again = Provenance().with_part("train", data)
    assert not np.isin(again.parts["train"].names, bundle.provenance.parts["train"].names).all(), (
        "another key"
    )


def test_records_return_as_they_were_and_damage_is_found(bundle):
    arrays = bundle.provenance.arrays()
    assert Provenance.from_arrays(arrays) == bundle.provenance
    with pytest.raises(DamagedBundle, match="records of trained identities are damaged"):
        Provenance.from_arrays(arrays | {"train.names": arrays["train.names"][::-1]})
    with pytest.raises(DamagedBundle, match="records of trained identities are damaged"):
        Provenance.from_arrays(
            {name: array for name, array in arrays.items() if name != "train.owners"}
        )
    with pytest.raises(DamagedBundle, match="records of trained identities are damaged"):
        Provenance.from_arrays(arrays | {"train.owners": arrays["train.owners"] + 1000})


def test_an_identity_is_forgotten_with_all_its_contents(bundle, data):
    left = bundle.provenance.forgotten(["s1"])
    assert left.counts == bundle.provenance.counts | {"train": 21}
    known = left.familiarity(data.where(identities=["s1", "s2"]))
    assert known.contents["train"].tolist() == known.names["train"].tolist() == [False, True]
    assert len(left.parts["train"].contents) == 21 * 3
    alone = data.where(identities=["s28"]).content_hashes()[0]
    assert len(bundle.provenance.forgotten([], [alone]).parts["test"].contents) == 8


def test_a_bundle_of_format_1_still_knows_its_data(tmp_path):
    data = glyphs(12, 3, size=16, seed=0)
    shutil.copytree(FORMAT_1, tmp_path / "old")
    old = Bundle.load(tmp_path / "old")
    assert old.provenance.counts == {"train": 6, "valid": 2, "calibrate": 2, "test": 2}
    assert (
        len(old.part(data, "calibrate").identities) == len(old.part(data, "test").identities) == 2
    )
    with pytest.raises(IdentityOverlap, match="8 of 12 identities were trained on"):
        old.refuse_trained(data)
    other = glyphs(12, 3, size=16, seed=5)
    assert (
        set(other.identities) == set(data.identities)
        and len(old.part(other, "test").identities) == 12
    )
    alone = old.part(data, "test")
    assert old.part(alone, "test").identities == alone.identities
    saved = Bundle.load(old.save(tmp_path / "new"))
    assert saved.fingerprint == old.fingerprint
    assert saved.part(data, "test").identities == alone.identities
    assert data.identities[0] not in (tmp_path / "new" / "bundle.json").read_text()

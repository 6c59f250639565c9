"""Keys, sealing and what a protection unlocks: pure functions, no file of an index."""

import base64
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.errors import DamagedIndex, MissingExtra, UsageError, WrongKey
from twofold.store.protection import protect
from twofold.store.protection.protect import Key, Protection, find_key, new_key, new_subject_key

MASTER = Key(bytes(range(32)))
VECTOR = np.arange(16, dtype="<f4").tobytes()


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWOFOLD_KEY", raising=False)
    monkeypatch.delenv("TWOFOLD_KEY_FILE", raising=False)


def test_a_key_is_found_where_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my.key"
    file.write_text(MASTER.text + "\n")
    file.chmod(0o600)
    assert find_key(MASTER) == find_key(file) == find_key(str(file)) == MASTER
    monkeypatch.setenv("TWOFOLD_KEY_FILE", str(file))
    assert find_key() == MASTER
    other = new_key()
    monkeypatch.setenv("TWOFOLD_KEY", other.text)
    assert find_key() == other != MASTER
    assert find_key(file) == MASTER


def test_what_is_no_key_is_said_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        WrongKey,
        match=r"protected and no key is given: set TWOFOLD_KEY_FILE .*openssl rand -base64 32",
    ):
        find_key()
    with pytest.raises(WrongKey, match=r"key file .*absent.key cannot be read \(No such file"):
        find_key(tmp_path / "absent.key")
    (tmp_path / "binary.key").write_bytes(b"\xff" * 32)
    (tmp_path / "binary.key").chmod(0o600)
    with pytest.raises(WrongKey, match="cannot be read \\(it is not text\\)"):
        find_key(tmp_path / "binary.key")
    short = base64.b64encode(b"secret!" * 3).decode()
    for text, message in [
        ("not base64!", "holds no base64"),
        (short, "holds 21 bytes: a key is 32 random bytes"),
    ]:
        monkeypatch.setenv("TWOFOLD_KEY", text)
        with pytest.raises(WrongKey, match=f"TWOFOLD_KEY {message}") as caught:
            find_key()
        assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "secret"), [(0o600, True), (0o640, True), (0o644, False), (0o620, False)]
)
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int, secret: bool) -> None:
    file = tmp_path / "my.key"
    file.write_text(MASTER.text)
    file.chmod(mode)
    if secret:
        assert find_key(file) == MASTER
        return
    with pytest.raises(
        WrongKey, match=rf"my.key is not secret: its mode is {mode:04o}, .* chmod 600 "
    ) as caught:
        find_key(file)
    assert MASTER.text not in str(caught.value)


def test_secrets_are_not_shown(contract: Contract) -> None:
    opened = Protection.create(MASTER, contract)
    for shown in (repr(MASTER), repr(opened)):
        for secret in (MASTER.secret, opened.wrapping, opened.audit, opened.rotation):
            assert repr(secret)[2:-1] not in shown
            assert secret.hex() not in shown


def test_a_protection_opens_with_its_key_only(contract: Contract) -> None:
    made = Protection.create(MASTER, contract)
    assert made.rotation is not None
    assert Protection.open(made.text, MASTER, contract.fingerprint) == made
    with pytest.raises(WrongKey, match="not the one this index was protected with: give that one"):
        Protection.open(made.text, new_key(), contract.fingerprint)
    with pytest.raises(WrongKey):  # nor in an index of another model
        Protection.open(made.text, MASTER, "2" * 64)
    assert MASTER.secret.hex() not in made.text
    assert made.text != Protection.create(MASTER, contract).text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not readable"),
        ("[]", "not readable"),
        ('{"format": 1}', "not readable"),
        ('{"format": 1, "salt": "x", "secrets": "00"}', "not readable"),
        (
            '{"format": 2, "salt": "00", "secrets": "00"}',
            "has format 2, this twofold reads 1: upgrade",
        ),
    ],
)
def test_a_spoilt_protection_is_said(text: str, message: str) -> None:
    with pytest.raises(DamagedIndex, match=message):
        Protection.open(text, MASTER, "1" * 64)


def test_a_sealed_vector_opens_in_its_own_row_only(contract: Contract) -> None:
    opened = Protection.create(MASTER, contract)
    key = new_subject_key()
    sealed = opened.seal(key, "anna/1", "anna", VECTOR)
    assert opened.unseal(key, "anna/1", "anna", sealed) == VECTOR
    assert VECTOR[:16] not in sealed
    assert len(sealed) == len(VECTOR) + 28
    for wrong in (("anna/2", "anna"), ("anna/1", "bert"), ("anna/1a", "nna")):
        with pytest.raises(
            DamagedIndex, match=r"does not open \(AES-GCM\): restore it from a copy"
        ):
            opened.unseal(key, *wrong, sealed)
    with pytest.raises(DamagedIndex):
        opened.unseal(new_subject_key(), "anna/1", "anna", sealed)
    with pytest.raises(DamagedIndex):
        replace(opened, fingerprint="2" * 64).unseal(key, "anna/1", "anna", sealed)


def test_every_flipped_bit_and_every_cut_is_found(contract: Contract) -> None:
    opened = Protection.create(MASTER, contract)
    key = new_subject_key()
    sealed = opened.seal(key, "anna/1", "anna", VECTOR)
    for bit in range(8 * len(sealed)):
        spoilt = bytearray(sealed)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedIndex):
            opened.unseal(key, "anna/1", "anna", bytes(spoilt))
    for length in range(len(sealed)):
        with pytest.raises(DamagedIndex):
            opened.unseal(key, "anna/1", "anna", sealed[:length])


def test_the_same_thing_seals_to_the_same_bytes_and_another_to_another_nonce(
    contract: Contract,
) -> None:
    opened = Protection.create(MASTER, contract)
    key = new_subject_key()
    nonces = {opened.seal(key, f"anna/{n}", "anna", VECTOR)[:12] for n in range(500)}
    assert len(nonces) == 500
    assert opened.seal(key, "anna/1", "anna", VECTOR) == opened.seal(key, "anna/1", "anna", VECTOR)


def test_a_subjects_key_is_bound_to_its_subject(contract: Contract) -> None:
    opened = Protection.create(MASTER, contract)
    key = new_subject_key()
    wrapped = opened.wrap("anna", key)
    assert key not in wrapped
    assert opened.unwrap("anna", wrapped) == key
    with pytest.raises(DamagedIndex):
        opened.unwrap("bert", wrapped)


def test_a_new_master_key_keeps_the_secrets_and_rotate_renews_the_rotation(
    contract: Contract,
) -> None:
    old, other = Protection.create(MASTER, contract), new_key()
    new = old.renewed(other, rotate=False)
    assert (new.audit, new.rotation) == (old.audit, old.rotation)
    assert new.wrapping != old.wrapping
    assert Protection.open(new.text, other, contract.fingerprint) == new
    with pytest.raises(WrongKey):
        Protection.open(new.text, MASTER, contract.fingerprint)
    turned = old.renewed(MASTER, rotate=True)
    assert turned.audit == old.audit
    assert turned.rotation not in (None, old.rotation)


@pytest.mark.parametrize("distance", ["manhattan", "WeightedL1"])
def test_a_distance_that_a_rotation_changes_is_not_rotated(
    contract: Contract, distance: str
) -> None:
    other = replace(contract, distance=distance)
    assert Protection.create(MASTER, other).rotation is None
    assert not json.loads(Protection.create(MASTER, other).text)["rotated"]
    with pytest.raises(
        UsageError,
        match=f"{distance} changes when vectors are rotated .cosine, euclidean, squared_eu",
    ):
        Protection.create(MASTER, other, rotate=True)
    assert Protection.create(MASTER, contract, rotate=False).rotation is None


def test_without_the_extra_it_is_named(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(MissingExtra, match=r"needs cryptography: pip install 'twofold\[protect\]'"):
        Protection.create(MASTER, contract)


def test_the_way_to_make_a_key_that_errors_name_works(tmp_path: Path) -> None:
    if os.system("openssl version > /dev/null 2>&1"):
        pytest.skip("no openssl command here")
    assert os.system(protect.MAKE_ONE.replace("twofold.key", str(tmp_path / "twofold.key"))) == 0
    assert (tmp_path / "twofold.key").stat().st_mode & 0o777 == 0o600
    assert len(find_key(tmp_path / "twofold.key").secret) == 32

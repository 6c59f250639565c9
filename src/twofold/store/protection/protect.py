"""Templates encrypted at rest: AES-GCM under a key per subject, wrapped by a master key that is never in the index.

It protects files, backups and disks that fall into other hands: no vector in them can be read. It
does not hide ids, labels and metadata, and whoever has the files *and* the key has everything.
`Rotation` makes templates renewable, like a password that is changed; it does not make them
irreversible.
"""

import base64
import binascii
import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from twofold.contract import Contract
from twofold.errors import DamagedIndex, MissingExtra, UsageError, WrongKey
from twofold.files import PRIVATE_FILE
from twofold.store.protection.rotation import ROTATABLE
from twofold.strict_json import plain_object

__all__ = ["KEY", "KEY_FILE", "Key", "Protection", "find_key", "new_key", "seal", "unseal"]

KEY, KEY_FILE = "TWOFOLD_KEY", "TWOFOLD_KEY_FILE"  # names in the environment
FORMAT = 1
"""Of the text that `Protection.text` writes."""

BYTES = 32  # of every key here: AES-256, HMAC-SHA256
NONCE = 12  # bytes: what AES-GCM takes without hashing it first (NIST SP 800-38D)
# modes of a key file: a group may read it (a service's), nobody else
NOT_SECRET = stat.S_IRWXO | stat.S_IWGRP
MAKE_ONE = "(umask 077; openssl rand -base64 32 > twofold.key)"


@dataclass(frozen=True)
class Key:
    """A master key: 32 secret bytes, which neither `repr` nor a traceback shows."""

    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The key as in a key file: base64."""
        return base64.b64encode(self.secret).decode()


def new_key() -> Key:
    """A new master key from the system's source of randomness."""
    return Key(secrets.token_bytes(BYTES))


def find_key(given: Key | str | Path | None = None) -> Key:
    """The master key: the one given, one in a file, or else that of the environment.

    Args:
        given: a key, or the path of a key file (32 bytes in base64); None: the variable TWOFOLD_KEY
            holds the key, or TWOFOLD_KEY_FILE the path of its file.

    Raises:
        WrongKey: there is none, or it is not a key.
    """
    if isinstance(given, Key):
        return given
    text = os.environ.get(KEY)
    path = given or (None if text else os.environ.get(KEY_FILE))
    if path:
        return parse(read_key(Path(path)), str(path))
    if not text:
        raise WrongKey(
            f"this index is protected and no key is given: set {KEY_FILE} to the path of its key "
            f"file (or {KEY} to the key itself). A new key: {MAKE_ONE}"
        )
    return parse(text, KEY)


def read_key(path: Path) -> str:
    """The content of a key file.

    Raises:
        WrongKey: it cannot be read, or is not secret: everybody may read it, or others than the
            owner may replace it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if os.name != "nt" else PRIVATE_FILE
        if mode & NOT_SECRET:
            raise WrongKey(
                f"the key file {path} is not secret: its mode is {mode:04o}, so other users may "
                f"read or replace it. chmod 600 {path}; if others could read it, make a new key "
                "and `twofold rekey INDEX --new KEYFILE`"
            )
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise WrongKey(
            f"the key file {path} cannot be read ({reason}). A new key: {MAKE_ONE}"
        ) from error


def parse(text: str, where: str) -> Key:
    """The key that a text encodes; an error never shows the text."""
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except binascii.Error as error:
        raise WrongKey(
            f"{where} holds no base64: a key is {BYTES} random bytes in it, {MAKE_ONE}"
        ) from error
    if len(secret) != BYTES:
        raise WrongKey(
            f"{where} holds {len(secret)} bytes: a key is "
            f"{BYTES} random bytes in base64, {MAKE_ONE}"
        )
    return Key(secret)


@dataclass(frozen=True, kw_only=True)
class Protection:
    """The open protection of one index: what its master key unlocks. It has no file and no row.

    Attributes:
        text: stored in the index: JSON with a salt and, sealed by the master key, the secrets
            below.
        wrapping: key that wraps the subjects' keys; derived from the master key and the salt.
        audit: key of the hashes in the audit log.
        rotation: secret of the rotation; None: vectors are kept as the encoder gave them.
        fingerprint: of the model; bound into everything that is sealed.
    """

    text: str
    wrapping: bytes = field(repr=False)
    audit: bytes = field(repr=False)
    rotation: bytes | None = field(repr=False)
    fingerprint: str

    @classmethod
    def create(
        cls,
        master: Key,
        contract: Contract,
        *,
        rotate: bool | None = None,
        audit: bytes | None = None,
    ) -> "Protection":
        """A protection with new secrets.

        Args:
            audit: the key of an audit log that there is already; None: a new one.
            rotate: keep vectors under a secret rotation; None: if the distance allows it.

        Raises:
            UsageError: the distance does change by a rotation. MissingExtra: `cryptography` is not
                installed.
        """
        keeps = contract.distance in ROTATABLE
        if rotate and not keeps:
            raise UsageError(
                f"{contract.distance} changes when vectors are rotated "
                f"({', '.join(sorted(ROTATABLE))} do not): its templates cannot be renewed so; "
                "protect the index without a rotation (rotate=False)"
            )
        rotation = secrets.token_bytes(BYTES) if keeps and rotate is not False else None
        return cls.sealed(
            master,
            contract.fingerprint,
            audit=audit or secrets.token_bytes(BYTES),
            rotation=rotation,
        )

    @classmethod
    def sealed(
        cls, master: Key, fingerprint: str, *, audit: bytes, rotation: bytes | None
    ) -> "Protection":
        """A protection with these secrets under a master key, with a new salt."""
        salt = secrets.token_bytes(BYTES)
        wrapping = derive(master, salt)
        inside = json.dumps(
            {"audit": audit.hex(), "rotation": rotation and rotation.hex()}
        ).encode()
        outside = {"format": FORMAT, "rotated": rotation is not None, "salt": salt.hex()}
        outside["secrets"] = seal(wrapping, inside, "secrets", fingerprint).hex()
        return cls(
            text=json.dumps(outside, sort_keys=True),
            wrapping=wrapping,
            audit=audit,
            rotation=rotation,
            fingerprint=fingerprint,
        )

    @classmethod
    def open(cls, text: str, master: Key, fingerprint: str) -> "Protection":
        """The protection of an index, by its master key.

        Args:
            text: what `Protection.text` was; the index has checked it against its hash.

        Raises:
            WrongKey: another key. DamagedIndex: no such text. MissingExtra: `cryptography` is not
                installed.
        """
        outside = read_text(text)
        wrapping = derive(master, bytes.fromhex(outside["salt"]))
        try:
            inside = json.loads(
                unseal(wrapping, bytes.fromhex(outside["secrets"]), "secrets", fingerprint)
            )
        except DamagedIndex as error:
            raise WrongKey(
                "the key is not the one this index was protected with: "
                f"give that one ({KEY_FILE}, {KEY}); after a rekey that "
                "was cut off either the old key or the new one fits"
            ) from error
        return cls(
            text=text,
            wrapping=wrapping,
            audit=bytes.fromhex(inside["audit"]),
            rotation=bytes.fromhex(inside["rotation"]) if inside["rotation"] else None,
            fingerprint=fingerprint,
        )

    def renewed(self, master: Key, *, rotate: bool) -> "Protection":
        """The same under another master key; with `rotate` under another rotation too. Audit hashes stay comparable."""
        rotation = secrets.token_bytes(BYTES) if rotate and self.rotation else self.rotation
        return self.sealed(master, self.fingerprint, audit=self.audit, rotation=rotation)

    def wrap(self, label: str, key: bytes) -> bytes:
        """A subject's key as stored in the index."""
        return seal(self.wrapping, key, "subject", self.fingerprint, label)

    def unwrap(self, label: str, wrapped: bytes) -> bytes:
        """A subject's key; DamagedIndex when it is not as it was wrapped, or another subject's."""
        return unseal(self.wrapping, wrapped, "subject", self.fingerprint, label)

    def seal(self, key: bytes, id: str, label: str, vector: bytes) -> bytes:
        """A vector as stored in the index, bound to its id and label: in another row it cannot be opened."""
        return seal(key, vector, "vector", self.fingerprint, id, label)

    def unseal(self, key: bytes, id: str, label: str, sealed: bytes) -> bytes:
        """A vector of the index; DamagedIndex when it is not as it was sealed, or that of another row."""
        return unseal(key, sealed, "vector", self.fingerprint, id, label)


def read_text(text: str) -> dict[str, Any]:
    """The public part of a protection, checked for what must be in it."""
    try:
        outside = plain_object(text)
        number = outside["format"]
        if (
            number == FORMAT
            and bytes.fromhex(outside["salt"])
            and bytes.fromhex(outside["secrets"])
        ):
            return outside
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedIndex(
            "the protection of the index is not readable: restore it from a copy"
        ) from error
    raise DamagedIndex(
        f"the protection has format {number!r}, this twofold reads {FORMAT}: upgrade twofold"
    )


def new_subject_key() -> bytes:
    """A key of a subject's own."""
    return secrets.token_bytes(BYTES)


def derive(master: Key, salt: bytes) -> bytes:
    """The key that wraps, of a master key and an index's salt (HKDF-SHA256, RFC 5869)."""
    cryptography()
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), BYTES, salt, b"twofold wrap 1").derive(master.secret)


def seal(key: bytes, plain: bytes, *bound: str) -> bytes:
    """`nonce + AES-256-GCM(plain)`, with `bound` as associated data.

    The nonce is a keyed hash of what is sealed (synthetic, as in RFC 8452), so different plaintexts
    never share a nonce, however bad the machine's randomness; and sealing the same again gives the
    same bytes, by which the index sees that nothing has changed.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    data = bind(bound)
    nonce = hmac.digest(hmac.digest(key, b"twofold nonce 1", sha256), data + plain, sha256)[:NONCE]
    return nonce + AESGCM(key).encrypt(nonce, plain, data)


def unseal(key: bytes, sealed: bytes, *bound: str) -> bytes:
    """What was sealed with this key and the same `bound`.

    Raises:
        DamagedIndex: another key, changed bytes, or bound to something else.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], bind(bound))
    except (InvalidTag, ValueError) as error:  # ValueError: too short for a nonce
        raise DamagedIndex(
            f"what is sealed for {bound[2:]} does not open (AES-GCM): restore it from a copy"
        ) from error


def bind(bound: tuple[str, ...]) -> bytes:
    """Texts as one byte string, each with its length before it, so that no two lists are alike."""
    parts = [part.encode() for part in bound]
    return b"twofold 1" + b"".join(len(part).to_bytes(8) + part for part in parts)


def cryptography() -> None:
    """Say which extra is missing, if it is."""
    try:
        import cryptography.hazmat.primitives  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "a protected index needs cryptography: pip install 'twofold[protect]'"
        ) from error

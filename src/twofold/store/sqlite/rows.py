"""Rows of an index and the state of all rows, with the SHA-256 by which a changed byte is found."""

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from twofold.errors import DamagedIndex
from twofold.results import Hit

__all__ = [
    "COLUMNS",
    "HASH",
    "Batch",
    "Fields",
    "Forgotten",
    "Pinned",
    "Record",
    "Row",
    "State",
    "clock",
    "damaged",
    "digest",
    "parse",
    "record_of",
    "xor",
]

LENGTHS = struct.Struct("<9Q")

Fields = tuple[int, int, str, str, str, str | None, str | None, str, bytes | bytearray]
"""Of a row, in the order of the table's columns; a `Row` is one of these."""

Record = tuple[Any, ...]
"""A row as it is written: number, generation, id, label, added, metadata, vector, hash; then
expires and revoked if one of them is set. sqlite3 binds texts and bytearrays at once, but looks for
an adapter of each None and bytes, for half a microsecond: so nothing is bound for no date, the hash
is a bytearray, and each vector of a `Batch`."""

HASH = 7
"""The place of the hash in a `Record`."""

Parts = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes | bytearray]

COLUMNS = (
    "row, generation, CAST(id AS BLOB), CAST(label AS BLOB), CAST(added AS BLOB), CAST(expires AS "
    "BLOB), CAST(revoked AS BLOB), CAST(metadata AS BLOB), vector, hash"
)
"""What `parse` reads: texts as bytes, since a flipped bit may have left no UTF-8."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The items of one call, by columns: an object for each item would cost as much as its checks.

    Attributes:
        ids, labels: of the items, in their order.
        vectors: little-endian float32, each a bytearray (see `Record`).
        metadata: JSON, as `filters.metadata_text` writes it.
        expires: when they end (UTC, ISO 8601); None: never, or as before.
    """

    ids: Sequence[str]
    labels: Sequence[str]
    vectors: Sequence[bytearray]
    metadata: Sequence[str]
    expires: str | None = None


class Row(NamedTuple):
    """One item at rest. A row is never changed: an update deletes it and writes another, of a new number.

    Attributes:
        number: never used again, ascending in the order of writing.
        generation: the write that it came with.
        vector: as in the file: little-endian float32, or sealed in a protected index.
        added, expires, revoked: times (UTC, ISO 8601); None: never.
    """

    number: int
    generation: int
    id: str
    label: str
    added: str
    expires: str | None
    revoked: str | None
    metadata: str
    vector: bytes

    def hit(self, score: float) -> Hit:
        """The row as an answer."""
        return Hit(id=self.id, label=self.label, score=score, metadata=json.loads(self.metadata))

    def digest(self) -> bytes:
        """SHA-256 of the row."""
        return bytes(record_of(self)[HASH])


def record_of(row: Fields) -> Record:
    """A row as it is written."""
    number, generation, name, label, added, expires, revoked, metadata, vector = row
    end, since = expires.encode() if expires else b"", revoked.encode() if revoked else b""
    parts = name.encode(), label.encode(), added.encode(), end, since, metadata.encode(), vector
    hashed = bytearray(_digest(number, generation, parts))
    if end or since:
        return number, generation, name, label, added, metadata, vector, hashed, expires, revoked
    return number, generation, name, label, added, metadata, vector, hashed


def _digest(number: int, generation: int, parts: Parts) -> bytes:
    """SHA-256 of a row, each part with its length, so that no two rows are alike."""
    a, b, c, d, e, f, g = parts  # mapping over them would cost a quarter of the hash itself
    lengths = LENGTHS.pack(
        number, generation, len(a), len(b), len(c), len(d), len(e), len(f), len(g)
    )
    return sha256(b"".join((lengths, a, b, c, d, e, f, g))).digest()


def parse(found: tuple[Any, ...]) -> Row | None:
    """The row of a record with `COLUMNS`; None where it is not what was written."""
    number, generation, *parts, hashed = found
    name, label, added, expires, revoked, metadata, vector = parts
    try:
        if (
            _digest(
                number,
                generation,
                (name, label, added, expires or b"", revoked or b"", metadata, vector),
            )
            != hashed
        ):
            return None
    except (TypeError, struct.error):  # not even of the right kind
        return None
    return Row(
        number,
        generation,
        name.decode(),
        label.decode(),
        added.decode(),
        None if expires is None else expires.decode(),
        None if revoked is None else revoked.decode(),
        metadata.decode(),
        vector,
    )


class Forgotten(NamedTuple):
    """What a `forget` deleted, so that it can be looked for.

    Attributes:
        keys: of a protected index, as they were in the file. loose: whether there may be remains of
        rows deleted or replaced earlier that were not searched for: of these labels, or of any if
            an earlier erasure was not finished.
    """

    rows: list[Row]
    keys: list[bytes]
    loose: bool


@dataclass(frozen=True, kw_only=True)
class State:
    """The state of all rows together; one small record, written with every change.

    Attributes:
        generation: number of writes so far; readers see by it that the rows have changed.
        items: number of rows.
        last: the largest row number ever used.
        checksum: XOR of the rows' hashes: it reveals a lost or doubled row, and a write updates it
            by one row.
        erasing: True while bytes of deleted rows may be left in the files.
        floor: the generation up to which deleted rows are no longer listed: older readers read
            everything again.
        audits: number of entries in the audit log. chain: hash of the last one.
    """

    generation: int = 0
    items: int = 0
    last: int = 0
    checksum: bytes = bytes(32)
    erasing: bool = False
    floor: int = 0
    audits: int = 0
    chain: bytes = bytes(32)

    def digest(self) -> bytes:
        """SHA-256 of the state: indexes with equal digests hold the same rows."""
        numbers = (
            self.generation,
            self.items,
            self.last,
            int(self.erasing),
            self.floor,
            self.audits,
        )
        return digest(" ".join(map(str, numbers)).encode(), self.checksum, self.chain)

    def after(
        self,
        *,
        written: Iterable[bytes | bytearray] = (),
        gone: Iterable[bytes | bytearray] = (),
        items: int,
        last: int,
    ) -> "State":
        """The next generation, with the hashes of the rows that were written and that have gone."""
        return State(
            generation=self.generation + 1,
            items=items,
            last=last,
            checksum=xor([self.checksum, *written, *gone]),
            erasing=self.erasing,
            floor=self.floor,
            audits=self.audits,
            chain=self.chain,
        )

    def record(self) -> tuple[Any, ...]:
        """What stands in the table, hash last."""
        return (
            self.generation,
            self.items,
            self.last,
            self.checksum,
            int(self.erasing),
            self.floor,
            self.audits,
            self.chain,
            self.digest(),
        )

    @classmethod
    def of(cls, record: Any) -> "State | None":
        """The state of a record; None where it is not what was written."""
        try:
            generation, items, last, checksum, erasing, floor, audits, chain, hashed = record
            state = cls(
                generation=generation,
                items=items,
                last=last,
                checksum=checksum,
                erasing=bool(erasing),
                floor=floor,
                audits=audits,
                chain=chain,
            )
            return state if state.digest() == hashed else None
        except (AttributeError, TypeError, ValueError):  # not even of the right kind
            return None


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """What an index is pinned to when it is made.

    Attributes:
        contract: JSON of the contract.
        audit_key: key with which labels are hashed for the audit log. protection: JSON of how
            vectors are sealed; {} if they are not.
    """

    contract: str
    audit_key: bytes
    protection: str = "{}"

    def record(self) -> tuple[Any, ...]:
        """What stands in the table, hash last."""
        hashed = digest(self.contract.encode(), self.audit_key, self.protection.encode())
        return (self.contract, self.audit_key, self.protection, hashed)

    @classmethod
    def of(cls, record: Any) -> "Pinned | None":
        """What a record of bytes says; None where it is not what was written."""
        try:
            contract, audit_key, protection, hashed = record
            if digest(contract, audit_key, protection) != hashed:
                return None
            return cls(
                contract=contract.decode(), audit_key=audit_key, protection=protection.decode()
            )
        except (AttributeError, TypeError, ValueError):
            return None


def digest(*parts: bytes) -> bytes:
    """SHA-256 of byte strings, each with its length before it, so that no two lists of parts are alike."""
    return sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).digest()


def xor(hashes: Iterable[bytes | bytearray]) -> bytes:
    """XOR of hashes of 32 bytes: its own inverse, and the order does not matter."""
    total = 0
    for each in hashes:
        total ^= int.from_bytes(each, "little")
    return total.to_bytes(32, "little")


def damaged(message: str) -> DamagedIndex:
    """The error, with what to do: a repair keeps all that is whole."""
    return DamagedIndex(
        f"{message}: restore it from a copy, or let "
        "`twofold check INDEX --repair` keep what is whole"
    )


def clock(precision: str = "seconds") -> str:
    """Now, in UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec=precision)

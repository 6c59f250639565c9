"""What is kept, and what was done to it: embeddings, receipts, entries of the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.results.measurements import Estimate, Finding

__all__ = [
    "AuditEntry",
    "Embeddings",
    "Enrolled",
    "Erasure",
    "Indexed",
    "Inspection",
    "Migration",
    "Sharded",
    "Toll",
]


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Vectors with what they belong to; `labels[i]` is the name of the class of `ids[i]`.

    Attributes:
        metadata: for each item names and JSON scalars; None: nothing for any.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    vectors: Float[np.ndarray, "n dim"]
    fingerprint: str
    metadata: tuple[Mapping[str, Any], ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """Receipt of a `forget`: whose items were deleted, when (UTC, ISO 8601), and what a search of the files found.

    Attributes:
        pieces: how many byte strings of the labels, ids and vectors were looked for.
        files, searched: how many files were read for them, and how many bytes.
        leftovers: places outside living rows in which one still stood after the deletion; they were
            rewritten.
        swept: copies of the index that calls which were killed had left beside it; they were
            deleted, too.
        left: such places at the end: 0; None where the engine keeps its files to itself, `note`
            then says so.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    at: str
    pieces: int = 0
    files: int = 0
    searched: int = 0
    leftovers: int = 0
    swept: int = 0
    left: int | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """One identity in an index: how many items it has, and whether it counts.

    Attributes:
        expires: from when on it is neither found nor counted (UTC, ISO 8601); None: never.
        revoked: since when it is kept but never matched; None: it is not.
    """

    label: str
    items: int
    expires: str | None
    revoked: str | None


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One entry of an index's audit log.

    Attributes:
        at: when (UTC, ISO 8601). event: enrol, update, expire, revoke, restore, purge, forget,
            erased, protect or rekey.
        subject: keyed hash of the label, hexadecimal; "" where it concerns the whole index.
        items: how many items that was.
        receipt: of "erased", the end of a forget or purge: the numbers of its `Erasure`; names
            stand nowhere in it.
    """

    number: int
    at: str
    event: str
    subject: str
    items: int
    receipt: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Toll:
    """What a bridge costs, on identities that it was not fitted to: their things, embedded by the new model, ask.

    Attributes:
        name: "recall_at_1": the best of all other items is of the same label; "finds_itself": it is
            the thing's own, where too few labels have two items.
        again: with all items embedded by the new model. bridged: with all items brought over the
            bridge.
        likeness: median score of a vector brought over with the one that the new model makes of the
            same thing.
    """

    name: str
    again: Estimate
    bridged: Estimate
    likeness: float


@dataclass(frozen=True, kw_only=True)
class Migration:
    """What a migration did.

    Attributes:
        items: brought over by this call. embedded: of them again from their source. bridged: of
            them over a bridge.
        pairs: things embedded by both models, to which the bridge was fitted.
        toll: what the bridge costs in recall; None: none was needed.
    """

    items: int
    embedded: int
    bridged: int
    pairs: int = 0
    toll: Toll | None = None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a check of an index found, and what a repair did.

    Attributes:
        items: whole items. findings: what is wrong, with what to do. dropped: items that a repair
            took out, because
        their bytes are not those that were written.
        repaired: what a repair did, a line each.
    """

    items: int
    findings: tuple["Finding", ...]
    dropped: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong (any more)."""
        return not any(finding.level == "fatal" for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """What indexing did.

    Attributes:
        things: how many were given. embedded: how many of them went through the encoder. known: how
            many the index had
        with the same content. replaced: how many took the place of other content under the same id.
        changed: how many items of the index are new or changed. pruned: how many were taken out,
        since their things are gone. items, labels: how many there are now. unreadable: id -> why it
        was left out. map_bytes: of the map that is kept with each item; 0: none is.
    """

    things: int
    embedded: int
    known: int = 0
    replaced: int = 0
    changed: int
    pruned: int = 0
    items: int
    labels: int
    unreadable: Mapping[str, str] = field(default_factory=dict)
    map_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Sharded:
    """What one shard of an embedding did.

    Attributes:
        things: how many were this shard's. embedded: how many of them went through the encoder.
        parts: how many files were this shard's. written: how many were not there yet.
        missing: files of all shards that are not there yet.
        unreadable: id -> why it was left out.
    """

    things: int
    embedded: int
    parts: int
    written: int
    missing: int
    unreadable: Mapping[str, str] = field(default_factory=dict)

"""The gallery of known identities, each by one or more things: enrolling, updating and forgetting them.

What needs no bundle is a method of the index: `expire`, `revoke`, `restore`, `purge`, `enrolled`,
`audit`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.apps.feature_maps import check_keeping, indexed_vectors, map_text
from twofold.apps.metadata_keys import CONTENT, MAP, SOURCE, TEXT
from twofold.apps.quality import Gate, measured
from twofold.bundle import Bundle
from twofold.data.hashes import content_hash
from twofold.embedding import embed_read, read_all
from twofold.errors import StoreError, UsageError
from twofold.inputs.optional import identifier, thing
from twofold.printable import utf8_name
from twofold.results import Embeddings, Erasure
from twofold.store.arguments import utc
from twofold.store.index import Index
from twofold.store.sqlite.rows import clock

__all__ = ["enrol", "forget", "update"]

THINGS_AT_ONCE = 256
"""Things that are read and embedded at once; their arrays stay in memory until then."""

# of a content hash in an id: among a thousand files
# of one name two collide once in 10,000 galleries
HASH_LETTERS = 8
# relative: how far two embeddings of one file may differ, since batches differ
SAME_THING = 1e-3
ANY = Gate()


def enrol(  # noqa: PLR0913 - each is a choice of its own
    bundle: Bundle,
    index: Index,
    label: str,
    files: Sequence[Any] | Path,
    *,
    ids: Sequence[str] | None = None,
    expires: str | date | None = None,
    gate: Gate = ANY,
    keep_source: bool = False,
    keep_maps: bool = False,
) -> tuple[str, ...]:
    """Remember an identity by the embeddings of one or more inputs; the inputs themselves are not kept (law 7).

    Each thing keeps an embedding of its own. Either all of them are enrolled or none.

    Args:
        label: who or what it is; enrolling more of a known label adds to it.
        files: raw things that the bundle's input reads, or one path.
        ids: a name for each; by default `label/file name`, with a piece of the content's hash if
            other content has that name (every phone has an IMG_0001.jpg).
        expires: from when on these are neither found nor counted: 2027-12-31, or with a time (UTC
            unless it says so); not in the past.
        gate: what each thing must reach.
        keep_source: keep each file's path as the metadata "source", by which `migrate` can embed it
            again.
        keep_maps: keep the map of each thing, by which a comparison on maps compares it without
            its file. A map shows what was embedded: it is raw data.

    Returns:
        The ids of the embeddings in the index.

    Raises:
        FingerprintMismatch: the index holds vectors of another model.
        UsageError: no files; two of one id; no file and no id; `expires` is not a date, or is past;
            maps are to be kept, and the bundle has none, or the index is protected.
        PoorQuality: names the thing that does not pass the gate, and the value.
        StoreError: an id is taken by other content, the label is revoked, the engine keeps no
            dates, or the disk does not take it.
        UnreadableInput: names the file that cannot be decoded.
    """
    values, names = named(bundle, label, files, ids)
    index.refuse_other(bundle.fingerprint)
    refuse_past(expires)
    if expires is not None:
        index.check_dates()
    if keep_maps:
        check_keeping(bundle, index)
    things = dict(zip(names, values, strict=True))
    found = embeddings_of(
        bundle, label, things, gate=gate, keep_source=keep_source, keep_maps=keep_maps
    )
    taken = taken_by_others(index, found)
    if taken and ids is not None:
        raise StoreError(
            f"{taken[0]!r} is enrolled already, by other content: give another id, or remove that "
            f"one first, index.remove([{taken[0]!r}])"
        )
    if taken:
        fresh = [
            told_apart(label, value, name) if name in taken else name
            for name, value in zip(names, values, strict=True)
        ]
        found = replace(found, ids=tuple(fresh))
    index.enrol(found, expires=expires) if index.keeps_dates else index.add(found)
    return found.ids


def update(  # noqa: PLR0913 - as enrol
    bundle: Bundle,
    index: Index,
    label: str,
    files: Sequence[Any] | Path,
    *,
    ids: Sequence[str] | None = None,
    expires: str | date | None = None,
    gate: Gate = ANY,
    keep_source: bool = False,
    keep_maps: bool = False,
) -> tuple[str, ...]:
    """Replace everything that an identity was enrolled with, in one step; arguments as in `enrol`.

    Raises:
        UnknownLabel: nobody of that name is enrolled. StoreError: an id is another identity's. As
            `enrol` else.
    """
    index.check_dates()
    values, names = named(bundle, label, files, ids)
    index.refuse_other(bundle.fingerprint)
    refuse_past(expires)
    index.known(label)
    if keep_maps:
        check_keeping(bundle, index)
    things = dict(zip(names, values, strict=True))
    found = embeddings_of(
        bundle, label, things, gate=gate, keep_source=keep_source, keep_maps=keep_maps
    )
    index.enrol(found, expires=expires, whole=True)
    return names


def forget(bundle: Bundle, index: Index, labels: str | Sequence[str]) -> Erasure:
    """Delete identities from an index and overwrite their every byte; the same as `index.forget(labels)`.

    Raises:
        FingerprintMismatch: the index belongs to another bundle.
        UnknownLabel: nobody of that name is enrolled.
        StoreError: the disk is in the way, or another process reads (then the next open finishes
            the job).
    """
    index.refuse_other(bundle.fingerprint)
    return index.forget(labels)


def refuse_past(expires: str | date | None) -> None:
    """Refuse an end in the past: what is enrolled so would never be found."""
    end = utc(expires)
    if end is not None and end <= clock():
        raise UsageError(
            f"{expires} is in the past (it is {clock()} now): give a later date, or none"
        )


def embeddings_of(
    bundle: Bundle,
    label: str,
    things: dict[str, Any],
    *,
    gate: Gate,
    keep_source: bool,
    keep_maps: bool,
) -> Embeddings:
    """Embeddings of things by id, each of which has passed the gate, and what is kept beside them."""
    names, values = list(things), list(things.values())
    parts = [
        embedded(bundle, values[start : start + THINGS_AT_ONCE], gate)
        for start in range(0, len(values), THINGS_AT_ONCE)
    ]
    rows = np.concatenate(parts)
    kept: list[dict[str, str]] = [{} for _ in names]
    for each, value, row in zip(kept, values, rows, strict=True):
        if keep_source:
            each |= source_of(value, key=bundle.fingerprint)
        if keep_maps:
            each[MAP] = map_text(bundle, row)
    return Embeddings(
        ids=tuple(names),
        labels=(label,) * len(names),
        vectors=indexed_vectors(bundle, rows),
        fingerprint=bundle.fingerprint,
        metadata=tuple(kept) if keep_source or keep_maps else None,
    )


def source_of(value: Any, *, key: str) -> dict[str, str]:
    """The path of a thing, or its text, and the hash that shows whether it has changed."""
    if isinstance(value, str):
        return {TEXT: value, CONTENT: content_hash(value, key=key)}
    if not isinstance(value, Path):
        return {}
    return {SOURCE: utf8_name(str(value.absolute())), CONTENT: content_hash(value)}


def embedded(bundle: Bundle, values: Sequence[Any], gate: Gate) -> Float[np.ndarray, "n dim"]:
    """Vectors of things, if all of them pass the gate."""
    arrays = list(read_all(bundle.twin.input, values))
    vectors = embed_read(bundle, arrays)
    for value, array, (quality, unit) in zip(
        values, arrays, measured(bundle, arrays, vectors), strict=True
    ):
        gate.refuse_useless(bundle, unit=unit)
        gate.check(called(value), value, array, quality)
    return vectors


def called(value: Any) -> str:
    """A thing's name in a message."""
    return str(value) if isinstance(value, str | Path) else f"a {type(value).__name__}"


def named(
    bundle: Bundle, label: str, files: Sequence[Any] | Path, ids: Sequence[str] | None
) -> tuple[list[Any], tuple[str, ...]]:
    """Things and their ids."""
    given = [files] if isinstance(files, str | bytes | Path | Mapping) else list(files)
    values = [thing(bundle.twin.input, value) for value in given]
    names = tuple(ids) if ids is not None else names_of(bundle, label, values)
    check_names(label, values, names)
    return values, names


def names_of(bundle: Bundle, label: str, values: Sequence[Any]) -> tuple[str, ...]:
    """The ids of enrolled things; a repeated name gets a piece of its content's hash."""
    names: list[str] = []
    for value in values:
        known = identifier(bundle.twin.input, value, key=bundle.fingerprint)
        if known is None:
            raise UsageError(
                f"a {type(value).__name__} has no file name "
                "to be called by: give an id for each thing"
            )
        name = f"{label}/{utf8_name(known)}"
        names.append(told_apart(label, value, name) if name in names else name)
    return tuple(names)


def told_apart(label: str, value: Any, name: str) -> str:
    """The id of a file whose name other content has: with a piece of its hash, so that it is always the same."""
    if not isinstance(value, str | Path) or name != f"{label}/{utf8_name(Path(value).name)}":
        return name
    path = Path(value)
    return f"{label}/{path.stem}-{content_hash(path)[:HASH_LETTERS]}{path.suffix}"


def check_names(label: str, values: Sequence[Any], names: Sequence[str]) -> None:
    """Refuse nothing at all, too few ids, and files of one name."""
    if utf8_name(label) != label:
        raise UsageError(f"the label {utf8_name(label)!r} is not UTF-8 text: give another one")
    if not values:
        raise UsageError(f"nothing to enrol {label!r} by: give at least one file")
    if len(values) != len(names):
        raise UsageError(f"{len(names)} ids for {len(values)} things: give one for each")
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise UsageError(
            f"{twice[0]!r} would name two things: the same file is given twice, or the same id"
        )


def taken_by_others(index: Index, found: Embeddings) -> list[str]:
    """The ids that other content has in the index, in the order given."""
    there = index.present(found.ids)
    given = {
        name: vector for name, vector in zip(found.ids, found.vectors, strict=True) if name in there
    }
    olds = zip(given, index.get(list(given)).vectors, strict=True)
    return [
        name
        for name, old in olds
        if np.linalg.norm(old - given[name]) > SAME_THING * np.linalg.norm(old)
    ]

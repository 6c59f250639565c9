"""Migrating an index to another model: items are embedded again, or brought over a bridge whose cost is measured."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twofold.apps.bridge import Bridge, Pairs, toll
from twofold.apps.feature_maps import indexed_vectors, on_maps
from twofold.apps.metadata_keys import CONTENT, MAP, SOURCE, TEXT
from twofold.bundle import Bundle
from twofold.data.hashes import content_hash
from twofold.data.items import Items
from twofold.embedding import embed_values
from twofold.errors import NotEnoughData, StoreError, UnreadableInput
from twofold.plurals import counted
from twofold.results import Embeddings, Migration
from twofold.store.index import Index

__all__ = ["BRIDGED", "migrate"]

BRIDGED = "bridged"
"""Key of the metadata that marks a vector which the new model has not made itself."""

FEWEST = 50  # fewest things embedded by both models for which a bridge is measured
MOST_FOR_BRIDGE = 5000
"""Things that both models embed for the bridge, at most."""

ITEMS_AT_ONCE = 256
"""Items that are carried over in one write: what an interruption may cost."""


Watch = Callable[[str, int, int], None]


def migrate(
    index: Index,
    bundle: Bundle,
    target: Index,
    *,
    old: Bundle | None = None,
    sample: Items | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Migration:
    """Bring all items of an index into one of another model, with their dates and revocations.

    Items whose "source" is known and unchanged are embedded again. The others need a bridge, fitted
    to those items and to the `sample`, and are marked by the metadata "bridged". After an
    interruption call it again: it goes on where it stopped.

    Args:
        index: of the old model; it stays as it is.
        bundle: the new model.
        target: an index pinned to it, empty or begun.
        old: the old model. sample: things for both models to embed, if too few items have a source.
        seed: of the identities on which the bridge is measured.
        watch: called with (what, done, total).

    Raises:
        FingerprintMismatch: `target` is of another model, or `old` is not that of the index.
        NotEnoughData: items without a source, and not enough things for a bridge: says how many
            there are.
        StoreError: the two indexes are of one model, or the disk is full or read-only; what was
            brought over stays.
        UnreadableInput: names a source that is there and cannot be decoded.
    """
    target.refuse_other(bundle.fingerprint)
    if index.contract.fingerprint == bundle.fingerprint:
        raise StoreError(
            f"{index.path} is of this very model "
            f"({bundle.fingerprint[:12]}): there is nothing to migrate"
        )
    if old is not None:
        index.refuse_other(old.fingerprint)
    names = [name for name in index.ids if name not in target]
    sourced = with_source(index, names)
    bridge, pairs, cost = None, 0, None
    if lost := len(names) - len(sourced):
        refuse_bridged_maps(bundle, lost)
        chosen = sorted(sourced)[:MOST_FOR_BRIDGE]
        both = embedded_by_both(index, bundle, chosen, old=old, sample=sample)
        refuse_few(both, lost=lost, sourced=len(sourced), sample=sample)
        unit, pairs = bundle.contract.distance == "cosine", len(both.labels)
        cost = toll(bundle, both, unit=unit, seed=seed)
        bridge = Bridge.fit(both.old, both.new, unit=unit)
    done, revoked = 0, revoked_in(index, target)
    for part in portions(index, names, last=revoked):
        found = index.get(part)
        put(index, target, carried(bundle, bridge, found, sourced=sourced))
        if revoked.intersection(found.labels) and target.keeps_dates:
            target.revoke(found.labels)
        done += len(part)
        if watch:
            watch("migrating", done, len(names))
    return Migration(items=len(names), embedded=len(sourced), bridged=lost, pairs=pairs, toll=cost)


def refuse_bridged_maps(bundle: Bundle, lost: int) -> None:
    """Raise StoreError where the new model compares maps, which no bridge makes."""
    if on_maps(bundle):
        raise StoreError(
            f"{counted(lost, 'item', 'has')} no source that is still there as it was, and "
            f"{bundle.contract.distance} compares maps, which are made from sources: restore the "
            "files, or remove these items"
        )


def with_source(index: Index, names: Sequence[str]) -> set[str]:
    """Ids of the items whose source is there, with unchanged bytes if its hash is known."""
    found: set[str] = set()
    for start in range(0, len(names), ITEMS_AT_ONCE):
        part = index.get(names[start : start + ITEMS_AT_ONCE])
        for name, metadata in zip(part.ids, part.metadata or ({},) * len(part.ids), strict=True):
            source = metadata.get(SOURCE)
            if TEXT in metadata or (
                source is not None and unchanged(Path(str(source)), metadata.get(CONTENT))
            ):
                found.add(name)
    return found


def unchanged(source: Path, content: Any) -> bool:
    """Whether a file is there and has the SHA-256 that is known of it, if one is."""
    if not source.is_file():
        return False
    try:
        return content is None or content_hash(source) == content
    except UnreadableInput:
        return False


def embedded_by_both(
    index: Index,
    bundle: Bundle,
    sourced: Sequence[str],
    *,
    old: Bundle | None,
    sample: Items | None,
) -> Pairs:
    """Things that both models have embedded: items with a source, then those of the sample."""
    labels: list[str] = []
    before, after = (
        [np.empty((0, index.contract.dim), np.float32)],
        [np.empty((0, bundle.contract.dim), np.float32)],
    )
    for start in range(0, len(sourced), ITEMS_AT_ONCE):
        part = index.get(sourced[start : start + ITEMS_AT_ONCE])
        labels += part.labels
        before.append(part.vectors)
        after.append(made(bundle, sources_of(part)))
    if old is not None and sample is not None:
        for start in range(0, min(len(sample), MOST_FOR_BRIDGE), ITEMS_AT_ONCE):
            values = sample.values[start : start + ITEMS_AT_ONCE]
            labels += [sample.names[code] for code in sample.labels[start : start + ITEMS_AT_ONCE]]
            before.append(made(old, values))
            after.append(made(bundle, values))
    return Pairs(labels=tuple(labels), old=np.concatenate(before), new=np.concatenate(after))


def refuse_few(both: Pairs, *, lost: int, sourced: int, sample: Items | None) -> None:
    """Raise NotEnoughData if there is nothing to build a bridge from."""
    if len(both.labels) < FEWEST:
        given = "no sample" if sample is None else f"a sample of {len(sample)}"
        raise NotEnoughData(
            f"{counted(lost, 'item', 'has')} no source that is still there as it was, and can "
            f"only be bridged; {sourced} have one, and there is {given}: give at least {FEWEST} "
            "things for both models to embed (--old BUNDLE --sample DATA)"
        )


def revoked_in(index: Index, target: Index) -> set[str]:
    """Labels that are revoked; those that an interrupted migration has brought over are revoked there, too.

    Raises:
        StoreError: the new index keeps no revocations.
    """
    revoked = (
        {each.label for each in index.enrolled() if each.revoked} if index.keeps_dates else set()
    )
    if revoked and not target.keeps_dates:
        raise StoreError(
            f"{counted(len(revoked), 'identity', 'is')} revoked, "
            f"and {target.path} keeps no revocations: use a folder"
        )
    if target.keeps_dates and (over := revoked.intersection(target.labels)):
        target.revoke(sorted(over))
    return revoked


def portions(index: Index, names: Sequence[str], *, last: set[str]) -> list[list[str]]:
    """Ids of some items at a time; at the end those of the labels `last`, one identity at a time.

    So a revoked identity can be matched only while its items are being written.
    """
    theirs: dict[str, list[str]] = {label: [] for label in sorted(last)}
    others: list[str] = []
    for start in range(0, len(names), ITEMS_AT_ONCE):
        part = index.get(names[start : start + ITEMS_AT_ONCE])
        for name, label in zip(part.ids, part.labels, strict=True):
            theirs.get(label, others).append(name)
    return [
        *(others[start : start + ITEMS_AT_ONCE] for start in range(0, len(others), ITEMS_AT_ONCE)),
        *filter(None, theirs.values()),
    ]


def carried(
    bundle: Bundle, bridge: Bridge | None, found: Embeddings, *, sourced: set[str]
) -> Embeddings:
    """Items as the new model has them: embedded again, or brought over the bridge and marked."""
    again = [place for place, name in enumerate(found.ids) if name in sourced]
    vectors = (
        np.zeros((len(found.ids), bundle.contract.dim), np.float32)
        if bridge is None
        else bridge(found.vectors)
    )
    if again:
        sources = sources_of(found)
        vectors[again] = made(bundle, [sources[place] for place in again])
    metadata = [dict(each) for each in found.metadata or ({},) * len(found.ids)]
    for name, each in zip(found.ids, metadata, strict=True):
        each.pop(BRIDGED, None)
        each.pop(MAP, None)  # the old model's
        if name not in sourced:
            each[BRIDGED] = True
        if TEXT in each:
            each[CONTENT] = content_hash(str(each[TEXT]), key=bundle.fingerprint)
    return replace(found, vectors=vectors, fingerprint=bundle.fingerprint, metadata=tuple(metadata))


def put(index: Index, target: Index, items: Embeddings) -> None:
    """Write items into the new index, each with the date it had."""
    dates = index.dates(items.ids) if index.keeps_dates else {}
    for when in {dates.get(name) for name in items.ids}:
        rows = [row for row, name in enumerate(items.ids) if dates.get(name) == when]
        part = replace(
            items,
            ids=tuple(items.ids[row] for row in rows),
            labels=tuple(items.labels[row] for row in rows),
            vectors=items.vectors[rows],
            metadata=tuple(items.metadata[row] for row in rows) if items.metadata else None,
        )
        if target.keeps_dates:
            target.enrol(part, expires=when)
        elif when is None:
            target.add(part)
        else:
            raise StoreError(
                f"{part.ids[0]!r} expires {when}, and {target.path} "
                "keeps no dates: purge, or use a folder"
            )


def sources_of(found: Embeddings) -> list[Path | str]:
    """The text or the source of each item; the current folder, which is never read, if neither is known."""
    known = found.metadata or ({},) * len(found.ids)
    return [str(each[TEXT]) if TEXT in each else Path(str(each.get(SOURCE, "."))) for each in known]


def made(bundle: Bundle, values: Sequence[Any]) -> np.ndarray:
    """Vectors of a model as an index keeps them."""
    return indexed_vectors(bundle, embed_values(bundle, values))

"""Which identities train, choose, calibrate and test (law 2); kept when a training continues with changed data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twofold.admission import LEAST_KNOWN
from twofold.config import Split
from twofold.data.items import Items, Parts
from twofold.data.listing import some
from twofold.data.splits import PARTS
from twofold.errors import DataError, IdentityOverlap, NotEnoughData
from twofold.plurals import counted
from twofold.provenance import ASIDE, TRAINED, Familiarity, Provenance

__all__ = [
    "Dealt",
    "deal",
    "deal_again",
    "deal_from",
    "inherited",
    "provenance_of",
    "refuse_other_data",
    "refuse_shared",
    "trained_on",
]


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """A split, what the bundle will remember of it, and what should be said of it.

    Attributes:
        named: what has names in it: shown, and kept nowhere.
    """

    parts: Parts
    provenance: Provenance
    notes: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


def deal(items: Items, shares: Split, seed: int) -> Dealt:
    """A new split, as the recipe says."""
    parts = items.parts(shares, seed=seed)
    return Dealt(parts=parts, provenance=provenance_of(parts))


def deal_from(items: Items, shares: Split, seed: int, ancestor: Provenance) -> Dealt:
    """A split for a training that begins with the weights of another model.

    What that one was trained on trains here, too, and what it kept aside stays aside; all other
    identities are dealt as the recipe says. Where none of the contents is known, names say nothing,
    and all are dealt.

    Args:
        ancestor: what that model knows of its data.
    """
    familiarity = ancestor.familiarity(items)
    if not _any(familiarity.contents, len(items.identities)).any():
        parts = deal(items, shares, seed).parts
        return Dealt(parts=parts, provenance=provenance_of(parts, earlier=inherited(ancestor)))
    place = _places(
        familiarity,
        len(items.identities),
        (("train", "ancestor"), *((part, part) for part in PARTS)),
    )
    if shares.by_group and items.group is not None:
        place = _whole_groups(items, place)
    chosen = {
        part: [items.identities[c] for c in np.flatnonzero(place == n)]
        for n, part in enumerate(PARTS)
    }
    known = {part: len(names) for part, names in chosen.items() if names}
    notes = [
        "of the identities that the bundle knows "
        + ", ".join(f"{n} are {part}" for part, n in known.items())
    ]
    rest = [items.identities[code] for code in np.flatnonzero(place < 0)]
    if rest:
        try:
            dealt = deal(items.where(identities=rest), shares, seed).parts.names()
        except NotEnoughData:
            dealt = {"train": tuple(rest)}
        notes.append(
            f"of the {len(rest)} that are new to it "
            + ", ".join(f"{len(names)} are {part}" for part, names in dealt.items() if names)
        )
        for part, names in dealt.items():
            chosen[part] += names
    parts = Parts(**{part: items.where(identities=names) for part, names in chosen.items()})
    return Dealt(
        parts=parts,
        provenance=provenance_of(parts, earlier=inherited(ancestor)),
        notes=("; ".join(notes),),
    )


def inherited(known: Provenance) -> Provenance:
    """What a training must remember of the model that it begins with: what that was trained on, and what it kept aside.

    The key of the hashes stays, since those that are known cannot be made again.
    """
    parts = {name: known.parts[name] for name in ASIDE if name in known.parts}
    trained = [known.parts[name] for name in TRAINED if name in known.parts]
    return Provenance(salt=known.salt, parts=parts).joined("ancestor", *trained)


def trained_on(provenance: Provenance, items: Items) -> bool:
    """Whether the content of any item was trained on."""
    familiarity = provenance.familiarity(items)
    return any(familiarity.items[name].any() for name in TRAINED if name in familiarity.items)


def _whole_groups(items: Items, place: np.ndarray) -> np.ndarray:
    """Groups on one side: where one identity is trained on, all of its group are."""
    group = np.zeros(len(items.identities), np.int64)
    group[items.identity] = 0 if items.group is None else items.group
    whole = place.copy()
    for code in np.unique(group[place >= 0]):
        whole[group == code] = place[(group == code) & (place >= 0)].min()
    return whole


def provenance_of(parts: Parts, *, earlier: Provenance | None = None) -> Provenance:
    """What a bundle remembers of these parts; with the key and the records of an earlier training, where there was one.

    What was trained on once stays trained on, though it may be gone from the data now.
    """
    known = Provenance() if earlier is None else earlier
    for name in PARTS:
        if len(items := getattr(parts, name)):
            known = known.extended(name, items)
    return known


def deal_again(items: Items, earlier: Provenance) -> Dealt:
    """The split that a training began with, for its data as it is now.

    An identity is known by the contents of its items, so that it may be renamed; by its name where
    none of its contents is known. New identities belong to no part: the training continues without
    them.

    Raises:
        DataError: less than half of what the training began with is still there.
    """
    familiarity = earlier.familiarity(items)
    refuse_other_data(items.content_hashes(), earlier)
    place = _places(familiarity, len(items.identities))
    chosen = {
        part: [items.identities[code] for code in np.flatnonzero(place == number)]
        for number, part in enumerate(PARTS)
    }
    parts = Parts(**{part: items.where(identities=names) for part, names in chosen.items()})
    if len(parts.train) == 0:
        raise NotEnoughData(
            "no identity that the training began with is left: train without --resume"
        )
    notes, named = _changes(items, earlier, familiarity, place)
    return Dealt(
        parts=parts, provenance=provenance_of(parts, earlier=earlier), notes=notes, named=named
    )


def _places(
    familiarity: Familiarity,
    identities: int,
    recorded: Iterable[tuple[str, str]] = tuple((part, part) for part in PARTS),
) -> np.ndarray:
    """For each identity the number of its part; -1 for those that are new.

    Args:
        recorded: parts with the records that say who is in them; the first come first: trained
            once, trained for good.
    """
    place = np.full(identities, -1)
    for table in (familiarity.contents, familiarity.names):
        before = place >= 0
        for part, record in recorded:
            if record in table:
                place[table[record] & ~before & (place < 0)] = PARTS.index(part)
    return place


def refuse_other_data(
    contents: Sequence[str], earlier: Provenance, parts: Iterable[str] = PARTS
) -> None:
    """Raise DataError unless at least half of what an earlier training's parts held is among these contents."""
    hashes = earlier.hashed_contents(contents)
    recorded, there = 0, 0
    for part in (earlier.parts[name] for name in parts if name in earlier.parts):
        recorded += len(part.contents)
        there += int(part.holding(hashes).sum())
    if there < LEAST_KNOWN * recorded:
        raise DataError(
            f"the training began with other data: of its {recorded} items {there} are in DATA "
            f"now, and it needs "
            f"{LEAST_KNOWN:.0%} of them to continue. Give the data it began with, or train "
            f"without --resume"
        )


def _changes(
    items: Items, earlier: Provenance, familiarity: Familiarity, place: np.ndarray
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is other than it was when the training began, a line each; and whom it concerns, by name."""
    was_named, known = (
        _any(table, len(items.identities)) for table in (familiarity.names, familiarity.contents)
    )
    said, named = [], []
    new = [items.identities[code] for code in np.flatnonzero(place < 0)]
    if new:
        said.append(
            f"{counted(len(new), 'identity', 'is')} new since the training began, and left out of "
            f"it. To learn from "
            "new ones, begin another training with --from"
        )
        named.append(f"new since the training began: {some(new)}")
    renamed = [items.identities[code] for code in np.flatnonzero(known & ~was_named)]
    if renamed:
        said.append(
            f"{counted(len(renamed), 'identity', 'has')} another name than before, and the same "
            f"part"
        )
        named.append(f"known by their contents, under other names: {some(renamed)}")
    hashes = earlier.hashed_names(items.identities), earlier.hashed_contents(items.content_hashes())
    gone = {part: earlier.parts[part].missing(*hashes) for part in PARTS if part in earlier.parts}
    if any(gone.values()):
        told = ", ".join(f"{count} of {part}" for part, count in gone.items() if count)
        said.append(f"identities that are gone since the training began: {told}")
    fresh = ~_any(familiarity.items, len(items)) & (place[items.identity] >= 0)
    if fresh.any():
        said.append(
            f"{counted(int(fresh.sum()), 'item', 'is')} new or changed since the training began"
        )
        named.append(
            f"new or changed items: {some(items.ids[index] for index in np.flatnonzero(fresh))}"
        )
    return tuple(said), tuple(named)


def _any(masks: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    found = np.zeros(count, bool)
    for mask in masks.values():
        found |= mask
    return found


def refuse_shared(train: Items, valid: Items) -> None:
    """Raise IdentityOverlap if an identity both trains and chooses."""
    if shared := sorted(set(train.identities) & set(valid.identities)):
        raise IdentityOverlap(
            f"{len(shared)} identities stand in both train and valid ({', '.join(shared[:3])}, "
            "...): split them by identity"
        )

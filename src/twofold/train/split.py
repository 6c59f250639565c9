"""Which identities train, choose, calibrate and test (law 2); kept when a training goes on with changed data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twofold.admission import LEAST_KNOWN
from twofold.config import Split
from twofold.data.items import Items, Parts
from twofold.data.listing import some
from twofold.data.splits import PARTS
from twofold.errors import DataError, NotEnoughData
from twofold.provenance import Provenance, Standing

__all__ = ["Dealt", "deal", "deal_again", "provenance_of", "refuse_other_data"]


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """A split, what the bundle will remember of it, and what should be said of it."""

    parts: Parts
    provenance: Provenance
    notes: tuple[str, ...] = ()


def deal(items: Items, shares: Split, seed: int) -> Dealt:
    """A new split, as the recipe says."""
    parts = items.parts(shares, seed=seed)
    return Dealt(parts=parts, provenance=provenance_of(parts))


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

    An identity is known by the contents of its items, so that it may be renamed; by its name where none of its contents
    is known. Identities that are new belong to no part: the training goes on without them.

    Raises:
        DataError: less than half of what the training began with is still there.
    """
    standing = earlier.standing(items)
    refuse_other_data(items.content_hashes(), earlier)
    place = _places(standing, len(items.identities))
    chosen = {
        part: [items.identities[code] for code in np.flatnonzero(place == number)] for number, part in enumerate(PARTS)
    }
    parts = Parts(**{part: items.where(identities=names) for part, names in chosen.items()})
    if len(parts.train) == 0:
        raise NotEnoughData("no identity that the training began with is left: train without --resume")
    notes = _changes(items, earlier, standing, place)
    return Dealt(parts=parts, provenance=provenance_of(parts, earlier=earlier), notes=notes)


def _places(standing: Standing, identities: int) -> np.ndarray:
    """For each identity the number of its part; -1 for those that are new."""
    place = np.full(identities, -1)
    known = np.zeros(identities, bool)
    for number, part in enumerate(PARTS):  # what was trained on comes first: it is trained on for good
        if part in standing.contents:
            place[standing.contents[part] & ~known] = number
            known |= standing.contents[part]
    for number, part in enumerate(PARTS):
        if part in standing.names:
            place[standing.names[part] & ~known & (place < 0)] = number
    return place


def refuse_other_data(contents: Sequence[str], earlier: Provenance, parts: Iterable[str] = PARTS) -> None:
    """Raise DataError unless at least half of what an earlier training's parts held is among these contents."""
    hashes = earlier.hashed_contents(contents)
    recorded, there = 0, 0
    for part in (earlier.parts[name] for name in parts if name in earlier.parts):
        recorded += len(part.contents)
        there += int(part.holding(hashes).sum())
    if there < LEAST_KNOWN * recorded:
        raise DataError(
            f"the training began with other data: of its {recorded} items {there} are in DATA now, and it goes on from "
            f"{LEAST_KNOWN:.0%} of them on. Give the data it began with, or train without --resume"
        )


def _changes(items: Items, earlier: Provenance, standing: Standing, place: np.ndarray) -> tuple[str, ...]:
    """What is other than it was when the training began, a line each."""
    named, known = (_any(table, len(items.identities)) for table in (standing.names, standing.contents))
    said = []
    new = [items.identities[code] for code in np.flatnonzero(place < 0)]
    if new:
        said.append(
            f"{len(new)} identities are new since the training began ({some(new)}): they are left out of it. To learn "
            "from them begin another training with --from"
        )
    renamed = [items.identities[code] for code in np.flatnonzero(known & ~named)]
    if renamed:
        said.append(f"{len(renamed)} identities have other names than before ({some(renamed)}): each keeps its part")
    hashes = earlier.hashed_names(items.identities), earlier.hashed_contents(items.content_hashes())
    gone = {part: earlier.parts[part].missing(*hashes) for part in PARTS if part in earlier.parts}
    if any(gone.values()):
        told = ", ".join(f"{count} of {part}" for part, count in gone.items() if count)
        said.append(f"identities that are gone since the training began: {told}")
    fresh = ~_any(standing.items, len(items)) & (place[items.identity] >= 0)
    if fresh.any():
        ids = some(items.ids[index] for index in np.flatnonzero(fresh))
        said.append(f"{int(fresh.sum())} items are new or have other content than when the training began ({ids})")
    return tuple(said)


def _any(masks: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    found = np.zeros(count, bool)
    for mask in masks.values():
        found |= mask
    return found

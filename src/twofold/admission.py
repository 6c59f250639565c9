"""Which items may judge a model: identities that it was not trained on (law 2).

Contents tell identities apart first, names second. A name alone proves little: folders of two data
sets may both be called `s1`, `s2`, and so on. Names count only where the data shares contents with
what the model knows, or where the contents were not recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from twofold.data.adaptation import CROSSFIT_FROM
from twofold.data.items import Items
from twofold.data.pairs import Pairs, things_of
from twofold.errors import IdentityOverlap
from twofold.plurals import counted
from twofold.provenance import ASIDE, TRAINED, Familiarity, Provenance

__all__ = ["LEAST_KNOWN", "familiar", "judges", "judging_pairs", "known", "refuse_trained"]

LEAST_KNOWN = 0.5
"""From this share of known items on, data is taken for what a model was trained from; below, for other data."""

Mask = Bool[np.ndarray, " identities"]


@dataclass(frozen=True, kw_only=True)
class _Census:
    """What is known of the identities of some items.

    Attributes:
        share: of the items, those that training saw or kept aside. copies: how many have a trained
            content.
        trained, named_trained: identities with a trained content; with the name of a trained
            identity.
        aside: identities of each kept-aside part. new: those of which neither name nor content is
            known.
    """

    share: float
    copies: int
    trained: Mask
    named_trained: Mask
    aside: dict[str, Mask]
    new: Mask

    @property
    def familiar(self) -> bool:
        """Whether this is the data that the model was trained from."""
        return self.share >= LEAST_KNOWN


def judges(provenance: Provenance, items: Items, part: str) -> Items:
    """Those of `items` that may judge the model as `part`; their `notes` say how they were chosen.

    Of the data that the model was trained from, these are the identities kept aside as `part`; of
    other data all.

    Raises:
        IdentityOverlap: identities were trained on and none was kept aside as `part`, or new and
            trained items are mixed, less than half of them known.
    """
    census = _census(provenance, items)
    chosen = census.aside.get(part)
    if census.familiar and chosen is not None and chosen.any():
        names = [items.identities[code] for code in np.flatnonzero(chosen)]
        return replace(items.where(identities=names), notes=_told_kept(census, part, chosen))
    if census.familiar and census.trained.any() and part not in provenance.parts:
        raise IdentityOverlap(
            f"all {int(census.trained.sum())} identities were trained on and none was kept aside "
            f"to {part}: give DATA "
            f"of other identities, or train again on {CROSSFIT_FROM} or more, which training then "
            f"judges by "
            "cross-fitting"
        )
    return replace(items, notes=refuse_trained(provenance, items))


def judging_pairs(provenance: Provenance, pairs: Pairs, part: str) -> tuple[Pairs, tuple[str, ...]]:
    """The pairs of which both things may judge the model as `part`, and what should be said of them.

    Raises:
        IdentityOverlap: as `judges`.
    """
    judging = judges(provenance, things_of(pairs), part)
    if len(judging) == len(pairs.ids):
        return pairs, judging.notes
    may = np.isin(np.array(pairs.ids), np.array(judging.ids))
    kept = pairs.take(np.flatnonzero(may[pairs.index_a] & may[pairs.index_b])).alone()
    said = f"the {len(kept)} of {len(pairs)} pairs kept aside as {part!r} are used"
    return kept, (f"DATA is what the model was trained from: {said}",)


def familiar(provenance: Provenance, items: Items) -> bool:
    """Whether these are, for the most part, the items that the model was trained from."""
    return _census(provenance, items).familiar


def refuse_trained(provenance: Provenance, items: Items) -> tuple[str, ...]:
    """Raise IdentityOverlap if an identity or the content of an item was trained or chosen on (law 2).

    Returns:
        What should be said with numbers measured on these items.
    """
    census = _census(provenance, items)
    if not (census.trained | (census.named_trained & (census.share > 0))).any():
        return _told_other(census, items)
    overlap = census.trained | census.named_trained
    copies = (
        f"; {census.copies} of {len(items)} items are copies of what was trained on"
        if census.copies
        else ""
    )
    rest = (
        "only the others"
        if not census.familiar and census.copies
        else "identities that it has never seen"
    )
    raise IdentityOverlap(
        f"{int(overlap.sum())} of {len(items.identities)} identities were trained on "
        f"({_some(items.identities, overlap)}{copies}), so that no rate measured on them would "
        f"hold: give {rest}, or "
        "the data that the model was trained from, whose kept-aside identities are then used"
    )


def known(provenance: Provenance, items: Items, parts: Sequence[str]) -> Mask:
    """Which identities of `items` stand in any of these parts: by content, and where contents are shared by name."""
    return _known(provenance, provenance.familiarity(items), items, parts)


def _known(
    provenance: Provenance, familiarity: Familiarity, items: Items, parts: Sequence[str]
) -> Mask:
    found = np.zeros(len(items.identities), bool)
    for name in parts:
        if name in provenance.parts:
            proven = familiarity.contents[name].any() or not len(provenance.parts[name].contents)
            found |= familiarity.contents[name] | (familiarity.names[name] & proven)
    return found


def _census(provenance: Provenance, items: Items) -> _Census:
    familiarity = provenance.familiarity(items)
    parts = provenance.parts
    trained = _any(familiarity.contents, TRAINED, len(items.identities))
    named = _any(familiarity.names, TRAINED, len(items.identities))
    named_aside = _any(familiarity.names, ASIDE, len(items.identities))
    if not any(len(parts[name].contents) for name in TRAINED if name in parts):
        trained = named  # nothing but names was recorded
    # bundles of format 1 know the kept-aside identities by name only
    by_name = trained.any() or bool(named_aside.all())
    familiar = _any(familiarity.items, (*TRAINED, *ASIDE), len(items)) | trained[items.identity]
    aside = {}
    for name in ASIDE:
        if name not in parts:
            continue
        unrecorded = not len(parts[name].contents)
        aside[name] = familiarity.contents[name] & ~trained
        if unrecorded and by_name:
            aside[name] = familiarity.names[name] & ~trained
            familiar |= aside[name][items.identity]
    share = float(familiar.mean())
    if share >= LEAST_KNOWN:  # other items of the same name are further items of the same identity
        nothing = ~_any(familiarity.contents, (*TRAINED, *ASIDE), len(items.identities))
        aside = {
            name: mask | (familiarity.names[name] & nothing & ~named)
            for name, mask in aside.items()
        }
    kept = _any(familiarity.contents, ASIDE, len(items.identities))
    new = ~(trained | named | named_aside | kept)
    return _Census(
        share=share,
        copies=int(_any(familiarity.items, TRAINED, len(items)).sum()),
        trained=trained,
        named_trained=named & ~trained & ~kept,
        aside=aside,
        new=new,
    )


def _any(masks: Mapping[str, np.ndarray], parts: Sequence[str], count: int) -> np.ndarray:
    found = np.zeros(count, bool)
    for name in parts:
        if name in masks:
            found |= masks[name]
    return found


def _told_kept(census: _Census, part: str, chosen: Mask) -> tuple[str, ...]:
    said = (
        f"DATA is what the model was trained from: the {int(chosen.sum())} of {len(chosen)} "
        f"identities that were kept "
        f"aside as {part!r} are used"
    )
    if new := int(census.new.sum()):
        said += (
            f"; {counted(new, 'identity', 'is')} new to the model and left out: give new "
            f"ones on their own to use them"
        )
    return (said,)


def _told_other(census: _Census, items: Items) -> tuple[str, ...]:
    said = []
    if alike := int(census.named_trained.sum()):
        said.append(
            f"{alike} of {len(items.identities)} identities have the names of identities that "
            f"were trained on "
            f"({_some(items.identities, census.named_trained)}), but none of their contents: all "
            f"are used, taken for "
            "others of the same names. If they are the same ones in other files, these rates "
            "flatter the model; for fixed classes: evaluate --gallery TRAIN --closed-set"
        )
    aside = _any(census.aside, ASIDE, len(items.identities))
    if kept := int(aside.sum()):
        said.append(
            f"{kept} of {len(aside)} identities were kept aside in training, the others are new: "
            f"all are used"
            if kept < len(aside)
            else f"all {kept} identities were kept aside in training: all are used"
        )
    return tuple(said)


def _some(names: Sequence[str], chosen: Mask, most: int = 3) -> str:
    """The first of the chosen names, and how many there are beside them."""
    told = [name for name, wanted in zip(names, chosen, strict=True) if wanted]
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")

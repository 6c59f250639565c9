"""The doctor: what is wrong with data, before a minute is spent on training. Any input type with a `read` will do."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from twofold.data.hashes import content_hash
from twofold.data.items import Items
from twofold.data.listing import some
from twofold.errors import NotEnoughData, UnreadableInput
from twofold.results import Finding

__all__ = ["Reader", "Reading", "diagnosis", "doctor", "plain_name", "worst_first"]


@runtime_checkable
class Reader(Protocol):
    """What the doctor needs of an input type."""

    def read(self, value: Any) -> np.ndarray:
        """One raw thing as an array, or UnreadableInput."""
        ...


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one pass over the items gave: content -> its positions, and position -> why it cannot be read."""

    same: dict[str, list[int]]
    unreadable: dict[int, str]


def doctor(
    items: Items, input_type: Reader, *, p: int, k: int, progress: Callable[[int, int], None] | None = None
) -> tuple[Finding, ...]:
    """Read every item once and say what stands against training, the worst first.

    Found are: items that cannot be decoded; items that are exactly equal as they are read, within a class and (worse)
    under two; labels that differ in case, blanks or Unicode form alone; one class only, singletons only; class sizes;
    whether batches of P x K and four parts by identity can be made; what lay in the folder and was left out.
    `twofold.apps.checkup.checkup` looks deeper.

    Args:
        items: what shall be trained on.
        input_type: reads an item, as in training.
        p: classes a batch shall hold.
        k: items a class.
        progress: called with (done, total) after every item.

    Returns:
        findings: "fatal" ones prevent training, "warning" ones spoil its numbers, "note" ones are good to know. Each
        names its items in `files`; the message shows the first few.
    """
    return worst_first(diagnosis(items, _read(items, input_type, progress), p=p, k=k))


def diagnosis(items: Items, reading: Reading, *, p: int, k: int) -> list[Finding]:
    """What the labels and one pass over the items tell, in no order; see `doctor`."""
    return [
        *_unreadable(items, reading),
        *_duplicates(items, reading),
        *_names(items),
        *_classes(items),
        *_batches(items, p=p, k=k),
        *_strays(items),
    ]


def worst_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Fatal findings, then warnings, then notes."""
    return tuple(sorted(found, key=lambda finding: ("fatal", "warning", "note").index(finding.level)))


def _read(items: Items, input_type: Reader, progress: Callable[[int, int], None] | None) -> Reading:
    same: dict[str, list[int]] = defaultdict(list)
    unreadable: dict[int, str] = {}
    for position, value in enumerate(items.values):
        try:
            same[content_hash(input_type.read(value))].append(position)
        except UnreadableInput as error:
            unreadable[position] = str(error)
        if progress:
            progress(position + 1, len(items))
    return Reading(same=same, unreadable=unreadable)


def _unreadable(items: Items, reading: Reading) -> list[Finding]:
    if not reading.unreadable:
        return []
    reasons = some(reading.unreadable.values(), 3)
    return [
        Finding(
            level="fatal",
            code="unreadable",
            message=f"{len(reading.unreadable)} of {len(items)} items cannot be read ({reasons})",
            remedy="mend them, or take them out of the data",
            files=_ids(items, reading.unreadable),
        )
    ]


def _duplicates(items: Items, reading: Reading) -> list[Finding]:
    repeated = [same for same in reading.same.values() if len(same) > 1]
    across = [same for same in repeated if len(set(items.labels[same])) > 1]
    within = [same for same in repeated if len(set(items.labels[same])) == 1]
    return [
        *_equal(
            items,
            across,
            code="duplicates-across-classes",
            where="stand under more than one label",
            remedy="at most one of the labels is right: keep that one. Such items teach that the same is different, "
            "and can carry what is tested into the training",
        ),
        *_equal(
            items,
            within,
            code="duplicates-within-classes",
            where="stand more than once in one class",
            remedy="keep one of each: a genuine pair of copies is recognised without skill, so error rates look better "
            "than they are",
        ),
    ]


def _equal(items: Items, groups: list[list[int]], *, code: str, where: str, remedy: str) -> list[Finding]:
    if not groups:
        return []
    shown = some((" = ".join(_ids(items, same)) for same in groups), 3)
    message = f"{len(groups)} contents {where}, exactly equal as they are read ({shown})"
    files = _ids(items, [position for same in groups for position in same])
    return [Finding(level="warning", code=code, message=message, remedy=remedy, files=files)]


def _names(items: Items) -> list[Finding]:
    """Labels that a reader takes for the same."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in items.identities:
        alike[plain_name(name)].append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    if not groups:
        return []
    codes = {name: code for code, name in enumerate(items.identities)}
    told = np.isin(items.identity, [codes[name] for names in groups for name in names])
    shown = some((" = ".join(map(repr, names)) for names in groups), 3)
    return [
        Finding(
            level="warning",
            code="names-alike",
            message=f"{len(groups)} labels are written in more than one way ({shown})",
            remedy="if they are one identity give them one label: else its items are taught to be different",
            files=_ids(items, np.flatnonzero(told)),
        )
    ]


def plain_name(name: str) -> str:
    """A label without what the eye does not see: case, blanks, Unicode's several ways to write a letter."""
    composed = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(letter for letter in composed if unicodedata.category(letter) != "Cf")
    return " ".join(seen.split())


def _sizes(items: Items) -> Int[np.ndarray, " classes"]:
    """Items of each class, forgeries left out."""
    return np.bincount(np.unique(items.labels[~items.forged], return_inverse=True)[1])


def _classes(items: Items) -> list[Finding]:
    sizes = _sizes(items)
    if len(sizes) < 2:
        return [
            Finding(
                level="fatal",
                code="one-class",
                message=f"all {len(items)} items are of one class ({some(items.identities)})",
                remedy="give items of at least two identities: there is nothing to tell apart. In a folder each "
                "identity has a sub-folder of its own",
            )
        ]
    if sizes.max() < 2:
        return [
            Finding(
                level="fatal",
                code="singletons-only",
                message=f"each of the {len(sizes)} classes has one item only, so nothing is known to be the same",
                remedy="give at least two items of each identity. In a two-level folder set levels to 2",
            )
        ]
    spread = f"{sizes.min()} to {sizes.max()} items each, median {np.median(sizes):g}"
    found = [Finding(level="note", code="class-sizes", message=f"{len(sizes)} classes of {spread}", remedy="")]
    counts = np.bincount(items.labels)[items.labels]
    alone = np.flatnonzero((counts == 1) & ~items.forged)
    if len(alone):
        found.append(
            Finding(
                level="note",
                code="singletons",
                message=f"{len(alone)} of {len(sizes)} classes have one item only ({some(_ids(items, alone))})",
                remedy="they serve as strangers only; a second item of each would teach more",
                files=_ids(items, alone),
            )
        )
    return found


def _batches(items: Items, *, p: int, k: int) -> list[Finding]:
    """Whether P x K batches can be filled, and four parts made, with the usual shares."""
    usable = int((_sizes(items) >= 2).sum())
    if usable < 2:
        # one class or singletons only are said already; here one class with a pair, and singletons
        return [_unfilled("fatal", "", usable, p=p)] if len(_sizes(items)) >= 2 and usable else []
    found = [_small_classes(items, k)] if (_sizes(items) < k).any() else []
    if usable < p:
        found.append(_unfilled("fatal", "", usable, p=p))
    try:
        train = items.split().train
    except NotEnoughData as error:
        message = f"no four parts (train, valid, calibrate, test) can be made: {error}"
        remedy = "with fewer identities there is no honest threshold: what was trained on proves nothing"
        return [*found, Finding(level="warning", code="split", message=message, remedy=remedy)]
    left = int((_sizes(train) >= 2).sum())
    if left < p <= usable:
        found.append(_unfilled("warning", " of the train part (0.7 of the identities)", left, p=p))
    return found


def _unfilled(level: Any, where: str, usable: int, *, p: int) -> Finding:
    return Finding(
        level=level,
        code="batch",
        message=f"a batch shall hold p={p} classes, but {usable}{where} have two items or more",
        remedy=f"set p to at most {usable}, or give more identities" if usable >= 2 else "give more items an identity",
    )


def _small_classes(items: Items, k: int) -> Finding:
    sizes = _sizes(items)
    return Finding(
        level="note",
        code="small-classes",
        message=f"{int((sizes < k).sum())} of {len(sizes)} classes have fewer than k={k} items",
        remedy="they give a batch what they have; if they are most, set k lower",
    )


def _strays(items: Items) -> list[Finding]:
    if not items.strays:
        return []
    return [
        Finding(
            level="note",
            code="strays",
            message=f"left out of the folder: {some(items.strays)}",
            remedy="nothing needs to be done if they are no items; else move them into the folder of their identity",
            files=items.strays,
        )
    ]


def _ids(items: Items, positions: Any) -> tuple[str, ...]:
    return tuple(items.ids[position] for position in positions)

"""Problems of data for training, found by its labels and one reading. Any input type with a `read` will do."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from twofold.config import Recipe
from twofold.data.adaptation import adapted
from twofold.data.hashes import content_hash
from twofold.data.items import Items, Parts
from twofold.data.listing import some
from twofold.errors import DataError, UnreadableInput, UsageError
from twofold.plurals import counted
from twofold.results import Finding

__all__ = [
    "Reader",
    "Reading",
    "diagnosed",
    "diagnosis",
    "plain_name",
    "read_each",
    "unreadable_items",
    "worst_first",
]

EXAMPLES = 2
"""Items that are named where most cannot be read: all have the same fault, as a wrong recipe gives."""

NAMED = 20
"""Items that a message names before it says how many more there are; `Finding.files` has all."""

MOST_UNREADABLE = 0.5
"""Share of unreadable items that may be left out; beyond it the recipe or the folder is the wrong one."""

FIX = "`twofold doctor DATA --fix clean.csv` writes a table without them"


@runtime_checkable
class Reader(Protocol):
    """What the doctor needs of an input type."""

    def read(self, value: Any) -> np.ndarray:
        """One raw thing as an array, or UnreadableInput."""
        ...


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one pass over the items found: content -> its positions, and position -> why it cannot be read."""

    same: dict[str, list[int]]
    unreadable: dict[int, str]


def diagnosed(
    items: Items,
    input_type: Reader,
    *,
    recipe: Recipe | None = None,
    fixed: Collection[str] = (),
    seed: int = 0,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Finding, ...]:
    """Read every item once and report what is wrong for training, the worst first.

    It finds items that cannot be decoded; items that are exactly equal as read, within a class and
    (worse) across classes; labels that differ only in case, blanks or Unicode form; a single class,
    or only singletons; class sizes; what `recipe` becomes for this data, and whether it can be
    trained; files of the folder that were left out. `twofold.apps.doctor` looks deeper.

    Args:
        items: what shall be trained on.
        input_type: reads an item, as in training.
        recipe: what shall be trained; None: the usual one.
        fixed: settings of the recipe that must not be adapted to the data, as in `fit_recipe`.
        seed: of the split.
        strict: one item that cannot be decoded prevents training; else such items are left out.
        progress: called with (done, total) after every item.

    Returns:
        findings: "fatal" ones prevent training, "warning" ones spoil its numbers, "note" ones are
            good to know. Each names its items in `files`; the message shows the first few.
    """
    reading = read_each(items, input_type, progress)
    return worst_first(
        diagnosis(items, reading, recipe=recipe, fixed=fixed, seed=seed, strict=strict)
    )


def diagnosis(
    items: Items,
    reading: Reading,
    *,
    recipe: Recipe | None = None,
    fixed: Collection[str] = (),
    seed: int = 0,
    strict: bool = False,
) -> list[Finding]:
    """Findings from the labels and one pass over the items, in no order; see `diagnosed`."""
    found = [
        *unreadable_items(items, reading, strict=strict),
        *_duplicates(items, reading),
        *_strays(items),
    ]
    readable = items.take([place for place in range(len(items)) if place not in reading.unreadable])
    if not len(readable):
        return found
    return [
        *found,
        *_names(readable),
        *_classes(readable),
        *_trained(readable, recipe or Recipe(), fixed, seed),
    ]


def worst_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Fatal findings, then warnings, then notes."""
    return tuple(
        sorted(found, key=lambda finding: ("fatal", "warning", "note").index(finding.level))
    )


def read_each(
    items: Items, input_type: Reader, progress: Callable[[int, int], None] | None
) -> Reading:
    """One pass over the items."""
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


def unreadable_items(items: Items, reading: Reading, *, strict: bool) -> list[Finding]:
    """Items that cannot be decoded: a warning, or fatal if there are too many or with `strict`."""
    if not reading.unreadable:
        return []
    share = len(reading.unreadable) / len(items)
    fatal = strict or share > MOST_UNREADABLE
    remedy = "they are left out; repair or delete them to get rid of this line"
    if fatal:
        remedy = f"repair them, or take them out of the data: {FIX}"
    named = NAMED
    if share > MOST_UNREADABLE:
        named = EXAMPLES
        remedy = (
            "is this the right recipe for such files? Repair them, or take them out of the data"
        )
    return [
        Finding(
            level="fatal" if fatal else "warning",
            code="unreadable",
            message=f"{len(reading.unreadable)} of {len(items)} items cannot be read "
            f"({some(reading.unreadable.values(), named)})",
            remedy=remedy,
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
            where="under more than one label",
            remedy="at most one of the labels is right: keep that one. Such items teach that the "
            f"same is different, and can carry what is tested into the training. {FIX}",
        ),
        *_equal(
            items,
            within,
            code="duplicates-within-classes",
            where="more than once in one class",
            remedy="keep one of each: a genuine pair of copies is recognised without skill, so "
            f"error rates look better than they are. {FIX}",
        ),
    ]


def _equal(
    items: Items, groups: list[list[int]], *, code: str, where: str, remedy: str
) -> list[Finding]:
    if not groups:
        return []
    shown = some((" = ".join(_ids(items, same)) for same in groups), 3)
    message = f"{counted(len(groups), 'content', 'occurs')} {where}, exactly equal as they are read ({shown})"
    files = _ids(items, [position for same in groups for position in same])
    return [Finding(level="warning", code=code, message=message, remedy=remedy, files=files)]


def _names(items: Items) -> list[Finding]:
    """Labels that look the same to a reader."""
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
            message=f"{counted(len(groups), 'label', 'is')} written in more than one way ({shown})",
            remedy="if they are one identity give them one "
            "label: else its items are taught to be different",
            files=_ids(items, np.flatnonzero(told)),
        )
    ]


def plain_name(name: str) -> str:
    """A label without differences that the eye does not see: case, blanks, Unicode forms."""
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
                message=f"there is only one class ({some(items.identities)}), of "
                f"{counted(len(items), 'item')}",
                remedy="give items of two or more identities: there is nothing to tell apart. In "
                "a folder each identity has a sub-folder of its own",
            )
        ]
    if sizes.max() < 2:
        return [
            Finding(
                level="fatal",
                code="singletons-only",
                message=f"each of the {len(sizes)} classes has "
                "one item only, so nothing is known to be the same",
                remedy="give at least two items of each identity. For folders of folders "
                "(group/identity/file) give --levels 2",
            )
        ]
    spread = f"{sizes.min()} to {sizes.max()} items each, median {np.median(sizes):g}"
    found = [
        Finding(
            level="note",
            code="class-sizes",
            message=f"{counted(len(sizes), 'class')} of {spread}",
            remedy="",
        )
    ]
    counts = np.bincount(items.labels)[items.labels]
    alone = np.flatnonzero((counts == 1) & ~items.forged)
    if len(alone):
        found.append(
            Finding(
                level="note",
                code="singletons",
                message=f"{len(alone)} of {len(sizes)} classes have one item only "
                f"({some(_ids(items, alone))})",
                remedy="they serve as strangers only; a second item of each would teach more",
                files=_ids(items, alone),
            )
        )
    return found


def _trained(items: Items, recipe: Recipe, fixed: Collection[str], seed: int) -> list[Finding]:
    """What the recipe becomes for these items, and whether it can be trained on them."""
    usable = int((_sizes(items) >= 2).sum())
    if usable < 2:
        # a single class, and singletons only, are reported
        # already; here one class with a pair, and singletons
        return [_alone()] if len(_sizes(items)) >= 2 and usable else []
    try:
        fitted = adapted(recipe, items, fixed=fixed, seed=seed)
        parts = items.parts(fitted.recipe.split, seed=seed)
    except (DataError, UsageError) as error:
        return [Finding(level="fatal", code="training", message=str(error), remedy="")]
    found = [
        Finding(level="note", code="adapted", message=note, remedy="") for note in fitted.notes
    ]
    found.append(
        Finding(level="note", code="split", message=_split_line(parts, fitted.recipe), remedy="")
    )
    if (_sizes(items) < fitted.recipe.k).any():
        found.append(_small_classes(items, fitted.recipe.k))
    return found


def _split_line(parts: Parts, recipe: Recipe) -> str:
    """How many identities each part gets."""
    counts = {name: len(names) for name, names in parts.names().items()}
    if (folds := recipe.split.folds or 0) >= 2:
        aside = f", {counts['test']} are kept aside to test" if counts["test"] else ""
        return f"identities: {counts['train']} are trained on and judged by cross-fitting in {folds} folds{aside}"
    return "identities: " + ", ".join(f"{count} {name}" for name, count in counts.items())


def _alone() -> Finding:
    return Finding(
        level="fatal",
        code="batch",
        message="one class has two items or more: a batch takes two such classes",
        remedy="give a second item of at least one more identity",
    )


def _small_classes(items: Items, k: int) -> Finding:
    sizes = _sizes(items)
    return Finding(
        level="note",
        code="small-classes",
        message=f"{int((sizes < k).sum())} of {len(sizes)} classes have fewer than k={k} items",
        remedy="they give a batch what they have; if most are so small, --set k lower",
    )


def _strays(items: Items) -> list[Finding]:
    if not items.strays:
        return []
    return [
        Finding(
            level="note",
            code="strays",
            message=f"left out of the folder: {some(items.strays)}",
            remedy="nothing needs to be done if they are not items; "
            "else move them into the folder of their identity",
            files=items.strays,
        )
    ]


def _ids(items: Items, positions: Any) -> tuple[str, ...]:
    return tuple(items.ids[position] for position in positions)

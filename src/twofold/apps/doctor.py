"""The whole checkup of data: diagnosis, copies, overlap, doubtful labels, confounds; and what to leave out.

Each item is read once; memory is linear in the number of items, about two kilobytes per picture.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from twofold.apps.confounding import site_findings, trait_findings
from twofold.apps.diagnosis import FIX, Reading, diagnosis, worst_first
from twofold.apps.odd_references import odd_references
from twofold.apps.survey import Survey, survey
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.copies.checkup_pairs import groups_of, near_copies
from twofold.data.items import Items
from twofold.data.label_noise import ENOUGH, Doubts, doubtful_labels
from twofold.data.listing import some
from twofold.errors import DataError
from twofold.inputs import Input
from twofold.inputs.image_traits import coarse_features, flat_edges
from twofold.plurals import counted
from twofold.results import Finding

__all__ = ["Checkup", "checkup", "doctor"]


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """What a checkup found.

    Attributes:
        findings: the worst first.
        dropped: position -> why the item should be left out; `write_cleaned` takes it.
    """

    findings: tuple[Finding, ...]
    dropped: dict[int, str]


@dataclass(frozen=True, kw_only=True)
class _Case:
    """The items, followed by those that they are compared with, and what was found so far.

    Attributes:
        ids, identity: names, of all; ids of those compared with begin with "against: ".
        side: code into `sides` of each; all equal if nothing is compared.
    """

    items: Items
    ids: tuple[str, ...]
    identity: tuple[str, ...]
    side: Int[np.ndarray, "n"]
    sides: tuple[str, ...]
    known: Survey
    values: tuple[Any, ...]
    findings: list[Finding] = field(default_factory=list)
    dropped: dict[int, str] = field(default_factory=dict)


def checkup(
    items: Items,
    reader: Input | Bundle,
    *,
    recipe: Recipe | None = None,
    fixed: Collection[str] = (),
    against: Items | Sequence[str] | None = None,
    seed: int = 0,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Checkup:
    """Read every item once and report everything wrong with training on them or with believing the measurements.

    Beyond what `doctor` finds: near copies (recompressed, brighter, cut a little) within a class
    and across classes; identities and contents on two sides; labels that the nearest neighbours
    contradict, if those are reliable enough; by a bundle that is calibrated for several references,
    items unlike the others of their identity; traits that tell genuine from impostor pairs but
    should not; by a bundle's vectors, whether identities of one site or group are alike and so not
    independent.

    Args:
        items: what shall be trained on.
        reader: an input type that reads an item; or a bundle, whose vectors then judge labels and
            find more copies.
        recipe, fixed, strict: as in `doctor`.
        against: other items, of which none should be among `items`; or the part of each item
            (train, test, ...), of which none should share an identity or a content.
        seed: of random choices and of the split.
        progress: called with (done, total) after every item.

    Raises:
        DataError: not one part for each item.
    """
    case = _opened(items, reader, against, progress)
    reading = _first(case.known.reading, len(items))
    case.findings.extend(
        diagnosis(items, reading, recipe=recipe, fixed=fixed, seed=seed, strict=strict)
    )
    case.dropped.update(dict.fromkeys(reading.unreadable, "cannot be read"))
    exact = [same for same in case.known.reading.same.values() if len(same) > 1]
    _leave_out_copies(case, exact, "equal")
    known = case.known
    pairs = near_copies(
        known.planes, pictures=known.pictures, vectors=known.vectors, values=case.values
    )
    near = _new_groups(groups_of(pairs), exact)
    _near(case, near)
    _leave_out_copies(case, near, "nearly equal")
    _overlap(case, exact, near)
    _incomplete(case)
    _labels(case, seed)
    if isinstance(reader, Bundle):
        _odd(case, reader)
    case.findings.extend(trait_findings(items, case.known, seed=seed))
    case.findings.extend(site_findings(items, case.known, seed=seed))
    return Checkup(findings=worst_first(case.findings), dropped=dict(sorted(case.dropped.items())))


def doctor(items: Items, reader: Input | Bundle, **asked: Any) -> tuple[Finding, ...]:
    """What `twofold doctor` finds, the worst first: the findings of `checkup`, which takes the same arguments.

    Returns:
        findings: "fatal" ones prevent training, "warning" ones spoil its numbers, "note" ones are
            good to know. Each names its items in `files`; the message shows the first few.
    """
    return checkup(items, reader, **asked).findings


def _opened(
    items: Items,
    reader: Input | Bundle,
    against: Items | Sequence[str] | None,
    progress: Callable[[int, int], None] | None,
) -> _Case:
    identity = tuple(items.identities[code] for code in items.identity)
    if isinstance(against, Items):
        return _Case(
            items=items,
            ids=(*items.ids, *(f"against: {name}" for name in against.ids)),
            identity=(*identity, *(against.identities[code] for code in against.identity)),
            side=np.repeat([0, 1], [len(items), len(against)]),
            sides=("these items", "those compared with"),
            known=survey([*items.values, *against.values], reader, progress=progress),
            values=(*items.values, *against.values),
        )
    if against is not None and len(against) != len(items):
        raise DataError(
            f"{len(against)} parts are given for {len(items)} items: one part for each is needed"
        )
    sides, side = np.unique(
        ["all"] * len(items) if against is None else list(against), return_inverse=True
    )
    known = survey(items.values, reader, progress=progress)
    names, values = tuple(map(str, sides)), tuple(items.values)
    return _Case(
        items=items,
        ids=items.ids,
        identity=identity,
        side=side,
        sides=names,
        known=known,
        values=values,
    )


def _first(reading: Reading, count: int) -> Reading:
    """What was read of the first items."""
    same = {
        content: [place for place in places if place < count]
        for content, places in reading.same.items()
    }
    unreadable = {place: reason for place, reason in reading.unreadable.items() if place < count}
    return Reading(
        same={content: places for content, places in same.items() if places}, unreadable=unreadable
    )


def _own(case: _Case, groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """The members of each group among the items themselves, if they are two or more."""
    own = [[place for place in group if place < len(case.items)] for group in groups]
    return [group for group in own if len(group) > 1]


def _new_groups(near: list[list[int]], exact: list[list[int]]) -> list[list[int]]:
    """Groups of near copies that are not exact copies of each other alone."""
    content = {place: number for number, same in enumerate(exact) for place in same}
    return [group for group in near if len({content.get(place, -1 - place) for place in group}) > 1]


def _leave_out_copies(case: _Case, groups: list[list[int]], word: str) -> None:
    """Of copies in one class the first stays; of copies under two labels none, since it is unknown which is right."""
    for group in _own(case, groups):
        torn = len(set(case.items.labels[group])) > 1
        left = [place for place in group if place not in case.dropped]
        for place in left if torn else left[1:]:
            other = next(mate for mate in group if mate != place) if torn else left[0]
            case.dropped[place] = f"{word} to {case.ids[other]}" + (
                ", which has another label" if torn else ""
            )


def _near(case: _Case, groups: list[list[int]]) -> None:
    labels = case.items.labels
    own = _own(case, groups)
    torn = [group for group in own if len(set(labels[group])) > 1]
    _copies(
        case,
        torn,
        code="near-duplicates-across-classes",
        where="under more than one label",
        remedy="look at them: it is one thing with a wrong "
        f"label, or one identity with two names. {FIX}",
    )
    _copies(
        case,
        [group for group in own if len(set(labels[group])) == 1],
        code="near-duplicates-within-classes",
        where="more than once in one class",
        remedy="keep one of each, or only count on them less: copies and shots of one moment are "
        f"recognised without skill, so error rates look better than they are. {FIX}",
    )


def _copies(case: _Case, groups: list[list[int]], *, code: str, where: str, remedy: str) -> None:
    if groups:
        shown = some((" ~ ".join(case.ids[place] for place in group[:4]) for group in groups), 3)
        message = f"{counted(len(groups), 'group')} of nearly equal pictures {where} ({shown})"
        files = tuple(case.ids[place] for group in groups for place in group)
        case.findings.append(
            Finding(level="warning", code=code, message=message, remedy=remedy, files=files)
        )


def _overlap(case: _Case, exact: list[list[int]], near: list[list[int]]) -> None:
    """What occurs on two sides: identities by name, contents, near copies."""
    by_name: dict[str, list[int]] = {}
    for place, name in enumerate(case.identity):
        by_name.setdefault(name, []).append(place)
    for code, what, groups in (
        ("overlap-identities", "identity", list(by_name.values())),
        ("overlap-contents", "content", exact),
        ("overlap-near", "near copy", near),
    ):
        torn = [group for group in groups if len(set(case.side[group])) > 1]
        if not torn:
            continue
        first = (
            case.identity[g[0]] if what == "identity" else " = ".join(case.ids[i] for i in g[:3])
            for g in torn
        )
        places = _giving_way(case, torn)
        said = counted(len(torn), what, "is")
        case.findings.append(
            Finding(
                level="warning",
                code=code,
                message=f"{said} on two sides of {', '.join(case.sides)} ({some(first, 3)})",
                remedy="what is learned there is tested here: leave them out on one side",
                files=tuple(case.ids[place] for group in torn for place in group),
            )
        )
        for place in places:
            case.dropped.setdefault(place, f"its {what} is on another side, too")


def _giving_way(case: _Case, groups: list[list[int]]) -> list[int]:
    """The items to leave out: of two data sets those of this one; of parts all but those in the smallest."""
    if len(case.ids) > len(case.items):
        return [place for group in groups for place in group if place < len(case.items)]
    size = np.bincount(case.side)
    kept = [
        min(set(case.side[group].tolist()), key=lambda side: (size[side], side)) for group in groups
    ]
    return [
        place
        for group, side in zip(groups, kept, strict=True)
        for place in group
        if case.side[place] != side
    ]


def _incomplete(case: _Case) -> None:
    """Pictures with a lost part, which formats without checksums (JPEG, BMP) do not reveal."""
    flat = flat_edges(case.known.planes) & case.known.pictures
    names = tuple(case.ids[place] for place in np.flatnonzero(flat[: len(case.items)]))
    if names:
        case.findings.append(
            Finding(
                level="warning",
                code="flat-edge",
                message=f"{counted(len(names), 'picture', 'ends')} in a flat area that begins in "
                f"the middle of something ({some(names, 3)})",
                remedy="look whether a part of them is missing, "
                "as after a broken copy, and replace those",
                files=names,
            )
        )


def _labels(case: _Case, seed: int) -> None:
    """Doubtful labels of the items that are left, forgeries aside."""
    items, known = case.items, case.known
    if known.vectors is None and not known.pictures.any():
        return
    usable = (known.readable if known.vectors is not None else known.pictures)[
        : len(items)
    ] & ~items.forged
    copies = {place for same in known.reading.same.values() for place in same[1:]}
    usable[[place for place in copies if place < len(items)]] = False
    places = np.flatnonzero(usable)
    if len(places) < 3:
        return
    vectors = (
        coarse_features(known.planes[places]) if known.vectors is None else known.vectors[places]
    )
    doubts = doubtful_labels(vectors, items.labels[places], seed=seed)
    if doubts is None:
        return
    feature = "coarse pixels and gradients" if known.vectors is None else "the bundle's vectors"
    if doubts.accuracy < ENOUGH:
        case.findings.append(_too_weak(doubts, feature))
    elif len(doubts.suspects):
        case.findings.append(_doubtful(case, places, doubts, feature))


def _odd(case: _Case, bundle: Bundle) -> None:
    """Items unlike the others of their identity, by a bundle that is calibrated for several references."""
    known, items = case.known, case.items
    if known.vectors is None:
        return
    places = np.flatnonzero(known.readable[: len(items)] & ~items.forged)
    found = odd_references(bundle, known.vectors[places], items.labels[places])
    if found is None or not len(found.suspects):
        return
    names = tuple(items.ids[place] for place in places[found.suspects])
    case.findings.append(
        Finding(
            level="warning",
            code="odd-references",
            message=f"{len(names)} of {found.judged} items are unlike the others of their identity "
            f"({some(names, 3)}): each was compared with up to {found.most} of them, by thresholds "
            f"that {found.frr:.0%} of genuine items stay below",
            remedy="look at them: a forgery, or an item of somebody else, may be among the "
            "references. None is left out by --fix, since some are merely unusual",
            files=names,
        )
    )


def _too_weak(doubts: Doubts, feature: str) -> Finding:
    return Finding(
        level="note",
        code="labels-not-judged",
        message=f"whether labels are wrong cannot be told by {feature}: nearest neighbours agree "
        f"with {doubts.accuracy:.0%} of the labels, {ENOUGH:.0%} are needed",
        remedy="train a model and give it as bundle: its vectors may be good enough",
    )


def _doubtful(case: _Case, places: Int[np.ndarray, "n"], doubts: Doubts, feature: str) -> Finding:
    items, told = case.items, []
    for place, better in zip(places[doubts.suspects].tolist(), doubts.better.tolist(), strict=True):
        told.append(f"{items.ids[place]}: rather {items.names[better]}")
        case.dropped.setdefault(place, f"doubtful label: its neighbours are {items.names[better]}")
    return Finding(
        level="warning",
        code="labels-doubtful",
        message=f"{len(told)} of {len(places)} labels are contradicted by the nearest neighbours "
        f"({some(told, 3)}), by {feature}, which agree with {doubts.accuracy:.0%} of the labels "
        f"and find {doubts.recall:.0%} of labels swapped on purpose",
        remedy=f"look at them: most are wrong, some are merely unusual. {FIX}",
        files=tuple(items.ids[place] for place in places[doubts.suspects]),
    )

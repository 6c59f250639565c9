"""The doctor of listed pairs: what is wrong with a table of pairs, before training on it or evaluating with it."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from twofold.apps.diagnosis import Reader, Reading, read_each, unreadable_items
from twofold.data.components import components
from twofold.data.listing import some
from twofold.data.pairs import Pairs, things_of
from twofold.plurals import counted
from twofold.results import Finding

__all__ = ["doctor_of_pairs", "readable_pairs"]


def doctor_of_pairs(
    pairs: Pairs,
    input_type: Reader,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Finding, ...]:
    """Read every thing once and report what is wrong with these pairs, the worst first.

    It finds files or texts that cannot be read; pairs of two equal things; pairs listed twice with
    different answers; answers that contradict each other through a third thing; pairs of one kind
    only, or few of one kind; a thing that is in very many of the pairs.

    Args:
        input_type: reads a thing, as in training.
        strict: one thing that cannot be read is fatal; else its pairs are left out.
        progress: called with (done, total) after every thing.
    """
    things = things_of(pairs)
    reading = read_each(things, input_type, progress)
    found = unreadable_items(things, reading, strict=strict)
    left = readable_pairs(pairs, frozenset(things.ids[place] for place in reading.unreadable))
    if reading.unreadable:
        said = f"{len(pairs) - len(left)} of {len(pairs)} pairs have such a {pairs.noun} and are left out"
        found.append(Finding(level="note", code="pairs-left-out", message=said, remedy=""))
    found += [
        *_equal(pairs, reading),
        *_contradicting(pairs, reading),
        *_intransitive(pairs, reading),
    ]
    found += [*_one_kind(left), *_unbalanced(left), *_crowded(left)]
    return tuple(
        sorted(found, key=lambda finding: ("fatal", "warning", "note").index(finding.level))
    )


def readable_pairs(pairs: Pairs, unreadable: frozenset[str]) -> Pairs:
    """The pairs of which neither thing is one of these."""
    if not unreadable:
        return pairs
    gone = np.isin(np.array(pairs.ids), list(unreadable))
    return pairs.take(np.flatnonzero(~gone[pairs.index_a] & ~gone[pairs.index_b])).alone()


def _contents(pairs: Pairs, reading: Reading) -> np.ndarray:
    """A code of each content; what cannot be read has a code of its own."""
    codes = np.arange(len(pairs.ids))
    for places in reading.same.values():
        codes[places] = places[0]
    return codes


def _equal(pairs: Pairs, reading: Reading) -> list[Finding]:
    """Pairs of a thing with itself or with its copy."""
    content = _contents(pairs, reading)
    rows = np.flatnonzero(content[pairs.index_a] == content[pairs.index_b])
    if not len(rows):
        return []
    return [
        Finding(
            level="warning",
            code="pairs-of-copies",
            message=f"{counted(len(rows), 'pair', 'is')} of two equal {pairs.noun}s "
            f"({some(_named(pairs, rows), 3)})",
            remedy="take them out: they are recognised without "
            "skill, so error rates look better than they are",
        )
    ]


def _contradicting(pairs: Pairs, reading: Reading) -> list[Finding]:
    """Pairs of the same two contents that are the same in one row and different in another."""
    if pairs.answers is None or pairs.graded:
        return []
    content, told = _contents(pairs, reading), defaultdict(set)
    keys = [
        tuple(sorted(ends))
        for ends in zip(content[pairs.index_a], content[pairs.index_b], strict=True)
    ]
    for key, answer in zip(keys, pairs.answers.tolist(), strict=True):
        told[key].add(answer)
    rows = np.flatnonzero([len(told[key]) > 1 for key in keys])
    if not len(rows):
        return []
    return [
        Finding(
            level="warning",
            code="contradictions",
            message=f"{counted(len(rows), 'row')} say both same and different of two {pairs.noun}s "
            f"({some(_named(pairs, rows), 3)})",
            remedy="keep the row that is right",
        )
    ]


def _intransitive(pairs: Pairs, reading: Reading) -> list[Finding]:
    """Pairs called different whose things are the same through others: a = b, b = c, and a, c different."""
    if pairs.answers is None or pairs.graded:
        return []
    content = _contents(pairs, reading)
    first, second = content[pairs.index_a], content[pairs.index_b]
    linked = components(len(content), first[pairs.answers == 1], second[pairs.answers == 1])
    torn = (pairs.answers == 0) & (linked[first] == linked[second]) & (first != second)
    direct = {
        tuple(sorted(ends))
        for ends in zip(first[pairs.answers == 1], second[pairs.answers == 1], strict=True)
    }
    rows = [
        row
        for row in np.flatnonzero(torn)
        if tuple(sorted((first[row], second[row]))) not in direct
    ]
    if not rows:
        return []
    return [
        Finding(
            level="warning",
            code="intransitive",
            message=f"{counted(len(rows), 'pair', 'is')} called different, and the same through "
            f"other pairs ({some(_named(pairs, np.array(rows)), 3)})",
            remedy="one of the pairs on the way is wrong, unless a thing may belong to several",
        )
    ]


def _unbalanced(pairs: Pairs) -> list[Finding]:
    """Few pairs of one of the kinds."""
    if pairs.answers is None or pairs.graded or not len(pairs):
        return []
    same = int((pairs.answers == 1).sum())
    few, kind = min((same, "the same"), (len(pairs) - same, "different"))
    if not 0 < few <= FEW * len(pairs):
        return []
    return [
        Finding(
            level="note",
            code="unbalanced",
            message=f"{few} of {len(pairs)} pairs are {kind}",
            remedy="batches show these again and again, so that "
            "both kinds count alike; more of them would teach more",
        )
    ]


FEW = 0.05
"""Share of the pairs up to which those of one kind are few."""


def _crowded(pairs: Pairs) -> list[Finding]:
    """A thing that is in so many of the pairs that they tell of it more than of anything else."""
    both = np.concatenate([pairs.index_a, pairs.index_b[pairs.index_b != pairs.index_a]])
    counts = np.bincount(both, minlength=len(pairs.ids))
    if len(pairs) < ENOUGH or counts.max() < CROWDED * len(pairs):
        return []
    place, most = int(counts.argmax()), int(counts.max())
    return [
        Finding(
            level="warning",
            code="crowded",
            message=f"{pairs.ids[place]} is in {most} of {len(pairs)} pairs",
            remedy=f"list more pairs of other {pairs.noun}s: a model learns this one, and error rates "
            "are those of this one",
        )
    ]


CROWDED = 0.25
"""Share of the pairs from which on one thing is in too many of them."""

ENOUGH = 20
"""Pairs from which on their shares say something: of three files, each is in two of three pairs."""


def _one_kind(pairs: Pairs) -> list[Finding]:
    """Findings if all pairs are the same, or all different."""
    if pairs.answers is None:
        return [
            Finding(
                level="note",
                code="no-answers",
                message="the table does not say which pairs are the same",
                remedy="add a column same (1 or 0) to train, "
                "calibrate or evaluate; verify --pairs needs none",
            )
        ]
    if not len(pairs):
        return [
            Finding(
                level="fatal", code="one-kind", message="no pair is left", remedy="mend or add some"
            )
        ]
    if pairs.graded or len(np.unique(pairs.answers)) > 1:
        return []
    if pairs.positive:
        return [
            Finding(
                level="note",
                code="one-kind",
                message=f"all {len(pairs)} pairs are the same",
                remedy="in training, things of other pairs of the batch serve as different ones",
            )
        ]
    message = f"all {len(pairs)} pairs are different"
    return [
        Finding(level="fatal", code="one-kind", message=message, remedy="add pairs of the same")
    ]


def _named(pairs: Pairs, rows: np.ndarray) -> list[str]:
    return [f"{pairs.ids[pairs.index_a[row]]} and {pairs.ids[pairs.index_b[row]]}" for row in rows]

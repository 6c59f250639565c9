"""The doctor of listed pairs: what is wrong with a table of pairs, before anything is trained or judged by it."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from twofold.apps.doctor import Reader, Reading, read_each, unreadable_items
from twofold.data.listing import some
from twofold.data.pairs import Pairs, things_of
from twofold.results import Finding

__all__ = ["doctor_of_pairs", "readable_pairs"]


def doctor_of_pairs(
    pairs: Pairs, input_type: Reader, *, strict: bool = False, progress: Callable[[int, int], None] | None = None
) -> tuple[Finding, ...]:
    """Read every file once and say what stands against these pairs, the worst first.

    Found are: files that cannot be decoded; pairs of two equal files; pairs that are listed twice with different
    answers; pairs of one kind only.

    Args:
        input_type: reads a file, as in training.
        strict: one file that cannot be decoded is fatal; else its pairs are left out.
        progress: called with (done, total) after every file.
    """
    things = things_of(pairs)
    reading = read_each(things, input_type, progress)
    found = unreadable_items(things, reading, strict=strict)
    left = readable_pairs(pairs, frozenset(things.ids[place] for place in reading.unreadable))
    if reading.unreadable:
        said = f"{len(pairs) - len(left)} of {len(pairs)} pairs have such a file and are left out"
        found.append(Finding(level="note", code="pairs-left-out", message=said, remedy=""))
    found += [*_equal(pairs, reading), *_contradicting(pairs, reading), *_one_kind(left)]
    return tuple(sorted(found, key=lambda finding: ("fatal", "warning", "note").index(finding.level)))


def readable_pairs(pairs: Pairs, unreadable: frozenset[str]) -> Pairs:
    """The pairs of which neither file is one of these."""
    if not unreadable:
        return pairs
    gone = np.isin(np.array(pairs.ids), list(unreadable))
    return pairs.take(np.flatnonzero(~gone[pairs.index_a] & ~gone[pairs.index_b])).alone()


def _contents(pairs: Pairs, reading: Reading) -> np.ndarray:
    """A code of each file's content; files that cannot be read have codes of their own."""
    codes = np.arange(len(pairs.ids))
    for places in reading.same.values():
        codes[places] = places[0]
    return codes


def _equal(pairs: Pairs, reading: Reading) -> list[Finding]:
    """Pairs of a file with itself or with its copy."""
    content = _contents(pairs, reading)
    rows = np.flatnonzero(content[pairs.index_a] == content[pairs.index_b])
    if not len(rows):
        return []
    return [
        Finding(
            level="warning",
            code="pairs-of-copies",
            message=f"{len(rows)} pairs are of two equal files ({some(_named(pairs, rows), 3)})",
            remedy="take them out: they are recognised without skill, so error rates look better than they are",
        )
    ]


def _contradicting(pairs: Pairs, reading: Reading) -> list[Finding]:
    """Pairs of the same two contents that are the same in one row and different in another."""
    if pairs.answers is None or pairs.graded:
        return []
    content, told = _contents(pairs, reading), defaultdict(set)
    keys = [tuple(sorted(ends)) for ends in zip(content[pairs.index_a], content[pairs.index_b], strict=True)]
    for key, answer in zip(keys, pairs.answers.tolist(), strict=True):
        told[key].add(answer)
    rows = np.flatnonzero([len(told[key]) > 1 for key in keys])
    if not len(rows):
        return []
    return [
        Finding(
            level="warning",
            code="contradictions",
            message=f"{len(rows)} rows say both same and different of two files ({some(_named(pairs, rows), 3)})",
            remedy="keep the row that is right",
        )
    ]


def _one_kind(pairs: Pairs) -> list[Finding]:
    """Pairs of which all are the same, or all different."""
    if pairs.answers is None:
        return [
            Finding(
                level="note",
                code="no-answers",
                message="the table does not say which pairs are the same",
                remedy="add a column same (1 or 0) to train, calibrate or evaluate; verify --pairs needs none",
            )
        ]
    if pairs.graded or len(np.unique(pairs.answers)) > 1:
        return []
    kind = "no pair is left" if not len(pairs) else f"all {len(pairs)} pairs are {_kind(pairs)}"
    return [Finding(level="fatal", code="one-kind", message=kind, remedy="add pairs of the other kind, or of both")]


def _kind(pairs: Pairs) -> str:
    return "the same" if pairs.targets[0] else "different"


def _named(pairs: Pairs, rows: np.ndarray) -> list[str]:
    return [f"{pairs.ids[pairs.index_a[row]]} and {pairs.ids[pairs.index_b[row]]}" for row in rows]

"""Arguments in the wrong order, told by what lies at them: a bundle where DATA belongs, say."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App

from twofold import recipes
from twofold.places import file_at

__all__ = ["ordered"]

MARKERS = {"BUNDLE": "manifest.json", "INDEX": "truth.sqlite"}
"""The file by which a folder is known for what it is."""

SLOTS = {"forget": ["BUNDLE", "INDEX", "LABELS"], "verify": ["BUNDLE", "A", "B"]}
"""Of commands that take all their arguments as one list."""


def ordered(app: App, words: Sequence[str]) -> str | None:
    """The command line as it was probably meant; None where the arguments stand as they should, or nobody can tell."""
    command = app[words[0]]
    found = list(command.assemble_argument_collection())
    slots = SLOTS.get(words[0]) or [each.names[0] for each in found if each.names[0].isupper()]
    valued = {
        name
        for each in found
        for name in each.names
        if name.startswith("-") and each.hint is not bool
    }
    places = positions(words, valued)[: len(slots)]
    given = [words[place] for place in places]
    known = {kind: word for word in given if (kind := kind_of(word)) in slots}
    if data := misplaced_data(slots, given):
        known["DATA"] = data
    wrong = [kind for kind, word in known.items() if slots.index(kind) != given.index(word)]
    if not wrong or (len(given) < len(slots) and words[0] == "dedup"):
        return None
    others = iter(word for word in given if word not in known.values())
    filled = [known[slot] if slot in known else next(others, None) for slot in slots]
    meant = list(words)
    for place, word in zip(places, (each for each in filled if each is not None), strict=False):
        meant[place] = word
    return None if meant == list(words) else f"twofold {shlex.join(meant)}"


def misplaced_data(slots: Sequence[str], given: Sequence[str]) -> str | None:
    """Data where the place of a result belongs, while nothing stands at DATA; else None."""
    if "DATA" not in slots or len(given) <= slots.index("DATA") or len(given) < len(slots):
        return None
    if os.path.lexists(given[slots.index("DATA")]):
        return None
    there = [word for word in given if kind_of(word) is None and os.path.lexists(word)]
    return there[0] if len(there) == 1 else None


def positions(words: Sequence[str], valued: set[str]) -> list[int]:
    """Where the arguments stand that are neither options nor values of options."""
    found, place = [], 1
    while place < len(words):
        if words[place] in valued:
            place += 1
        elif not words[place].startswith("-"):
            found.append(place)
        place += 1
    return found


def kind_of(word: str) -> str | None:
    """BUNDLE, INDEX or RECIPE, by what lies there; None for anything else."""
    for kind, marker in MARKERS.items():
        if file_at(Path(word) / marker):
            return kind
    return "RECIPE" if word in recipes.__all__ or word.endswith(".toml") else None

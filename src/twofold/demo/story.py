"""The demo in plain words: each function takes what a step gave and returns the Step that tells it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from twofold.bundle import Bundle
from twofold.contract import Calibration
from twofold.data.fonts import Alphabets
from twofold.data.items import Items, Parts
from twofold.report.story import Mark, Row, Scores, Step, Story
from twofold.results import Estimate, Finding, Identification, Verdict

__all__ = [
    "OneShot",
    "calibrated",
    "drawn",
    "evaluated",
    "examined",
    "identified",
    "next_commands",
    "story",
    "trained",
    "verified",
]

_ANSWERS = {"same": "the same character", "different": "different characters", "unsure": "unsure"}
_NAMES = {
    "eer": "equal error rate",
    "false_match_rate": "different, but accepted as the same",
    "false_non_match_rate": "the same, but not accepted",
    "recall_at_1": "nearest picture is of the same character",
    "accuracy_20_way_1_shot": "right one of 20, each known from one picture",
}


@dataclass(frozen=True, kw_only=True)
class OneShot:
    """Queries against a gallery that holds one example of each character.

    Attributes:
        gallery: the enrolled items. known, strangers: the queries, of enrolled characters and of
            others.
        numbers: how often each kind of answer was given.
    """

    script: str
    gallery: Items
    known: Items
    strangers: Items
    numbers: tuple[Estimate, ...]


def story(steps: Sequence[Step], *, seconds: float) -> Story:
    """All of it, under a title."""
    return Story(
        title="Are these two the same character?",
        lead='A twin network learned from a few alphabets what "the same" means, was calibrated, '
        "and then judged "
        f"alphabets that it had never seen. This took {seconds:.0f} seconds, and nothing was "
        f"downloaded.",
        steps=tuple(steps),
    )


def drawn(found: Alphabets, *, seed: int) -> Step:
    """What the data is."""
    items = found.items
    generator = np.random.default_rng(seed)
    sizes = np.bincount(items.labels)
    chosen = generator.choice(np.flatnonzero(sizes >= np.quantile(sizes, 0.75)), 2, replace=False)
    left_out = f" ({_example(found.look_alikes)})" if found.look_alikes else ""
    return Step(
        title="Draw",
        text=f"{len(items):,} pictures: {len(items.identities):,} characters of "
        f"{len(items.groups)} scripts, each "
        f"in {sizes.min()} to {sizes.max()} of {len(found.fonts)} free fonts. A character is an "
        f"identity; a font gives "
        f"one more example of it.\n{len(found.look_alikes)} further characters were left out, "
        f"because in some font "
        f"they are the picture of another one{left_out}: nobody could tell those apart.",
        rows=tuple(_in_fonts(items, int(label), generator) for label in chosen),
    )


def examined(findings: Sequence[Finding]) -> Step:
    """What the doctor says."""
    against = [finding for finding in findings if finding.level != "note"]
    said = "\n".join(f"{finding.message}: {finding.remedy}" for finding in against)
    notes = "; ".join(finding.message for finding in findings if finding.level == "note")
    return Step(
        title="Examine",
        text=(
            said or "No problems found: every picture can be read, and no copy goes by two names."
        )
        + (f"\n{notes[0].upper()}{notes[1:]}." if notes else ""),
    )


def trained(parts: Parts, bundle: Bundle) -> Step:
    """Who trained, and how it went."""
    training, batch = bundle.training, bundle.recipe.p * bundle.recipe.k
    best = ", ".join(
        f"{_NAMES.get(name, name)} {value:.2%}" for name, value in training["best"].items() if value
    )
    return Step(
        title="Train",
        text=f"On {len(parts.train.identities)} characters of {_listed(parts.train.groups)}. "
        f"{training['steps']} batches in {training['seconds']:.0f} seconds: the {batch} pictures "
        f"of a batch go through "
        f"the network once, and all {batch * (batch - 1) // 2:,} pairs of them teach.\n"
        f"{len(parts.valid.identities)} other characters of the same scripts chose the best "
        f"weights ({best} on them).",
    )


def calibrated(known: Calibration) -> Step:
    """What the threshold promises."""
    promise = (
        "certified: of pairs of different characters that it has never seen at most "
        f"{known.far:g} are taken for the same, with {known.confidence:.0%} confidence"
        if known.certified
        else "an estimate: too few characters to certify that "
        f"at most {known.far:g} of the different pairs pass"
    )
    return Step(
        title="Calibrate",
        text=f"On {known.identities} characters of scripts that it never trained on. From a score "
        f"of "
        f"{known.threshold:.3f} on, two pictures count as the same; this is {promise}.\nPairs "
        f"share characters, so "
        "what counts is the number of characters, not the number of pairs.",
    )


def evaluated(test: Items, numbers: Sequence[Estimate], scores: Scores) -> Step:
    """How often it is wrong on the rest."""
    return Step(
        title="Evaluate",
        text=f"On {len(test):,} pictures of {len(test.identities)} further characters of "
        f"{_listed(test.groups)}, which had no part in anything so far.",
        numbers=tuple(numbers),
        scores=scores,
    )


def verified(
    test: Items, shown: Sequence[tuple[int, int, Verdict]], commands: Sequence[str]
) -> Step:
    """Some verdicts: two pairs drawn at random, and the two that went most wrong."""
    return Step(
        title="Verify",
        text="A pair of each kind drawn at random; then the two worst of all: the least alike "
        "pair of one character, and the most alike pair of two.",
        rows=tuple(_verdict_row(test, a, b, verdict) for a, b, verdict in shown),
        commands=tuple(commands),
    )


def identified(
    one_shot: OneShot, shown: Sequence[tuple[Items, int, Identification]], commands: Sequence[str]
) -> Step:
    """One example of each is enough: who is this, or nobody?"""
    gallery = one_shot.gallery
    return Step(
        title="Identify from one example",
        text=f"{len(gallery)} {one_shot.script} characters were enrolled with ONE picture each. "
        f"Then came the same characters in other fonts, and {len(one_shot.strangers.names)} that "
        f"nobody had enrolled. (A stranger is compared with all {len(gallery)}, so a mistake is "
        "likelier than for one pair.)",
        rows=tuple(_query_row(gallery, queries, row, found) for queries, row, found in shown),
        numbers=one_shot.numbers,
        commands=tuple(commands),
    )


def next_commands(out: Path) -> Step:
    """What to try with data of one's own."""
    return Step(
        title="Now with your own",
        text="Take a folder with one sub-folder for each person, product or plant, two or more "
        "pictures in each. "
        "With a few hundred identities to calibrate on, a rate of 1 in 100 can be certified; with "
        "fewer, twofold "
        f"says how many it takes.\nAll of this demo lies in {out}: model, index, pictures, "
        f"page.html.",
        commands=(
            "twofold doctor MY_FOLDER",
            "twofold train generic MY_FOLDER -o my-model      "
            "# or: face, signature, character, my-recipe.toml",
            "twofold calibrate my-model MY_FOLDER --far 1e-2 "
            " # on the identities that training kept aside",
            "twofold evaluate my-model MY_FOLDER",
            "twofold verify my-model one.jpg other.jpg",
            "twofold enrol my-model my-index SOMEBODY one.jpg",
            "twofold identify my-model my-index other.jpg",
        ),
    )


def renamed(numbers: Sequence[Estimate], wanted: Sequence[str]) -> list[Estimate]:
    """Those of `numbers` that are wanted, in that order, under names that say what they are."""
    known = {number.name: number for number in numbers}
    return [replace(known[name], name=_NAMES.get(name, name)) for name in wanted if name in known]


def _example(look_alikes: Sequence[tuple[str, str]]) -> str:
    famous = ("greek capital letter alpha", "digit zero", "latin small letter o")
    dropped, kept = next((pair for pair in look_alikes if pair[0] in famous), look_alikes[0])
    return f"{dropped} that of {kept}, for example"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _in_fonts(items: Items, label: int, generator: np.random.Generator) -> Row:
    rows = np.flatnonzero(items.labels == label)
    rows = sorted(generator.choice(rows, min(4, len(rows)), replace=False).tolist())
    return Row(
        pictures=tuple(items.values[row] for row in rows),
        captions=tuple(_font(items, row) for row in rows),
        said=items.names[label],
    )


def _font(items: Items, row: int) -> str:
    return items.ids[row].rpartition("/")[2]


def _caption(items: Items, row: int) -> str:
    return f"{items.names[items.labels[row]]}, {_font(items, row)}"


def _sureness(found: Verdict | Identification) -> str:
    return f"score {found.score:.3f}, threshold {found.threshold:.3f}, probability {found.probability:.3f}"


def _verdict_row(test: Items, a: int, b: int, verdict: Verdict) -> Row:
    truth = "same" if test.labels[a] == test.labels[b] else "different"
    mark: Mark = (
        "" if verdict.decision == "unsure" else "right" if verdict.decision == truth else "wrong"
    )
    return Row(
        pictures=(test.values[a], test.values[b]),
        captions=(_caption(test, a), _caption(test, b)),
        said=_ANSWERS[verdict.decision],
        detail=_sureness(verdict),
        mark=mark,
    )


def _query_row(gallery: Items, queries: Items, row: int, found: Identification) -> Row:
    truth = queries.names[queries.labels[row]]
    truth = truth if truth in gallery.names else None
    best = gallery.ids.index(found.candidates[0].id)
    return Row(
        pictures=(queries.values[row], gallery.values[best]),
        captions=(
            f"query: {_caption(queries, row)}",
            f"nearest enrolled: {_caption(gallery, best)}",
        ),
        said=found.label or "nobody that is enrolled",
        detail=_sureness(found),
        mark="right" if found.label == truth else "wrong",
    )

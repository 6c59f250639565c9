"""What the commands do with a table of pairs in the place of a folder of items."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.cli.options import say
from twofold.errors import DataError, UsageError
from twofold.plurals import counted
from twofold.results import Finding

if TYPE_CHECKING:
    from twofold.bundle import Bundle
    from twofold.config import Recipe
    from twofold.data.items import Items
    from twofold.data.pairs import Pairs
    from twofold.inputs import Input

__all__ = [
    "calibrated_on_pairs",
    "check_pairs",
    "findings_on_pairs",
    "healthy_pairs",
    "next_after_training",
    "opened_pairs",
    "refuse_pairs",
    "say_unreadable",
    "scored_table",
]

NAMED = 5
"""Files that cannot be read are named up to so many."""


def opened_pairs(data: Path, reader: "Input") -> "Pairs | None":
    """The pairs of a table (columns a and b, or text_a and text_b), said in one line; None where DATA is no such."""
    from twofold.data.pairs import Pairs
    from twofold.inputs.optional import columns

    if not Pairs.found(data, columns=columns(reader)):
        return None
    pairs = Pairs.from_table(data, columns=columns(reader))
    say(f"{data}: {pairs.notes[0]}")
    return pairs


def calibrated_on_pairs(
    bundle: "Bundle", pairs: "Pairs", *, chosen: dict[str, Any], further: bool, quiet: bool
) -> "Bundle":
    """A bundle calibrated on a table of pairs.

    Args:
        further: a threshold was asked for that pairs cannot give.
    """
    from twofold.terminal import bars
    from twofold.train.listed import calibrate_pairs

    if further:
        raise UsageError(
            "fpir, groups and cohort take labelled items: give a folder, or a table with path and "
            "label"
        )
    with bars.bar("embedding", quiet=quiet) as progress:
        return calibrate_pairs(bundle, pairs, progress=progress, **chosen)


def check_pairs(
    recipe: "Recipe", pairs: "Pairs", fixed: tuple[str, ...], ancestor: Path | None = None
) -> None:
    """See that a recipe can be trained on these pairs."""
    if ancestor is not None:
        raise UsageError(
            "--from needs a bundle for labelled items: leave it out with a table of pairs"
        )
    from twofold.train.listed import for_pairs
    from twofold.train.objective import check

    check(for_pairs(recipe, pairs, fixed=fixed).recipe)


def findings_on_pairs(
    pairs: "Pairs",
    recipe: "Recipe",
    fixed: tuple[str, ...],
    *,
    seed: int,
    strict: bool,
    quiet: bool,
) -> tuple[Finding, ...]:
    """What stands against training on these pairs: their files, their answers, and how they can be split."""
    from twofold import build
    from twofold.apps.diagnosis import worst_first
    from twofold.apps.listed_doctor import doctor_of_pairs, readable_pairs
    from twofold.terminal import bars
    from twofold.train.listed import parts_of_pairs
    from twofold.train.objective import check

    with bars.bar("reading", quiet=quiet) as progress:
        found = doctor_of_pairs(pairs, build.check(recipe), strict=strict, progress=progress)
    if pairs.answers is None or any(finding.level == "fatal" for finding in found):
        return found
    left = readable_pairs(pairs, unreadable_among(found))
    try:
        fitted, parts = parts_of_pairs(recipe, left, fixed=fixed, seed=seed)
        check(fitted.recipe)
    except (DataError, UsageError) as error:
        return (Finding(level="fatal", code="training", message=str(error), remedy=""), *found)
    split = "pairs: " + ", ".join(f"{len(part)} {name}" for name, part in parts.items())
    notes = [
        Finding(level="note", code="adapted", message=note, remedy="")
        for note in (*fitted.notes, split)
    ]
    return worst_first((*found, *notes))


def unreadable_among(found: Sequence[Finding]) -> frozenset[str]:
    """The files that a doctor could not read."""
    return frozenset(
        name for finding in found if finding.code == "unreadable" for name in finding.files
    )


def healthy_pairs(
    pairs: "Pairs",
    recipe: "Recipe",
    fixed: tuple[str, ...],
    *,
    seed: int,
    strict: bool,
    quiet: bool,
) -> "Pairs":
    """The pairs that can be read, if nothing that the doctor finds stands against training on them."""
    from twofold.apps.listed_doctor import readable_pairs

    found = findings_on_pairs(pairs, recipe, fixed, seed=seed, strict=strict, quiet=quiet)
    if fatal := [each for each in found if each.level == "fatal"]:
        raise DataError("; ".join(f"{each.message}: {each.remedy}".rstrip(": ") for each in fatal))
    for each in found:
        if each.level == "warning" or each.code in ("adapted", "pairs-left-out"):
            say(f"{each.message}: {each.remedy}".rstrip(": "))
    return readable_pairs(pairs, unreadable_among(found))


def refuse_pairs(data: Path, command: str) -> None:
    """Raise UsageError for a table of pairs, where a command looks at labelled items."""
    from twofold.data.pairs import Pairs

    if Pairs.found(data):
        raise UsageError(
            f"{data} is a table of pairs, and {command} looks at labelled items: give a folder "
            f"with one sub-folder per "
            "identity, or a table with the columns path and label; `twofold train` takes pairs as "
            "they are"
        )


def next_after_training(
    bundle: "Bundle", out: Path, data: Path, material: "Items | Pairs", *, levels: int
) -> str:
    """What to do after training: calibrate on what was kept aside, if there is something."""
    from twofold.data.items import Items
    from twofold.terminal import next_steps

    if isinstance(material, Items):
        return next_steps.after_training(bundle, out, data, material, levels=levels)
    return next_steps.after_training_on_pairs(bundle, out, data, material)


def scored_table(bundle: "Bundle", pairs: "Pairs", *, json: bool) -> str:
    """The pairs with their scores and what the table says of them: what `calibrate` takes as scores."""
    from json import dumps

    from twofold.apps.verify import score_readable_pairs
    from twofold.data.delimited import written_rows

    count = len(pairs)
    pairs, scores, unreadable = score_readable_pairs(bundle, pairs)
    say_unreadable(unreadable, count - len(pairs), count, "score", noun=pairs.noun)
    left, right = pairs.columns
    rows: list[dict[str, object]] = [
        {left: pairs.ids[a], right: pairs.ids[b]} for a, b in _ends(pairs)
    ]
    for row, score, (a, b), place in zip(
        rows, scores.tolist(), _ends(pairs), range(len(rows)), strict=True
    ):
        row["score"] = score
        if pairs.answers is not None and not pairs.graded:
            row["same"] = int(pairs.answers[place])
        if pairs.identity is not None:
            row |= {
                "identity_a": pairs.identities[pairs.identity[a]],
                "identity_b": pairs.identities[pairs.identity[b]],
            }
    return dumps(rows, indent=1) + "\n" if json else written_rows(list(rows[0]), rows).decode()


def say_unreadable(
    unreadable: dict[str, str], left_out: int, count: int, what: str, *, noun: str = "file"
) -> None:
    """Name files (or texts) that could not be read, and say how many pairs that costs."""
    for reason in list(unreadable.values())[:NAMED]:
        say(reason)
    if unreadable:
        say(
            f"{counted(len(unreadable), noun)} cannot be read: {left_out} of {count} pairs have "
            f"no {what}"
        )


def _ends(pairs: "Pairs") -> list[tuple[int, int]]:
    return list(zip(pairs.index_a.tolist(), pairs.index_b.tolist(), strict=True))

"""What the commands do with a table of pairs in the place of a folder of items."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.cli.options import say
from twofold.errors import UsageError
from twofold.plurals import counted

if TYPE_CHECKING:
    from twofold.bundle import Bundle
    from twofold.config import Recipe
    from twofold.data.items import Items
    from twofold.data.pairs import Pairs

__all__ = [
    "calibrated_on_pairs",
    "check_pairs",
    "next_after_training",
    "opened_pairs",
    "refuse_pairs",
    "say_unreadable",
    "scored_table",
]

NAMED = 5
"""Files that cannot be read are named up to so many."""


def opened_pairs(data: Path) -> "Pairs | None":
    """The pairs of a table with the columns a and b, which is said in one line; None where DATA is anything else."""
    from twofold.data.pairs import Pairs

    if not Pairs.found(data):
        return None
    pairs = Pairs.from_table(data)
    say(f"{data}: {pairs.notes[0]}")
    return pairs


def calibrated_on_pairs(
    bundle: "Bundle", pairs: "Pairs", *, chosen: dict[str, Any], further: bool, quiet: bool
) -> "Bundle":
    """A bundle calibrated on a table of pairs.

    Args:
        further: a threshold was asked for that pairs cannot give.
    """
    from twofold import terminal
    from twofold.train.listed import calibrate_pairs

    if further:
        raise UsageError("fpir, groups and cohort take labelled items: give a folder, or a table with path and label")
    with terminal.bar("embedding", quiet=quiet) as progress:
        return calibrate_pairs(bundle, pairs, progress=progress, **chosen)


def check_pairs(recipe: "Recipe", pairs: "Pairs", fixed: tuple[str, ...], ancestor: Path | None) -> None:
    """See that a recipe can be trained on these pairs, and say what is changed for that."""
    if ancestor is not None:
        raise UsageError("--from begins with a bundle for labelled items: leave it out with a table of pairs")
    from twofold.train.listed import for_pairs
    from twofold.train.objective import check

    fitted = for_pairs(recipe, pairs, fixed=fixed)
    check(fitted.recipe)
    for note in fitted.notes:
        say(note)


def refuse_pairs(data: Path, command: str) -> None:
    """Raise UsageError for a table of pairs, where a command looks at labelled items."""
    from twofold.data.pairs import Pairs

    if Pairs.found(data):
        raise UsageError(
            f"{data} is a table of pairs, and {command} looks at labelled items: give a folder with one sub-folder an "
            "identity, or a table with the columns path and label; `twofold train` takes pairs as they are"
        )


def next_after_training(bundle: "Bundle", out: Path, data: Path, material: "Items | Pairs", *, levels: int) -> str:
    """What to do after training: calibrate on what was kept aside, if there is something."""
    from twofold import next_steps
    from twofold.data.items import Items

    if isinstance(material, Items):
        return next_steps.after_training(bundle, out, data, material, levels=levels)
    if "calibrate" not in bundle.provenance.parts:
        return "no pair was kept aside: calibrate on a table of other people's pairs, twofold calibrate BUNDLE TABLE"
    return "next: " + next_steps.command("calibrate", out, data, "--far", "0.1", "--estimate")


def scored_table(bundle: "Bundle", pairs: "Pairs", *, json: bool) -> str:
    """The pairs with their scores and what the table says of them: what `calibrate` takes as scores."""
    from json import dumps

    from twofold.apps.verify import score_readable_pairs
    from twofold.data.delimited import written_rows

    count = len(pairs)
    pairs, scores, unreadable = score_readable_pairs(bundle, pairs)
    say_unreadable(unreadable, count - len(pairs), count, "score")
    rows: list[dict[str, object]] = [{"a": pairs.ids[a], "b": pairs.ids[b]} for a, b in _ends(pairs)]
    for row, score, (a, b), place in zip(rows, scores.tolist(), _ends(pairs), range(len(rows)), strict=True):
        row["score"] = score
        if pairs.answers is not None and not pairs.graded:
            row["same"] = int(pairs.answers[place])
        if pairs.identity is not None:
            row |= {
                "identity_a": pairs.identities[pairs.identity[a]],
                "identity_b": pairs.identities[pairs.identity[b]],
            }
    return dumps(rows, indent=1) + "\n" if json else written_rows(list(rows[0]), rows).decode()


def say_unreadable(unreadable: dict[str, str], left_out: int, count: int, what: str) -> None:
    """Name files that could not be read, and say how many pairs that costs."""
    for reason in list(unreadable.values())[:NAMED]:
        say(reason)
    if unreadable:
        say(f"{counted(len(unreadable), 'file')} cannot be read: {left_out} of {count} pairs have no {what}")


def _ends(pairs: "Pairs") -> list[tuple[int, int]]:
    return list(zip(pairs.index_a.tolist(), pairs.index_b.tolist(), strict=True))

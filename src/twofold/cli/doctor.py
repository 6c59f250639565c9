"""doctor: what is wrong with DATA, before a minute is spent on training."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.cli.change_models import doctor_scenes, refuse_scenes
from twofold.cli.kinds import recipe_for, refuse_columns, refuse_other_kind, sized
from twofold.cli.options import (
    WRONG,
    YES,
    Columns,
    Flag,
    Json,
    Set,
    changes_of,
    naming_left_out,
    print_json,
    show,
)
from twofold.cli.pair_tables import findings_on_pairs, opened_pairs
from twofold.cli.track_training import doctor_footage
from twofold.cli.values import Levels, OutFile, Seed
from twofold.errors import UsageError

if TYPE_CHECKING:
    from twofold.results import Finding

__all__ = ["doctor"]

PLAIN = ("against", "bundle", "fix")
"""Options of `doctor` for labelled items alone."""

OF_MAPS = {
    "change": ("change has scenes", doctor_scenes),
    "track": ("track has pictures and sequences", doctor_footage),
}
"""What the other kinds of recipes have instead, and the doctor for them."""


def doctor(
    data: Path,
    /,
    *,
    recipe: str | None = None,
    settings: Set = (),
    columns: Columns = None,
    levels: Levels = 1,
    against: Path | None = None,
    bundle: Path | None = None,
    fix: OutFile = None,
    seed: Seed = 0,
    strict: Flag = False,
    json: Json = False,
) -> int:
    """Check DATA for problems before training; exit code 2 if it cannot be trained on.

    Args:
        data: a folder with one sub-folder per identity, or a table with the columns path and label,
            and optionally split (or part): no item should be in two of these; or scenes, as
            `train change` reads them.
        recipe: the recipe to train with, a built-in name or a TOML file; by default generic, and
            names or text for texts.
        settings: change the recipe as in `train`, --set p=8; can be given several times.
        columns: of a table of records, the columns that make up a record, as in `train`.
        levels: 2 for nested folders: group/identity/file.
        against: other data that must not overlap with DATA.
        bundle: a trained bundle, whose vectors check labels and find more near-duplicates.
        fix: write a cleaned table OUT.csv, and OUT.dropped.csv with what was dropped and why; no
            file is changed.
        seed: of random choices and of the split.
        strict: an unreadable file prevents training; by default such files are left out.
        json: print one JSON object.
    """
    from twofold import build
    from twofold.apps.doctor import checkup
    from twofold.bundle import Bundle
    from twofold.data.cleaning import write_cleaned
    from twofold.data.items import Items
    from twofold.data.scenes import found_in as holds_scenes
    from twofold.data.tables import parts_of
    from twofold.inputs.optional import columns as columns_of
    from twofold.recipes import find
    from twofold.terminal import bars, next_steps, wording
    from twofold.train.objective import check

    changes = changes_of(settings, columns)
    recipe = recipe or ("change" if holds_scenes(data) else recipe_for(data, columns))
    refuse_columns(find(recipe), columns, recipe)
    chosen = sized(find(recipe).replace(changes), data)
    reader = build.check(chosen) if bundle is None else Bundle.load(bundle)
    if chosen.kind in OF_MAPS:
        has, look = OF_MAPS[chosen.kind]
        for name, given in zip(PLAIN, (against, bundle, fix), strict=True):
            if given is not None:
                raise UsageError(f"--{name} is for labelled items, and {has}: drop it")
        return look(chosen, data, seed=seed, json=json)
    refuse_scenes(data, f"the recipe {recipe}")
    input = reader.twin.input if isinstance(reader, Bundle) else reader
    refuse_other_kind(data, input, f"the recipe {recipe}" if bundle is None else str(bundle))
    read = columns_of(input)
    asked = {"fixed": tuple(changes), "seed": seed, "strict": strict}
    if (pairs := opened_pairs(data, input)) is not None:
        if further := [
            f"--{name}" for name, given in zip(PLAIN, (against, bundle, fix), strict=True) if given
        ]:
            raise UsageError(
                f"{data} is a table of pairs, and {further[0]} is for labelled items: leave it out"
            )
        found = findings_on_pairs(pairs, chosen, quiet=json, **asked)
        return _told(
            found,
            next_steps.after_checking(
                recipe, data, levels=1, settings=settings, columns=columns, seed=seed
            ),
            json=json,
        )
    check(chosen)
    with naming_left_out(strict):
        items = Items.open(data, levels=levels, columns=read)
        others = (
            parts_of(data) if against is None else Items.open(against, levels=levels, columns=read)
        )
    with bars.bar("reading", quiet=json) as progress:
        found = checkup(items, reader, recipe=chosen, against=others, progress=progress, **asked)
    beside = None if fix is None else write_cleaned(items, found.dropped, fix)
    if json:
        told = {"items": len(items), "identities": len(items.identities)}
        told |= {"findings": [asdict(finding) for finding in found.findings]}
        told |= {"dropped": {items.ids[place]: reason for place, reason in found.dropped.items()}}
        print_json(told)
    else:
        show(wording.items(items), wording.findings(found.findings))
        if fix is not None and beside is not None:
            show(wording.cleaned(len(items), len(found.dropped), fix, beside))
    if any(finding.level == "fatal" for finding in found.findings):
        return WRONG
    if not json:
        following = next_steps.after_checking(
            recipe, data, levels=levels, settings=settings, columns=columns, seed=seed
        )
        show(following)
    return YES


def _told(found: "Sequence[Finding]", following: str, *, json: bool) -> int:
    """The findings on pairs, and the exit code that they make."""
    from twofold.terminal import wording

    fatal = any(finding.level == "fatal" for finding in found)
    if json:
        print_json({"findings": [asdict(finding) for finding in found]})
    else:
        show(wording.findings(found), "" if fatal else following)
    return WRONG if fatal else YES

"""plan: what a training on DATA would promise, and how long it would take here."""

from dataclasses import asdict
from pathlib import Path

from twofold.cli.change_models import refuse_scenes
from twofold.cli.kinds import recipe_for, refuse_columns, sized
from twofold.cli.options import (
    YES,
    Columns,
    Json,
    Set,
    changes_of,
    naming_left_out,
    print_json,
    show,
)
from twofold.cli.pair_tables import refuse_pairs
from twofold.cli.values import Levels, Rate, Seed
from twofold.errors import UsageError

__all__ = ["plan"]


def plan(
    data: Path,
    /,
    *,
    far: Rate = 1e-2,
    recipe: str | None = None,
    settings: Set = (),
    columns: Columns = None,
    levels: Levels = 1,
    seed: Seed = 0,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Show before training how many identities a stated rate needs, what DATA can support, and how long training takes.

    Args:
        data: a folder with one sub-folder per identity, or a table.
        far: desired false-accept rate; 1e-2 is one impostor pair in a hundred.
        recipe: the recipe to train with, a built-in name or a TOML file; by default generic, and
            names or text for texts.
        settings: change the recipe as in `train`, --set p=8; may be repeated.
        columns: of a table of records, the columns that make up a record, as in `train`.
        levels: 2 for nested folders: group/identity/file.
        seed: of the split.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object.
    """
    from twofold import build
    from twofold.data.items import Items
    from twofold.inputs.optional import columns as columns_of
    from twofold.recipes import find
    from twofold.terminal import next_steps, wording
    from twofold.train.plan import plan as planned

    refuse_pairs(data, "plan")
    changes = changes_of(settings, columns)
    recipe = recipe or recipe_for(data, columns)
    refuse_columns(find(recipe), columns, recipe)
    chosen = sized(find(recipe).replace(changes), data)
    if chosen.kind == "track":
        raise UsageError(
            "plan counts identities for a rate of embeddings: for track, twofold doctor counts "
            "pictures and sequences"
        )
    if chosen.kind == "change":
        raise UsageError(
            "plan counts identities for a rate of embeddings: for change, twofold doctor counts "
            "scenes, and a bundle says how many a certificate would take"
        )
    refuse_scenes(data, f"the recipe {recipe}")
    with naming_left_out():
        items = Items.open(data, levels=levels, columns=columns_of(build.input(chosen)))
    found = planned(
        chosen,
        items,
        far=far,
        fixed=tuple(changes),
        seed=seed,
        device=device,
    )
    if json:
        print_json({**asdict(found), "recipe": found.recipe.model_dump(mode="json")})
    else:
        following = next_steps.after_checking(
            recipe, data, levels=levels, settings=settings, columns=columns, seed=seed
        )
        show(wording.items(items), wording.planned(found), following)
    return YES

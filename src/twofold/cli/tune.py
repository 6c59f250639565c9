"""tune: try settings of a recipe on DATA, and write the recommended recipe."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from twofold.cli.kinds import refuse_columns, refuse_other_kind, sized
from twofold.cli.models import healthy_items, until_doctor_ends
from twofold.cli.options import (
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
from twofold.cli.pair_tables import refuse_pairs
from twofold.cli.values import Levels, PositiveCount, Seconds, Seed, writable
from twofold.errors import UsageError
from twofold.files import write_atomically
from twofold.places import check_file_place

if TYPE_CHECKING:
    from twofold.train.tune import Tuned

__all__ = ["tune"]

Trials = Annotated[PositiveCount, Parameter(name="--trials")]
RecipeOut = Annotated[Path, Parameter(name=["--out", "-o"], validator=writable(check_file_place))]


def tune(
    recipe: str,
    data: Path,
    /,
    *,
    out: RecipeOut,
    trials: Trials = 30,
    max_time: Seconds = None,
    search: str | None = None,
    settings: Set = (),
    columns: Columns = None,
    seed: Seed = 0,
    levels: Levels = 1,
    resume: Flag = False,
    force: Flag = False,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Find settings of a recipe that suit DATA: loss, learning rate, batch, augmentation, size of the network.

    Identities that `train` will keep aside take no part. The best two trials are compared with the
    recipe as it is on identities that chose nothing, and the recommended recipe is written with
    this evidence. Train with it: twofold train OUT DATA -o BUNDLE. Needs the extra tune.

    Args:
        recipe: where the search begins, a built-in name or a TOML file.
        data: a folder with one sub-folder per identity, or a table, as for `train`.
        out: where to write the recommended recipe, a .toml file. OUT.trials keeps every trial.
        trials: how many settings to try, the recipe as it is among them.
        max_time: stop after this many seconds; what it takes to compare the best is kept free.
        search: what to search: --search loss,batch. All of these that the recipe has, unless you
            say: encoder, comparison, learning_rate, weight_decay, loss (with its margin and miner),
            batch, augment, dim, width, depth, dropout, freeze.
        settings: change the recipe as in `train`; what is set here is not searched.
        columns: of a table of records, the columns that make up a record, as in `train`.
        seed: of the folds, the proposals and the trainings.
        levels: 2 for nested folders: group/identity/file.
        resume: continue the trials in OUT.trials; --trials counts those, too.
        force: drop the trials in OUT.trials, and replace OUT.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object.
    """
    from twofold import build
    from twofold.data.items import Items
    from twofold.devices import training_device
    from twofold.inputs.optional import columns as columns_of
    from twofold.recipes import find
    from twofold.terminal import bars, wording
    from twofold.train.search_space import check_searched
    from twofold.train.tune import Search
    from twofold.train.tune import tune as found_by

    began = time.monotonic()
    training_device(device)
    refuse_pairs(data, "tune")
    trials_file = _place(out, resume=resume, force=force)
    changes = changes_of(settings, columns)
    refuse_columns(find(recipe), columns, recipe)
    chosen = sized(find(recipe).replace(changes), data)
    reader = build.check(chosen)
    names = [] if search is None else [name.strip() for name in search.split(",")]
    check_searched(names, chosen)
    if chosen.kind == "embedding":
        refuse_other_kind(data, reader, f"the recipe {recipe}")
    with naming_left_out():
        items = Items.open(data, levels=levels, columns=columns_of(reader))
    if chosen.kind == "embedding":
        until = until_doctor_ends(began, max_time)
        asked = {"fixed": tuple(changes), "seed": seed, "adapting": False}
        items = healthy_items(items, chosen, strict=False, until=until, **asked)
    left = None if max_time is None else max(max_time - (time.monotonic() - began), 0.0)
    with bars.tuning(quiet=json) as watch:
        found = found_by(
            chosen,
            items,
            trials_file,
            search=Search(trials=trials, seconds=left, names=names, fixed=tuple(changes)),
            seed=seed,
            resume=resume,
            device=device,
            watch=watch,
        )
    write_atomically(out, _with_evidence(found).encode())
    if json:
        print_json({**asdict(found), "recipe": found.recipe.model_dump(mode="json")})
    else:
        show(wording.tuned(found, out), f"next: twofold train {out} {data} -o BUNDLE")
    return YES


def _place(out: Path, *, resume: bool, force: bool) -> Path:
    """The file of the trials beside OUT, which must be free, or is to be continued or dropped."""
    if out.suffix.lower() != ".toml":
        raise UsageError(f"{out} is where the recommended recipe is written: give a .toml file")
    trials = out.with_name(out.name + ".trials")
    if out.exists() and not (resume or force):
        raise UsageError(f"{out} is there already: give another place, --resume or --force")
    if resume and not trials.exists():
        raise UsageError(f"{trials} is not there, so nothing can be resumed: leave out --resume")
    if force and not resume:
        trials.unlink(missing_ok=True)
    return trials


def _with_evidence(found: "Tuned") -> str:
    """The recommended recipe, with the evidence as comments above it."""
    from twofold.terminal.wording import evidence

    return "".join(f"# {line}\n" for line in evidence(found)) + found.recipe.toml()

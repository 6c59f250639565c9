"""Commands that make a bundle of data: train, calibrate."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from twofold.cli.change_models import refuse_scenes, train_scenes
from twofold.cli.kinds import refuse_columns, refuse_other_kind, sized
from twofold.cli.options import (
    YES,
    Columns,
    Flag,
    Json,
    Out,
    Set,
    changes_of,
    naming_left_out,
    print_json,
    say,
    show,
)
from twofold.cli.pair_tables import (
    check_pairs,
    healthy_pairs,
    next_after_training,
    opened_pairs,
)
from twofold.cli.track_training import train_footage
from twofold.cli.training_run import run
from twofold.cli.values import Levels, Seconds, Seed
from twofold.errors import DataError, UsageError

if TYPE_CHECKING:
    from twofold.bundle import Bundle
    from twofold.config import Recipe
    from twofold.data.items import Items
    from twofold.data.pairs import Pairs
    from twofold.train.checkpoint import Checkpoints

__all__ = ["healthy_items", "train", "until_doctor_ends"]

Ancestor = Annotated[Path | None, Parameter(name="--from")]


DOCTOR_TIME = 0.25
"""Share of --max-time after which the doctor is stopped: what it finds is worth less than the training itself."""


def train(
    recipe: str,
    data: Path,
    /,
    *,
    out: Out,
    settings: Set = (),
    columns: Columns = None,
    seed: Seed = 0,
    levels: Levels = 1,
    resume: Flag = False,
    ancestor: Ancestor = None,
    force: Flag = False,
    max_time: Seconds = None,
    device: str | None = None,
    strict: Flag = False,
    json: Json = False,
) -> int:
    """Train a model on DATA, and hold out identities to calibrate and evaluate on.

    On several GPUs or processors: torchrun --nproc-per-node N -m twofold train ...

    Args:
        recipe: a built-in name (change, character, dna, face, few_photos, generic, head, minilm, names,
            photo, series, siamfc, signature, signature_network, speaker, speech, speech_network,
            text, track, video) or a TOML file.
        data: a folder with one sub-folder per identity, a table with path (or text, or vector) and
            label, what `twofold embed` wrote, or a table of pairs (columns a and b, or text_a and
            text_b; and same, or score). For change: folders A, B and label, the layouts of OSCD
            and SZTAKI, or a table with before, after and mask. For track: a folder of pictures, or
            of sequences in OTB's or GOT-10k's layout, or of films beside tables of boxes.
        out: where to write the bundle.
        settings: change the recipe, --set loss.margin=0.3; may be repeated.
        columns: of a table of records, the columns that make up a record, name,street,city. They
            stay apart, and every command that is given the bundle reads the same columns.
        seed: the same seed gives the same weights.
        levels: 2 for nested folders: group/identity/file.
        resume: continue the interrupted training of OUT.
        ancestor: start from the weights of this trained bundle. The input and the encoder must be
            the same.
        force: replace an existing bundle at OUT.
        max_time: stop cleanly after this many seconds.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        strict: refuse to train if any file cannot be read; otherwise such files are left out.
        json: print one JSON object.
    """
    from twofold import build
    from twofold.bundle import Bundle
    from twofold.data.items import Items
    from twofold.devices import training_device
    from twofold.inputs.optional import columns as columns_of
    from twofold.recipes import find
    from twofold.terminal import wording
    from twofold.train.checkpoint import Checkpoints
    from twofold.train.objective import check

    began = time.monotonic()
    changes = changes_of(settings, columns) | (
        {} if max_time is None else {"max_seconds": max_time}
    )
    refuse_columns(find(recipe), columns, recipe)
    chosen = sized(find(recipe).replace(changes), data)
    reader = build.check(chosen)
    if chosen.kind == "embedding":
        refuse_other_kind(data, reader, f"the recipe {recipe}")
    kept = Checkpoints(out.with_name(out.name + ".training"), resume=resume, began=began)
    Bundle.check_place(out, replace=force or resume)
    if kept.states and not (force or resume):
        raise UsageError(
            f"{kept.folder} holds the state of an interrupted training: --resume continues it, "
            f"--force starts over"
        )
    training_device(device)
    if chosen.kind == "change":
        _refuse_for_scenes(ancestor, columns, levels)
        asked = {"fixed": tuple(changes), "seed": seed, "device": device, "json": json}
        return train_scenes(chosen, data, out, kept, **asked)
    if chosen.kind == "track":
        _refuse_for_footage(ancestor, columns, levels)
        asked = {"seed": seed, "device": device, "json": json}
        return train_footage(chosen, data, out, kept, **asked)
    refuse_scenes(data, f"the recipe {recipe}")
    known = None if ancestor is None else Bundle.load(ancestor)
    asked = {"fixed": tuple(changes), "seed": seed}
    until = until_doctor_ends(began, chosen.max_seconds)
    material = opened_pairs(data, reader)
    if material is not None:
        check_pairs(chosen, material, tuple(changes), ancestor)
        material = healthy_pairs(material, chosen, quiet=json, strict=strict, **asked)
    else:
        check(chosen)
        with naming_left_out(strict):
            material = Items.open(data, levels=levels, columns=columns_of(reader))
        material = healthy_items(material, chosen, strict=strict, until=until, **asked)
    bundle = _fitted(chosen, material, kept, ancestor=known, device=device, quiet=json, **asked)
    if bundle is None:
        return YES
    bundle.save(out)
    if json:
        print_json({"bundle": str(out), "fingerprint": bundle.fingerprint, **bundle.training})
    else:
        show(
            wording.trained(bundle, out),
            next_after_training(bundle, out, data, material, levels=levels),
        )
    return YES


def _refuse_for_scenes(ancestor: Path | None, columns: str | None, levels: int) -> None:
    """Raise UsageError where an option is given that scenes do not have."""
    _refuse_options("change has scenes", ancestor, columns, levels)


def _refuse_for_footage(ancestor: Path | None, columns: str | None, levels: int) -> None:
    """Raise UsageError where an option is given that footage does not have."""
    _refuse_options("track has pictures and sequences", ancestor, columns, levels)


def _refuse_options(instead: str, ancestor: Path | None, columns: str | None, levels: int) -> None:
    given = {"--from": ancestor, "--columns": columns, "--levels": levels if levels != 1 else None}
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{name} is for items of identities, and {instead}: drop it")


def _fitted(
    recipe: "Recipe",
    material: "Items | Pairs",
    kept: "Checkpoints",
    *,
    ancestor: "Bundle | None",
    device: str | None,
    quiet: bool,
    **asked: Any,
) -> "Bundle | None":
    """Train, with a bar, in the processes that torchrun has started; None in all but the first of them.

    Args:
        asked: `fixed` and `seed`, as for `fit_recipe`.
    """
    from twofold import precision
    from twofold.devices import training_device
    from twofold.train.distributed import Processes
    from twofold.train.listed import fit_material

    def fitted(**where: Any) -> "Bundle":
        if not quiet and Processes.present().first:
            say(precision.said(recipe.precision, training_device(where["device"])))
        return fit_material(recipe, material, ancestor=ancestor, **where, **asked)

    return run(fitted, kept, device=device, quiet=quiet)


def until_doctor_ends(began: float, seconds: float | None) -> float:
    """When the doctor must have ended (`time.monotonic`) in a command of so many seconds; None: no limit."""
    return math.inf if seconds is None else began + DOCTOR_TIME * seconds


def healthy_items(
    items: "Items",
    recipe: "Recipe",
    *,
    strict: bool,
    until: float,
    adapting: bool = True,
    **asked: Any,
) -> "Items":
    """Those of the items that can be read, if nothing that the doctor finds stands against training on them.

    Args:
        until: when the doctor must have ended (`time.monotonic`).
        adapting: say how the recipe is fitted to the items, too.
        asked: `fixed` and `seed`, as for `fit_recipe`.
    """
    from twofold import build
    from twofold.apps.diagnosis import diagnosed
    from twofold.data.decoded import DecodingOnce
    from twofold.terminal import bars

    reader = DecodingOnce(build.check(recipe))
    asked |= {"recipe": recipe, "strict": strict}
    with bars.bar("doctor") as progress:
        try:
            findings = diagnosed(items, reader, progress=_in_time(progress, until), **asked)
        except _OutOfTimeError as late:
            say(
                f"the doctor was stopped after {late} of {len(items)} items, to leave time for "
                f"training"
            )
            return items
    reader.hand_on(items)
    fatal = [finding for finding in findings if finding.level == "fatal"]
    if fatal:
        raise DataError(
            "; ".join(
                filter(None, (f"{each.message}: {each.remedy}".rstrip(": ") for each in fatal))
            )
        )
    for finding in findings:
        if finding.level == "warning" or (adapting and finding.code == "adapted"):
            say(f"{finding.message}: {finding.remedy}".rstrip(": "))
    left_out = {
        name for finding in findings if finding.code == "unreadable" for name in finding.files
    }
    return (
        items.take([place for place, name in enumerate(items.ids) if name not in left_out])
        if left_out
        else items
    )


class _OutOfTimeError(Exception):
    """The time for the doctor is over."""


def _in_time(progress: Callable[[int, int], None], until: float) -> Callable[[int, int], None]:
    """The same, which ends the work when the time is over."""

    def timed(done: int, total: int) -> None:
        if time.monotonic() > until and done < total:
            raise _OutOfTimeError(done)
        progress(done, total)

    return timed

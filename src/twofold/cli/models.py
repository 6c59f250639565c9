"""Commands that make a bundle of data: train, calibrate."""

import math
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from twofold.cli.archive import loaded
from twofold.cli.kinds import refuse_columns, refuse_other_kind, sized
from twofold.cli.options import (
    YES,
    Columns,
    Flag,
    Json,
    MaybeOut,
    Out,
    Set,
    changes_of,
    naming_left_out,
    print_json,
    say,
    settings_over,
    show,
)
from twofold.cli.pair_tables import (
    calibrated_on_pairs,
    check_pairs,
    healthy_pairs,
    next_after_training,
    opened_pairs,
)
from twofold.cli.values import Levels, MaybeRate, Rate, Seconds, Seed
from twofold.errors import DataError, Interrupted, UsageError
from twofold.places import check_file_place, resolved

if TYPE_CHECKING:
    from twofold.bundle import Bundle
    from twofold.config import Recipe
    from twofold.data.items import Items
    from twofold.data.pairs import Pairs
    from twofold.fusion import Fusion
    from twofold.train.checkpoint import Checkpoints

__all__ = ["calibrate", "train"]

Ancestor = Annotated[Path | None, Parameter(name="--from")]

CALIBRATION = {
    "confidence": 0.95,
    "prior": 0.5,
    "seed": 0,
    "distance": "cosine",
    "fpir": 0.0,
    "gallery": 0,
    "enrolled": 1,
    "references": 0,
    "fusion": "mean",
    "groups": False,
    "cohort": 0,
    "site": "site",
}
"""What --set knows in `calibrate`, and what counts without it."""


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
        recipe: a built-in name (face, signature, character, photo, generic, text, names, head) or a
            TOML file.
        data: a folder with one sub-folder per identity, a table with path (or text, or vector) and
            label, what `twofold embed` wrote, or a table of pairs (columns a and b, or text_a and
            text_b; and same, or score).
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
    refuse_other_kind(data, reader, f"the recipe {recipe}")
    kept = Checkpoints(out.with_name(out.name + ".training"), resume=resume, began=began)
    Bundle.check_place(out, replace=force or resume)
    if kept.states and not (force or resume):
        raise UsageError(
            f"{kept.folder} holds the state of an interrupted training: --resume continues it, "
            f"--force starts over"
        )
    training_device(device)
    known = None if ancestor is None else Bundle.load(ancestor)
    asked = {"fixed": tuple(changes), "seed": seed}
    until = math.inf if chosen.max_seconds is None else began + DOCTOR_TIME * chosen.max_seconds
    material = opened_pairs(data, reader)
    if material is not None:
        check_pairs(chosen, material, tuple(changes), ancestor)
        material = healthy_pairs(material, chosen, quiet=json, strict=strict, **asked)
    else:
        check(chosen)
        with naming_left_out(strict):
            material = Items.open(data, levels=levels, columns=columns_of(reader))
        material = _healthy(material, chosen, strict=strict, until=until, **asked)
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
    from twofold.terminal import bars, interruption
    from twofold.train.distributed import started
    from twofold.train.listed import fit_material

    with (
        started(device) as (processes, device),
        bars.training(quiet=quiet or not processes.first) as watch,
        interruption.ending() as ending,
    ):
        if not quiet and processes.first:
            say(precision.said(recipe.precision, training_device(device)))
        where = {"device": device, "checkpoints": replace(kept, asked=ending)}
        try:
            bundle = fit_material(
                recipe, material, watch=watch, ancestor=ancestor, **where, **asked
            )
        except Interrupted as ended:
            if ending() == signal.SIGINT:
                raise KeyboardInterrupt(str(ended)) from None
            raise
        except KeyboardInterrupt:
            if states := kept.states:
                say(
                    f"{states[-1]} holds the state of the training: run the same command with "
                    f"--resume to continue"
                )
            raise
    return bundle if processes.first else None


def calibrate(
    bundle: Path,
    data: Path | None = None,
    /,
    *,
    far: Rate = 1e-2,
    frr: MaybeRate = None,
    standing: Literal["guaranteed", "certified", "estimate"] | None = None,
    estimate: Flag = False,
    levels: Levels = 1,
    out: MaybeOut = None,
    settings: Set = (),
    force: Flag = False,
    device: str | None = None,
    strict: Flag = False,
    json: Json = False,
) -> int:
    """Find the threshold whose false-accept rate holds on identities the model has never seen.

    Args:
        bundle: what `twofold train` wrote, or the word pretrained, minilm, face or vectors. Or,
            without DATA, scores or vectors of any model (CSV, TSV, Parquet, npy) with their
            identities.
        data: the training data (the held-out identities are used), new data, or a table of pairs.
        far: false-accept rate that must hold; 1e-2 is one impostor pair in a hundred.
        frr: false-reject rate that must hold below a second threshold; between the two the answer
            is unsure.
        standing: what the rate rests on. guaranteed: holds for any population that the identities
            are drawn from (about 600 identities for 1e-2). certified: holds unless a few rare
            identities make most of the false accepts (about 100). estimate: the measured rate,
            without a bound. By default a guarantee if it costs few genuine pairs, else a
            certificate.
        estimate: short for --standing estimate.
        levels: 2 for nested folders: group/identity/file.
        out: folder for the calibrated bundle; by default it replaces BUNDLE. For scores: the
            contract, a JSON file.
        settings: --set confidence=0.99 (of each certificate), prior=0.01 (share of genuine pairs
            for which the probability holds), seed=1 (of the bootstrap), distance=euclidean (of
            vectors without a bundle), fpir=0.01 gallery=1000 enrolled=1 (a threshold for identify:
            the rate at which strangers are named, with this many identities and items of each),
            references=5 (also a threshold for each number of references from 2 to 5, for `verify`
            with several files and for `identify`), fusion=mean (how they are compared: by their
            mean, their best or a learned rule), groups=true (also a threshold for each group of
            DATA), cohort=200 (hold out this many
            identities to normalise scores), site=group (identities of one group were recruited
            together: certify by group; site=none: ignore a column site); may be repeated.
        force: replace another bundle at OUT.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        strict: refuse if any file cannot be read; otherwise such files are left out.
        json: print one JSON object.
    """
    chosen = settings_over(settings, CALIBRATION)
    prior, distance = chosen.pop("prior"), chosen.pop("distance")
    many = {
        "fpir": chosen.pop("fpir"),
        "size": chosen.pop("gallery"),
        "enrolled": chosen.pop("enrolled"),
    }
    further = {name: chosen.pop(name) for name in ("references", "fusion", "groups", "cohort")}
    further["fusion"], site = _fusion(further["fusion"]), _site(chosen)
    if bool(many["fpir"]) != bool(many["size"]):
        raise UsageError(
            "--set fpir=0.01 and --set gallery=1000 go together: a rate, and for how many enrolled"
        )
    if estimate and standing not in (None, "estimate"):
        raise UsageError(
            f"--estimate and --standing {standing} contradict each other: give one of them"
        )
    chosen |= {"far": far, "frr": frr, "standing": "estimate" if estimate else standing}
    if data is None:
        if _asked_further(many, further):
            raise UsageError(
                "fpir, references, groups and cohort need a bundle: give BUNDLE and DATA"
            )
        return _calibrate_scores(
            bundle, out, distance=distance, prior=prior, site=site, json=json, chosen=chosen
        )
    from twofold.bundle import Bundle
    from twofold.calibration.pairs import calibrate as certify
    from twofold.data.items import Items
    from twofold.inputs.optional import columns as columns_of
    from twofold.terminal import bars, next_steps

    known = loaded(bundle, device, [data], distance=distance)
    reader = known.twin.input
    refuse_other_kind(data, reader, str(bundle))
    if out is None and not bundle.exists():
        raise UsageError(
            f"{bundle} is not a folder to write a calibration into: say where with --out BUNDLE"
        )
    place = out or bundle
    Bundle.check_place(place, replace=force or resolved(place) == resolved(bundle))
    if (pairs := opened_pairs(data, reader)) is not None:
        asked = _asked_further(many, further)
        with naming_left_out(strict):
            done = calibrated_on_pairs(known, pairs, chosen=chosen, further=asked, quiet=json)
        following = next_steps.after_calibrating_on_pairs(done, place, data, pairs)
        return _finished(done, place, following, prior=prior, json=json)
    with naming_left_out(strict):
        items = Items.open(data, levels=levels, columns=columns_of(reader)).at_sites(site)
        with bars.bar("embedding", quiet=json) as progress:
            done = certify(known, items, progress=progress, **chosen)
        if known.crossfit_of(items) is None:
            for note in known.part(items, "calibrate").notes:
                say(note)
        done = _variants(done, items, chosen, many=many, **further)
    following = next_steps.after_calibrating(done, place, data, items, levels=levels)
    return _finished(done, place, following, prior=prior, json=json)


def _finished(done: "Bundle", place: Path, following: str, *, prior: float, json: bool) -> int:
    """A calibrated bundle is saved and told of."""
    from twofold.terminal import wording

    done = done.with_calibration(done.calibration and done.calibration.with_prior(prior))
    done.save(place)
    if json:
        print_json(done.contract.to_dict()["calibration"])
    else:
        show(wording.calibrated(done.contract, place), following)
    return YES


def _asked_further(many: dict[str, Any], further: dict[str, Any]) -> bool:
    """Whether thresholds besides that of one comparison were asked for."""
    return bool(many["fpir"] or further["references"] or further["groups"] or further["cohort"])


def _fusion(asked: str) -> Any:
    """What --set fusion says."""
    if asked not in ("mean", "best", "learned"):
        raise UsageError(f"--set fusion={asked}: give mean, best or learned")
    return asked


def _site(chosen: dict[str, Any]) -> Any:
    """What --set site says, taken out of the settings."""
    if (site := chosen.pop("site")) not in ("site", "group", "none"):
        raise UsageError(
            f"--set site={site}: give site (a column of that name counts), group or none"
        )
    return site


def _variants(
    done: "Bundle",
    items: "Items",
    chosen: dict[str, Any],
    *,
    many: dict[str, Any],
    references: int,
    fusion: "Fusion",
    groups: bool,
    cohort: int,
) -> "Bundle":
    """A calibrated bundle with the further thresholds that were asked for; each goes by those before it."""
    from twofold.calibration.cohort import calibrate_cohort
    from twofold.calibration.groups import calibrate_groups, with_groups
    from twofold.calibration.open_set import calibrate_gallery
    from twofold.calibration.references import calibrate_references

    known = {"seed": chosen["seed"], "standing": chosen["standing"]}
    if cohort:
        done = calibrate_cohort(done, items, identities=cohort)
    if many["fpir"]:
        done = calibrate_gallery(done, items, **known, **many)
    if references:
        done = calibrate_references(done, items, count=references, fusion=fusion, **known)
    return with_groups(done, calibrate_groups(done, items, **chosen)) if groups else done


def _calibrate_scores(
    path: Path,
    out: Path | None,
    *,
    distance: str,
    prior: float,
    site: str,
    json: bool,
    chosen: dict[str, Any],
) -> int:
    """Scores or vectors of any model in, a contract out."""
    from twofold.calibration.pairs import calibrate_scores
    from twofold.data.scores import Scores
    from twofold.terminal import wording

    if path.is_dir():
        raise UsageError(
            f"{path} is a bundle, to be calibrated on DATA: twofold calibrate {path} DATA"
        )
    if out is not None:
        check_file_place(out, name="--out")
    if site == "group":
        raise UsageError(
            "--set site=group is for DATA of a bundle: name the column of scores or vectors site"
        )
    scores = Scores.open(path, distance=distance)
    contract = calibrate_scores(replace(scores, sites=None) if site == "none" else scores, **chosen)
    if contract.calibration is not None:
        contract = contract.with_calibration(contract.calibration.with_prior(prior))
    if out is not None:
        contract.save(out)
    print_json(contract.to_dict()) if json else show(wording.calibrated(contract, out))
    return YES


def _healthy(
    items: "Items", recipe: "Recipe", *, strict: bool, until: float, **asked: Any
) -> "Items":
    """Those of the items that can be read, if nothing that the doctor finds stands against training on them.

    Args:
        until: when the doctor must have ended (`time.monotonic`).
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
        if finding.level == "warning" or finding.code == "adapted":
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

"""The command that gives a bundle, or the scores of any model, a threshold."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from twofold.cli.archive import loaded
from twofold.cli.kinds import refuse_other_kind
from twofold.cli.options import (
    YES,
    Flag,
    Json,
    MaybeOut,
    Set,
    naming_left_out,
    print_json,
    say,
    settings_over,
    show,
)
from twofold.cli.pair_tables import (
    calibrated_on_pairs,
    opened_pairs,
)
from twofold.cli.values import Levels, MaybeRate, Rate
from twofold.errors import UsageError
from twofold.places import check_file_place, resolved

if TYPE_CHECKING:
    from twofold.bundle import Bundle
    from twofold.data.items import Items
    from twofold.fusion import Fusion
    from twofold.metrics.cohort import Side

__all__ = ["CALIBRATION", "calibrate"]

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
    "cohort_side": "both",
    "site": "site",
}
"""What --set knows in `calibrate`, and what counts without it."""


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
            mean, their best, a learned rule, or relative to how alike they are), groups=true (also a
            threshold for each group of DATA), cohort=200 (hold out this many identities to
            normalise scores), cohort_side=weaker (by the side that is less like strangers:
            fragments, noisy recordings), site=group (identities of one group were recruited
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
    names = ("references", "fusion", "groups", "cohort", "cohort_side")
    further = {name: chosen.pop(name) for name in names}
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
    from twofold.fusion import Fusion

    if asked not in (rules := get_args(Fusion)):
        raise UsageError(f"--set fusion={asked}: give {', '.join(rules[:-1])} or {rules[-1]}")
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
    cohort_side: "Side",
) -> "Bundle":
    """A calibrated bundle with the further thresholds that were asked for; each goes by those before it."""
    from twofold.calibration.cohort import calibrate_cohort
    from twofold.calibration.groups import calibrate_groups, with_groups
    from twofold.calibration.open_set import calibrate_gallery
    from twofold.calibration.references import calibrate_references

    known = {"seed": chosen["seed"], "standing": chosen["standing"]}
    if cohort:
        done = calibrate_cohort(done, items, identities=cohort, side=cohort_side)
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

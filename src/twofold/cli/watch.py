"""Commands that judge a bundle: evaluate on identities it has never seen, monitor what it meets in production."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from twofold.cli.archive import loaded
from twofold.cli.change_models import evaluate_scenes
from twofold.cli.kinds import refuse_other_kind
from twofold.cli.options import (
    NO,
    UNSURE,
    YES,
    Flag,
    Json,
    Set,
    naming_left_out,
    print_json,
    settings_over,
    show,
)
from twofold.cli.pair_tables import opened_pairs
from twofold.cli.track_models import evaluate_sequences, holds_sequences
from twofold.cli.values import Levels, MaybeRate, OutFile, Rate
from twofold.errors import UsageError

__all__ = ["evaluate", "monitor"]

EVALUATION = {"pictures": True, "seed": 0, "confidence": 0.95, "results": None}
MONITORING = {"looks": 1, "genuine": None, "distance": "cosine"}
"""What --set knows, and what counts without it."""


def evaluate(
    bundle: Path,
    data: Path,
    /,
    *,
    far: MaybeRate = None,
    against: Path | None = None,
    gallery: Path | None = None,
    closed_set: Flag = False,
    report: OutFile = None,
    levels: Levels = 1,
    settings: Set = (),
    device: str | None = None,
    strict: Flag = False,
    json: Json = False,
) -> int:
    """Measure a bundle on identities it has never seen, every number with its interval.

    Args:
        bundle: what `twofold train` wrote; or a contract (JSON) that `twofold calibrate SCORES`
            wrote.
        data: the training data (the held-out identities are used), new data, or a table of pairs;
            with a contract: scores or vectors; with a bundle of change: scenes, as for train; with
            a bundle of tracking: a folder of sequences (OTB, GOT-10k, films with a CSV of boxes).
        far: false-accept rate at which to report the true-accept rate; by default the calibrated
            one.
        against: another bundle: by how much is it better than the first on the same identities?
        gallery: how often is the nearest example of this data of the right class? DATA and GALLERY
            hold the same classes, as the TEST and TRAIN of a public set do.
        closed_set: with --gallery: the classes are those that the bundle was trained on. The
            numbers then say nothing of other classes.
        report: write a page with curves, hardest pairs, groups and a map to this file (one HTML
            file that opens offline), and MODEL_CARD.md into the bundle's folder.
        levels: 2 for nested folders: group/identity/file.
        settings: --set pictures=false (no pictures or texts of DATA on the page), seed=1 (of random
            choices), confidence=0.9 (of the intervals; 0.95 on a page and with --against),
            results=FOLDER (of tracking: result files in OTB's and GOT-10k's formats); may be
            repeated.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        strict: refuse unreadable files; by default they are left out.
        json: print one JSON object; with --report it holds the numbers of the page too.
    """
    chosen = settings_over(settings, EVALUATION)
    pictures, seed, confidence = chosen["pictures"], chosen["seed"], chosen["confidence"]
    asked = {"far": far, "seed": seed, "levels": levels, "device": device, "json": json}
    if bundle.suffix == ".json" and device is not None:
        raise UsageError(f"{bundle} is a contract, which runs no network: leave --device out")
    kind = _kind(bundle, data)
    _refuse_of_kind(kind, chosen["results"], (far, against, levels), report)
    if kind != "embedding":
        rest = {"confidence": confidence, "seed": seed, "device": device, "json": json}
        if kind == "track":
            return evaluate_sequences(bundle, data, results=chosen["results"], **rest)
        return evaluate_scenes(bundle, data, report=report, pictures=pictures, **rest)
    if gallery is not None or closed_set:
        others = {"--far": far, "--against": against, "--report": report}
        given = [name for name, value in others.items() if value is not None]
        return _nearest(bundle, data, gallery, closed_set=closed_set, given=given, **asked)
    if report is not None:
        if against is not None:
            raise UsageError("--report is about one bundle: leave --against out")
        with naming_left_out(strict):
            return _report(bundle, data, report, pictures=pictures, **asked)
    if bundle.suffix == ".json":
        return _evaluate_scores(bundle, data, far=far, confidence=confidence, seed=seed, json=json)
    if against is not None:
        with naming_left_out(strict):
            return _compare(bundle, against, data, **asked)
    from twofold.apps.evaluate import evaluate as measure
    from twofold.apps.evaluate_pairs import evaluate_pairs
    from twofold.data.items import Items
    from twofold.inputs.optional import columns
    from twofold.terminal import bars, next_steps, wording

    known, asked = (
        loaded(bundle, device, [data]),
        {"far": far, "confidence": confidence, "seed": seed},
    )
    refuse_other_kind(data, known.twin.input, str(bundle))
    with naming_left_out(strict), bars.stages(quiet=json) as watch:
        if (pairs := opened_pairs(data, known.twin.input)) is not None:
            evaluation = evaluate_pairs(known, pairs, watch=watch, **asked)
            following = (
                "" if known.calibration is None else next_steps.after_evaluating_pairs(bundle, data)
            )
        else:
            items = Items.open(data, levels=levels, columns=columns(known.twin.input))
            evaluation = measure(known, items, watch=watch, **asked)
            following = next_steps.after_evaluating(known, bundle, data, items, levels=levels)
    print_json(wording.evaluation_told(evaluation)) if json else show(
        wording.evaluation(evaluation), following
    )
    return YES


def _kind(bundle: Path, data: Path) -> str:
    """What kind of bundle is asked; the word pretrained means what DATA is for."""
    from twofold.bundle_files import kind_of

    ready = bundle == Path("pretrained") and not bundle.exists() and holds_sequences(data)
    return "track" if ready else kind_of(bundle)


def _refuse_of_kind(
    kind: str,
    results: object,
    given: tuple[float | None, Path | None, int],
    report: Path | None,
) -> None:
    """Raise UsageError where an option is given that a bundle of this kind does not have."""
    if results is not None and kind != "track":
        raise UsageError("--set results=FOLDER is for bundles of tracking: leave it out")
    if kind == "embedding":
        return
    if report is not None and kind == "track":
        raise UsageError("--report: an evaluation of tracking has no page; leave it out")
    does = {"change": "maps change", "track": "follows objects"}.get(kind, f"is for {kind}")
    far, against, levels = given
    named = {"--far": far, "--against": against, "--levels": levels if levels != 1 else None}
    for name, value in named.items():
        if value is not None:
            raise UsageError(
                f"{name} is for bundles that compare embeddings, and this one {does}: drop it"
            )


def _nearest(
    bundle: Path,
    data: Path,
    gallery: Path | None,
    *,
    closed_set: bool,
    given: list[str],
    levels: int,
    seed: int,
    device: str | None,
    json: bool,
    far: None = None,
) -> int:
    """`evaluate` against the examples of a gallery.

    Args:
        given: options that were given and mean nothing here.
    """
    from twofold.apps.closed_set import nearest_example
    from twofold.data.items import Items
    from twofold.inputs.optional import columns
    from twofold.terminal import bars, wording

    if gallery is None:
        raise UsageError(
            "--closed-set is for --gallery: give the examples to compare with, such as the data "
            "that the bundle was trained on"
        )
    if given:
        raise UsageError(f"{given[0]} is about pairs, and --gallery about examples: leave one out")
    known = loaded(bundle, device, [data])
    for each in (data, gallery):
        refuse_other_kind(each, known.twin.input, str(bundle))
    with naming_left_out(), bars.stages(quiet=json) as watch:
        items, examples = (
            Items.open(each, levels=levels, columns=columns(known.twin.input))
            for each in (data, gallery)
        )
        found = nearest_example(
            known, items, examples, closed_set=closed_set, seed=seed, watch=watch
        )
    print_json(asdict(found)) if json else show(wording.nearest_example(found))
    return YES


def _evaluate_scores(
    path: Path, data: Path, *, far: float | None, confidence: float, seed: int, json: bool
) -> int:
    """`evaluate` of a contract, on scores or vectors of any model."""
    from twofold.apps.scored import evaluate_scores
    from twofold.contract import Contract
    from twofold.data.scores import Scores
    from twofold.terminal import wording

    contract = Contract.load(path)
    listed = Scores.open(data, distance=contract.distance if contract.dim else "cosine")
    evaluation = evaluate_scores(
        listed, contract=contract, far=far, confidence=confidence, seed=seed
    )
    print_json(wording.evaluation_told(evaluation)) if json else show(
        wording.evaluation(evaluation)
    )
    return YES


def _compare(
    first: Path,
    second: Path,
    data: Path,
    *,
    far: float | None,
    levels: int,
    seed: int,
    device: str | None,
    json: bool,
) -> int:
    """By how much the second bundle is better."""
    from twofold.apps.compare import compare
    from twofold.data.items import Items
    from twofold.inputs.optional import columns
    from twofold.terminal import wording

    known = loaded(first, device)
    rate = far or (known.calibration.far if known.calibration else 1e-2)
    items = Items.open(data, levels=levels, columns=columns(known.twin.input))
    found = compare(known, loaded(second, device), items, far=rate, seed=seed)
    print_json(wording.estimates_told(found)) if json else show(
        wording.differences(found, first, second)
    )
    return YES


def _report(bundle: Path, data: Path, page: Path, *, json: bool, **asked: Any) -> int:
    """`evaluate` with a page and a model card."""
    from twofold.apps.listed_report import opened_report
    from twofold.report.measured import numbers
    from twofold.report.writing import write_report
    from twofold.terminal import bars, wording

    with bars.stages(quiet=json) as watch:
        found = opened_report(bundle, data, watch=watch, **asked)
    written = write_report(found, page, beside=bundle if bundle.is_dir() else None)
    print_json(numbers(found)) if json else show(wording.evaluation(found.evaluation))
    for path in () if json else written:
        show(f"written to {path}")
    return YES


def monitor(
    bundle: Path,
    scores: Path,
    /,
    *,
    false_alarms: Rate = 0.01,
    settings: Set = (),
    json: Json = False,
) -> int:
    """Have production scores drifted from the calibration? Exit code 0 no drift, 1 drift, 3 too little data to tell.

    Args:
        bundle: a calibrated bundle, or a contract (JSON) that `twofold calibrate SCORES` wrote.
        scores: production scores: JSON lines, CSV, TSV or Parquet with `score`, and if known
            `same`, `identity_a` and `identity_b` (or `a` and `b`), `group`, `at`; the output of
            `verify --pairs`; or vectors, preferably with labels.
        false_alarms: how often a run may report drift if there is none.
        settings: --set looks=52 (the rate of false alarms is for this many runs together),
            genuine=0.9 (at least this share of the pairs is genuine), distance=euclidean (of
            vectors without a bundle); can be given several times.
        json: print one JSON object.
    """
    from twofold.apps.monitor import monitor as look
    from twofold.apps.monitor import opened
    from twofold.terminal import wording

    chosen = settings_over(settings, MONITORING)
    contract, listed = opened(bundle, scores, distance=chosen["distance"])
    found = look(
        contract,
        listed,
        false_alarms=false_alarms,
        looks=chosen["looks"],
        genuine=chosen["genuine"] or 0.0,
    )
    print_json(asdict(found)) if json else show(wording.drift(found))
    return {"no drift": YES, "drift": NO, "too little data": UNSURE}[found.decision]

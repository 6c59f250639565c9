"""Every command, one thin typed function each. Nothing heavy is imported until a command needs it.

Exit codes: 0 yes, 1 no match, 2 wrong use or bad data (one line; --debug shows the traceback), 3 unsure,
143 a training that SIGTERM has ended, its state kept.
"""

import json as jsonlib
import signal
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import App, Parameter

from twofold import __version__
from twofold.errors import DataError, Interrupted, TwofoldError, UsageError, nearest

if TYPE_CHECKING:
    from twofold.data.items import Items

__all__ = ["app", "main"]

app = App(name="twofold", version=__version__, help="Are these two the same? Twin networks with a stated error rate.")

YES, NO, WRONG, UNSURE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143

CALIBRATION = {
    "confidence": 0.95,
    "prior": 0.5,
    "seed": 0,
    "distance": "cosine",
    "fpir": 0.0,
    "gallery": 0,
    "enrolled": 1,
}
"""What --set knows in `calibrate`, and what counts without it."""

Out = Annotated[Path, Parameter(name=["--out", "-o"])]
Set = Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=False, negative="")]
Json = Annotated[bool, Parameter(name="--json", negative="")]
Flag = Annotated[bool, Parameter(negative="")]


@app.command
def doctor(
    data: Path,
    /,
    *,
    levels: int = 1,
    p: int = 16,
    k: int = 4,
    against: Path | None = None,
    bundle: Path | None = None,
    fix: Path | None = None,
    seed: int = 0,
    json: Json = False,
) -> int:
    """Say what is wrong with DATA before a minute is spent on training; exit code 2 if it cannot be trained on.

    Args:
        data: a folder with one sub-folder an identity, or a table with the columns path and label, and if there is,
            split or part: nothing should stand in two of them.
        levels: 2 for folders of folders: group/identity/file.
        p: identities a batch shall hold.
        k: items an identity a batch shall hold.
        against: other data, of which nothing should be in DATA.
        bundle: a trained bundle: its vectors judge labels, and find more copies.
        fix: write a cleaned table OUT.csv, and OUT.dropped.csv with what was left out and why; files stay as they are.
        seed: of what is drawn.
        json: print one JSON object.
    """
    from twofold import terminal, wording
    from twofold.apps.checkup import checkup
    from twofold.bundle import Bundle
    from twofold.data.cleaning import write_cleaned
    from twofold.data.items import Items
    from twofold.data.tables import parts_of
    from twofold.inputs import Image

    items = Items.open(data, levels=levels)
    others = parts_of(data) if against is None else Items.open(against, levels=levels)
    reader = Image() if bundle is None else Bundle.load(bundle)
    with terminal.bar("reading", quiet=json) as progress:
        found = checkup(items, reader, p=p, k=k, against=others, seed=seed, progress=progress)
    beside = None if fix is None else write_cleaned(items, found.dropped, fix)
    if json:
        told = {"items": len(items), "identities": len(items.identities)}
        told |= {"findings": [asdict(finding) for finding in found.findings]}
        told |= {"dropped": {items.ids[place]: reason for place, reason in found.dropped.items()}}
        _print_json(told)
    else:
        _show(wording.items(items), wording.findings(found.findings))
        if fix is not None and beside is not None:
            _show(wording.cleaned(len(items), len(found.dropped), fix, beside))
    return WRONG if any(finding.level == "fatal" for finding in found.findings) else YES


@app.command
def train(
    recipe: str,
    data: Path,
    /,
    *,
    out: Out,
    settings: Set = (),
    seed: int = 0,
    levels: int = 1,
    resume: Flag = False,
    max_time: float | None = None,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Learn from DATA what is the same, and keep unseen identities aside to calibrate and evaluate on.

    On several GPUs or processors: torchrun --nproc-per-node N -m twofold train ...

    Args:
        recipe: a built-in name (face, signature, character, generic) or a TOML file.
        data: a folder with one sub-folder an identity, or a table.
        out: where the bundle goes.
        settings: change the recipe, --set loss.margin=0.3; can be given several times.
        seed: the same seed gives the same weights.
        levels: 2 for folders of folders: group/identity/file.
        resume: go on where an interrupted training of the same OUT stopped.
        max_time: stop cleanly after so many seconds.
        device: cpu or cuda; by default what there is.
        json: print one JSON object.
    """
    from twofold import terminal, wording
    from twofold.bundle import Bundle
    from twofold.recipes import find
    from twofold.train.checkpoint import Checkpoints
    from twofold.train.distributed import started
    from twofold.train.fit import fit_recipe

    changes = dict(_setting(text) for text in settings) | ({} if max_time is None else {"max_seconds": max_time})
    chosen = find(recipe).replace(changes)
    Bundle.check_place(out)
    items = _healthy(data, levels, chosen)
    with (
        started(device) as (processes, device),
        terminal.training(quiet=json or not processes.first) as watch,
        terminal.noting(signal.SIGTERM) as terminated,
    ):
        checkpoints = Checkpoints(out.with_name(out.name + ".training"), resume=resume, asked=terminated)
        bundle = fit_recipe(chosen, items, seed=seed, device=device, checkpoints=checkpoints, watch=watch)
    if not processes.first:
        return YES
    bundle.save(out)
    if json:
        _print_json({"bundle": str(out), "fingerprint": bundle.fingerprint, **bundle.training})
    else:
        _show(wording.trained(bundle, out, data))
    return YES


@app.command
def calibrate(
    bundle: Path,
    data: Path | None = None,
    /,
    *,
    far: float = 1e-2,
    frr: float | None = None,
    estimate: Flag = False,
    levels: int = 1,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    settings: Set = (),
    json: Json = False,
) -> int:
    """Find the threshold whose false-accept rate is certified on identities the model has never seen.

    Args:
        bundle: what `twofold train` wrote; the calibration is written into it. Or, without DATA, scores or vectors of
            any model (CSV, TSV, Parquet, npy) with their identities.
        data: the data it was trained from (the identities kept aside are used), or new data.
        far: false-accept rate to certify, 1e-2 is one impostor pair in a hundred.
        frr: false-reject rate to certify below a second threshold; between the two the answer is unsure.
        estimate: where the data cannot certify the rate, take the plain estimate and say so in every verdict.
        levels: 2 for folders of folders: group/identity/file.
        out: where the contract of any model's scores goes, as JSON.
        settings: --set confidence=0.99 (of each certificate), prior=0.01 (share of genuine pairs for which the
            probability holds), seed=1 (of the bootstrap), distance=euclidean (of vectors without a bundle),
            fpir=0.01 gallery=1000 enrolled=1 (a threshold for identify: how often a stranger may be taken for one of so
            many, each enrolled with so many items); can be given several times.
        json: print one JSON object.
    """
    chosen = _settings(settings, CALIBRATION)
    prior, distance = chosen.pop("prior"), chosen.pop("distance")
    many = {"fpir": chosen.pop("fpir"), "size": chosen.pop("gallery"), "enrolled": chosen.pop("enrolled")}
    if bool(many["fpir"]) != bool(many["size"]):
        raise UsageError("--set fpir=0.01 and --set gallery=1000 go together: a rate, and for how many enrolled")
    chosen |= {"far": far, "frr": frr, "estimate": estimate}
    if data is None:
        if many["fpir"]:
            raise UsageError("fpir is measured with a bundle: give BUNDLE and DATA")
        return _calibrate_scores(bundle, out, distance=distance, prior=prior, json=json, chosen=chosen)
    if out is not None:
        raise UsageError("--out is for scores without a bundle: the calibration of a bundle is written into it")
    from twofold import terminal, wording
    from twofold.bundle import Bundle
    from twofold.data.items import Items
    from twofold.train.calibrate import calibrate as certify
    from twofold.train.gallery import calibrate_gallery

    known = Bundle.load(bundle)
    items = Items.open(data, levels=levels)
    with terminal.bar("embedding", quiet=json) as progress:
        done = certify(known, items, progress=progress, **chosen)
    if many["fpir"]:
        done = calibrate_gallery(done, items, seed=chosen["seed"], estimate=estimate, **many)
    if done.calibration is not None:
        done = done.with_calibration(done.calibration.with_prior(prior))
    done.save(bundle)
    calibration = done.contract.to_dict()["calibration"]
    _print_json(calibration) if json else _show(wording.calibrated(done.contract, bundle))
    return YES


def _calibrate_scores(
    path: Path, out: Path | None, *, distance: str, prior: float, json: bool, chosen: dict[str, Any]
) -> int:
    """Scores or vectors of any model in, a contract out."""
    from twofold import wording
    from twofold.data.scores import Scores
    from twofold.train.calibrate import calibrate_scores

    if path.is_dir():
        raise UsageError(f"{path} is a bundle, to be calibrated on DATA: twofold calibrate {path} DATA")
    contract = calibrate_scores(Scores.open(path, distance=distance), **chosen)
    if contract.calibration is not None:
        contract = contract.with_calibration(contract.calibration.with_prior(prior))
    if out is not None:
        contract.save(out)
    _print_json(contract.to_dict()) if json else _show(wording.calibrated(contract, out))
    return YES


@app.command
def evaluate(
    bundle: Path,
    data: Path,
    /,
    *,
    far: float | None = None,
    against: Path | None = None,
    report: Path | None = None,
    pictures: bool = True,
    levels: int = 1,
    seed: int = 0,
    json: Json = False,
) -> int:
    """Measure a bundle on identities it has never seen, every number with its interval.

    Args:
        bundle: what `twofold train` wrote; or a contract (JSON) that `twofold calibrate SCORES` wrote.
        data: the data it was trained from (its kept-aside identities are used), new data, or a table of pairs; with a
            contract: scores or vectors.
        far: false-accept rate at which the true-accept rate is wanted; by default the calibrated one.
        against: another bundle: by how much is it better than the first on the same identities?
        report: where a page with curves, hardest pairs, groups and a map goes (one HTML file that opens offline);
            MODEL_CARD.md is then written into the bundle's folder.
        pictures: --no-pictures leaves the things themselves out of the page.
        levels: 2 for folders of folders: group/identity/file.
        seed: of what is drawn.
        json: print one JSON object; with --report it holds the numbers of the page too.
    """
    if report is not None:
        if against is not None:
            raise UsageError("--report is about one bundle: leave --against out")
        return _report(bundle, data, report, far=far, pictures=pictures, levels=levels, seed=seed, json=json)
    from twofold import terminal, wording
    from twofold.apps.compare import compare
    from twofold.apps.evaluate import evaluate as measure
    from twofold.apps.evaluate import evaluate_pairs
    from twofold.bundle import Bundle
    from twofold.data.items import Items
    from twofold.data.pairs import Pairs

    if bundle.suffix == ".json":
        from twofold.apps.scored import evaluate_scores
        from twofold.contract import Contract
        from twofold.data.scores import Scores

        contract = Contract.load(bundle)
        listed = Scores.open(data, distance=contract.distance if contract.dim else "cosine")
        evaluation = evaluate_scores(listed, contract=contract, far=far, seed=seed)
        _print_json(asdict(evaluation)) if json else _show(wording.evaluation(evaluation))
        return YES
    known = Bundle.load(bundle)
    if against is not None:
        rate = far or (known.calibration.far if known.calibration else 1e-2)
        found = compare(known, Bundle.load(against), Items.open(data, levels=levels), far=rate, seed=seed)
        _print_json([asdict(each) for each in found]) if json else _show(wording.differences(found, bundle, against))
        return YES
    with terminal.stages(quiet=json) as watch:
        if Pairs.found(data):
            evaluation = evaluate_pairs(known, Pairs.from_table(data), far=far, seed=seed, watch=watch)
        else:
            evaluation = measure(known, Items.open(data, levels=levels), far=far, seed=seed, watch=watch)
    _print_json(asdict(evaluation)) if json else _show(wording.evaluation(evaluation))
    return YES


def _report(
    bundle: Path, data: Path, page: Path, *, far: float | None, pictures: bool, levels: int, seed: int, json: bool
) -> int:
    """`evaluate` with a page and a model card."""
    from twofold import terminal, wording
    from twofold.apps.evaluation_report import opened_report
    from twofold.report.measured import numbers
    from twofold.report.writing import write_report

    with terminal.stages(quiet=json) as watch:
        found = opened_report(bundle, data, far=far, pictures=pictures, levels=levels, seed=seed, watch=watch)
    written = write_report(found, page, beside=bundle if bundle.is_dir() else None)
    _print_json(numbers(found)) if json else _show(wording.evaluation(found.evaluation))
    for path in () if json else written:
        _show(f"written to {path}")
    return YES


@app.command
def verify(
    bundle: Path,
    a: Path | None = None,
    b: Path | None = None,
    /,
    *,
    pairs: Path | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    json: Json = False,
) -> int:
    """Are A and B the same? Exit code 0 yes, 1 no, 3 unsure; with --pairs a verdict for each row of a table, and 0.

    Args:
        bundle: a calibrated bundle.
        a: one file.
        b: the other file.
        pairs: a table with the columns a and b.
        out: where the verdicts of --pairs go, as CSV; by default to the terminal.
        json: print JSON.
    """
    from twofold import wording
    from twofold.apps.verify import verify as judge
    from twofold.apps.verify import verify_pairs
    from twofold.bundle import Bundle
    from twofold.data.pairs import Pairs
    from twofold.files import write_atomically

    if (pairs is None) == (a is None or b is None):
        raise UsageError("give either two files, or --pairs TABLE")
    known = Bundle.load(bundle)
    if pairs is not None:
        listed = Pairs.from_table(pairs)
        table = wording.verdicts(listed, verify_pairs(known, listed), json=json)
        print(table, end="") if out is None else write_atomically(out, table.encode())
        return YES
    verdict = judge(known, a, b)
    _print_json(asdict(verdict)) if json else _show(wording.verdict(verdict))
    return {"same": YES, "different": NO, "unsure": UNSURE}[verdict.decision]


@app.command
def identify(bundle: Path, index: Path, query: Path, /, *, json: Json = False) -> int:
    """Who is this? Exit code 0 somebody enrolled, 1 nobody, 3 unsure.

    Args:
        bundle: a calibrated bundle.
        index: where `twofold enrol` put the identities.
        query: one file.
        json: print one JSON object.
    """
    from twofold import wording
    from twofold.apps.verify import identify as find
    from twofold.bundle import Bundle
    from twofold.store.index import Index

    known = Bundle.load(bundle)
    with Index.open(index) as gallery:
        found = find(known, gallery, query)
    _print_json(asdict(found)) if json else _show(wording.identification(found))
    return {"same": YES, "different": NO, "unsure": UNSURE}[found.decision]


@app.command
def enrol(bundle: Path, index: Path, label: str, files: list[Path], /, *, json: Json = False) -> int:
    """Remember LABEL by the embeddings of FILES; the files themselves are not kept.

    Args:
        bundle: what `twofold train` wrote.
        index: an index; made if it does not exist.
        label: who or what the files show.
        files: one file or more.
        json: print one JSON object.
    """
    from twofold.apps.verify import enrol as remember
    from twofold.bundle import Bundle
    from twofold.store.index import Index

    known = Bundle.load(bundle)
    make = Index.open(index) if index.exists() else Index.create(index, known.contract)
    with make as gallery:
        ids = remember(known, gallery, label, files)
        enrolled = len(gallery.labels)
    told = {"label": label, "ids": list(ids), "enrolled": enrolled}
    _print_json(told) if json else _show(f"enrolled {label} with {len(ids)} embeddings; the index knows {enrolled}")
    return YES


@app.command
def forget(bundle: Path, index: Path, label: str, /, *, json: Json = False) -> int:
    """Erase every byte of LABEL from the index.

    Args:
        bundle: the bundle that the index is pinned to.
        index: an index.
        label: whom to forget.
        json: print one JSON object.
    """
    from twofold import wording
    from twofold.apps.verify import forget as erase
    from twofold.bundle import Bundle
    from twofold.store.index import Index

    with Index.open(index) as gallery:
        receipt = erase(Bundle.load(bundle), gallery, label)
    _print_json(asdict(receipt)) if json else _show(wording.forgotten(receipt))
    return YES


@app.command
def info(path: Path, /, *, json: Json = False) -> int:
    """What a bundle or an index is: what it was made from, its threshold, its fingerprint.

    Args:
        path: a bundle or an index.
        json: print one JSON object.
    """
    from twofold import wording
    from twofold.bundle import Bundle
    from twofold.store.index import Index

    if Index.found(path):
        with Index.open(path) as index:
            told = {"kind": "index", "items": len(index), "labels": len(index.labels), **index.contract.to_dict()}
    else:
        bundle = Bundle.load(path)
        told = {"kind": "bundle", **bundle.contract.to_dict(), "recipe": bundle.recipe.model_dump(mode="json")}
        told |= {"parts": {name: len(names) for name, names in bundle.parts.items()}, "training": dict(bundle.training)}
    _print_json(told) if json else _show(wording.facts(told))
    return YES


@app.command
def demo(*, out: Out = Path("twofold-demo"), seed: int = 0, json: Json = False) -> int:
    """The whole way in about a minute, on characters drawn in the free fonts that matplotlib carries.

    Args:
        out: where the bundle, the index and the page go.
        seed: the same seed gives the same numbers.
        json: print one JSON object.
    """
    from twofold import terminal
    from twofold.demo import demo as run

    with terminal.training(quiet=json) as watch:
        result = run(out, seed=seed, watch=watch, say=watch.say)
    _print_json(result.plain()) if json else _show(terminal.story(result.story))
    return YES


def _healthy(data: Path, levels: int, recipe: Any) -> "Items":
    """The items of DATA, if nothing that the doctor finds stands against training on them."""
    from twofold import build, terminal
    from twofold.apps.doctor import doctor as examine
    from twofold.data.items import Items

    reader = build.check(recipe)
    items = Items.open(data, levels=levels)
    with terminal.bar("doctor") as progress:
        findings = examine(items, reader, p=recipe.p, k=recipe.k, progress=progress)
    fatal = [finding for finding in findings if finding.level == "fatal"]
    if fatal:
        raise DataError("; ".join(f"{finding.message}: {finding.remedy}" for finding in fatal))
    for finding in findings:
        if finding.level == "warning":
            print(f"{finding.message}: {finding.remedy}", file=sys.stderr)
    return items


def _setting(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"--set {text}: write it as key=value, for example --set loss.margin=0.3")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _settings(given: tuple[str, ...], known: dict[str, Any]) -> dict[str, Any]:
    """What --set says over the values that count without it; each of the same type as that, or None's."""
    chosen = dict(known)
    for key, value in map(_setting, given):
        if key not in known:
            raise UsageError(f"--set {key}: {nearest(key, known)}")
        wanted = type(known[key])
        value = float(value) if wanted is float and type(value) is int else value
        if known[key] is not None and type(value) is not wanted:
            raise UsageError(f"--set {key}={value}: a {wanted.__name__} belongs there, for example {known[key]!r}")
        chosen[key] = value
    return chosen


def _print_json(value: Any) -> None:
    print(jsonlib.dumps(value, indent=1, allow_nan=False, default=str))


def _show(*things: Any) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(*things, sep="\n")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    try:
        code = app([word for word in given if word != "--debug"], exit_on_error=False, result_action="return_value")
    except cyclopts.CycloptsError:
        sys.exit(WRONG)
    except TwofoldError as error:
        if debug:
            raise
        print(f"twofold: {error}", file=sys.stderr)
        sys.exit(TERMINATED if isinstance(error, Interrupted) else WRONG)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else YES)


if __name__ == "__main__":
    main()

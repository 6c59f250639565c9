"""train, evaluate and doctor of change: what these commands do where DATA holds scenes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.cli.options import WRONG, YES, print_json, show
from twofold.cli.training_run import run
from twofold.errors import UsageError

if TYPE_CHECKING:
    from twofold.config import Recipe
    from twofold.train.checkpoint import Checkpoints

__all__ = ["doctor_scenes", "evaluate_scenes", "refuse_scenes", "train_scenes"]


def refuse_scenes(data: Path, what: str) -> None:
    """Raise UsageError where DATA holds scenes and something else is wanted.

    Args:
        what: what wants something else, such as "the recipe generic".
    """
    from twofold.data.scenes import found_in

    if found_in(data):
        raise UsageError(
            f"{data} holds scenes (two dates of a place), and {what} reads items of identities: "
            f"twofold train change {data} -o BUNDLE learns what changed"
        )


def train_scenes(
    recipe: "Recipe",
    data: Path,
    out: Path,
    kept: "Checkpoints",
    *,
    fixed: Sequence[str],
    seed: int,
    device: str | None,
    json: bool,
) -> int:
    """`twofold train` of a recipe of change."""
    from twofold.data.scenes import Scenes
    from twofold.terminal import next_steps, wording
    from twofold.train.dense import fit_scenes

    bands = int(recipe.input.arguments.get("bands", 3))
    fitted = partial(fit_scenes, recipe, Scenes.open(data, bands=bands), fixed=fixed, seed=seed)
    bundle = run(fitted, kept, device=device, quiet=json)
    if bundle is None:
        return YES
    bundle.save(out)
    if json:
        print_json({"bundle": str(out), "fingerprint": bundle.fingerprint, **bundle.training})
        return YES
    following = (
        f"next: {next_steps.command('evaluate', out, data)}"
        if "test" in bundle.provenance.counts
        else f"next: {next_steps.command('change', out, 'before.tif', 'after.tif')}"
    )
    show(wording.change_trained(bundle, out), following)
    return YES


def evaluate_scenes(
    bundle: Path,
    data: Path,
    *,
    report: Path | None,
    pictures: bool,
    confidence: float,
    seed: int,
    device: str | None,
    json: bool,
) -> int:
    """`twofold evaluate` of a bundle of change."""
    from twofold.apps.change_pictures import ChangePictures
    from twofold.apps.evaluate_change import evaluate_change
    from twofold.change_bundle import ChangeBundle
    from twofold.data.scenes import Scenes
    from twofold.devices import device_of
    from twofold.files import write_atomically
    from twofold.report.change_page import change_page
    from twofold.terminal import bars, next_steps, wording

    where = device_of(device)
    known = ChangeBundle.load(bundle)
    known.twin.to(where)
    scenes = Scenes.open(data, bands=known.twin.input.bands)
    shown = ChangePictures() if report is not None and pictures else None
    with bars.stages(quiet=json) as watch:
        found = evaluate_change(
            known, scenes, confidence=confidence, seed=seed, watch=watch, show=shown
        )
    if report is not None:
        page = change_page(found, known.facts(), () if shown is None else shown.scenes)
        write_atomically(report, page.encode("utf-8", "backslashreplace"))
    if json:
        print_json(wording.change_evaluation_told(found))
        return YES
    following = f"next: {next_steps.command('change', bundle, 'before.tif', 'after.tif')}"
    show(wording.change_evaluation(found), following if report is None else f"written to {report}")
    return YES


def doctor_scenes(recipe: "Recipe", data: Path, *, seed: int, json: bool) -> int:
    """`twofold doctor` of scenes: every one is read as training would, and counted."""
    from twofold import build
    from twofold.data.scenes import Scenes
    from twofold.scene import opened

    twin = build.change_twin(recipe)
    scenes = Scenes.open(data, bands=twin.input.bands)
    rows = [
        {
            "scene": scene.id,
            "width": scene.truth.shape[1],
            "height": scene.truth.shape[0],
            "changed": float(scene.truth[scene.valid].mean()) if scene.valid.any() else 0.0,
            "valid": float(scene.valid.mean()),
        }
        for scene in opened(scenes, twin)
    ]
    fatal = not any(row["changed"] for row in rows)
    if json:
        print_json({"scenes": rows, "places": len(scenes.identities)})
        return WRONG if fatal else YES
    lines = [
        f"{row['scene']}  {row['width']} x {row['height']}  {row['changed']:.2%} changed"
        + ("" if row["valid"] == 1 else f", {1 - row['valid']:.2%} without a value")
        for row in rows
    ]
    parts = scenes.split(recipe.split, seed=seed)
    shared = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
    lines.append(f"{len(rows)} scenes of {len(scenes.identities)} places: {shared}")
    show("\n".join(lines), "no pixel has changed in any mask: is 255 (or 1) change?" * fatal)
    return WRONG if fatal else YES

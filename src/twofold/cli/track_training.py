"""train and doctor of tracking: what these commands do where a recipe is of kind track."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.cli.options import WRONG, YES, print_json, show
from twofold.cli.training_run import run

if TYPE_CHECKING:
    from twofold.config import Recipe
    from twofold.train.checkpoint import Checkpoints

__all__ = ["doctor_footage", "train_footage"]


def train_footage(
    recipe: "Recipe",
    data: Path,
    out: Path,
    kept: "Checkpoints",
    *,
    seed: int,
    device: str | None,
    json: bool,
) -> int:
    """`twofold train` of a recipe of tracking."""
    from twofold.data.footage import Footage
    from twofold.terminal import wording
    from twofold.train.track import fit_tracks

    fitted = partial(fit_tracks, recipe, Footage.open(data), seed=seed)
    bundle = run(fitted, kept, device=device, quiet=json)
    if bundle is None:
        return YES
    bundle.save(out)
    if json:
        print_json({"bundle": str(out), "fingerprint": bundle.fingerprint, **bundle.training})
        return YES
    show(wording.track_trained(bundle, out), f"next: twofold track {out} film.mp4 --box x,y,w,h")
    return YES


def doctor_footage(recipe: "Recipe", data: Path, *, seed: int, json: bool) -> int:
    """`twofold doctor` of footage: every file is read as training would, and counted."""
    from twofold import build
    from twofold.data.footage import Footage
    from twofold.train.footage import material_of

    footage = Footage.open(data)
    found = material_of(footage, exemplar_side=build.track_twin(recipe).exemplar_side)
    parts = footage.split(recipe.split, seed=seed)
    told = {
        "pictures": 0 if found.pictures is None else len(found.pictures.scenes),
        "cutouts": 0 if found.pictures is None else len(found.pictures.things),
        "sequences": len(found.clips),
        "files": len(footage),
        "parts": {name: len(part) for name, part in parts.items()},
    }
    unused = told["files"] - told["pictures"] - told["cutouts"] - told["sequences"]
    fatal = not (told["pictures"] or told["sequences"])
    if json:
        print_json(told | {"unused": unused})
        return WRONG if fatal else YES
    shared = ", ".join(f"{count} {name}" for name, count in told["parts"].items())
    lines = [
        f"{told['pictures']} pictures, {told['cutouts']} cut-outs (pictures with transparency), "
        f"{told['sequences']} sequences with boxes",
        f"{unused} left out: small, empty, or of one colour" if unused else "",
        f"{told['files']} files: {shared}",
    ]
    show("\n".join(filter(None, lines)), "")
    return WRONG if fatal else YES

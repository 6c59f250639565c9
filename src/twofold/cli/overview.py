"""Commands that show what there is: a recipe, a bundle or an index, the demo, and the usual path in this folder."""

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from twofold.cli.options import YES, Json, Out, print_exactly, print_json, show
from twofold.cli.values import Seed

if TYPE_CHECKING:
    from twofold.change_bundle import ChangeBundle
    from twofold.store.index import Index
    from twofold.track_bundle import TrackBundle

__all__ = ["demo", "info", "recipe", "usual_path"]

Everything = Annotated[bool, Parameter(name="--all", negative="")]

DEPTH = ("*", "*/*")
"""Where bundles are looked for: in this folder and in its folders (models/people)."""


def recipe(name: str = "generic", /) -> int:
    """Print a recipe as TOML, with a comment for every setting: save it, change it, and train with it.

    Args:
        name: a built-in name, as for `train`, or a TOML file.
    """
    from twofold.recipes import find

    print_exactly(find(name).toml(comments=True))
    return YES


def info(path: str, /, *, everything: Everything = False, json: Json = False) -> int:
    """Describe a bundle or an index: what it was made from, its threshold, its fingerprint.

    Args:
        path: a bundle, an index (a folder or the address of an engine), or what `twofold embed`
            wrote.
        everything: every stored number, not only the main facts.
        json: print one JSON object.
    """
    from twofold.bundle import Bundle
    from twofold.bundle_files import kind_of
    from twofold.change_bundle import ChangeBundle
    from twofold.store.index import Index
    from twofold.store.shards import Shards
    from twofold.terminal import next_steps, wording
    from twofold.track_bundle import TrackBundle

    if Shards.found(path):
        parts = Shards.open(path)
        told = {
            "kind": "embeddings",
            "items": parts.items,
            "parts": len(parts.parts),
            "missing": len(parts.missing()),
        }
        told |= parts.contract.to_dict()
    elif Index.found(path):
        with Index.open(path) as index:
            told = {
                "kind": "index",
                "items": len(index),
                "labels": len(index.labels),
                **_standing(index),
            }
            told |= index.contract.to_dict()
    elif kind_of(path) == "change":
        told = _told_of_other(ChangeBundle.load(path), plainly=not everything and not json)
    elif kind_of(path) == "track":
        told = _told_of_other(TrackBundle.load(path), plainly=not everything and not json)
    else:
        bundle = Bundle.load(path)
        told = {
            "kind": "bundle",
            **bundle.contract.to_dict(),
            "recipe": bundle.recipe.model_dump(mode="json"),
        }
        told |= {"parts": bundle.provenance.counts, "training": dict(bundle.training)}
        if not everything and not json:
            told = {
                "kind": "bundle",
                **bundle.facts(),
                "identities": wording.parts(bundle.provenance.counts),
            }
    if json:
        print_json(told)
    else:
        more = (
            ""
            if everything
            else f"everything that is kept: {next_steps.command('info', path, '--all')}"
        )
        show("\n".join(filter(None, [wording.facts(told), _of_track_too(path)])), more)
    return YES


def _told_of_other(bundle: "ChangeBundle | TrackBundle", *, plainly: bool) -> dict[str, Any]:
    """What is known of a bundle of change or of tracking; plainly: in a few words."""
    from twofold.terminal import wording

    kind, parts = bundle.recipe.kind, bundle.provenance.counts
    decided, data = {"change": ("threshold", "places"), "track": ("confidence", "pictures")}[kind]
    told = {"kind": f"bundle of {kind}"}
    if plainly:
        return told | {**bundle.facts(), data: wording.parts(parts)}
    calibrated = getattr(bundle, decided)
    return told | {
        "fingerprint": bundle.fingerprint,
        decided: None if calibrated is None else calibrated.to_dict(),
        "recipe": bundle.recipe.model_dump(mode="json"),
        "parts": parts,
        "training": dict(bundle.training),
    }


def _of_track_too(path: str) -> str:
    """That the word pretrained means another model in `track`."""
    from twofold.track_bundle import TrackBundle

    if path != "pretrained" or Path(path).exists():
        return ""
    facts = TrackBundle.pretrained().facts()
    return (
        f"in twofold track, the word pretrained means another model: {facts['network']}; "
        f"fingerprint {facts['fingerprint']}"
    )


def _standing(index: "Index") -> dict[str, Any]:
    """Of an index in a folder: who counts, neither expired nor revoked, and whether it is encrypted."""
    if not index.keeps_dates:
        return {}
    labels, items = index.standing()
    return {"items_that_count": items, "labels_that_count": labels, "protected": index.protected}


def demo(*, out: Out = Path("twofold-demo"), seed: Seed = 0, json: Json = False) -> int:
    """Run every step in about a minute, on characters drawn in the free fonts that matplotlib ships.

    Args:
        out: folder for the bundle, the index and the page.
        seed: the same seed gives the same numbers.
        json: print one JSON object.
    """
    from twofold.demo import demo as run
    from twofold.terminal import bars, screen

    with bars.training(quiet=json) as watch:
        result = run(out, seed=seed, watch=watch, say=watch.say)
    print_json(result.plain()) if json else show(screen.story(result.story))
    return YES


def usual_path(folder: Path) -> str:
    """The five commands from a folder of files to a verdict, and what has been done of them in this folder."""
    bundle, calibrated = _newest_bundle(folder)
    model = "models/people" if bundle is None else bundle.relative_to(folder).as_posix()
    steps = (
        ("twofold doctor people/", "check the data before training", False),
        (
            f"twofold train generic people/ -o {model}",
            "learn what the same means",
            bundle is not None,
        ),
        (
            f"twofold calibrate {model} people/ --far 1e-2",
            "find a threshold whose error rate holds",
            calibrated,
        ),
        (f"twofold evaluate {model} people/", "measure it on identities it has not seen", False),
        (f"twofold verify {model} a.jpg b.jpg", "are these two the same?", False),
    )
    wide = max(len(command) for command, _, _ in steps)
    lines = [f"{'✓' if done else ' '} {command:{wide}}  {what}" for command, what, done in steps]
    found = "there is no bundle in this folder yet" if bundle is None else f"{model} is trained"
    if bundle is not None:
        found += " and calibrated" if calibrated else ", and not calibrated yet"
    return "\n".join(
        [
            "Are these two the same? people/ stands for a folder with one sub-folder per identity.",
            "",
            *lines,
            "",
            f"{found}. No data at hand: twofold demo. All commands: twofold --help",
        ]
    )


def _newest_bundle(folder: Path) -> tuple[Path | None, bool]:
    """The bundle of this folder that was written last, and whether it has a threshold."""
    places = [place.parent for depth in DEPTH for place in folder.glob(f"{depth}/bundle.json")]
    if not places:
        return None, False
    newest = max(places, key=lambda place: (place / "bundle.json").stat().st_mtime)
    try:
        contract = jsonlib.loads((newest / "bundle.json").read_text(encoding="utf-8"))["contract"]
        return newest, contract["calibration"] is not None
    except (OSError, ValueError, KeyError, TypeError):
        return newest, False  # `twofold info` says what is wrong with it

"""A training of change and its evaluation in words."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from twofold.change_bundle import ChangeBundle
from twofold.plurals import counted
from twofold.printable import printable
from twofold.results import ChangeEvaluation
from twofold.terminal.wording.estimates import estimate_lines, estimates_told, training_took

__all__ = ["change_evaluation", "change_evaluation_told", "change_trained", "without_nan"]


def change_trained(bundle: ChangeBundle, out: Path) -> str:
    """What training came to."""
    known = bundle.training
    best = known["best"].get("f1")
    parts = ", ".join(f"{count} {part}" for part, count in known["scenes"].items())
    lines = [
        training_took(known)
        + ("" if best is None else f"; best F1 on validation scenes: {best:.4f}"),
        *(f"note: {printable(note)}" for note in (*known["adapted"], *known["notes"])),
        f"threshold: {bundle.facts()['threshold']}",
        f"scenes: {parts}",
        f"written to {out}, fingerprint {bundle.fingerprint[:12]}",
    ]
    return "\n".join(lines)


def change_evaluation(found: ChangeEvaluation) -> str:
    """One line per number, one per scene, and what the threshold is."""
    lines = estimate_lines(found.estimates.values())
    first = next(iter(found.estimates.values()))
    lines.append(
        f"{first.confidence:.0%} intervals, resampling {counted(first.resampled, 'scene')}; pixels "
        f"of all scenes pooled, the rate of false change a mean over scenes"
    )
    name = max(len(printable(each.scene)) for each in found.scenes)
    lines += [
        f"{printable(each.scene):{name}}  F1 {each.f1:.4f}  precision {each.precision:.4f}  recall "
        f"{each.recall:.4f}  {each.changed:.2%} changed, cut at {each.threshold:.3f}"
        for each in found.scenes
    ]
    lines.append(
        f"threshold {found.threshold.said}, chosen on "
        f"{counted(found.threshold.scenes, 'validation scene')} ({found.threshold.standing}; a "
        f"certificate of twice its rate of false change takes "
        f"{counted(found.threshold.certificate_scenes, 'scene')})"
    )
    return "\n".join([*lines, *found.notes])


def change_evaluation_told(found: ChangeEvaluation) -> dict[str, Any]:
    """An evaluation as plain values; a share of nothing is null."""
    return without_nan(asdict(found) | {"estimates": estimates_told(found.estimates.values())})


def without_nan(value: Any) -> Any:
    """Plain values, null in place of NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {name: without_nan(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and value != value else value

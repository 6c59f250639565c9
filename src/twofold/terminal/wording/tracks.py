"""A track and its evaluation in words."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from twofold.plurals import counted
from twofold.printable import printable, with_printable_data
from twofold.results.track import ObjectTrack, TrackEvaluation, Tracks
from twofold.terminal.wording.change import without_nan
from twofold.terminal.wording.estimates import estimate_lines, estimates_told, training_took
from twofold.track_bundle import TrackBundle

__all__ = ["track_evaluation", "track_evaluation_told", "track_trained", "tracks"]

LISTED = 5
"""Absences of an object that are listed."""


@with_printable_data
def tracks(found: Tracks) -> str:
    """What was followed, when it was lost, and where it is written."""
    lines = [
        f"{counted(found.frames, 'frame')} of {found.width} x {found.height} pixels, "
        f"{found.seconds:.1f} s, at {found.frames_per_second:.0f} frames per second",
        *(_of_object(each, found) for each in found.objects),
        f"confidence: {found.standing}; {found.method}",
        *(f"! {note}" for note in found.notes),
        *(f"{kind}: {path}" for kind, path in found.paths.items()),
    ]
    return "\n".join(lines)


def _of_object(each: ObjectTrack, found: Tracks) -> str:
    name = "" if len(found.objects) == 1 else f"object {each.object + 1}: "
    told = f"{name}mean confidence {each.mean_confidence:.2f}"
    if not each.absences:
        return f"{told}, never lost"
    spans = ", ".join(f"{start:.2f} to {end:.2f} s" for start, end in each.absences[:LISTED])
    more = len(each.absences) - LISTED
    return (
        f"{told}, lost in {counted(each.lost_frames, 'frame')}: {spans}"
        f"{f' and {more:,} more times' if more > 0 else ''}"
    )


def track_evaluation(found: TrackEvaluation) -> str:
    """One line per number, one per sequence."""
    lines = estimate_lines(found.estimates.values())
    first = next(iter(found.estimates.values()))
    lines.append(
        f"{first.confidence:.0%} intervals, resampling {counted(first.resampled, 'sequence')}; one "
        f"pass per sequence from its first box"
    )
    auroc = "nothing to say" if found.lost_auroc != found.lost_auroc else f"{found.lost_auroc:.4f}"
    lines.append(f"lost or not, AUROC of the confidence over frames: {auroc} (estimate)")
    lines.append(f"{found.frames_per_cpu_second:.1f} frames per CPU second, decoding included")
    name = max(len(printable(each.sequence)) for each in found.sequences)
    lines += [
        f"{printable(each.sequence):{name}}  AUC {each.success_auc:.4f}  precision "
        f"{each.precision_at_20:.4f}  AO {each.average_overlap:.4f}  {each.lost:.1%} of "
        f"{counted(each.frames, 'frame')} lost"
        for each in found.sequences
    ]
    return "\n".join([*lines, *found.notes])


def track_evaluation_told(found: TrackEvaluation) -> dict[str, Any]:
    """An evaluation as plain values; a share of nothing is null."""
    return without_nan(asdict(found) | {"estimates": estimates_told(found.estimates.values())})


def track_trained(bundle: TrackBundle, out: Path) -> str:
    """What training came to."""
    known = bundle.training
    best = known["best"].get("overlap")
    parts = ", ".join(f"{count} {part}" for part, count in known["pictures"].items())
    lines = [
        training_took(known)
        + ("" if best is None else f"; best overlap on unseen pictures: {best:.4f}"),
        *(f"note: {printable(note)}" for note in known["notes"]),
        f"confidence: {bundle.facts()['confidence']}",
        f"pictures and sequences: {parts}",
        f"written to {out}, fingerprint {bundle.fingerprint[:12]}",
    ]
    return "\n".join(lines)

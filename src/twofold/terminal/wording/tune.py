"""What a tuning has found, in words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twofold.plurals import counted
from twofold.train.tune import Candidate, Tuned

__all__ = ["evidence", "tuned"]


def tuned(found: Tuned, out: Path) -> str:
    """The comparison, what is recommended, and where it was written."""
    return "\n".join([*evidence(found), f"written to {out}"])


def evidence(found: Tuned) -> list[str]:
    """How the recommended settings were found, and how sure it is that they are better."""
    tried = (
        f"{counted(found.finished, 'trial')} finished, {found.ended} ended early, {found.failed} "
        f"failed, in {found.seconds:,.0f} s, on {counted(found.identities, 'identity')} in three "
        f"folds"
    )
    header = "equal error rate on the two folds that chose nothing:"
    return [tried, header, *(f"  {_line(each)}" for each in found.candidates), *_said(found)]


def _line(each: Candidate) -> str:
    if each.gain is None:
        return f"{each.eer:.4f}  the recipe as it is"
    gain, low, high = each.gain.gain, each.gain.low, each.gain.high
    told = (
        f"better by {gain:.4f} [{low:.4f}, {high:.4f}]"
        if gain >= 0
        else f"worse by {-gain:.4f} [{-high:.4f}, {-low:.4f}]"
    )
    return f"{each.eer:.4f}  {told}: {_settings(each.settings)}"


def _said(found: Tuned) -> list[str]:
    """The recommendation, and how far it is shown."""
    gain = found.chosen.gain
    if len(found.candidates) == 1:
        said = "no other trial was finished, so the recipe as it is is recommended"
    elif gain is None:
        said = "no trial was better than the recipe as it is, which is recommended"
    elif gain.low > 0:
        said = (
            f"recommended: the first of these trials. It is better by more than chance (95 % "
            f"interval, paired over {counted(gain.resampled, 'identity')})"
        )
    else:
        said = (
            f"recommended: the first of these trials. That it is better than the recipe as it is "
            f"has not been shown: the interval holds 0 (95 %, paired over "
            f"{counted(gain.resampled, 'identity')})"
        )
    return [said, *(f"note: {note}" for note in found.notes)]


def _settings(settings: Mapping[str, Any]) -> str:
    """Names and values; the numbers of the augmentation are all multiplied alike, so that one of them is enough."""
    first, *alike = [name for name in settings if name.startswith("augment.")] or [""]
    told = [
        f"{name}={_short(value)}"
        + (f" and {len(alike)} more alike" if name == first and alike else "")
        for name, value in settings.items()
        if name not in alike
    ]
    return ", ".join(told)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

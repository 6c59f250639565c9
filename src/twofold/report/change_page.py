"""An evaluation of change as one HTML file: numbers, scenes, and what was found in each."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import UInt8
from numpy import ndarray

from twofold.plurals import counted
from twofold.printable import printable_lines
from twofold.report.page import data_uri, document
from twofold.results import ChangeEvaluation, Estimate, SceneScores

__all__ = ["ScenePictures", "change_page"]

NAMES = {
    "f1": "F1",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "kappa": "Cohen's kappa",
    "object_recall": "changed regions found",
    "false_change_rate": "rate of false change",
}

KEY = "white: found; orange: called changed and is not; blue: changed and not found"


@dataclass(frozen=True, kw_only=True)
class ScenePictures:
    """What a scene looks like; each at most some hundred pixels wide.

    Attributes:
        truth: what changed is white. compared: found, false and missed pixels in three colours.
    """

    id: str
    before: UInt8[ndarray, "..."]
    after: UInt8[ndarray, "..."]
    truth: UInt8[ndarray, "..."]
    compared: UInt8[ndarray, "..."]


def change_page(
    found: ChangeEvaluation, facts: Mapping[str, str], pictures: Sequence[ScenePictures]
) -> str:
    """The whole page; write it as UTF-8.

    Args:
        facts: of the bundle.
        pictures: of some of the scenes, or of none.
    """
    told = "".join(
        f"<li>{_text(name)} <strong>{_text(value)}</strong></li>" for name, value in facts.items()
    )
    f1 = found.estimates["f1"]
    lead = (
        f"F1 {f1.value:.3f} on {counted(len(found.scenes), 'scene')} that the model has not seen, "
        f"between {f1.low:.3f} and {f1.high:.3f} with {f1.confidence:.0%} confidence by scene."
    )
    notes = "".join(f'<p class="detail">{_text(note)}</p>' for note in found.notes)
    head = (
        f'<header><h1>What changed</h1>\n<p class="lead">{_text(lead)}</p>\n'
        f'<ul class="summary">{told}</ul>\n{notes}</header>\n'
    )
    shown = {each.id: each for each in pictures}
    scenes = "\n".join(_scene(each, shown.get(each.scene)) for each in found.scenes)
    body = head + _numbers(found) + f"<section><h2>Scenes</h2>{scenes}</section>"
    return document("What changed", body, "page.css", "change.css")


def _numbers(found: ChangeEvaluation) -> str:
    rows = "".join(
        f"<tr><th>{NAMES[name]}</th>{_cells(each)}</tr>" for name, each in found.estimates.items()
    )
    known = found.threshold
    note = (
        f"Pixels of all scenes pooled; the rate of false change is a mean over scenes. Intervals "
        f"resample scenes. The threshold, {known.said}, was chosen on "
        f"{counted(known.scenes, 'validation scene')}. Its rate of false change is an estimate: a "
        f"certificate of twice that rate takes {counted(known.certificate_scenes, 'scene')}."
    )
    return (
        '<section><h2>Numbers</h2><div class="wide"><table><thead><tr><th></th><th>value</th>'
        f"<th>interval</th></tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="detail">{_text(note)}</p></section>\n'
    )


def _cells(each: Estimate) -> str:
    return f"<td>{_number(each.value)}</td><td>{_number(each.low)} to {_number(each.high)}</td>"


def _scene(scores: SceneScores, pictures: ScenePictures | None) -> str:
    said = (
        f"F1 {_number(scores.f1)}, precision {_number(scores.precision)}, recall "
        f"{_number(scores.recall)}; {scores.changed:.2%} of {scores.pixels:,} pixels changed, "
        f"cut at {scores.threshold:.3f}"
    )
    shown = ""
    if pictures is not None:
        named = (
            ("before", pictures.before, True),
            ("after", pictures.after, True),
            ("truth", pictures.truth, False),
            (f"model ({KEY})", pictures.compared, False),
        )
        shown = "".join(
            f'<figure><img src="{data_uri(picture, photo=photo)}" alt="{_text(name)}">'
            f"<figcaption>{_text(name)}</figcaption></figure>"
            for name, picture, photo in named
        )
        shown = f'<div class="dates">{shown}</div>'
    return f"<article><h3>{_text(scores.scene)}</h3><p>{said}</p>{shown}</article>"


def _number(value: float) -> str:
    return "nothing to say" if value != value else f"{value:.4f}"


def _text(value: str) -> str:
    return html.escape(printable_lines(value), quote=True)

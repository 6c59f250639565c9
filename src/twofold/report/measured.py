"""The contents of an evaluation's report, which the page, the model card and --json show."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from twofold.contract import Calibration
from twofold.inputs.optional import Shown
from twofold.metrics.curves import Curve, Reliability
from twofold.report.story import Scores
from twofold.results import Estimate, Evaluation, Standing

__all__ = ["Hard", "Map", "Part", "Report", "numbers"]


@dataclass(frozen=True, kw_only=True)
class Hard:
    """A pair that is hard to decide.

    Attributes:
        kind: what it is wrongly taken for, or nearly. wrong: whether it is indeed decided wrongly
            at the threshold.
        ids, labels: of both items. shown: what they look like, if it may be shown.
    """

    kind: Literal["false accept", "false reject"]
    wrong: bool
    score: float
    probability: float | None
    ids: tuple[str, str]
    labels: tuple[str, str]
    shown: tuple[Shown, Shown] = (None, None)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One group or class of the data: how often its own pairs are decided wrongly; None if it has no such pair.

    Attributes:
        false_non_match_interval, false_match_interval: only of groups, which have identities to
            leave out.
    """

    name: str
    items: int
    identities: int
    genuine_pairs: int
    impostor_pairs: int
    false_non_match_rate: float | None
    false_match_rate: float | None
    false_non_match_interval: tuple[float, float] | None = None
    false_match_interval: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Map:
    """Embeddings laid flat: PCA or t-SNE.

    Attributes:
        points: x and y of each item. marked: 0 for most items; 1, 2, ... for those of the classes
            in `names`.
        method: how it was made, in words.
    """

    points: Float[np.ndarray, "n 2"]
    marked: Int[np.ndarray, "n"]
    names: tuple[str, ...]
    method: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that a page about a bundle, or about scores, can show. What the data cannot give is None or empty.

    Attributes:
        title: what was tested. made: date.
        threshold: the calibration's; without one the threshold at `evaluation.far` of this very
            data.
        curve, scores, reliability, ranks: DET curve, histograms, diagram of the probabilities,
            rank-k rates.
        groups, classes: worst first; of many classes only the worst.
        hard: hardest pairs, those of false accepts first, the worst first.
        data, model: the cards, fact by fact. commands: what repeats it.
    """

    title: str
    made: str
    evaluation: Evaluation
    calibration: Calibration | None
    threshold: float
    curve: Curve
    scores: Scores
    reliability: Reliability | None = None
    ranks: tuple[Estimate, ...] = ()
    groups: tuple[Part, ...] = ()
    classes: tuple[Part, ...] = ()
    hard: tuple[Hard, ...] = ()
    map: Map | None = None
    data: Mapping[str, str]
    model: Mapping[str, str]
    commands: tuple[str, ...] = ()

    @property
    def standing(self) -> Standing:
        """The standing of the threshold's false-accept rate; without a threshold an estimate."""
        return "estimate" if self.calibration is None else self.calibration.standing


def numbers(report: Report) -> dict[str, Any]:
    """The report's numbers as plain Python: those of the evaluation, then what its figures show; no picture."""
    hard = [
        {field: getattr(each, field) for field in _names(each) if field != "shown"}
        for each in report.hard
    ]
    estimates = [
        asdict(each) | {"says_nothing": each.says_nothing} for each in report.evaluation.estimates
    ]
    return asdict(report.evaluation) | {
        "estimates": estimates,
        "report_threshold": report.threshold,
        "curve": _plain(report.curve),
        "histogram": _plain(report.scores),
        "reliability": _plain(report.reliability) if report.reliability else None,
        "ranks": [asdict(each) for each in report.ranks],
        "groups": [asdict(each) for each in report.groups],
        "classes": [asdict(each) for each in report.classes],
        "hard": hard,
        "data": dict(report.data),
        "model": dict(report.model),
    }


def _names(of: Any) -> list[str]:
    return [field.name for field in fields(of)]


def _plain(of: Any) -> dict[str, Any]:
    values = {name: getattr(of, name) for name in _names(of)}
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in values.items()
    }

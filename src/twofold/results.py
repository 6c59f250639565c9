"""What the verbs return: small frozen results, numpy and plain Python only."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from twofold.errors import UnknownName, nearest

__all__ = [
    "Decision",
    "Difference",
    "Embeddings",
    "Erasure",
    "Estimate",
    "Evaluation",
    "Finding",
    "Hit",
    "Identification",
    "Progress",
    "Verdict",
    "plain",
]

Decision = Literal["same", "different", "unsure"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether two inputs are the same, and how sure that is.

    Attributes:
        score: similarity, larger is more alike (cosine similarity for the cosine distance, minus the distance else).
        probability: calibrated probability of "same".
        threshold: score from which on the decision is "same".
        far: false-accept rate that the threshold was set for.
        certified: True when that rate was certified on unseen identities; False: the rate is an *estimate*.
        reject_threshold: score below which the decision is "different"; between the two it is "unsure". None: there
            is no such zone.
        frr: false-reject rate that the lower threshold was set for, certified like `far`; None: no such zone.
    """

    decision: Decision
    score: float
    probability: float
    threshold: float
    far: float
    certified: bool
    reject_threshold: float | None = None
    frr: float | None = None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One neighbour of a query in an index."""

    id: str
    label: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Identification:
    """Who a query is: `label` of the best identity, or None when nobody enrolled reaches the threshold.

    Attributes:
        decision: "same" somebody is, "unsure" the best is in the unsure zone, "different" nobody is near.
        score, probability: of the best enrolled identity, whether accepted or not.
        candidates: best item of each of the best identities, best first.
        gallery: number of enrolled identities that the query was compared with.
        far, certified: as in Verdict, of ONE comparison; with `gallery` comparisons the chance that a stranger is
            taken for somebody is larger.
        fpir: rate at which strangers are taken for one of those enrolled, if `threshold` was set for it
            (`calibrate_gallery`); `certified` is then that of this rate.
        warning: why `fpir` does not hold here: the gallery has grown past the size it was measured for; else None.
    """

    label: str | None
    decision: Decision
    score: float
    probability: float
    threshold: float
    far: float
    certified: bool
    gallery: int
    candidates: tuple[Hit, ...]
    fpir: float | None = None
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its interval, and what was resampled to get it."""

    name: str
    value: float
    low: float
    high: float
    confidence: float
    unit: str
    resampled: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better B is than A on the same data, and what was resampled to know it.

    Attributes:
        a, b: the number of either. gain: what B is better by, whichever way the number counts; negative: A is better.
        low, high: interval of the gain; when it does not hold 0, the two differ.
    """

    name: str
    a: float
    b: float
    gain: float
    low: float
    high: float
    confidence: float
    unit: str
    resampled: int


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Vectors with what they belong to; `labels[i]` is the name of the class of `ids[i]`."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    vectors: Float[np.ndarray, "n dim"]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """Receipt of a `forget`: whose items were deleted and overwritten, and when (UTC, ISO 8601)."""

    label: str
    ids: tuple[str, ...]
    at: str


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well a bundle does on data that it has never seen.

    Attributes:
        estimates: eer, auc, tar_at_far, recall_at_1, ...; those at the bundle's threshold only if it has one.
        unit, units: what was resampled for the intervals, and how many of them there are.
        items, genuine_pairs, impostor_pairs: how much data that was.
        threshold, far, certified: of the bundle's calibration; without one `far` is the rate asked for.
        holds: False when the measured false-match rate is clearly above `far` (its interval too); None: no threshold.
        notes: what could not be measured, and why.
    """

    estimates: tuple[Estimate, ...]
    unit: str
    units: int
    items: int
    genuine_pairs: int
    impostor_pairs: int
    threshold: float | None
    far: float
    certified: bool
    holds: bool | None
    seed: int
    notes: tuple[str, ...] = ()

    def number(self, name: str) -> Estimate:
        """The estimate of that name.

        Raises:
            UnknownName: it was not measured; `notes` may say why.
        """
        named = {estimate.name: estimate for estimate in self.estimates}
        if name not in named:
            raise UnknownName(f"{name!r} was not measured: {nearest(name, named)}. {' '.join(self.notes)}")
        return named[name]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a doctor found: what, where, and what to do about it."""

    level: Literal["fatal", "warning", "note"]
    code: str
    message: str
    remedy: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a training run stands.

    Attributes:
        loss: of the last step. monitored, best: the watched validation number, now and at its best; None before.
        items_per_second, pairs_per_second: of the present epoch; all pairs of a batch count.
        waiting: share of the present epoch in which the arithmetic stood still for data.
        seconds, seconds_left: since the start, and until the end at this pace.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    monitor: str
    monitored: float | None
    best: float | None
    items_per_second: float
    pairs_per_second: float
    waiting: float
    seconds: float
    seconds_left: float


def plain(result: Any) -> dict[str, Any]:
    """A result as plain JSON-able Python."""
    return asdict(result)

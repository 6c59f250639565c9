"""What was measured: estimates with their intervals, evaluations, findings, drift, the progress of a training."""

from dataclasses import dataclass
from typing import Literal

from twofold.errors import UnknownName, nearest

__all__ = [
    "SAYS_NOTHING",
    "Difference",
    "Drift",
    "Estimate",
    "Evaluation",
    "Finding",
    "Moved",
    "NearestExample",
    "Progress",
    "Reference",
    "Standing",
    "Tuning",
]

SAYS_NOTHING = 0.5
"""Width of an interval that covers half of all that a rate can be: it says nothing."""

Standing = Literal["guaranteed", "certified", "estimate"]
"""What a stated rate rests on. "guaranteed": a bound that holds for any population of which the identities are an
independent sample. "certified": a bound that holds where no few rare identities make most of the errors.
"estimate": the rate measured on the calibration data, without a bound."""


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

    @property
    def says_nothing(self) -> bool:
        """Whether the interval covers half of all that the number can be."""
        return self.high - self.low >= SAYS_NOTHING


@dataclass(frozen=True, kw_only=True)
class NearestExample:
    """How often the nearest example of a gallery is of the right class.

    Attributes:
        estimates: accuracy, and balanced_accuracy (the mean over the classes).
        items, gallery, classes: how much data that was.
        closed_set: the classes were trained on: the numbers say nothing of unseen ones.
        confused: class, the class it was taken for, and how often; the most frequent first.
        notes: what else should be known.
    """

    estimates: tuple[Estimate, ...]
    items: int
    gallery: int
    classes: int
    closed_set: bool
    confused: tuple[tuple[str, str, int], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better B is than A on the same data, and what was resampled to know it.

    Attributes:
        a, b: the number of either. gain: what B is better by, whichever way the number counts;
            negative: A is better.
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

    @property
    def says_nothing(self) -> bool:
        """Whether the interval is so wide that either could be far better."""
        return self.high - self.low >= SAYS_NOTHING


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well a bundle does on data that it has never seen.

    Attributes:
        estimates: eer, auc, tar_at_far, recall_at_1, ...; those at the bundle's threshold only if
            it has one.
        unit, units: what was resampled for the intervals, and how many of them there are.
        items, genuine_pairs, impostor_pairs: how much data that was.
        threshold, far, standing: of the bundle's calibration; without one `far` is the rate asked
            for.
        holds: whether the measured false-match rate agrees with `far`: False when its whole
            interval is above; None: no threshold, or too little data to tell.
        crossfitted: the numbers are those of models that each judge identities they had not seen,
            not of the bundle's.
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
    standing: Standing
    holds: bool | None
    seed: int
    notes: tuple[str, ...] = ()
    crossfitted: bool = False

    @property
    def certified(self) -> bool:
        """Whether a bound stands behind `far`: it was certified or guaranteed."""
        return self.standing != "estimate"

    def number(self, name: str) -> Estimate:
        """The estimate of that name.

        Raises:
            UnknownName: it was not measured; `notes` may say why.
        """
        named = {estimate.name: estimate for estimate in self.estimates}
        if name not in named:
            raise UnknownName(
                f"{name!r} was not measured: {nearest(name, named)}. {' '.join(self.notes)}"
            )
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
        loss: of the last step. monitored, best: the watched validation number, now and at its best;
            None before.
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


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Where a tuning stands, for a bar.

    Attributes:
        stage: "trial" or "confirming". number, total: of trials, or of trainings that confirm.
        best: the monitored number of the best trial so far; None before the first has ended.
        seconds_left: until the tuning ends, at the pace of the trainings before; None: not known yet.
        training: where the present training stands.
    """

    stage: str
    number: int
    total: int
    monitor: str
    best: float | None
    seconds_left: float | None
    training: Progress


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What scores were like when a threshold was found: shares of pairs at and above some scores, and their errors.

    Attributes:
        scores: ascending; the shares below belong to them, one by one.
        genuine, impostor: shares of genuine and of impostor pairs that score at least so much.
        genuine_variance, impostor_variance, covariance: of these shares, for other identities of
            the same kind.
        genuine_freedom, impostor_freedom: degrees of freedom of Student's t for either.
    """

    scores: tuple[float, ...]
    genuine: tuple[float, ...]
    impostor: tuple[float, ...]
    genuine_variance: tuple[float, ...]
    impostor_variance: tuple[float, ...]
    covariance: tuple[float, ...]
    genuine_freedom: tuple[float, ...]
    impostor_freedom: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Scores of production beside those of the calibration: all of one kind, and of one group if there are groups.

    Attributes:
        kind: "genuine" or "impostor" pairs that were said to be so, or "mixed" ones of which nobody
            said.
        decision: "drift", "no drift", or "too little data" to tell.
        score: where production is farthest from the calibration; None: nowhere could be judged.
        seen, expected: shares of pairs that score at least so much, in production and by the
            calibration.
        smallest: the smallest change of that share that would have been called drift here.
        genuine_share: for mixed pairs, the lowest and highest share of genuine ones that fits them;
            None: none does.
        pairs, units: how much data that was.
    """

    kind: Literal["genuine", "impostor", "mixed"]
    decision: Literal["drift", "no drift", "too little data"]
    group: str | None
    score: float | None
    seen: float | None
    expected: float | None
    smallest: float | None
    genuine_share: tuple[float, float] | None
    pairs: int
    units: int


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Whether production scores are still what the calibration knows.

    Attributes:
        false_alarms: chance that a run says "drift" though nothing has changed, at most.
        unit: what was counted as independent: "identity", "thing" (a file, say), or "pair", where
            nobody said whose the pairs are; the promise then holds only if no two pairs share
            anybody.
        parts: genuine, impostor and mixed pairs, of each group if there are groups.
        notes: what could not be told, and why.
    """

    decision: Literal["drift", "no drift", "too little data"]
    false_alarms: float
    unit: Literal["identity", "thing", "pair"]
    pairs: int
    units: int
    parts: tuple[Moved, ...]
    notes: tuple[str, ...] = ()

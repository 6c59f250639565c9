"""What a bundle answers: verdicts, who it is, what is alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from twofold.results.measurements import Estimate, Standing

__all__ = [
    "CopyFile",
    "Decision",
    "Found",
    "Group",
    "Groups",
    "Hit",
    "Identification",
    "Spotted",
    "Spotting",
    "Verdict",
]

Decision = Literal["same", "different", "unsure"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether two inputs are the same, and how sure that is.

    Attributes:
        score: similarity, larger is more alike (cosine similarity for the cosine distance, minus
            the distance else).
        probability: calibrated probability that the two are the same, if the share `prior` of all
            pairs were.
        prior: share of genuine pairs that `probability` holds for.
        threshold: score from which on the decision is "same".
        far: false-accept rate that the threshold was set for.
        standing: what that rate rests on: it is guaranteed, certified or an estimate (see
            `Standing`).
        reject_threshold: score below which the decision is "different"; between the two it is
            "unsure". None: there is no such zone.
        frr: false-reject rate that the lower threshold was set for, certified like `far`; None: no
            such zone.
        group: whose threshold decided; None: there is one for all.
        references: how many references the probe was compared with; the threshold is that for so
            many.
    """

    decision: Decision
    score: float
    probability: float
    threshold: float
    far: float
    standing: Standing
    reject_threshold: float | None = None
    frr: float | None = None
    group: str | None = None
    prior: float = 0.5
    references: int = 1

    @property
    def certified(self) -> bool:
        """Whether a bound stands behind `far`: it was certified or guaranteed."""
        return self.standing != "estimate"


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One neighbour of a query in an index.

    Attributes:
        metadata: what was kept with the item; None where the engine was not asked for it.
        probability: calibrated probability of "same"; None until an application fills it.
    """

    id: str
    label: str
    score: float
    metadata: Mapping[str, Any] | None = None
    probability: float | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What in an index is like one query.

    Attributes:
        query: its name. hits: the items most like it, best first.
        decision: of the best hit: "same", "unsure", or "different": nothing in the index is like
            it; None: nobody can tell, since the bundle is not calibrated.
        threshold, far, standing: as in Verdict, of ONE comparison; None without a calibration.
        unreadable: why the query could not be read, and nothing was looked for; None: it could.
    """

    query: str
    hits: tuple[Hit, ...]
    decision: Decision | None
    threshold: float | None = None
    far: float | None = None
    standing: Standing | None = None
    unreadable: str | None = None

    def probability_of(self, hit: Hit) -> float | None:
        """The probability of a hit; None where it contradicts the threshold, which keeps a false-accept rate."""
        if hit.probability is None or self.threshold is None:
            return hit.probability
        return (
            hit.probability if (hit.score >= self.threshold) == (hit.probability >= 0.5) else None
        )


@dataclass(frozen=True, kw_only=True)
class Identification:
    """Who a query is: `label` of the best identity, or None when nobody enrolled reaches the threshold.

    Attributes:
        decision: "same" somebody is, "unsure" the best is in the unsure zone, "different" nobody is
            near.
        score, probability: of the best enrolled identity, whether accepted or not.
        candidates: best item of each of the best identities, best first.
        gallery: number of enrolled identities that the query was compared with.
        far, standing: as in Verdict, of ONE comparison; with `gallery` comparisons the chance that
            a stranger is taken for somebody is larger.
        fpir: rate at which strangers are taken for one of those enrolled, if `threshold` was set
            for it (`calibrate_gallery`); `standing` is then that of this rate.
        warning: why `fpir` does not hold here: the gallery has grown past the size it was measured
            for; else None.
        references: how many references of the best identity the query was compared with, where the
            threshold is that for so many; else 1.
    """

    label: str | None
    decision: Decision
    score: float
    probability: float
    threshold: float
    far: float
    standing: Standing
    gallery: int
    candidates: tuple[Hit, ...]
    fpir: float | None = None
    warning: str | None = None
    references: int = 1

    @property
    def certified(self) -> bool:
        """Whether a bound stands behind `far`: it was certified or guaranteed."""
        return self.standing != "estimate"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Things that are nearly the same as the one of them that is kept.

    Attributes:
        kept: its id. copies: ids of the others, the most alike first. scores: how alike each is to
            the kept one.
        known: the kept one stands in the index that was compared against.
    """

    kept: str
    copies: tuple[str, ...]
    scores: tuple[float, ...]
    known: bool = False


@dataclass(frozen=True, kw_only=True)
class CopyFile:
    """What a file of a group was when it was looked at: where it lies, bytes, nanoseconds of its change, SHA-256."""

    path: str
    bytes: int
    time: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Groups:
    """What a search for copies found.

    Attributes:
        groups: each of two and more. items: how many things were looked at. new: how many of them
            for the first time.
        rule: by what two things count as copies, in words. threshold: the score from which on they
            do.
        perhaps: groups to be looked at, whose members may be copies of the first; nothing of them
            should go unseen.
        unreadable: id -> why it could not be read.
        notes: what was left out or bounded, in words. recall: share of near pairs that were found,
            where measured.
        files: id -> what is known of the files of all groups. dark, blurred: pictures that may be
            worth a look.
        worth: what the rule is worth, as bench/dedup.py measured it: figure -> value; and what it
            never decides.
    """

    groups: tuple[Group, ...]
    items: int
    new: int
    rule: str
    threshold: float
    perhaps: tuple[Group, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    recall: Estimate | None = None
    files: Mapping[str, CopyFile] = field(default_factory=dict)
    dark: tuple[str, ...] = ()
    blurred: tuple[str, ...] = ()
    worth: Mapping[str, Any] = field(default_factory=dict)

    @property
    def copies(self) -> int:
        """How many things could go."""
        return sum(len(group.copies) for group in self.groups)


@dataclass(frozen=True, kw_only=True)
class Spotted:
    """A place of a recording that is like an example.

    Attributes:
        start, end: in seconds. example: which of the examples, from 0 on.
        decision: None: the bundle is not calibrated.
    """

    start: float
    end: float
    example: int
    score: float
    decision: Decision | None


@dataclass(frozen=True, kw_only=True)
class Spotting:
    """Where in a recording examples are heard.

    Attributes:
        places: best first.
        comparisons: how many were made: the false-accept rate holds for each of them.
        threshold, far, standing: as in Verdict; None without a calibration.
    """

    places: tuple[Spotted, ...]
    comparisons: int
    threshold: float | None = None
    far: float | None = None
    standing: Standing | None = None

"""What the verbs return: small frozen results, numpy and plain Python only."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from twofold.errors import UnknownName, nearest

__all__ = [
    "AuditEntry",
    "Decision",
    "Difference",
    "Drift",
    "Embeddings",
    "Enrolled",
    "Erasure",
    "Estimate",
    "Evaluation",
    "Finding",
    "Found",
    "Group",
    "Groups",
    "Hit",
    "Identification",
    "Indexed",
    "Inspection",
    "Migration",
    "Moved",
    "Progress",
    "Reference",
    "Sharded",
    "Toll",
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
        group: whose threshold decided; None: there is one for all.
    """

    decision: Decision
    score: float
    probability: float
    threshold: float
    far: float
    certified: bool
    reject_threshold: float | None = None
    frr: float | None = None
    group: str | None = None


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
        decision: of the best hit: "same", "unsure", or "different": nothing in the index is like it; None: nobody can
            tell, since the bundle is not calibrated.
        threshold, far, certified: as in Verdict, of ONE comparison; None without a calibration.
    """

    query: str
    hits: tuple[Hit, ...]
    decision: Decision | None
    threshold: float | None = None
    far: float | None = None
    certified: bool | None = None


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
    """Vectors with what they belong to; `labels[i]` is the name of the class of `ids[i]`.

    Attributes:
        metadata: for each item names and JSON scalars; None: nothing for any.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    vectors: Float[np.ndarray, "n dim"]
    fingerprint: str
    metadata: tuple[Mapping[str, Any], ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """Receipt of a `forget`: whose items were deleted, when (UTC, ISO 8601), and what a search of the files found.

    Attributes:
        pieces: how many byte strings of the labels, ids and vectors were looked for.
        files, searched: how many files were read for them, and how many bytes.
        leftovers: places outside living rows in which one still stood after the deletion; they were rewritten.
        left: such places at the end: 0; None where the engine keeps its files to itself, `note` then says so.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    at: str
    pieces: int = 0
    files: int = 0
    searched: int = 0
    leftovers: int = 0
    left: int | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """One identity in an index: how many items it has, and whether it counts.

    Attributes:
        expires: from when on it is neither found nor counted (UTC, ISO 8601); None: never.
        revoked: since when it is kept but never matched; None: it is not.
    """

    label: str
    items: int
    expires: str | None
    revoked: str | None


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One entry of an index's audit log.

    Attributes:
        at: when (UTC, ISO 8601). event: enrol, update, expire, revoke, restore, purge, forget, protect or rekey.
        subject: keyed hash of the label, hexadecimal; "" where it concerns the whole index.
        items: how many items that was.
    """

    number: int
    at: str
    event: str
    subject: str
    items: int


@dataclass(frozen=True, kw_only=True)
class Toll:
    """What a bridge costs, on identities that it was not fitted to: their things, embedded by the new model, ask.

    Attributes:
        name: "recall_at_1": the best of all other items is of the same label; "finds_itself": it is the thing's own,
            where too few labels have two items.
        again: with all items embedded by the new model. bridged: with all items brought over the bridge.
        likeness: median score of a vector brought over with the one that the new model makes of the same thing.
    """

    name: str
    again: Estimate
    bridged: Estimate
    likeness: float


@dataclass(frozen=True, kw_only=True)
class Migration:
    """What a migration did.

    Attributes:
        items: brought over by this call. embedded: of them again from their source. bridged: of them over a bridge.
        pairs: things embedded by both models, to which the bridge was fitted.
        toll: what the bridge costs in recall; None: none was needed.
    """

    items: int
    embedded: int
    bridged: int
    pairs: int = 0
    toll: Toll | None = None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a check of an index found, and what a repair did.

    Attributes:
        items: whole items. findings: what is wrong, with what to do. dropped: items that a repair took out, because
        their bytes are not those that were written.
        repaired: what a repair did, a line each.
    """

    items: int
    findings: tuple["Finding", ...]
    dropped: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong (any more)."""
        return not any(finding.level == "fatal" for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """What indexing did.

    Attributes:
        things: how many were given. embedded: how many of them went through the encoder. known: how many the index had
        with the same content.
        replaced: how many took the place of other content under the same id. changed: how many items of the index are
        new or changed. items, labels: how many there are now.
        unreadable: id -> why it was left out.
    """

    things: int
    embedded: int
    known: int = 0
    replaced: int = 0
    changed: int
    items: int
    labels: int
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sharded:
    """What one shard of an embedding did.

    Attributes:
        things: how many were this shard's. embedded: how many of them went through the encoder.
        parts: how many files were this shard's. written: how many were not there yet.
        missing: files of all shards that are not there yet.
        unreadable: id -> why it was left out.
    """

    things: int
    embedded: int
    parts: int
    written: int
    missing: int
    unreadable: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What scores were like when a threshold was found: shares of pairs at and above some scores, and their errors.

    Attributes:
        scores: ascending; the shares below belong to them, one by one.
        genuine, impostor: shares of genuine and of impostor pairs that score at least so much.
        genuine_variance, impostor_variance, covariance: of these shares, for other identities of the same kind.
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
        kind: "genuine" or "impostor" pairs that were said to be so, or "mixed" ones of which nobody said.
        decision: "drift", "no drift", or "too little data" to tell.
        score: where production is farthest from the calibration; None: nowhere could be judged.
        seen, expected: shares of pairs that score at least so much, in production and by the calibration.
        smallest: the smallest change of that share that would have been called drift here.
        genuine_share: for mixed pairs, the lowest and highest share of genuine ones that fits them; None: none does.
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
        unit: what was counted as independent: "identity", "thing" (a file, say), or "pair", where nobody said whose the
            pairs are; the promise then holds only if no two pairs share anybody.
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


@dataclass(frozen=True, kw_only=True)
class Group:
    """Things that are nearly the same as the one of them that is kept.

    Attributes:
        kept: its id. copies: ids of the others, the most alike first. scores: how alike each is to the kept one.
        known: the kept one stands in the index that was compared against.
    """

    kept: str
    copies: tuple[str, ...]
    scores: tuple[float, ...]
    known: bool = False


@dataclass(frozen=True, kw_only=True)
class Groups:
    """What a search for copies found.

    Attributes:
        groups: each of two and more. items: how many things were looked at. new: how many of them for the first time.
        rule: by what two things count as copies, in words. threshold: the score from which on they do.
        unreadable: id -> why it could not be read.
        notes: what was left out or bounded, in words. recall: share of near pairs that were found, where measured.
    """

    groups: tuple[Group, ...]
    items: int
    new: int
    rule: str
    threshold: float
    unreadable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    recall: Estimate | None = None

    @property
    def copies(self) -> int:
        """How many things could go."""
        return sum(len(group.copies) for group in self.groups)


def plain(result: Any) -> dict[str, Any]:
    """A result as plain JSON-able Python."""
    return asdict(result)

"""Drift: whether production still looks like the calibration, with a stated rate of false alarms (law 6)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from twofold.bundle import Bundle
from twofold.contract import Calibration, Contract
from twofold.data.production import ProductionScores
from twofold.data.scores import Scores
from twofold.errors import DataError, NotCalibrated, NotEnoughData, UnknownName, UsageError
from twofold.metrics.drift import FEWEST, Production, shift
from twofold.plurals import counted
from twofold.results import Drift, Moved, Reference

__all__ = ["monitor", "opened"]

Kind = Literal["genuine", "impostor", "mixed"]
Decision = Literal["drift", "no drift", "too little data"]

KINDS: dict[int, Kind] = {1: "genuine", 0: "impostor", -1: "mixed"}


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Pairs that are judged by themselves, and what they are compared with."""

    reference: Reference
    group: str | None
    kind: Kind
    rows: Int[np.ndarray, "m"]


def monitor(
    known: Bundle | Contract,
    scores: Float[np.ndarray, "n"] | Scores | ProductionScores,
    *,
    false_alarms: float = 0.01,
    looks: int = 1,
    genuine: float = 0.0,
) -> Drift:
    """Whether scores of production could come from the identities that the calibration was found on.

    The share of genuine pairs in production is unknown: drift is what no share can explain. Pairs
    known to be genuine, or impostors, are judged separately. Each group is judged by its own
    calibration, if it has one. Variances count people, not pairs.

    Args:
        known: a calibrated bundle or contract; the scores are those that it decides by.
        false_alarms: largest chance that drift is reported though nothing has changed.
        looks: that chance is for so many runs together (52: a look each week for a year).
        genuine: known least share of genuine pairs among those of unknown truth: a model that
            mistakes genuine pairs for impostors looks just like more impostors.

    Raises:
        NotCalibrated: there is no calibration, or one that does not record what scores were like.
        UnknownName: scores of a group that the calibration does not have.
        UsageError: a rate or a share outside its range.
        DataError: a score is not finite, or vectors have another length than the model's.
        NotEnoughData: there is no score at all.
    """
    if not 0.0 < false_alarms < 1.0 or looks < 1 or not 0.0 <= genuine <= 1.0:
        raise UsageError(
            f"false_alarms={false_alarms:g}, looks={looks}, genuine={genuine:g}: a rate between 0 "
            "and 1 (usual: 0.01), at least one look, and a share from 0 to 1"
        )
    contract = known.contract if isinstance(known, Bundle) else known
    found = ProductionScores.of(scores)
    if found.dim and contract.dim and found.dim != contract.dim:
        raise DataError(
            f"vectors of {found.dim} numbers, and the "
            f"calibration is of {contract.dim}: another model's?"
        )
    wanted = _parts(contract.calibration, found)
    rate = false_alarms / looks / len(wanted)
    parts = [_moved(found, each, rate=rate, genuine=genuine) for each in wanted]
    return Drift(
        decision=_worst([part.decision for part in parts]),
        false_alarms=false_alarms,
        unit=found.unit,
        pairs=len(found.scores),
        units=len(np.unique(np.concatenate([found.first, found.second]))),
        parts=tuple(parts),
        notes=tuple(_notes(found, parts)),
    )


def opened(
    model: str | Path, scores: str | Path, *, distance: str = "cosine"
) -> tuple[Contract, ProductionScores]:
    """The contract and the scores at two paths; vectors are compared by the contract's distance, if it has one."""
    contract = (
        Contract.load(model) if Path(model).suffix == ".json" else Bundle.load(model).contract
    )
    plain = contract.distance if contract.dim else distance
    return contract, ProductionScores.open(scores, distance=plain)


def _parts(calibration: Calibration | None, found: ProductionScores) -> list[_Part]:
    """Every kind of pairs, by group if groups have thresholds of their own."""
    if calibration is None:
        raise NotCalibrated(
            "there is no calibration to compare with: `twofold calibrate BUNDLE DATA --far 1e-2`"
        )
    if not len(found.scores):
        raise NotEnoughData("there are no scores to look at")
    deciding = calibration if found.dim else calibration.deciding
    groups = found.groups if deciding.groups else None
    parts = []
    for name in [""] if groups is None else dict.fromkeys(groups):
        inside = (
            np.ones(len(found.scores), bool)
            if groups is None
            else np.array([each == name for each in groups])
        )
        for code, kind in KINDS.items():
            rows = np.flatnonzero(inside & (found.same == code))
            if len(rows):
                known = _reference(deciding, name)
                parts.append(_Part(reference=known, group=name or None, kind=kind, rows=rows))
    return parts


def _reference(deciding: Calibration, group: str) -> Reference:
    try:
        known = deciding.of_group(group) if group else deciding
    except UnknownName as error:
        raise UnknownName(
            f"production scores of a group that was not calibrated: {error}"
        ) from None
    if known.reference is None:
        raise NotCalibrated(
            "this calibration does not record what scores were like: it was made by an earlier "
            "version, or of pairs without identities; calibrate again, with identities"
        )
    return known.reference


def _moved(found: ProductionScores, wanted: _Part, *, rate: float, genuine: float) -> Moved:
    kind, rows = wanted.kind, wanted.rows
    share = {"genuine": (1.0, 1.0), "impostor": (0.0, 0.0), "mixed": (genuine, 1.0)}[kind]
    some = Production(
        scores=found.scores[rows],
        first=found.first[rows],
        second=found.second[rows],
        unowned=found.unowned,
    )
    told = shift(wanted.reference, some, false_alarms=rate, genuine=share)
    decision: Decision = "too little data"
    if told.ratio is not None:
        decision = "drift" if told.ratio > 1.0 else "no drift"
    return Moved(
        kind=kind,
        decision=decision,
        group=wanted.group,
        score=told.score,
        seen=told.seen,
        expected=told.expected,
        smallest=told.smallest,
        genuine_share=told.genuine_share if kind == "mixed" else None,
        pairs=len(rows),
        units=told.units,
    )


def _worst(decisions: list[Decision]) -> Decision:
    """Drift anywhere is drift; no drift: something could be judged and nothing moved."""
    if "drift" in decisions:
        return "drift"
    return "no drift" if "no drift" in decisions else "too little data"


def _notes(found: ProductionScores, parts: list[Moved]) -> list[str]:
    notes = []
    if found.span is not None:
        notes.append(f"pairs from {found.span[0]} to {found.span[1]}")
    if found.unit == "pair":
        notes.append(
            "the identities of the pairs are not given (identity_a and identity_b, or a and b): "
            "the rate of false alarms holds only if no two pairs share anybody"
        )
    if found.undrawn:
        notes.append(
            f"{counted(found.undrawn, 'vector', 'was')} left out: "
            "of the others, drawn by chance, every pair was scored"
        )
    if found.unowned:
        persons = max(part.units for part in parts)
        notes.append(
            f"the identities of the vectors are not given: their scores suggest about {persons} "
            "people, who were counted in place of vectors; labels of vectors would tell more"
        )
    elif found.unit == "thing":
        notes.append(
            "the two sides of a pair were counted as independent things: "
            "where many are of one person, say so (identity_a, identity_b, "
            "or labels of vectors), else there are too many alarms"
        )
    if any(part.kind == "mixed" for part in parts):
        notes.append(
            "of pairs whose truth nobody knows, genuine ones that score like "
            "impostors look like more impostors: only a sample of known truth "
            "(same), drawn by chance, or a known share (genuine) can tell"
        )
    few = [part for part in parts if part.decision == "too little data"]
    for part in few:
        whose = "" if part.group is None else f" of group {part.group!r}"
        notes.append(
            f"{part.pairs} {part.kind} pairs{whose} with {part.units} that take part are too few "
            f"to tell: at least {FEWEST} must take part, and some pairs score on either side"
        )
    return notes

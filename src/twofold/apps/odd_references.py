"""Items that are unlike the others of their identity: a forgery, or somebody else's item, among the references."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from twofold.apps.templates import scores_with
from twofold.bundle import Bundle

__all__ = ["Odd", "odd_references"]

FEWEST = 3
"""Items of a class: of two that differ nobody can say which one is odd."""


@dataclass(frozen=True, kw_only=True)
class Odd:
    """What a bundle's thresholds for several references say of the items of each class.

    Attributes:
        suspects: positions of the items that are unlike the others of their class.
        judged: how many items were compared. most: with so many others at most.
        frr: share of genuine items that are unlike their fellows, too, by the calibration.
    """

    suspects: Int[np.ndarray, "m"]
    judged: int
    most: int
    frr: float


def odd_references(
    bundle: Bundle, vectors: Float[np.ndarray, "n dim"], labels: Int[np.ndarray, "n"]
) -> Odd | None:
    """Compare each item with the others of its class, as `verify` does with several references.

    Of more others than there are thresholds for, the first ones count. An item is odd when the
    decision is "different", below the threshold that so many genuine items stay under.

    Returns:
        None where the bundle has no lower threshold for several references (`calibrate --frr .02
        --set references=5`), or no class has enough items.
    """
    known = () if bundle.calibration is None else bundle.calibration.references
    able = {each.count: each for each in known if each.calibration.rejection is not None}
    if not able:
        return None
    most, judged, suspects = max(able), 0, []
    for code in np.unique(labels):
        members = np.flatnonzero(labels == code)
        if len(members) < FEWEST:
            continue
        for place in members:
            others = members[members != place][:most]
            if (deciding := able.get(len(others))) is None:
                continue
            (score,) = scores_with(bundle, vectors[[place]], vectors[others][None], deciding)
            judged += 1
            if deciding.calibration.decide(float(score)) == "different":
                suspects.append(place)
    rejection = able[most].calibration.rejection
    if not judged or rejection is None:
        return None
    found = np.array(suspects, dtype=np.int64)
    return Odd(suspects=found, judged=judged, most=most, frr=rejection.frr)

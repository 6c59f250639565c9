"""What a search node must know of a bundle: distance -> score -> probability -> decision, in numpy alone.

Law 1 rules here: below this file everything is a distance (smaller = more alike), from here
outwards everything is a score (larger = more alike), thresholds too.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.contract.calibration import (
    Calibration,
    check,
)
from twofold.errors import BundleError, NewerFormat, NotCalibrated, UnknownName, UsageError, nearest
from twofold.files import write_atomically
from twofold.results import Decision
from twofold.strict_json import plain_object, table

__all__ = ["ZERO", "Contract", "score_from_distance", "scores_block"]

FORMAT = 6
"""Of the JSON; all earlier ones are still read. 1 knew no unsure zone, 2 no groups, cohort and
reference, 3 had `certified` in place of a standing, 4 knew no thresholds for several references, 5
no cohort of the weaker side."""

ZERO: dict[str, float] = dict.fromkeys(
    ("cosine", "Bilinear", "CrossAttention", "ExpL1", "Matching", "Relation", "Warping"), 1.0
)
"""What a distance is taken from, where not 0: the score of the cosine distance is the cosine."""


def score_from_distance(name: str, distance: Any) -> Any:
    """Turn a distance into a score: `score = zero(name) - distance`, the only line that knows the sign.

    Args:
        name: what the comparison calls its distance, e.g. "cosine", "euclidean", "WeightedL1".
        distance: a float, an array or a tensor; the same type comes back.
    """
    return ZERO.get(name, 0.0) - distance


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The little that one must know of a bundle to use its vectors.

    Attributes:
        fingerprint: of the bundle that made the vectors.
        dim: length of a vector.
        distance: name of the comparison; `score` works for each, `scores` for plain distances.
        calibration: None until `twofold calibrate` ran.
    """

    fingerprint: str
    dim: int
    distance: str
    calibration: Calibration | None = None

    def score(self, distance: Any) -> Any:
        """Score of a distance (float, array or tensor); larger is more alike."""
        return score_from_distance(self.distance, distance)

    def scores(
        self, a: Float[np.ndarray, "rows dim"], b: Float[np.ndarray, "cols dim"]
    ) -> Float[np.ndarray, "rows cols"]:
        """Scores of every row of `a` with every row of `b`, float64.

        Raises:
            UsageError: the vectors are not of this contract's dimension.
            UnknownName: the comparison is learned, so that its weights (the bundle) are needed.
        """
        if not a.shape[1] == b.shape[1] == self.dim:
            raise UsageError(
                f"vectors of {a.shape[1]} and {b.shape[1]} numbers: this bundle's have {self.dim}"
            )
        return scores_block(self.distance, a, b)

    def each_score(
        self, query: Float[np.ndarray, "dim"], rows: Float[np.ndarray, "n dim"]
    ) -> Float[np.ndarray, "n"]:
        """Scores of one vector with each row, float64; what a row scores depends on nothing but the two vectors.

        `scores` is a matrix product, whose last digits depend on what else is in it, so that ties
        fall differently.

        Raises:
            UnknownName: the comparison is learned.
        """
        if self.distance not in _EACH:
            raise UnknownName(
                f"{self.distance!r} is not a plain distance: load the bundle. "
                f"{nearest(self.distance, _EACH)}"
            )
        found = np.empty(len(rows))
        wide = np.asarray(query, np.float64)
        for start in range(0, len(rows), EACH_ROWS):
            part = slice(start, start + EACH_ROWS)
            found[part] = _EACH[self.distance](wide, rows[part].astype(np.float64, order="C"))
        return score_from_distance(self.distance, found)

    def decide(self, score: float) -> tuple[Decision, float]:
        """Decision and calibrated probability for a score.

        Raises:
            NotCalibrated: there is no threshold yet.
            UsageError: the score is NaN.
        """
        if self.calibration is None:
            raise NotCalibrated(
                "this bundle has no threshold, so a score means nothing yet: "
                "run `twofold calibrate BUNDLE DATA --far 1e-2`"
            )
        if math.isnan(score):
            raise UsageError(
                "the score is NaN, which is not an answer: check the vectors that were compared"
            )
        return self.calibration.decide(float(score)), self.calibration.probability(float(score))

    def with_calibration(self, calibration: Calibration | None) -> "Contract":
        """The same contract with another calibration."""
        return replace(self, calibration=calibration)

    def save(self, path: str | Path) -> Path:
        """Write the contract as JSON, whole or not at all.

        Raises:
            CannotWrite: the folder is missing or read-only, or the disk is full.
        """
        write_atomically(
            path, (json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n").encode()
        )
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Contract":
        """Read a contract that `save` wrote.

        Raises:
            BundleError: no such file, no JSON, or no contract. NewerFormat: a later version wrote
                it.
        """
        try:
            plain = plain_object(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise BundleError(f"{path} cannot be read as a contract in JSON: {error}") from None
        return cls.from_dict(plain)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON-able Python, with a format number."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Contract":
        """Read what `to_dict` wrote, and refuse everything else.

        Raises:
            NewerFormat: a later version of twofold wrote it.
            BundleError: a key is missing or unknown, a value is of the wrong type, or a number is
                not finite.
        """
        found = plain.get("format") if isinstance(plain, dict) else None
        if isinstance(found, int) and found > FORMAT:
            raise NewerFormat(
                f"the contract has format {found}, this twofold reads {FORMAT}: update twofold"
            )
        if type(found) is not int or found < 1:
            raise BundleError(
                f"the contract has format {found!r}, where {FORMAT} belongs: this is not a contract"
            )
        rest = {key: value for key, value in plain.items() if key != "format"}
        rest = _with_standing(rest) if found < 4 else rest
        contract = table(cls, rest, older=found < FORMAT)
        if (known := contract.calibration) is not None:
            check(known)
        return contract


def _with_standing(plain: Any) -> Any:
    """Formats before 4 said `certified`, yes or no, where a standing belongs now."""
    if isinstance(plain, list):
        return [_with_standing(each) for each in plain]
    if not isinstance(plain, dict):
        return plain
    found = {key: _with_standing(value) for key, value in plain.items()}
    if isinstance(said := found.get("certified"), bool):
        found = {"standing" if key == "certified" else key: value for key, value in found.items()}
        found["standing"] = "certified" if said else "estimate"
    return found


def scores_block(
    name: str, a: Float[np.ndarray, "rows dim"], b: Float[np.ndarray, "cols dim"]
) -> Float[np.ndarray, "rows cols"]:
    """Scores of a plain distance between every row of `a` and every row of `b`, float64, without torch.

    Raises:
        UnknownName: no plain distance is called so (a learned comparison needs its weights: use the
            bundle).
    """
    if name not in _DISTANCES:
        raise UnknownName(
            f"{name!r} is not a plain distance, so a contract alone cannot compute it: load the "
            f"bundle. " + nearest(name, _DISTANCES)
        )
    return score_from_distance(name, _DISTANCES[name](a.astype(np.float64), b.astype(np.float64)))


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return 1.0 - _unit(a) @ _unit(b).T


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(length, np.finfo(np.float64).tiny)


def _squared_euclidean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # the Gram form loses digits when all vectors share an offset: centre first
    centre = b.mean(axis=0) if len(b) else 0.0
    a, b = a - centre, b - centre
    gram = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * (a @ b.T)
    return np.maximum(gram, 0.0)


def _euclidean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(_squared_euclidean(a, b))


def _manhattan(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # one coordinate at a time: no (rows, cols, dim) cube
    total = np.zeros((len(a), len(b)))
    for left, right in zip(a.T, b.T, strict=True):
        total += np.abs(left[:, None] - right[None, :])
    return total


# rows that are compared at once in float64: 4 MB of 128 numbers, in the cache of the processor
EACH_ROWS = 4096


def _each_cosine(query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return 1.0 - np.add.reduce(_unit(rows) * _unit(query[None]), axis=1)


def _each_squared_euclidean(query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    rows = rows - query
    return np.add.reduce(rows * rows, axis=1)


# `np.add.reduce` along a row of memory adds in an order that only its length decides
_EACH = {
    "cosine": _each_cosine,
    "euclidean": lambda query, rows: np.sqrt(_each_squared_euclidean(query, rows)),
    "manhattan": lambda query, rows: np.add.reduce(np.abs(rows - query), axis=1),
    "squared_euclidean": _each_squared_euclidean,
}
_DISTANCES = {
    "cosine": _cosine,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
    "squared_euclidean": _squared_euclidean,
}

"""What a search node must know of a bundle: distance -> score -> probability -> decision, in numpy alone.

Law 1 rules here: below this file everything is a distance (smaller = more alike), from here outwards everything is a
score (larger = more alike), thresholds too.
"""

import json
import math
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import numpy as np
from jaxtyping import Float

from twofold.errors import BundleError, NewerFormat, NotCalibrated, UnknownName, UsageError, nearest
from twofold.files import write_atomically
from twofold.results import Decision, Estimate

__all__ = ["ZERO", "Calibration", "Contract", "Isotonic", "OpenSet", "Rejection", "score_from_distance", "scores_block"]

FORMAT = 2
"""Of the JSON; 1 knew no unsure zone, and is still read."""

ZERO = {"cosine": 1.0}
"""Score of two equal vectors, where it is not 0: so the score of the cosine distance is the cosine similarity."""


def score_from_distance(name: str, distance: Any) -> Any:
    """Turn a distance into a score: `score = zero(name) - distance`, the only line that knows the sign.

    Args:
        name: what the comparison calls its distance, e.g. "cosine", "euclidean", "WeightedL1".
        distance: a float, an array or a tensor; the same type comes back.
    """
    return ZERO.get(name, 0.0) - distance


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """What the lower of two thresholds promises: the zone below it is "different", the one above it "unsure".

    Attributes:
        frr: false-reject rate that was asked for: genuine pairs below the lower threshold.
        upper_bound: the upper confidence bound of that rate; at most `frr` if the calibration is certified.
        false_reject: the rate measured on the calibration data, with its interval.
        unsure_genuine, unsure_impostor: measured shares of genuine and impostor pairs that stay undecided.
    """

    frr: float
    upper_bound: float
    false_reject: Estimate
    unsure_genuine: float
    unsure_impostor: float


@dataclass(frozen=True, kw_only=True)
class Isotonic:
    """A rising curve of log-odds by score: linear between its knots, level outside; ascending scores."""

    scores: tuple[float, ...]
    log_odds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class OpenSet:
    """The threshold for naming one of those enrolled, and what was measured at it by enrolling again and again.

    Attributes:
        threshold: score from which on the best enrolled identity is named.
        fpir: false-positive identification rate asked for: strangers taken for somebody, at `size` identities enrolled
            with `enrolled` items each.
        certified, upper_bound: as in Calibration, of that rate.
        false_positive, false_negative: measured rates, with intervals.
        identities, repeats: how much data that was, and how many galleries were made.
    """

    threshold: float
    fpir: float
    certified: bool
    upper_bound: float
    size: int
    enrolled: int
    false_positive: Estimate
    false_negative: Estimate
    identities: int
    repeats: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What unseen identities taught about a bundle's scores: a threshold, what it costs, and a probability map.

    `P(same | score) = 1 / (1 + exp(-(slope * score + intercept)))`, Platt 1999, for pairs of which the share `prior`
    is genuine; where `isotonic` is given, its log-odds take the place of the line.

    Attributes:
        threshold: score from which on two inputs count as the same.
        far: false-accept rate that was asked for.
        certified: True when the upper confidence bound of the false-accept rate at `threshold` is at most `far` (and
            that of the false-reject rate below `reject_threshold` at most `rejection.frr`);
            False: the thresholds are plain quantiles of the data, the rates *estimates*.
        confidence: of the bound, and of the two intervals below.
        method: how the bound was found.
        upper_bound: the upper confidence bound of the false-accept rate at the threshold; at most `far` if certified.
        false_match, false_non_match: rates measured at the threshold on the calibration data, with intervals.
        identities, genuine_pairs, impostor_pairs: how much data that was.
        seed: of the bootstrap.
        reject_threshold: score below which the decision is "different" when there is an unsure zone between it and
            `threshold`; None: no such zone.
        rejection: what `reject_threshold` promises.
        isotonic: the curve of the probability, where it predicts unseen identities better than Platt's; else None.
        open_set: the threshold for naming one of many; None: that of one comparison is used.
        platt_log_loss, isotonic_log_loss: of both on identities that they were not fitted to; None: not known.
    """

    threshold: float
    far: float
    certified: bool
    confidence: float
    method: str
    upper_bound: float
    false_match: Estimate
    false_non_match: Estimate
    slope: float
    intercept: float
    prior: float
    identities: int
    genuine_pairs: int
    impostor_pairs: int
    seed: int
    reject_threshold: float | None = None
    rejection: Rejection | None = None
    isotonic: Isotonic | None = None
    platt_log_loss: float | None = None
    isotonic_log_loss: float | None = None
    open_set: OpenSet | None = None

    def probability(self, score: float, *, prior: float | None = None) -> float:
        """Calibrated probability of "same"; for pairs whose share of genuine ones is `prior`, if given."""
        return float(self.probabilities(np.asarray(score, dtype=np.float64), prior=prior))

    def probabilities(
        self, scores: Float[np.ndarray, "*shape"], *, prior: float | None = None
    ) -> Float[np.ndarray, "*shape"]:
        """Calibrated probabilities of "same" for an array of scores.

        Another prior moves the log-odds by `logit(prior) - logit(self.prior)` (Bayes).

        Raises:
            UsageError: `prior` is not inside (0, 1).
        """
        scores = np.asarray(scores, dtype=np.float64)
        if self.isotonic is None:
            logit = self.slope * scores + self.intercept
        else:
            logit = np.interp(scores, self.isotonic.scores, self.isotonic.log_odds)
        if prior is not None:
            logit = logit + self._moved(prior)
        # exp of the negative absolute value never overflows
        decayed = np.exp(-np.abs(logit))
        return np.asarray(np.where(logit >= 0, 1.0, decayed) / (1.0 + decayed))

    def with_prior(self, prior: float) -> "Calibration":
        """The same calibration, its probabilities for pairs of which the share `prior` is genuine.

        Raises:
            UsageError: `prior` is not inside (0, 1).
        """
        moved, curve = self._moved(prior), self.isotonic
        if curve is not None:
            curve = replace(curve, log_odds=tuple(each + moved for each in curve.log_odds))
        return replace(self, prior=prior, intercept=self.intercept + moved, isotonic=curve)

    def _moved(self, prior: float) -> float:
        """How far another prior moves the log-odds."""
        if not 0.0 < prior < 1.0:
            raise UsageError(f"prior is {prior}: the share of genuine pairs lies between 0 and 1, both excluded")
        return math.log(prior / (1 - prior)) - math.log(self.prior / (1 - self.prior))

    def decide(self, score: float, *, threshold: float | None = None) -> Decision:
        """The decision for a score: "same" from `threshold` on, "unsure" between the thresholds, else "different".

        Args:
            threshold: another one in its place (that of the open set, say).
        """
        if score >= (self.threshold if threshold is None else threshold):
            return "same"
        if self.reject_threshold is not None and score >= self.reject_threshold:
            return "unsure"
        return "different"


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
            raise UsageError(f"vectors of {a.shape[1]} and {b.shape[1]} numbers: this bundle's have {self.dim}")
        return scores_block(self.distance, a, b)

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
            raise UsageError("the score is NaN, which is no answer: look at the vectors that were compared")
        return self.calibration.decide(float(score)), self.calibration.probability(float(score))

    def with_calibration(self, calibration: Calibration | None) -> "Contract":
        """The same contract with another calibration."""
        return replace(self, calibration=calibration)

    def save(self, path: str | Path) -> Path:
        """Write the contract as JSON, whole or not at all.

        Raises:
            CannotWrite: the folder is missing or read-only, or the disk is full.
        """
        write_atomically(path, (json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n").encode())
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Contract":
        """Read a contract that `save` wrote.

        Raises:
            BundleError: no such file, no JSON, or no contract. NewerFormat: a later version wrote it.
        """
        try:
            plain = json.loads(Path(path).read_text(encoding="utf-8"))
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
            BundleError: a key is missing or unknown, a value is of the wrong type, or a number is not finite.
        """
        found = plain.get("format") if isinstance(plain, dict) else None
        if isinstance(found, int) and found > FORMAT:
            raise NewerFormat(f"the contract has format {found}, this twofold reads {FORMAT}: update twofold")
        if type(found) is not int or found < 1:
            raise BundleError(f"the contract has format {found!r}, where {FORMAT} belongs: this is no contract")
        rest = {key: value for key, value in plain.items() if key != "format"}
        contract = _table(cls, rest, older=found < FORMAT)
        if (known := contract.calibration) is not None:
            _check(known)
        return contract


def scores_block(
    name: str, a: Float[np.ndarray, "rows dim"], b: Float[np.ndarray, "cols dim"]
) -> Float[np.ndarray, "rows cols"]:
    """Scores of a plain distance between every row of `a` and every row of `b`, float64, without torch.

    Raises:
        UnknownName: no plain distance is called so (a learned comparison needs its weights: use the bundle).
    """
    if name not in _DISTANCES:
        raise UnknownName(
            f"{name!r} is no plain distance, so a contract alone cannot compute it: load the bundle. "
            + nearest(name, _DISTANCES)
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


_DISTANCES = {
    "cosine": _cosine,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
    "squared_euclidean": _squared_euclidean,
}


def _check(calibration: Calibration) -> None:
    low, high = calibration.reject_threshold, calibration.threshold
    if not 0.0 < calibration.prior < 1.0 or not 0.0 < calibration.far < 1.0:
        raise BundleError(
            f"calibration: prior {calibration.prior} and far {calibration.far} lie between 0 and 1: calibrate again"
        )
    if low is not None and low > high:
        raise BundleError(f"calibration: reject_threshold {low} is above threshold {high}: calibrate again")
    if (curve := calibration.isotonic) is not None:
        rising = all(np.diff(curve.scores) > 0) and all(np.diff(curve.log_odds) >= 0)
        if not curve.scores or len(curve.scores) != len(curve.log_odds) or not rising:
            raise BundleError("calibration: the isotonic curve does not rise, or its two lists differ: calibrate again")


def _table(kind: Any, plain: Any, *, older: bool) -> Any:
    """Build a dataclass from exactly its own keys, each of its declared type; an older format may lack late ones."""
    name = kind.__name__.lower()
    declared = {field.name: field for field in fields(kind)}
    late = {key for key, field in declared.items() if older and field.default is not MISSING}
    unknown, missing = sorted(plain.keys() - declared.keys()), sorted(declared.keys() - plain.keys() - late)
    if unknown or missing:
        raise BundleError(f"{name}: unknown keys {unknown}, missing keys {missing}: not written by us")
    known = {key: _value(value, declared[key].type, f"{name}: {key}", older=older) for key, value in plain.items()}
    return kind(**known)


def _value(value: Any, declared: Any, where: str, *, older: bool) -> Any:
    """A value of its declared type: a table, a list of such, or a plain value; numbers are finite."""
    wanted = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    if value is None and type(None) in wanted:
        return None
    if tables := [each for each in wanted if is_dataclass(each)]:
        if not isinstance(value, dict):
            raise BundleError(f"{where.split(': ')[-1]} is {value!r}, where a table belongs: calibrate again")
        return _table(tables[0], value, older=older)
    if get_origin(wanted[0]) is tuple:
        if not isinstance(value, list | tuple):
            raise BundleError(f"{where} is {value!r}, where a list belongs: not written by us")
        return tuple(_value(each, get_args(wanted[0])[0], where, older=older) for each in value)
    if float in wanted and type(value) is int:
        value = float(value)
    if type(value) not in wanted:
        raise BundleError(f"{where} is {value!r}, where {declared} belongs: not written by us")
    if isinstance(value, float) and not math.isfinite(value):
        raise BundleError(f"{where} is {value}, and a number must be finite: not written by us")
    return value

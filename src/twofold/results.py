"""What the verbs return: small frozen results, numpy and plain Python only."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

__all__ = ["Decision", "Embeddings", "Estimate", "Finding", "Hit", "Identification", "Verdict", "plain"]

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
    """

    decision: Decision
    score: float
    probability: float
    threshold: float
    far: float
    certified: bool


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
        score, probability: of the best enrolled identity, whether accepted or not.
        candidates: best item of each of the best identities, best first.
        gallery: number of enrolled identities that the query was compared with.
        far, certified: as in Verdict, of ONE comparison; with `gallery` comparisons the chance that a stranger is
            taken for somebody is larger.
    """

    label: str | None
    score: float
    probability: float
    threshold: float
    far: float
    certified: bool
    gallery: int
    candidates: tuple[Hit, ...]


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
class Embeddings:
    """Vectors with what they belong to; `labels[i]` is the name of the class of `ids[i]`."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    vectors: Float[np.ndarray, "n dim"]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a doctor found: what, where, and what to do about it."""

    level: Literal["fatal", "warning", "note"]
    code: str
    message: str
    remedy: str
    files: tuple[str, ...] = ()


def plain(result: Any) -> dict[str, Any]:
    """A result as plain JSON-able Python."""
    return asdict(result)

"""What public photographs tell of a bundle that nobody has calibrated: a rate to go by, and no verdict (law 5)."""

from dataclasses import dataclass

from twofold.bundle import Bundle

__all__ = ["PublicRate", "public_rate"]


@dataclass(frozen=True, kw_only=True)
class PublicRate:
    """The share of pairs of different identities that reach a score, on data that everybody can get.

    Attributes:
        far: the share.
        score: that so many reach.
        data: where it was measured.
    """

    far: float
    score: float
    data: str


RATES = {"dlib": PublicRate(far=1e-2, score=0.9074, data="the photographs of LFW")}
"""By the weights of an encoder; from bench/results/face_pretrained.json, `lfw_score_at_far_1e-2`."""


def public_rate(bundle: Bundle) -> PublicRate | None:
    """The rate of a bundle that is used as others trained it, and that has no threshold of its own; else None."""
    if bundle.calibration is not None or "epochs" in bundle.training:
        return None
    return RATES.get(str(bundle.training.get("weights")))

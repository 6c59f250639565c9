"""Sections of a report that need no classes: curves, scores, reliability, counts, the card of the model."""

from datetime import UTC, datetime
from typing import Any, Literal

from twofold.bundle import Bundle
from twofold.contract import Calibration
from twofold.inputs.optional import Shown, show
from twofold.metrics.curves import reliability, trade_off
from twofold.metrics.pairs import PairSource
from twofold.metrics.verification import tally, threshold_at_far
from twofold.report.story import score_shares
from twofold.results import Evaluation

__all__ = [
    "HARDEST",
    "HARD_KINDS",
    "model_card",
    "of_pairs",
    "pair_counts",
    "shown_as",
    "threshold_of",
]

HARDEST = 6
"""Pairs of each kind that are shown."""

HARD_KINDS: dict[bool, Literal["false accept", "false reject"]] = {
    False: "false accept",
    True: "false reject",
}


def threshold_of(known: Calibration | None, pairs: PairSource, found: Evaluation) -> float:
    """The calibrated threshold, or the one at which the measured rate is `far`."""
    return (
        known.threshold if known is not None else float(threshold_at_far(tally(pairs), found.far))
    )


def of_pairs(
    found: Evaluation,
    pairs: PairSource,
    *,
    known: Calibration | None,
    threshold: float,
    confidence: float,
) -> dict[str, Any]:
    """The sections that need only scores."""
    diagram = None
    if known is not None:
        diagram = reliability(
            pairs, known.probabilities, prior=known.prior, confidence=confidence, seed=found.seed
        )
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "evaluation": found,
        "calibration": known,
        "threshold": threshold,
        "curve": trade_off(pairs, confidence=confidence, seed=found.seed),
        "scores": score_shares(pairs, threshold=threshold, bins=60),
        "reliability": diagram,
    }


def shown_as(bundle: Bundle, value: Any) -> Shown:
    """A thing as the network sees it, if it can be shown; texts as they are, series as their course."""
    return show(bundle.twin.input, value)


def pair_counts(found: Evaluation) -> dict[str, str]:
    """How much data there was."""
    return {
        "genuine pairs": f"{found.genuine_pairs:,}",
        "impostor pairs": f"{found.impostor_pairs:,}",
        f"resampled: the {found.unit}": f"{found.units:,}",
    }


def model_card(bundle: Bundle) -> dict[str, str]:
    """What the model is, and what it was made from."""
    recipe, training = bundle.recipe, bundle.training
    pieces = {
        "input": bundle.twin.input.name,
        "encoder": recipe.encoder.name,
        "comparison": bundle.twin.comparison.name,
    }
    card = pieces | {
        "vector": f"{bundle.twin.embedding_dim} numbers",
        "weights": f"{sum(each.numel() for each in bundle.twin.parameters()):,}",
        "loss": getattr(recipe.loss, "name", str(recipe.loss)),
        "views averaged": str(recipe.copies),
    }
    for name in ("epochs", "steps", "seed", "versions"):
        if name in training:
            told = training[name]
            card[name] = (
                ", ".join(f"{a} {b}" for a, b in told.items())
                if isinstance(told, dict)
                else str(told)
            )
    for part, count in bundle.provenance.counts.items():
        card[f"identities, {part}"] = f"{count:,}"
    return card | {"fingerprint": bundle.fingerprint}

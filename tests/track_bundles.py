"""A bundle of tracking for tests: nothing of it was trained."""

from twofold import build, recipes
from twofold.track_bundle import TrackBundle

SMALL = {"encoder.name": "track_lite0", "encoder.width": 8}


def of_network(network: str = "track_lite0") -> TrackBundle:
    """An untrained bundle that can be saved."""
    recipe = recipes.find("track").replace({"encoder.name": network, "encoder.width": 8})
    recipe = recipe.model_copy(update={"freeze": None})
    twin = build.track_twin(recipe, seed=0).eval()
    return TrackBundle(twin=twin, recipe=recipe, training={"epochs": 2})

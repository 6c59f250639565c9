"""What `tune` may change of a recipe, and between which bounds; the names are those of --set where there is one."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, Protocol

from twofold import build, nn
from twofold.config import Recipe
from twofold.errors import UsageError, nearest
from twofold.inputs.image_augment import LIMITS
from twofold.nn.blocks import TRUNK, blocks
from twofold.nn.builder import kinds_of

__all__ = ["AS_IT_IS", "PARTS_OF", "SEARCHED", "Asked", "as_it_is", "check_searched", "settings_of"]

AS_IT_IS = "as it is"
"""The choice that leaves a setting of the recipe alone."""

FACTOR = 5.0
"""Learning rates are looked for between a fifth and five times the recipe's."""

WEIGHT_DECAYS = (1e-4, 0.3)
STRENGTHS = (0.0, 2.0)
"""Times the augmentation of the recipe: none to twice as much."""

DIMS = (64, 128, 256, 512)
WIDTHS = (0.5, 0.75, 1.5, 2.0)
"""Times the encoder's own width; a multiple of 32, which heads of attention need."""

WIDTH_STEP = 32
DEPTHS = ("depth", "blocks", "layers")
"""What our encoders call the number of their layers, or of the blocks of a stage."""

DEEPER = (-1, 1, 2)
"""Layers that are added to the encoder's own; one is left in any case."""

DROPOUTS = (0.0, 0.5)
BATCHES = ((8, 4), (8, 8), (16, 2), (16, 4), (32, 2), (32, 4), (64, 2), (64, 4))
"""P identities times K items."""

LOSSES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "supcon": {"temperature": (0.03, 0.3)},
    "nt_xent": {"temperature": (0.03, 0.3)},
    "prototypical": {"temperature": (0.03, 0.3)},
    "triplet": {"margin": (0.05, 0.5)},
    "contrastive": {"negative_margin": (0.3, 1.2)},
    "multi_similarity": {},
    "circle": {"margin": (0.1, 0.5)},
    "roadmap": {},
    "ProxyAnchor": {"margin": (0.05, 0.3)},
    "ArcFace": {"margin": (0.1, 0.6)},
}
"""Losses, and the bounds of their numbers: around those of their papers (see `twofold.losses`)."""

BY_ANGLE = ("ProxyAnchor", "ArcFace")
"""Losses that compare with their own proxies by angle: with no past embeddings, and by no learned comparison."""

MININGS = ("all", "semi_hard", "hard", "distance_weighted")
"""Triplets of a batch that are learned from: by the loss's own `mining`, or by the miner of that name."""

ON_SPHERE = ("cosine", "euclidean", "squared_euclidean")
"""Comparisons for which distance_weighted knows how often each distance is met."""

GROWTHS = (0.0, 0.25, 0.5)
"""Shares of the training over which a margin grows; 0: it has its setting from the first step."""

COMPARISONS = ("cosine", "euclidean", "manhattan")
LEARNED = ("Bilinear", "Matching")
LEARNED_ON_MAPS = ("Relation", "CrossAttention")
"""Comparisons with weights; the latter compare the feature maps of networks of pictures."""

ENCODERS: Mapping[str, Sequence[str]] = {
    "pictures": ("resnet_small", "conv4", "vit"),
    "symbols": ("bag", "lstm", "gru", "text_cnn", "transformer"),
    "series": ("fcn_1d", "inception_time", "cnn_lstm", "lstm", "transformer"),
    "clips": ("clip_lstm", "clip_average"),
    "vectors": ("linear", "mlp"),
}
"""Networks that are tried in each other's place, by the kind of things that they take."""


class Asked(Protocol):
    """What draws a value by name: a trial of optuna."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


def settings_of(asked: Asked, recipe: Recipe, searched: Sequence[str]) -> dict[str, Any]:
    """The settings of one trial, as `Recipe.replace` takes them.

    Args:
        searched: names of `SEARCHED`.
    """
    found: dict[str, Any] = {}
    for name in searched:
        found |= SEARCHED[name](asked, recipe.replace(found))
    known = _parameters(found.get("encoder.name", recipe.encoder.name))
    fits = {"encoder.name", *(f"encoder.{name}" for name in known)}
    return {
        name: value
        for name, value in found.items()
        if name in fits or not name.startswith("encoder.")
    }


def as_it_is(recipe: Recipe, searched: Sequence[str]) -> dict[str, Any]:
    """The values by which a trial leaves the recipe as it is, for those that `settings_of` asks first."""
    known: dict[str, Any] = {
        "learning_rate": recipe.optimiser.learning_rate,
        "weight_decay": min(max(recipe.optimiser.weight_decay, WEIGHT_DECAYS[0]), WEIGHT_DECAYS[1]),
        "augment": 1.0,
        "dropout": min(_argument(recipe, "dropout") or 0.0, DROPOUTS[1]),
    }
    return {name: known.get(name, AS_IT_IS) for name in searched}


def check_searched(names: Sequence[str], recipe: Recipe) -> tuple[str, ...]:
    """The names if all can be searched in this recipe; without any, all that can be.

    Raises:
        UsageError: an unknown name, or nothing that this recipe has.
    """
    for name in names:
        if name not in SEARCHED:
            raise UsageError(f"{name!r} cannot be searched: {nearest(name, SEARCHED)}")
    there = [name for name in SEARCHED if _is_there(name, recipe)]
    if missing := [name for name in names if name not in there]:
        raise UsageError(
            f"this recipe has nothing to search in {missing[0]}: choose from {', '.join(there)}"
        )
    return tuple(name for name in there if name in names or not names)


def _is_there(name: str, recipe: Recipe) -> bool:
    """Whether a recipe has what the name is of."""
    if name == "augment":
        return any(_is_number(value) for value in recipe.augment.values())
    if name == "depth":
        return _depth_argument(recipe) is not None
    if name in ("dim", "width", "dropout"):
        return _argument(recipe, name) is not None
    pretrained = "weights" in recipe.encoder.arguments
    if name == "freeze":
        return pretrained
    if name == "encoder":
        return not pretrained and recipe.encoder.name in _alike(recipe)
    return True


def _learning_rate(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    rate = recipe.optimiser.learning_rate
    low, high = rate / FACTOR, rate * FACTOR
    return {"optimiser.learning_rate": asked.suggest_float("learning_rate", low, high, log=True)}


def _weight_decay(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    return {"optimiser.weight_decay": asked.suggest_float("weight_decay", *WEIGHT_DECAYS, log=True)}


def _loss(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    """A loss, its numbers, what it mines, and whether its margin grows; the recipe's, if the drawn one does not fit."""
    name = asked.suggest_categorical("loss", (AS_IT_IS, *LOSSES))
    learned = recipe.comparison.name in (*LEARNED, *LEARNED_ON_MAPS)
    if name == AS_IT_IS or (learned and name in BY_ANGLE):
        return {}
    # what belongs to the recipe's own loss, others may refuse
    found: dict[str, Any] = {"loss.name": name, "miner": None, "margin_growth": 0.0}
    if name in BY_ANGLE:
        found["memory"] = 0
    for argument, (low, high) in LOSSES[name].items():
        value = asked.suggest_float(f"{name}.{argument}", low, high, log=argument == "temperature")
        found[f"loss.{argument}"] = value
        if "margin" in argument:
            found["margin_growth"] = asked.suggest_categorical("margin_growth", GROWTHS)
    if name == "triplet":
        found |= _mining(asked.suggest_categorical("triplet.mining", MININGS), recipe)
    return found


def _mining(name: str, recipe: Recipe) -> dict[str, Any]:
    if name != "distance_weighted":
        return {"loss.mining": name}
    return {"miner": name} if recipe.comparison.name in ON_SPHERE else {}


def _batch(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    named = {f"{p} x {k}": (p, k) for p, k in BATCHES}
    chosen = asked.suggest_categorical("batch", (AS_IT_IS, *named))
    return {} if chosen == AS_IT_IS else dict(zip(("p", "k"), named[chosen], strict=True))


def _augment(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    strength = asked.suggest_float("augment", *STRENGTHS)
    return {
        f"augment.{name}": min(value * strength, LIMITS.get(name, 1.0))
        for name, value in recipe.augment.items()
        if _is_number(value)
    }


def _dim(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    dim = asked.suggest_categorical("dim", (AS_IT_IS, *DIMS))
    return {} if dim == AS_IT_IS else {"encoder.dim": dim}


def _width(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    times = asked.suggest_categorical("width", (AS_IT_IS, *WIDTHS))
    if times == AS_IT_IS:
        return {}
    width = (_argument(recipe, "width") or WIDTH_STEP) * times
    return {"encoder.width": max(WIDTH_STEP, round(width / WIDTH_STEP) * WIDTH_STEP)}


def _depth(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    more = asked.suggest_categorical("depth", (AS_IT_IS, *DEEPER))
    name = _depth_argument(recipe)
    if (
        more == AS_IT_IS or name is None
    ):  # None: the network drawn for this trial has no such number
        return {}
    return {f"encoder.{name}": max(1, _argument(recipe, name) + more)}


def _depth_argument(recipe: Recipe) -> str | None:
    """What the recipe's encoder calls the number of its layers; None: that cannot be chosen."""
    if "weights" in recipe.encoder.arguments:
        return None
    return next((name for name in DEPTHS if _argument(recipe, name) is not None), None)


def _dropout(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    return {"encoder.dropout": asked.suggest_float("dropout", *DROPOUTS)}


def _comparison(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    choices = COMPARISONS
    if recipe.loss.name not in BY_ANGLE:
        choices += LEARNED
        if recipe.encoder.name in ENCODERS["pictures"]:
            choices += LEARNED_ON_MAPS
    name = asked.suggest_categorical("comparison", (AS_IT_IS, *choices))
    return {} if name == AS_IT_IS else {"comparison": name}


def _freeze(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    part = asked.suggest_categorical("freeze", (AS_IT_IS, "nothing", "half", "trunk"))
    if part == AS_IT_IS:
        return {}
    if part == "half":
        return {"freeze": len(blocks(build.twin(recipe).encoder)) // 2}
    return {"freeze": {"nothing": 0, "trunk": TRUNK}[part]}


def _encoder(asked: Asked, recipe: Recipe) -> dict[str, Any]:
    own = recipe.encoder.name
    others = [name for name in _alike(recipe) if name != own]
    name = asked.suggest_categorical("encoder", (AS_IT_IS, *others))
    return {} if name == AS_IT_IS else {"encoder.name": name}


SEARCHED: Mapping[str, Callable[[Asked, Recipe], dict[str, Any]]] = {
    # another network first: its name drops the arguments of the old one
    "encoder": _encoder,
    # and the comparison before the loss, whose miners do not know all of them
    "comparison": _comparison,
    "learning_rate": _learning_rate,
    "weight_decay": _weight_decay,
    "loss": _loss,
    "batch": _batch,
    "augment": _augment,
    "dim": _dim,
    "width": _width,
    "depth": _depth,
    "dropout": _dropout,
    "freeze": _freeze,
}
"""What can be searched, by name."""

PARTS_OF: Mapping[str, Sequence[str]] = {
    "batch": ("p", "k"),
    "depth": DEPTHS,
    "loss": ("miner", "margin_growth", "memory"),
}
"""Names of SEARCHED that a user may set by other names: what is set is not searched."""


def _alike(recipe: Recipe) -> Sequence[str]:
    """Encoders that take what the recipe's input gives."""
    kind = build.input(recipe).facts().get("kind", "pictures")
    return [name for name in ENCODERS.get(kind, ()) if kind in kinds_of(getattr(nn, name))]


def _argument(recipe: Recipe, name: str) -> Any:
    """An argument of the recipe's encoder, as given or by default; None where it has none of that name."""
    known = _parameters(recipe.encoder.name)
    if name not in known:
        return None
    return recipe.encoder.arguments.get(name, known[name].default)


def _parameters(encoder: str) -> Mapping[str, Parameter]:
    """The arguments of one of our encoders."""
    make = getattr(nn, encoder, None)
    return {} if make is None else signature(make).parameters


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Recipe -> twin: the only place where names become modules. The table of names is each package's `__all__`."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import nn

from twofold import comparison, inputs, losses
from twofold import nn as encoders
from twofold.comparison import Comparison
from twofold.config import Piece, Recipe
from twofold.errors import RecipeError, UnknownName, nearest
from twofold.inputs import Augmentation, Image, Input, Raster
from twofold.losses import maps, mining, tracks
from twofold.map_matching import CrossAttention, Relation
from twofold.nn import dense, tracking
from twofold.nn.blocks import frozen_parts
from twofold.nn.builder import PICTURES, kinds_of
from twofold.twin import ChangeTwin, TrackTwin, Twin
from twofold.warping import Warping

WANTED = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
"""What belongs where a signature says int, and so on; other annotations are left to the function itself."""

WIDEST = 2**16
"""Largest width, depth or dimension of an encoder: a layer of 65,536 x 65,536 weights takes 16 GB."""

OF_MAPS = {"f1": "change", "overlap": "track"}
"""What chooses among weights in trainings of other kinds than embeddings, and the kind that measures it."""

NOT_OF_MAPS = ("miner", "micro_batch", "memory", "hard_classes", "groups_per_batch")
"""Settings that only a training of embeddings has."""

__all__ = [
    "augmentation",
    "change_twin",
    "check",
    "given_encoder",
    "input",
    "loss",
    "map_loss",
    "miner",
    "own_encoder",
    "seeded",
    "track_loss",
    "track_twin",
    "twin",
]


def twin(recipe: Recipe, seed: int = 0, *, given: Input | None = None) -> Twin:
    """The twin that `recipe` describes, its weights drawn from `seed`.

    Args:
        given: the input type, in place of the recipe's.

    Raises:
        UnknownName: a name that is not in the table it is looked up in.
        RecipeError: an argument that the named thing does not take.
    """
    raw = input(recipe) if given is None else given
    with seeded(seed):
        if (make := _own.get()) is not None:
            encoder = make()
        else:
            encoder = _call(
                _encoder(recipe, raw.facts().get("kind", PICTURES[0])),
                recipe.encoder,
                "encoder",
                raw.facts(),
            )
        made = Twin(raw, encoder)
        made.comparison = _comparison(recipe, made)
    return made


def change_twin(recipe: Recipe, seed: int = 0) -> ChangeTwin:
    """The twin of change that `recipe` describes, its weights drawn from `seed`.

    Raises:
        UnknownName, RecipeError: as `twin`.
    """
    if recipe.input.name != "Raster":
        raise RecipeError(
            f"input = {recipe.input.name}: a twin of change reads Raster (--set input=Raster)"
        )
    raw = _call(Raster, recipe.input, "input", {})
    find = _find(dense, recipe.encoder, "network of change")
    with seeded(seed):
        network = _call(find, recipe.encoder, "encoder", {"bands": raw.bands})
    return ChangeTwin(raw, network)


def track_twin(recipe: Recipe, seed: int = 0) -> TrackTwin:
    """The twin of tracking that `recipe` describes, its weights drawn from `seed`.

    Raises:
        UnknownName, RecipeError: as `twin`.
    """
    if recipe.input.name != "Image":
        raise RecipeError(
            f"input = {recipe.input.name}: a twin of tracking reads Image (--set input=Image)"
        )
    raw = _call(Image, recipe.input, "input", {})
    if raw.channels != 3:
        raise RecipeError(f"input.channels = {raw.channels}: tracking takes 3")
    find = _find(tracking, recipe.encoder, "network of tracking")
    with seeded(seed):
        network = _call(find, recipe.encoder, "encoder", {})
    return TrackTwin(raw, network)


def _encoder(recipe: Recipe, kind: str) -> Callable[..., nn.Module]:
    """The builder of the recipe's encoder, which must take what its input gives."""
    make = _find(encoders, recipe.encoder, "encoder")
    if kind not in kinds_of(make):
        fit = [name for name in _names(encoders) if kind in kinds_of(getattr(encoders, name))]
        raise RecipeError(
            f"the encoder {recipe.encoder.name} takes {' or '.join(kinds_of(make))}, and the "
            f"input {recipe.input.name} "
            f"gives {kind}: take one of {', '.join(fit)} (--set encoder={fit[0]})"
        )
    return make


_own: ContextVar[Callable[[], nn.Module] | None] = ContextVar("own_encoder", default=None)


@contextmanager
def own_encoder(make: Callable[[], nn.Module] | None) -> Iterator[None]:
    """Inside, every twin that is built has an encoder that `make` makes, whatever its recipe says.

    A bundle never names code to run (law 9): who trains or loads one with an encoder of their own
    says so each time.

    Args:
        make: called for each twin, so that two twins never share weights. None: encoders are those
            of recipes.
    """
    token = _own.set(make)
    try:
        yield
    finally:
        _own.reset(token)


def given_encoder() -> nn.Module | None:
    """A new encoder of those that `own_encoder` gives; None where it gives none."""
    make = _own.get()
    return None if make is None else make()


def check(recipe: Recipe) -> Input:
    """See that every name and argument of `recipe` fits, before any data is read; returns its input type.

    Raises:
        UnknownName, RecipeError: as `twin`, `loss`, `miner` and `augmentation` do.
    """
    if recipe.kind == "change":
        return _check_change(recipe)
    if recipe.kind == "track":
        return _check_track(recipe)
    if recipe.monitor in OF_MAPS:
        raise RecipeError(
            f"monitor = {recipe.monitor!r} is measured by recipes of kind {OF_MAPS[recipe.monitor]}"
        )
    made = twin(recipe)
    frozen_parts(made.encoder, recipe.freeze)
    augmentation(recipe, made.input)
    loss(recipe.loss, dim=made.dim, classes=2)
    if recipe.miner is not None:
        miner(recipe.miner)
    return made.input


def _check_change(recipe: Recipe) -> Any:
    """As `check`, of a recipe of change."""
    made = change_twin(recipe)
    frozen_parts(made.encoder, recipe.freeze)
    map_loss(recipe.loss)
    if recipe.monitor != "f1":
        raise RecipeError(f"monitor = {recipe.monitor!r}: training of change measures f1")
    if recipe.tiles.size % made.stride:
        raise RecipeError(
            f"tiles.size = {recipe.tiles.size} must be a multiple of {made.stride}, the coarsest "
            f"maps of {recipe.encoder.name}"
        )
    _refuse_of_embeddings(recipe)
    return made.input


def _check_track(recipe: Recipe) -> Any:
    """As `check`, of a recipe of tracking."""
    made = track_twin(recipe)
    frozen_parts(made.encoder, recipe.freeze)
    track_loss(recipe.loss)
    if recipe.monitor != "overlap":
        raise RecipeError(f"monitor = {recipe.monitor!r}: training of tracking measures overlap")
    _refuse_of_embeddings(recipe)
    return made.input


def _refuse_of_embeddings(recipe: Recipe) -> None:
    for name in NOT_OF_MAPS:
        if getattr(recipe, name):
            raise RecipeError(f"{name} is for embeddings: a recipe of {recipe.kind} leaves it out")


def input(recipe: Recipe) -> Input:
    """The input type of `recipe`."""
    return _call(_find(inputs, recipe.input, "input"), recipe.input, "input", {})


def augmentation(recipe: Recipe, input: Input, *, strength: float = 1.0) -> Augmentation | None:
    """The augmentation that `[augment]` asks for, its numbers times `strength`; None when it asks for nothing."""
    settings = {
        name: value * strength
        if isinstance(value, int | float) and not isinstance(value, bool)
        else value
        for name, value in recipe.augment.items()
    }
    return input.augmentation(**settings) if settings else None


def loss(piece: Piece, *, dim: int, classes: int) -> Callable[..., torch.Tensor]:
    """The named loss with its hyper-parameters; losses with weights are made for `classes` classes."""
    known = {"dim": dim, "classes": classes}
    found = _find(losses, piece, "loss")
    if inspect.isclass(found) and issubclass(found, nn.Module):
        return _call(found, piece, "loss", known)
    return _partial(found, piece, "loss", given=("comparison", "references", "triplets"))


def map_loss(piece: Piece) -> Callable[..., torch.Tensor]:
    """The named loss over maps with its settings."""
    return _partial(_find(maps, piece, "loss of maps"), piece, "loss", given=("valid",))


def track_loss(piece: Piece) -> Callable[..., torch.Tensor]:
    """The named loss over maps of tracking with its settings."""
    return _partial(
        _find(tracks, piece, "loss of tracking"), piece, "loss", given=("boxes", "stride")
    )


def miner(piece: Piece) -> Callable[..., mining.Triplets]:
    """The named miner with its settings."""
    return _partial(_find(mining, piece, "miner"), piece, "miner", given=("comparison",))


@contextmanager
def seeded(seed: int):
    """Inside, torch's own random numbers come from `seed`; outside, nothing has changed."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
        yield


def _comparison(recipe: Recipe, made: Twin) -> Comparison:
    """The recipe's comparison of what the encoder gives; one that aligns frames takes as many as the encoder has."""
    piece, frames = recipe.comparison, getattr(made.encoder, "frames", None)
    if "dim" in piece.arguments:
        raise RecipeError(
            f"comparison.dim = {piece.arguments['dim']!r}: it follows from encoder.dim; leave it "
            f"out"
        )
    if piece.name in (Relation.name, CrossAttention.name):
        return comparison.named(
            piece.name, dim=made.dim, **{**piece.arguments, **_map_shape(recipe, made)}
        )
    if piece.name != Warping.name:
        return comparison.named(piece.name, dim=made.dim, **piece.arguments)
    if frames is None or piece.arguments.get("frames", frames) != frames:
        given = "one vector" if frames is None else f"{frames} frames"
        raise RecipeError(
            f"comparison Warping aligns frames, and encoder {recipe.encoder.name} gives {given}: "
            + ("--set comparison=cosine" if frames is None else "leave comparison.frames out")
        )
    return comparison.named(piece.name, dim=made.dim, **{**piece.arguments, "frames": frames})


def _map_shape(recipe: Recipe, made: Twin) -> dict[str, int]:
    """The shape of the encoder's map of a picture, for a comparison of maps.

    Raises:
        RecipeError: the encoder gives no maps, or others than the recipe says.
    """
    name = recipe.comparison.name
    with_maps: Any = getattr(made.encoder, "with_maps", None)
    if with_maps is None:
        raise RecipeError(
            f"comparison {name} compares feature maps, and encoder {recipe.encoder.name} gives "
            "none: take an encoder of pictures such as resnet_small or vit, or a comparison of "
            "embeddings (--set comparison=Matching)"
        )
    training = made.encoder.training
    made.encoder.eval()
    with torch.no_grad():
        example = made.input.stack([made.input.example()]).to(made.device)
        _, maps = with_maps(made.input.normalise(example))
    made.encoder.train(training)
    channels, height, width = map(int, maps.shape[1:])
    found: dict[str, int] = {"maps": channels, "height": height, "width": width}
    for key, value in found.items():
        if recipe.comparison.arguments.get(key, value) != value:
            raise RecipeError(
                f"comparison.{key} = {recipe.comparison.arguments[key]!r}: the maps of encoder "
                f"{recipe.encoder.name} have {value}; leave it out"
            )
    return found


def _names(module: ModuleType) -> list[str]:
    return [
        name
        for name in module.__all__
        if not inspect.ismodule(getattr(module, name)) and not name.endswith("Network")
    ]


def _find(package: ModuleType, piece: Piece, kind: str) -> Callable[..., Any]:
    if piece.name not in _names(package):
        raise UnknownName(
            f"no {kind} is called {piece.name!r}: {nearest(piece.name, _names(package))}"
        )
    return getattr(package, piece.name)


def _call(function: Callable[..., Any], piece: Piece, kind: str, facts: dict[str, Any]) -> Any:
    """`function` with the piece's arguments, and those facts that it takes and the piece leaves open."""
    takes = inspect.signature(function).parameters
    _refuse_unknown(piece, kind, takes)
    _refuse_unfit(piece, kind, takes)
    given = {name: _frozen(value) for name, value in piece.arguments.items()}
    try:
        return function(**{name: facts[name] for name in facts if name in takes} | given)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(f"{kind} {piece.name} cannot be made with {given}: {said}") from error


def _frozen(value: Any) -> Any:
    """TOML and JSON know lists only; arguments are tuples."""
    return tuple(_frozen(part) for part in value) if isinstance(value, list | tuple) else value


def _partial(
    function: Callable[..., Any], piece: Piece, kind: str, given: tuple[str, ...]
) -> Callable[..., Any]:
    takes = list(inspect.signature(function).parameters)[2:]
    _refuse_unknown(piece, kind, [name for name in takes if name not in given])
    _refuse_unfit(piece, kind, inspect.signature(function).parameters)
    return partial(function, **{name: _frozen(value) for name, value in piece.arguments.items()})


def _refuse_unfit(piece: Piece, kind: str, takes: Mapping[str, inspect.Parameter]) -> None:
    """Refuse values that are not of the type that is written in the signature, and sizes of encoders out of range."""
    for name, value in piece.arguments.items():
        wanted = takes[name].annotation
        if wanted not in WANTED:
            continue
        whole = wanted is int and type(value) is int
        right = whole or type(value) is wanted or (wanted is float and type(value) is int)
        if not right or (whole and kind == "encoder" and not 1 <= value <= WIDEST):
            bounds = f" from 1 to {WIDEST:,}" if wanted is int and kind == "encoder" else ""
            raise RecipeError(f"{kind}.{name} = {value!r}: must be {WANTED[wanted]}{bounds}")


def _refuse_unknown(piece: Piece, kind: str, takes: Any) -> None:
    for name in piece.arguments:
        if name not in takes:
            raise RecipeError(f"{kind} {piece.name} takes no {name!r}: {nearest(name, takes)}")

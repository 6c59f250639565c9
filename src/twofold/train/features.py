"""Features of a frozen trunk, kept in memory while a head is trained on them (law 7: in memory only).

Where nothing below the head learns and nothing changes the items from epoch to epoch, the trunk
gives the same features each time. They are made once, and an epoch is one of the head alone. With
augmentation every epoch shows other pictures, so nothing is kept.
"""

from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from twofold.config import Recipe
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.embedding import read_all
from twofold.errors import RecipeError
from twofold.map_matching import OnMaps
from twofold.nn.blocks import OnFeatures
from twofold.precision import resolved
from twofold.train.freezing import still_trunk, whole_trunk
from twofold.train.preparation import prepare_features
from twofold.train.stored import MEMORY
from twofold.twin import Twin

if TYPE_CHECKING:
    from twofold.inputs import Input

__all__ = ["Kept", "kept_features", "with_cache"]

AT_ONCE = 64
"""Things whose features are made together."""

HANDED_ON = "_features"
"""Where items keep the features of a training's earlier folds, and hand them on by `take`."""

KNOWN = ("_contents", "_decoded")
"""What items know of their things beside their fields."""

AUGMENTED = (
    "the frozen part of the encoder is run in each epoch, because augment changes the items: with "
    "--set augment={} its features are made once and kept, and an epoch takes a fraction of the "
    "time"
)

TOO_LARGE = (
    "the features of the frozen part of the encoder do not fit into memory: they are made in each "
    "epoch"
)

KEPT = (
    "trained on features of the frozen part of the encoder, which were made once and kept in memory"
)

Cache = MutableMapping[Any, np.ndarray]


@dataclass(frozen=True)
class Features:
    """What a trunk has made of things already, in the place of an input type."""

    like: Any
    shape: tuple[int, ...] = field(default=())

    name: ClassVar[str] = "Features"
    version: ClassVar[int] = 1

    def read(self, value: Any) -> np.ndarray:
        """Features as they are."""
        return value

    def stack(self, arrays: Sequence[np.ndarray]) -> Tensor:
        """Features as one batch."""
        return torch.from_numpy(np.stack(arrays))

    def normalise(self, batch: Tensor) -> Tensor:
        """Features are what a head wants."""
        return batch

    def example(self) -> np.ndarray:
        """Features of zeros."""
        return np.zeros(self.shape, np.float32)

    def facts(self) -> dict[str, Any]:
        """What is said of the things themselves."""
        return self.like.facts()

    def arguments(self) -> dict[str, Any]:
        """Nothing: no bundle holds this type."""
        return {}

    def augmentation(self, **settings: Any) -> Any:
        """None: features would have to be made again."""
        raise RecipeError(f"features are not augmented, but {settings} was asked for")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a training is fed: the things themselves, or the features of a frozen trunk; and what is said of that."""

    train: Any
    valid: Any
    notes: tuple[str, ...] = ()


@contextmanager
def kept_features(
    twin: Twin, recipe: Recipe, train: Items | Pairs, valid: Items | Pairs | None
) -> Iterator[Kept]:
    """What to feed a twin whose frozen parts are frozen already; inside it takes that."""
    if not _whole(twin, recipe) or (recipe.freeze is None and recipe.augment):
        yield Kept(train=train, valid=valid)
        return
    if recipe.augment:
        yield Kept(train=train, valid=valid, notes=(AUGMENTED,))
        return
    prepare_features(twin, train)
    made = featured(twin, [train, valid], precision=resolved(recipe.precision, twin.device))
    if made is None:
        yield Kept(train=train, valid=valid, notes=(TOO_LARGE,))
        return
    with on_features(twin, made[0].values[0]):
        yield Kept(train=made[0], valid=made[1], notes=(KEPT,))


def with_cache(items: Items, recipe: Recipe) -> Items:
    """The same items, which keep the features that are made of them for the folds of one training."""
    if recipe.augment:
        return items
    copy = replace(items)
    copy.__dict__.update({name: items.__dict__[name] for name in KNOWN if name in items.__dict__})
    copy.__dict__[HANDED_ON] = {}
    return copy


def _whole(twin: Twin, recipe: Recipe) -> bool:
    """Whether nothing below the head of an encoder learns, so that its features stay the same."""
    if not isinstance(twin.encoder, OnFeatures) or isinstance(twin.comparison, OnMaps):
        return False
    if recipe.freeze is None:
        return still_trunk(twin.encoder)
    return whole_trunk(twin.encoder, recipe.freeze)


def featured(
    twin: Twin, parts: Sequence[Items | Pairs | None], *, precision: str
) -> list[Any] | None:
    """The same items or pairs with features for values; None where these would not fit into memory.

    Args:
        precision: in which the trunk runs, as in training.
    """
    encoder = twin.encoder
    assert isinstance(encoder, OnFeatures)
    made = []
    for part in parts:
        if part is None or not len(part.values):
            made.append(part)
            continue
        # a trunk that learns from its training things makes other features in each fold
        own = hasattr(encoder, "prepare_features")
        cache: Cache = {} if own else part.__dict__.get(HANDED_ON, {})
        values = _features(twin, part.values, cache, precision)
        if values is None:
            return None
        made.append(replace(part, values=tuple(values)))
    return made


def _features(
    twin: Twin, values: Sequence[Any], cache: Cache, precision: str
) -> list[np.ndarray] | None:
    keys = [_key(value) for value in values]
    left = [place for place, key in enumerate(keys) if key not in cache]
    training = twin.training
    twin.eval()
    try:
        for start in range(0, len(left), AT_ONCE):
            places = left[start : start + AT_ONCE]
            rows = _made(twin, [values[place] for place in places], precision)
            if rows.nbytes / len(rows) * len(values) > MEMORY:
                return None
            cache.update(zip((keys[place] for place in places), rows, strict=True))
    finally:
        twin.train(training)
    return [cache[key] for key in keys]


def _made(twin: Twin, values: Sequence[Any], precision: str) -> np.ndarray:
    batch = twin.input.stack(list(read_all(twin.input, values)))
    halved = torch.autocast(twin.device.type, torch.bfloat16, enabled=precision == "bfloat16")
    with torch.inference_mode(), halved:
        found = twin.encoder.features(twin.input.normalise(batch.to(twin.device)))  # type: ignore[operator]
    return found.float().cpu().numpy()


def _key(value: Any) -> Any:
    """A thing by itself, or an array, which is held by the items, by where it is."""
    return ("array", id(value)) if isinstance(value, np.ndarray) else value


@contextmanager
def on_features(twin: Twin, example: np.ndarray) -> Iterator[None]:
    """Inside, the twin embeds features of its own trunk."""
    input, encoder = twin.input, twin.encoder
    assert isinstance(encoder, OnFeatures)
    twin.input, encoder.on_features = cast("Input", Features(input, example.shape)), True
    try:
        yield
    finally:
        twin.input, encoder.on_features = input, False

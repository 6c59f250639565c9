"""What an encoder learns from the training things before the first step: statistics, rarities, directions."""

from collections.abc import Iterator
from typing import Any

from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.embedding import read_all
from twofold.train.stored import Stored
from twofold.twin import ChangeTwin, Twin

__all__ = ["prepare", "prepare_features"]

PREPARED = 200_000
"""Things of the training part, at most, from which an encoder learns what it must know beforehand."""


def prepare(twin: Twin | ChangeTwin, train: Any, stored: Stored) -> None:
    """Show an encoder that asks for it the training things, one in a batch; and their classes, if it wants these."""
    if (learn := getattr(getattr(twin, "encoder", None), "prepare", None)) is None:
        return
    seen = (twin.input.stack([array]) for array in stored.some(PREPARED))
    classes: dict[str, Any] = {}
    if getattr(twin.encoder, "prepared_by_class", False) and isinstance(train, Items):
        classes["labels"] = train.labels[stored.spread(PREPARED)]
    learn(map(twin.input.normalise, seen), **classes)


def prepare_features(twin: Twin, train: Items | Pairs) -> None:
    """Let a trunk learn what it must know of the training things before features are made of them."""
    if (learn := getattr(twin.encoder, "prepare_features", None)) is not None:
        learn(_each(twin, train))


def _each(twin: Twin, train: Items | Pairs) -> Iterator[Any]:
    for array in read_all(twin.input, train.values):
        yield twin.input.normalise(twin.input.stack([array]))

"""What a training leaves: the bundle, with what a reader of it should know of its data and of how it went."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from twofold.bundle import Bundle
from twofold.config import Piece, Recipe
from twofold.nn.builder import built_from
from twofold.provenance import Provenance
from twofold.train import checkpoint
from twofold.train.feed import Feed, PairFeed
from twofold.train.run import Run
from twofold.twin import Twin

__all__ = ["bundle_of", "class_names", "leaks", "recipe_of"]

NOTHING_LEARNED = (
    "the loss was 0 in every step: it wanted to change no pair and no triplet of any batch, so "
    "nothing was learned. "
    "Raise its margin, or choose another loss"
)


def bundle_of(run: Run, feed: Feed, *, own_loss: str | None) -> Bundle:
    """An uncalibrated bundle of the trained twin.

    Args:
        own_loss: the name of a loss of the user's own, which goes by its name as an encoder does.
    """
    if run.history and all(line["loss"] == 0 for line in run.history):
        run.notes.append(NOTHING_LEARNED)
    training = {
        "seed": run.seed,
        "epochs": run.epoch,
        "steps": run.step,
        "seconds": round(run.clock.whole.wall, 1),
        "core_seconds": round(run.core_seconds, 1),
        "stopped": run.stopped or "all epochs done",
        "best": {run.recipe.monitor: run.best},
        "history": run.history,
        "loss": own_loss or run.recipe.loss.name,
        "precision": run.precision,
        "profile": checkpoint.profile(),
        "notes": run.notes,
        "named": list(run.named),
        "look_alikes": _look_alikes(run, feed),
    }
    if run.ancestor is not None:
        training["ancestor"] = run.ancestor
    recipe = (
        run.recipe
        if own_loss is None
        else run.recipe.model_copy(update={"loss": Piece(name=own_loss)})
    )
    return Bundle(
        twin=cast("Twin", run.twin), recipe=recipe, provenance=run.provenance, training=training
    )


def _look_alikes(run: Run, feed: Feed) -> list[tuple[str, str, float]]:
    """Classes that hard-class mining kept apart because they may be one identity under two labels."""
    if run.prototypes is None or isinstance(feed, PairFeed):
        return []
    return run.prototypes.suspects(feed.names)[:20]


def leaks(train: Sequence[str], valid: Sequence[str] = ()) -> list[str]:
    """A note if validation items have been trained on under other names: the numbers would flatter."""
    known = set(train)
    leaked = sum(content in known for content in valid)
    if not leaked:
        return []
    return [
        f"{leaked} of {len(valid)} validation items have exactly the content of training items, "
        f"under other "
        "identities: what is measured on them flatters; twofold doctor names them"
    ]


def class_names(feed: Feed, known: Provenance) -> Tensor:
    """The classes that the codes of this training mean, as keyed hashes; none where batches hold pairs."""
    names = [] if isinstance(feed, PairFeed) else feed.names
    return torch.from_numpy(known.hashed_names(names).copy())


def recipe_of(twin: Twin, recipe: Recipe) -> Recipe:
    """The recipe with the pieces that the twin is really made of."""
    encoder = built_from(twin.encoder) or {"name": type(twin.encoder).__name__}
    pieces = {
        "input": Piece(name=twin.input.name, **twin.input.arguments()),
        "encoder": Piece(**encoder),
        "comparison": Piece(name=twin.comparison.name, **twin.comparison.arguments()),
    }
    return recipe.model_copy(update=pieces)

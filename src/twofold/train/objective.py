"""What a training step minimises: a loss over the embeddings of a batch, with its miner, or over a list of pairs."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from twofold import build, losses
from twofold.config import Piece, Recipe
from twofold.errors import RecipeError
from twofold.train.feed import PairBatch
from twofold.twin import Twin

__all__ = ["Objective", "objective", "of_pairs"]

Objective = Callable[[Tensor, Any], Tensor]


def objective(
    recipe: Recipe, twin: Twin, *, classes: int, loss: Callable[..., Tensor] | None
) -> tuple[Objective, list[nn.Module]]:
    """The function (embeddings, labels or pairs) -> scalar, and the modules with weights to train beside the twin.

    Args:
        classes: number of training classes; 0 when batches hold pairs.
        loss: the user's own loss instead of the recipe's.

    Raises:
        RecipeError: a miner for a loss that takes no triplets, or a loss of labelled items for a list of pairs.
    """
    made = loss or build.loss(recipe.loss, dim=twin.dim, classes=classes)
    modules = [made.to(twin.device)] if isinstance(made, nn.Module) else []
    if classes == 0:
        if loss is None and not of_pairs(recipe):
            raise RecipeError(f"loss {recipe.loss.name!r} needs labelled items; for a list of pairs: {_pair_losses()}")
        return _over_pairs(made, twin), modules
    if recipe.miner is None:
        return lambda embeddings, labels: made(embeddings, labels, comparison=twin.comparison), modules
    return _mined(made, recipe.loss, recipe.miner, twin), modules


def of_pairs(recipe: Recipe) -> bool:
    """Whether the recipe's loss looks at pairs (distances, targets) instead of at a batch (embeddings, labels)."""
    return recipe.loss.name in losses.__all__ and _parameters(recipe.loss)[0] == "distances"


def _over_pairs(loss: Callable[..., Tensor], twin: Twin) -> Objective:
    def over_pairs(embeddings: Tensor, pairs: PairBatch) -> Tensor:
        return loss(twin.comparison.pairs(embeddings[pairs.a], embeddings[pairs.b]), pairs.targets)

    return over_pairs


def _mined(loss: Callable[..., Tensor], piece: Piece, miner: Piece, twin: Twin) -> Objective:
    if "triplets" not in _parameters(piece):
        raise RecipeError(f"loss {piece.name!r} takes no mined triplets: drop the miner, or choose loss = 'triplet'")
    mine = build.miner(miner)

    def mined(embeddings: Tensor, labels: Tensor) -> Tensor:
        triplets = mine(embeddings.detach(), labels, comparison=twin.comparison)
        return loss(embeddings, labels, comparison=twin.comparison, triplets=triplets)

    return mined


def _parameters(piece: Piece) -> list[str]:
    return list(inspect.signature(getattr(losses, piece.name)).parameters)


def _pair_losses() -> str:
    return ", ".join(name for name in losses.__all__ if name.startswith("pair_"))

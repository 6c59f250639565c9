"""What a training step minimises: a loss over the embeddings of a batch, with its miner, or over a list of pairs."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from twofold import build, losses
from twofold.config import Piece, Recipe
from twofold.data.components import components
from twofold.errors import RecipeError, UsageError
from twofold.losses.pairing import References
from twofold.train.compatibility import check_pairing
from twofold.train.feed import PairBatch
from twofold.train.margin import growing
from twofold.twin import Twin

__all__ = ["Objective", "check", "objective", "of_classes", "of_pairs"]


class Objective(NamedTuple):
    """What is minimised.

    Attributes:
        loss: (embeddings, labels or pairs, references) -> scalar.
        in_rows: it goes through the batch by row blocks, which several processes can share
            (`pairing.sharing`).
        modules: those with weights to train beside the twin.
        margin: sets the margin for a step at this share of the training; None: it stays.
    """

    loss: Callable[[Tensor, Any, References], Tensor]
    in_rows: bool
    modules: list[nn.Module]
    margin: Callable[[float], None] | None = None


def check(recipe: Recipe) -> None:
    """See that the loss of a recipe can be trained with, before any data is read: on a few random embeddings.

    Raises:
        RecipeError: pieces that do not fit, or arguments with which the loss is not a finite
            number.
        UsageError: an argument that the loss refuses.
    """
    twin = build.twin(recipe)
    pairs = of_pairs(recipe)
    aim = objective(recipe, twin, classes=0 if pairs else 2, loss=None)
    with build.seeded(0):
        embeddings = nn.functional.normalize(torch.randn(4, twin.dim), dim=1).requires_grad_()
    labels = torch.tensor([0, 0, 1, 1])
    index = torch.arange(2)
    listed = PairBatch(a=index, b=index + 1, targets=torch.tensor([1.0, 0.0]))
    value = aim.loss(embeddings, listed if pairs else labels, None)
    if not bool(value.isfinite()):
        raise RecipeError(
            f"loss {recipe.loss.name!r} with {recipe.loss.arguments} is {float(value):g} for "
            f"random embeddings: "
            "check its arguments"
        )


def objective(
    recipe: Recipe,
    twin: Twin,
    *,
    classes: int,
    loss: Callable[..., Tensor] | None,
    linked: bool = False,
) -> Objective:
    """The recipe's loss and miner, or the user's loss.

    Args:
        classes: number of training classes; 0 when batches hold pairs.
        linked: all pairs are the same, so that what is linked by them is a class of the batch.
        loss: the user's own loss instead of the recipe's.

    Raises:
        RecipeError: a miner for a loss that takes no triplets, a memory for a loss that takes no
            references, a growing margin for a loss without one, or a loss of labelled items for a
            list of pairs.
    """
    if loss is None:
        unit = getattr(twin.encoder, "unit_norm", None)
        check_pairing(recipe.loss, twin.comparison, dim=twin.dim, unit=unit)
    else:
        _check_own(loss, recipe.miner)
    made = loss or build.loss(recipe.loss, dim=twin.dim, classes=classes)
    aim = _aim(made, recipe, twin, classes=classes, loss=loss, linked=linked)
    return aim._replace(margin=growing(made, recipe) if recipe.margin_growth else None)


def _aim(
    made: Callable[..., Tensor],
    recipe: Recipe,
    twin: Twin,
    *,
    classes: int,
    loss: Callable[..., Tensor] | None,
    linked: bool,
) -> Objective:
    """What is done with the loss that was made: over a list of pairs, over mined triplets, or over the batch."""
    modules = [made.to(twin.device)] if isinstance(made, nn.Module) else []
    if recipe.memory and (
        classes == 0
        or modules
        or "references" not in _takes(loss or getattr(losses, recipe.loss.name))
    ):
        raise RecipeError(
            f"loss {recipe.loss.name!r} compares with no further embeddings: drop memory"
        )
    if classes == 0:
        if recipe.hard_classes:
            raise RecipeError(
                "hard_classes needs batches of labelled items, and these are batches of pairs: "
                "drop it"
            )
        if linked and not of_pairs(recipe):
            return Objective(_over_linked(made, twin), False, modules)
        if loss is None and not of_pairs(recipe):
            raise RecipeError(
                f"loss {recipe.loss.name!r} needs labelled items; for a list of pairs: "
                f"{_pair_losses()}"
            )
        return Objective(_over_pairs(made, twin), False, modules)
    if recipe.miner is not None:
        return Objective(_mined(made, loss, recipe, twin), loss is None, modules)

    def whole(embeddings: Tensor, labels: Tensor, references: References) -> Tensor:
        if references is None:
            return made(embeddings, labels, comparison=twin.comparison)
        return made(embeddings, labels, comparison=twin.comparison, references=references)

    return Objective(whole, loss is None and not modules, modules)


def of_classes(recipe: Recipe) -> bool:
    """Whether the recipe's loss has weights for each class, so that it must know all classes beforehand."""
    return recipe.loss.name in losses.__all__ and inspect.isclass(getattr(losses, recipe.loss.name))


def of_pairs(recipe: Recipe) -> bool:
    """Whether the recipe's loss looks at pairs (distances, targets) instead of at a batch (embeddings, labels)."""
    return (
        recipe.loss.name in losses.__all__
        and _takes(getattr(losses, recipe.loss.name))[0] == "distances"
    )


def _over_pairs(
    loss: Callable[..., Tensor], twin: Twin
) -> Callable[[Tensor, Any, References], Tensor]:
    def over_pairs(embeddings: Tensor, pairs: PairBatch, references: References) -> Tensor:
        return loss(twin.comparison.pairs(embeddings[pairs.a], embeddings[pairs.b]), pairs.targets)

    return over_pairs


def _over_linked(
    loss: Callable[..., Tensor], twin: Twin
) -> Callable[[Tensor, Any, References], Tensor]:
    """A batch loss over pairs that are all the same: other things of the batch are the different ones.

    In-batch negatives (Henderson et al. 2017, section 4.4) from both sides of the pairs, as in
    NT-Xent; what is linked in the batch, directly or through others, is never taken for different.
    """

    def over_linked(embeddings: Tensor, pairs: PairBatch, references: References) -> Tensor:
        labels = components(len(embeddings), pairs.a.tolist(), pairs.b.tolist())
        return loss(
            embeddings, torch.from_numpy(labels).to(embeddings.device), comparison=twin.comparison
        )

    return over_linked


def _mined(
    made: Callable[..., Tensor], own: Callable[..., Tensor] | None, recipe: Recipe, twin: Twin
) -> Callable[[Tensor, Any, References], Tensor]:
    if own is None and "triplets" not in _takes(getattr(losses, recipe.loss.name)):
        raise RecipeError(
            f"loss {recipe.loss.name!r} takes no mined triplets: drop the miner, or choose loss = "
            f"'triplet'"
        )
    mine = build.miner(cast("Piece", recipe.miner))

    def mined(embeddings: Tensor, labels: Tensor, references: References) -> Tensor:
        among = {"comparison": twin.comparison, "references": references}
        return made(
            embeddings, labels, triplets=mine(embeddings.detach(), labels, **among), **among
        )

    return mined


def _check_own(loss: Callable[..., Tensor], miner: Piece | None) -> None:
    """Raise UsageError for a loss that cannot be called as a batch loss is.

    Raises:
        UsageError: it takes no comparison, as those of pytorch-metric-learning; or no triplets,
            where there is a miner.
    """
    called = loss.forward if isinstance(loss, nn.Module) else loss
    takes = inspect.signature(called).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in takes.values()):
        return
    if "comparison" not in takes:
        name = (
            type(loss).__name__
            if isinstance(loss, nn.Module)
            else getattr(loss, "__name__", "the loss")
        )
        raise UsageError(
            f"{name} takes no comparison, as losses of twofold do: wrap it, "
            f"twofold.losses.external({name}(...)), and "
            "its miner with it, external(..., miner=...)"
        )
    if miner is not None and "triplets" not in takes:
        raise UsageError(
            f"the loss takes no triplets, and the recipe has the miner {miner.name!r}: drop the "
            f"miner"
        )


def _takes(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _pair_losses() -> str:
    return ", ".join(name for name in losses.__all__ if name.startswith("pair_"))

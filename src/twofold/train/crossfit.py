"""Cross-fitting: one model for each fold of the identities, trained on all others, judges the fold (law 2).

The models are thrown away; what stays is their scores, from which the threshold of the final model
is estimated.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.embedding import deciding, embed
from twofold.errors import DataError
from twofold.metrics.crossfit import CrossFit
from twofold.metrics.pairs import PairBlock
from twofold.metrics.sampled_pairs import SampledPairs
from twofold.results import Progress
from twofold.train.checkpoint import Checkpoints, drop
from twofold.train.distributed import Processes

__all__ = ["FINAL", "begun", "crossfit", "part_of_time", "under_fold", "watched"]

KEPT_PAIRS = 1 << 19
"""Pairs of a fold that are kept at most, about: five folds are some 30 megabytes in the bundle."""

FINAL = "final"
"""Where the states of the final training are kept, beside those of `fold-1`, `fold-2`, ..."""

ENDS = ("first", "second")
"""Of a pair: whose the two things are."""

Watch = Callable[[Progress], None]
Train = Callable[[Items, Recipe, Checkpoints | None, Watch | None], Bundle]


def crossfit(
    train: Train,
    items: Items,
    recipe: Recipe,
    *,
    seed: int,
    judged: Sequence[int] | None = None,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> CrossFit:
    """Train on all folds but one, score the pairs inside that one, and so on for each.

    Args:
        train: trains a bundle on items by a recipe.
        items: of the identities that shall be judged; `recipe.split.folds` says in how many folds.
        seed: deals the identities to the folds.
        judged: numbers of the folds that are judged, from 0 on; None: all of them.
    """
    folds = recipe.split.folds or 0
    if checkpoints and not checkpoints.resume and Processes.present().first:
        drop(state for trained in _trainings(checkpoints) for state in trained.states)
    found: list[PairBlock] = []
    fold_of: list[int] = []
    for fold, names in enumerate(items.folds(folds, seed=seed)):
        if judged is not None and fold not in judged:
            continue
        states = under_fold(checkpoints, f"fold-{fold + 1}")
        bundle = train(
            items.without(names),
            part_of_time(recipe, final=False),
            states,
            watched(watch, fold, folds),
        )
        blocks = _scored(bundle, items, names, seed=seed)
        found += blocks
        fold_of += [fold] * len(blocks)
    first, second = (np.concatenate([getattr(block, end) for block in found]) for end in ENDS)
    if judged is not None:  # codes without gaps
        both = np.unique(np.concatenate([first, second]), return_inverse=True)[1].reshape(-1)
        first, second = np.split(both, [len(first)])
    return CrossFit(
        scores=np.concatenate([block.scores for block in found]).astype(np.float32),
        same=np.concatenate([block.same for block in found]),
        first=first,
        second=second,
        fold=np.repeat(fold_of, [len(block.scores) for block in found]),
    )


def _scored(bundle: Bundle, items: Items, names: tuple[str, ...], *, seed: int) -> list[PairBlock]:
    """The pairs among the identities `names`, with the codes that their identities have in `items`."""
    if bundle.provenance.familiarity(items.where(identities=names)).names["train"].any():
        raise DataError(
            "the identities are not those that the cross-fitting began with, so its folds are "
            "others: train without "
            "--resume"
        )
    held = np.flatnonzero(np.isin(items.identity, [items.identities.index(name) for name in names]))
    score = deciding(bundle, embed(bundle, items.take(held)).vectors)
    codes = np.unique(items.identity[held])
    identity, forged = items.identity[held], items.forged[held]
    pairs = SampledPairs(
        score, items.labels[held], identity=identity, forged=forged, seed=seed, most=KEPT_PAIRS
    )
    return [replace(block, first=codes[block.first], second=codes[block.second]) for block in pairs]


def part_of_time(recipe: Recipe, *, final: bool) -> Recipe:
    """The recipe of one of the trainings, with its part of `max_seconds`: as large as its part of the identities."""
    folds = recipe.split.folds or 0
    if recipe.max_seconds is None or folds < 2:
        return recipe
    share = 1.0 / folds if final else (1.0 - 1.0 / folds) / folds
    return recipe.model_copy(update={"max_seconds": recipe.max_seconds * share})


def begun(checkpoints: Checkpoints) -> bool:
    """Whether these are the states of a cross-fitting, which shall go on."""
    return checkpoints.resume and any(trained.states for trained in _trainings(checkpoints))


def _trainings(checkpoints: Checkpoints) -> list[Checkpoints]:
    """The states of every training of a cross-fitting."""
    return [replace(checkpoints, folder=each) for each in checkpoints.folder.glob("fold-*")] + [
        replace(checkpoints, folder=checkpoints.folder / FINAL)
    ]


def under_fold(checkpoints: Checkpoints | None, name: str) -> Checkpoints | None:
    """Checkpoints of one of the trainings; one that has not begun is not resumed."""
    if checkpoints is None:
        return None
    own = replace(checkpoints, folder=checkpoints.folder / name, began=None)
    return replace(own, resume=own.resume and bool(own.states))


def watched(watch: Watch | None, trained: int, folds: int) -> Watch | None:
    """Progress of one of the trainings as progress of all: `trained` of them are over, the final one comes last."""
    if watch is None:
        return None

    def shown(progress: Progress) -> None:
        done = (progress.epoch - 1 + progress.step / max(progress.steps, 1)) / progress.epochs
        whole = (trained + done) / (folds + 1)
        before = progress.seconds * trained / max(done, 1e-9) if done else 0.0
        watch(
            replace(
                progress,
                epoch=trained * progress.epochs + progress.epoch,
                epochs=(folds + 1) * progress.epochs,
                seconds=progress.seconds + before,
                seconds_left=(progress.seconds + before) * (1.0 - whole) / max(whole, 1e-9),
            )
        )

    return shown

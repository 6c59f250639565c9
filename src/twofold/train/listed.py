"""Listed pairs: a recipe trained on a table of pairs, and a bundle calibrated on one."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twofold import build
from twofold.admission import judging_pairs
from twofold.bundle import Bundle
from twofold.calibration.pairs import calibrate_scores
from twofold.config import Piece, Recipe
from twofold.data.adaptation import long_enough, sized
from twofold.data.items import Items
from twofold.data.pair_splits import split_pairs
from twofold.data.pairs import Pairs, things_of
from twofold.data.scores import Scores
from twofold.data.splits import PARTS
from twofold.devices import training_device
from twofold.embedding import embed_readable_pairs, pair_scores
from twofold.errors import DataError, NotEnoughData, RecipeError
from twofold.results import Progress, Standing
from twofold.train.checkpoint import Checkpoints
from twofold.train.feed import pairs_of_batch
from twofold.train.fit import fit, fit_recipe
from twofold.train.objective import of_classes, of_pairs

__all__ = ["calibrate_pairs", "fit_material", "fit_pairs", "for_pairs", "parts_of_pairs"]

OF_ANSWERS, OF_GRADES, OF_POSITIVES = "pair_contrastive", "pair_regression", "nt_xent"
"""The losses that are chosen for pairs that are the same or not, for graded pairs, and for pairs all the same."""


@dataclass(frozen=True, kw_only=True)
class ForPairs:
    """A recipe that a table of pairs can train, and one sentence for each change."""

    recipe: Recipe
    notes: tuple[str, ...]


def for_pairs(recipe: Recipe, pairs: Pairs, *, fixed: Collection[str] = ()) -> ForPairs:
    """The recipe with a loss of pairs, and without what needs batches of labelled items.

    Where all pairs are the same, a loss of batches stays: what is linked by pairs is a class of the
    batch.

    Args:
        fixed: settings that the user chose, by their names for --set; a loss and a monitor among
            them stay.

    Raises:
        DataError: graded scores, and a chosen loss that takes none; or pairs of one kind only.
        RecipeError: a chosen loss that needs labelled items, or a number to monitor that pairs do
            not have.
    """
    if not pairs.graded and pairs.positive:
        return _for_positive(recipe, pairs, fixed)
    chosen = any(name.split(".")[0] == "loss" for name in fixed)
    wanted = OF_GRADES if pairs.graded else OF_ANSWERS
    notes, changed = [], recipe
    if not of_pairs(recipe) and not chosen:
        notes.append(
            f"a table of pairs: the loss is {wanted} in place of {recipe.loss.name} (--set "
            f"loss.name=...)"
        )
        changed = changed.model_copy(update={"loss": Piece(name=wanted)})
    if pairs.graded and changed.loss.name == OF_GRADES:
        changed = _scaled(changed, pairs, notes)
    if not of_pairs(changed):
        raise RecipeError(
            f"loss {recipe.loss.name!r} needs labelled items, and this is a table of pairs: leave "
            f"--set loss.name out, "
            f"or give pair_contrastive, pair_cross_entropy or pair_regression (now: {wanted})"
        )
    if pairs.graded and changed.loss.name == OF_ANSWERS:
        raise DataError(
            f"the pairs have graded scores, from {pairs.targets.min():g} to "
            f"{pairs.targets.max():g}, and {OF_ANSWERS} "
            f"takes 0 and 1 only: give --set loss.name={OF_GRADES}, or the column same in place "
            f"of score"
        )
    if not pairs.graded and len(np.unique(pairs.targets)) < 2:
        raise DataError(
            f"all {len(pairs)} pairs are different: to learn from pairs takes some of the same; "
            f"add them"
        )
    return _without_labels(changed, pairs, fixed, notes)


def _scaled(recipe: Recipe, pairs: Pairs, notes: list[str]) -> Recipe:
    """Grades beyond 0 to 1 are brought there, by the lowest and the highest of the table, unless the recipe says."""
    low, high = float(pairs.targets.min()), float(pairs.targets.max())
    if {"lowest", "highest"} & recipe.loss.arguments.keys() or (low >= 0 and high <= 1):
        return recipe
    notes.append(
        f"grades from {low:g} to {high:g}: {low:g} means nothing in common and {high:g} the same "
        "(--set loss.lowest=..., --set loss.highest=...)"
    )
    return recipe.model_copy(
        update={
            "loss": Piece(
                name=OF_GRADES, **{**recipe.loss.arguments, "lowest": low, "highest": high}
            )
        }
    )


def _for_positive(recipe: Recipe, pairs: Pairs, fixed: Collection[str]) -> ForPairs:
    """The recipe for pairs that are all the same: its loss of batches, or NT-Xent."""
    if not of_pairs(recipe) and not of_classes(recipe):
        notes = [
            f"all pairs are the same: other things of a batch serve as different ones (loss "
            f"{recipe.loss.name})"
        ]
        return _without_labels(recipe, pairs, fixed, notes)
    if any(name.split(".")[0] == "loss" for name in fixed):
        raise DataError(
            f"all {len(pairs)} pairs are the same, and loss {recipe.loss.name!r} takes both "
            f"kinds: add pairs that are "
            "different, or choose a loss of batches (--set loss.name=nt_xent)"
        )
    notes = [
        f"all pairs are the same: other things of a batch serve as different ones (loss "
        f"{OF_POSITIVES})"
    ]
    return _without_labels(
        recipe.model_copy(update={"loss": Piece(name=OF_POSITIVES)}), pairs, fixed, notes
    )


def _without_labels(
    recipe: Recipe, pairs: Pairs, fixed: Collection[str], notes: list[str]
) -> ForPairs:
    """The recipe without what needs labels, with a number to monitor that these pairs have, and enough epochs."""
    measured = (
        ("spearman", "pearson")
        if pairs.graded
        else ("eer", "recall_at_1" if pairs.positive else "auc")
    )
    if recipe.monitor not in measured and "monitor" in fixed:
        raise RecipeError(
            f"monitor = {recipe.monitor!r} is not measured of these pairs: {' or '.join(measured)}"
        )
    monitor = recipe.monitor if recipe.monitor in measured else measured[0]
    without = {
        "miner": None,
        "memory": 0,
        "hard_classes": None,
        "groups_per_batch": None,
        "monitor": monitor,
    }
    changed = recipe.model_copy(update=without)
    if "epochs" not in fixed:
        changed, longer = long_enough(changed, _steps_of_epoch(changed, pairs))
        notes = [*notes, *longer]
    return ForPairs(recipe=changed, notes=tuple(notes))


def _steps_of_epoch(recipe: Recipe, pairs: Pairs) -> int:
    """Steps of one epoch of all pairs; where there are two kinds, the rarer one is shown again and again."""
    one_kind = pairs.graded or pairs.positive
    rows = (
        len(pairs) if one_kind else 2 * int(np.unique(pairs.targets, return_counts=True)[1].max())
    )
    return math.ceil(rows / pairs_of_batch(recipe))


def fit_material(
    recipe: Recipe, material: Items | Pairs, *, ancestor: Bundle | None = None, **asked: Any
) -> Bundle:
    """`fit_recipe` of items, `fit_pairs` of pairs."""
    if isinstance(material, Pairs):
        return fit_pairs(recipe, material, **asked)
    return fit_recipe(recipe, material, ancestor=ancestor, **asked)


def fit_pairs(
    recipe: Recipe,
    pairs: Pairs,
    *,
    fixed: Collection[str] = (),
    seed: int = 0,
    device: str | None = None,
    checkpoints: Checkpoints | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> Bundle:
    """Train on a table of pairs, split by what hangs together, and remember what was kept aside.

    The shares of the split are those of the pairs. Where the share `valid` cannot be had, it
    trains, too, and nothing chooses among epochs.

    Args:
        fixed, device: as in `twofold.train.fit.fit_recipe`.

    Raises:
        DataError: graded scores that the loss does not take. NotEnoughData: see `split_pairs`.
    """
    fitted, parts = parts_of_pairs(recipe, pairs, fixed=fixed, seed=seed)
    twin = build.twin(fitted.recipe, seed=seed).to(training_device(device))
    bundle = fit(
        twin,
        parts["train"],
        parts.get("valid"),
        recipe=fitted.recipe,
        seed=seed,
        checkpoints=checkpoints,
        watch=watch,
    )
    records = bundle.provenance
    for name in parts.keys() - {"train", "valid"}:
        records = records.with_part(name, parts[name])
    counts = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
    notes = [*fitted.notes, f"pairs: {counts}"]
    return replace(bundle, provenance=records, training={**bundle.training, "adapted": notes})


def parts_of_pairs(
    recipe: Recipe, pairs: Pairs, *, fixed: Collection[str] = (), seed: int = 0
) -> tuple[ForPairs, dict[str, Pairs]]:
    """The recipe as `for_pairs` fits it, and the pairs that train, choose (if there are enough), calibrate and test.

    Raises:
        DataError, RecipeError: as `for_pairs`. NotEnoughData: as `split_pairs`.
    """
    fitted = for_pairs(sized(recipe, pairs.values), pairs, fixed=fixed)
    shares = fitted.recipe.split
    asked = {name: getattr(shares, name) for name in PARTS}
    try:
        return fitted, split_pairs(pairs, asked, seed=seed)
    except NotEnoughData:
        if not shares.valid:
            raise
    return fitted, split_pairs(
        pairs, {**asked, "train": shares.train + shares.valid, "valid": 0.0}, seed=seed
    )


def calibrate_pairs(
    bundle: Bundle,
    pairs: Pairs,
    *,
    far: float,
    frr: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    standing: Standing | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """A copy of the bundle that decides, by the listed pairs of unseen things; else as `twofold.calibrate`.

    Of the table that the bundle was trained from, the pairs kept aside as "calibrate" are used.

    Raises:
        DataError: no answers, or graded ones.
        CannotCertify: the pairs cannot show the rate, or do not say whose they are.
        IdentityOverlap: things were trained on. NotEnoughData: no genuine or no impostor pairs.
    """
    pairs.refuse_graded("rates")
    part, _ = judging_pairs(bundle.provenance, pairs, "calibrate")
    plain = bundle.with_calibration(None)
    part, vectors = embed_readable_pairs(plain, part, progress=progress)
    found = pair_scores(plain, vectors[part.index_a], vectors[part.index_b])
    owners = [
        None if part.identity is None else part.identity[index]
        for index in (part.index_a, part.index_b)
    ]
    listed = Scores.from_arrays(found, part.targets == 1.0, first=owners[0], second=owners[1])
    contract = calibrate_scores(
        listed, far=far, frr=frr, confidence=confidence, seed=seed, standing=standing
    )
    return plain.with_calibration(contract.calibration).calibrated_on(things_of(part))

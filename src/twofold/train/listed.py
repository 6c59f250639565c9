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
from twofold.data.adaptation import long_enough
from twofold.data.items import Items
from twofold.data.pair_splits import split_pairs
from twofold.data.pairs import Pairs, things_of
from twofold.data.scores import Scores
from twofold.devices import training_device
from twofold.embedding import embed_readable_pairs, pair_scores
from twofold.errors import DataError, RecipeError
from twofold.results import Progress, Standing
from twofold.train.checkpoint import Checkpoints
from twofold.train.feed import pairs_of_batch
from twofold.train.fit import fit, fit_recipe
from twofold.train.objective import of_pairs

__all__ = ["calibrate_pairs", "fit_material", "fit_pairs", "for_pairs", "parts_of_pairs"]

OF_ANSWERS, OF_GRADES = "pair_contrastive", "pair_regression"
"""The losses that are chosen for pairs that are the same or not, and for graded pairs."""


@dataclass(frozen=True, kw_only=True)
class ForPairs:
    """A recipe that a table of pairs can train, and one sentence for each change."""

    recipe: Recipe
    notes: tuple[str, ...]


def for_pairs(recipe: Recipe, pairs: Pairs, *, fixed: Collection[str] = ()) -> ForPairs:
    """The recipe with a loss of pairs, and without what needs batches of labelled items.

    Args:
        fixed: settings that the user chose, by their names for --set; a loss among them stays.

    Raises:
        DataError: graded scores, and a chosen loss that takes none; or pairs of one kind only.
        RecipeError: a chosen loss that needs labelled items.
    """
    chosen = any(name.split(".")[0] == "loss" for name in fixed)
    wanted = OF_GRADES if pairs.graded else OF_ANSWERS
    notes, changed = [], recipe
    if not of_pairs(recipe) and not chosen:
        notes.append(f"a table of pairs: the loss is {wanted} in place of {recipe.loss.name} (--set loss.name=...)")
        changed = changed.model_copy(update={"loss": Piece(name=wanted)})
    if not of_pairs(changed):
        raise RecipeError(
            f"loss {recipe.loss.name!r} needs labelled items, and this is a table of pairs: leave --set loss.name out, "
            f"or give pair_contrastive, pair_cross_entropy or pair_regression (now: {wanted})"
        )
    if pairs.graded and changed.loss.name == OF_ANSWERS:
        raise DataError(
            f"the pairs have graded scores, from {pairs.targets.min():g} to {pairs.targets.max():g}, and {OF_ANSWERS} "
            f"takes 0 and 1 only: give --set loss.name={OF_GRADES}, or the column same in place of score"
        )
    if not pairs.graded and len(np.unique(pairs.targets)) < 2:
        kind = "the same" if pairs.targets[0] else "different"
        raise DataError(f"all {len(pairs)} pairs are {kind}: to learn from pairs takes both kinds; add the other")
    without = {"miner": None, "memory": 0, "hard_classes": None, "groups_per_batch": None}
    changed = changed.model_copy(update=without)
    if "epochs" not in fixed:
        changed, longer = long_enough(changed, _steps_of_epoch(changed, pairs))
        notes += longer
    return ForPairs(recipe=changed, notes=tuple(notes))


def _steps_of_epoch(recipe: Recipe, pairs: Pairs) -> int:
    """Steps of one epoch of all pairs, of which the rarer kind is shown again and again."""
    rows = len(pairs) if pairs.graded else 2 * int(np.unique(pairs.targets, return_counts=True)[1].max())
    return math.ceil(rows / pairs_of_batch(recipe))


def fit_material(recipe: Recipe, material: Items | Pairs, *, ancestor: Bundle | None = None, **asked: Any) -> Bundle:
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

    The shares of the split are those of the pairs. Nothing chooses among epochs, so that the share `valid` trains, too.

    Args:
        fixed, device: as in `twofold.train.fit.fit_recipe`.

    Raises:
        DataError: graded scores that the loss does not take. NotEnoughData: see `split_pairs`.
    """
    fitted, parts = parts_of_pairs(recipe, pairs, fixed=fixed, seed=seed)
    twin = build.twin(fitted.recipe, seed=seed).to(training_device(device))
    bundle = fit(twin, parts["train"], recipe=fitted.recipe, seed=seed, checkpoints=checkpoints, watch=watch)
    records = bundle.provenance
    for name in parts.keys() - {"train"}:
        records = records.with_part(name, parts[name])
    counts = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
    notes = [*fitted.notes, f"pairs: {counts}"]
    return replace(bundle, provenance=records, training={**bundle.training, "adapted": notes})


def parts_of_pairs(
    recipe: Recipe, pairs: Pairs, *, fixed: Collection[str] = (), seed: int = 0
) -> tuple[ForPairs, dict[str, Pairs]]:
    """The recipe as `for_pairs` fits it, and the pairs that train, calibrate and test.

    Raises:
        DataError, RecipeError: as `for_pairs`. NotEnoughData: as `split_pairs`.
    """
    fitted = for_pairs(recipe, pairs, fixed=fixed)
    shares = fitted.recipe.split
    asked = {"train": shares.train + shares.valid, "calibrate": shares.calibrate, "test": shares.test}
    return fitted, split_pairs(pairs, asked, seed=seed)


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
    owners = [None if part.identity is None else part.identity[index] for index in (part.index_a, part.index_b)]
    listed = Scores.from_arrays(found, part.targets == 1.0, first=owners[0], second=owners[1])
    contract = calibrate_scores(listed, far=far, frr=frr, confidence=confidence, seed=seed, standing=standing)
    return plain.with_calibration(contract.calibration).calibrated_on(things_of(part))

"""A recipe fitted to the identities at hand: p, k, the shares of the split, cross-fitting, epochs.

The doctor and train both ask here. Law 2 rules: identities with a genuine pair count, never items.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twofold.config import Recipe, Split
from twofold.data.batches import identity_batches
from twofold.data.items import Items, paired_identities
from twofold.errors import NotEnoughData
from twofold.series_formats import channels_of

__all__ = [
    "ADAPTED",
    "CROSSFIT_FROM",
    "CROSSFIT_UP_TO",
    "Adapted",
    "adapted",
    "fold_count",
    "long_enough",
    "sized",
    "steps_of_epoch",
    "variants_of",
]

ADAPTED = ("p", "k", "hard_classes", "groups_per_batch", "split", "epochs")
"""Settings of a recipe that are fitted to the data."""

CROSSFIT_FROM = 12
"""Identities from which on cross-fitting is chosen: three folds of four, the fewest of which pairs of strangers say
anything (18 pairs of identities)."""

CROSSFIT_UP_TO = 100
"""Identities up to which cross-fitting is chosen: a tenth of more than 100 can judge on its own."""

FOLDS, IN_FOLD = 3, 4
"""Folds, and the identities that each should hold: with fewer there are fewer folds. Three cost three fifths of five,
and their larger folds hold nearly twice the pairs of strangers (decision 041)."""

JUDGES = 30
"""Identities that should calibrate: 435 pairs of identities, of which four are false accepts at a rate of 1e-2."""

LARGEST_SHARE = 0.25
"""Of the identities, for calibration, unless the user says otherwise: most are needed to learn from."""

JUDGING = ("valid", "calibrate", "test")


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A recipe that the data can train, and what was changed for that.

    Attributes:
        notes: one sentence for each change.
    """

    recipe: Recipe
    notes: tuple[str, ...] = ()


def adapted(recipe: Recipe, items: Items, *, fixed: Collection[str] = (), seed: int = 0) -> Adapted:
    """The recipe with p, k, the shares of the split, the folds and the epochs that suit these identities.

    Shares and folds that differ from the default stay as they are, and so does every setting in
    `fixed`.

    Args:
        fixed: settings that the user chose, by their names for --set ("p", "split.calibrate").
        seed: of the split.

    Raises:
        NotEnoughData: a chosen setting does not fit the data; says which value would.
    """
    count = int(paired_identities(items).sum())
    if count < 2:
        return Adapted(recipe=recipe)
    split, notes = _split(recipe.split, count, fixed)
    recipe = recipe.model_copy(update={"split": split})
    usable = _fewest_classes(recipe, items, seed) * variants_of(recipe)
    largest = int(np.bincount(items.labels[~items.forged]).max())
    recipe, more = _batch(recipe, usable, largest, fixed)
    if recipe.groups_per_batch is not None:
        _check_groups(recipe, items.parts(split, seed=seed).train)
    if "epochs" not in fixed:
        recipe, longer = long_enough(
            recipe, steps_of_epoch(recipe, items.parts(split, seed=seed).train)
        )
        more += longer
    return Adapted(recipe=recipe, notes=(*notes, *more))


def sized(recipe: Recipe, values: Sequence[Any]) -> Recipe:
    """A recipe for vectors with their size, or for series with their channels, where it does not say it."""
    if recipe.input.name == "Series" and "channels" not in recipe.input.arguments and len(values):
        channels = channels_of(values[0])
        return recipe if channels is None else recipe.replace({"input.channels": channels})
    if recipe.input.name != "Vector" or "size" in recipe.input.arguments or not len(values):
        return recipe
    return recipe.replace({"input.size": len(values[0])})


def steps_of_epoch(recipe: Recipe, train: Items) -> int:
    """Steps of one epoch of batches of labelled items."""
    variants = variants_of(recipe)
    labels = np.unique(train.labels, return_inverse=True)[1].reshape(-1)
    every = (labels[:, None] * variants + np.arange(variants)).reshape(-1)
    return len(identity_batches(every, p=recipe.p, k=recipe.k, seed=0, balance=recipe.balance))


def long_enough(recipe: Recipe, steps: int) -> tuple[Recipe, list[str]]:
    """The recipe with at least as many epochs as make its `fewest_steps`, and what is said of it.

    Args:
        steps: of one epoch.
    """
    epochs = math.ceil(recipe.fewest_steps / max(steps, 1))
    if epochs <= recipe.epochs:
        return recipe, []
    note = (
        f"epochs={epochs} in place of {recipe.epochs}: an epoch of this data is {steps} "
        f"{'step' if steps == 1 else 'steps'}, and {recipe.fewest_steps} are needed (--set "
        f"epochs=N for another number)"
    )
    return recipe.model_copy(update={"epochs": epochs}), [note]


def variants_of(recipe: Recipe) -> int:
    """Classes that the augmentation makes of one class."""
    return 4 if recipe.augment.get("quarter_turns_as_classes") else 1


def fold_count(identities: int) -> int:
    """Folds for so many identities."""
    return max(2, min(FOLDS, identities // IN_FOLD))


def _split(split: Split, count: int, fixed: Collection[str]) -> tuple[Split, list[str]]:
    """Shares that add up to 1, and the number of folds."""
    usual = Split()
    chosen = {part for part in ("train", *JUDGING) if f"split.{part}" in fixed}
    chosen |= {part for part in ("train", *JUDGING) if getattr(split, part) != getattr(usual, part)}
    if split.folds is not None and split.folds >= 2:
        return _crossfitted(split, split.folds, chosen, count)
    if chosen or split.by_group:
        return _completed(split, chosen)
    if split.folds is None and CROSSFIT_FROM <= count <= CROSSFIT_UP_TO:
        folds = fold_count(count)
        found, _ = _crossfitted(split, folds, chosen, count)
        return found, [
            f"{count} identities are too few to keep some aside: cross-fitting in {folds} folds "
            f"(split.folds), each "
            f"identity judged by a model that has not seen it; about {folds} times the time of "
            f"one training"
        ]
    if count < CROSSFIT_FROM:
        nothing = dict.fromkeys(JUDGING, 0.0)
        return split.model_copy(update={"train": 1.0, "folds": 0, **nothing}), [
            f"all {count} identities train and none is kept aside: it takes {CROSSFIT_FROM} to "
            f"calibrate as well"
        ]
    share = round(min(max(usual.calibrate, JUDGES / count), LARGEST_SHARE), 3)
    if share == usual.calibrate:
        return split.model_copy(update={"folds": 0}), []
    train = round(usual.train + usual.calibrate - share, 3)
    update = {"train": train, "calibrate": share, "folds": 0}
    return split.model_copy(update=update), [
        f"split.calibrate={share:g} and split.train={train:g}, so that about {int(share * count)} "
        f"of {count} "
        "identities calibrate"
    ]


def _crossfitted(split: Split, folds: int, chosen: set[str], count: int) -> tuple[Split, list[str]]:
    """Every identity trains and is judged; only a test part may be kept aside, where it was asked for."""
    if aside := sorted(
        chosen & {"valid", "calibrate"} - {part for part in JUDGING if not getattr(split, part)}
    ):
        raise NotEnoughData(
            f"split.folds={folds} judges every identity, so that nothing is left for "
            f"split.{aside[0]}: leave one of "
            "the two out"
        )
    if folds > count // 2:
        raise NotEnoughData(
            f"{count} identities with two items cannot make {folds} folds of at least 2: set "
            f"split.folds to "
            f"{max(count // 2, 2)} or less"
            + ("" if count >= 4 else ", or give at least 4 identities")
        )
    test = split.test if "test" in chosen else 0.0
    return split.model_copy(
        update={"train": 1.0 - test, "valid": 0.0, "calibrate": 0.0, "test": test, "folds": folds}
    ), []


def _completed(split: Split, chosen: set[str]) -> tuple[Split, list[str]]:
    """The shares that nobody chose fill up what the others leave."""
    shares = {part: getattr(split, part) for part in ("train", *JUDGING)}
    left = 1.0 - sum(shares[part] for part in chosen)
    open_parts = [part for part in shares if part not in chosen]
    total = sum(shares[part] for part in open_parts)
    notes: list[str] = []
    left = 0.0 if abs(left) < 1e-9 else left
    if abs(sum(shares.values()) - 1.0) > 1e-6 and total > 0 and left >= 0:
        filled = {part: shares[part] * left / total for part in open_parts}
        shares |= filled
        said = ", ".join(f"split.{part}={share:.3g}" for part, share in filled.items())
        notes = [f"{said}: what the chosen shares leave"]
    return split.model_copy(update={**shares, "folds": 0}), notes


def _fewest_classes(recipe: Recipe, items: Items, seed: int) -> int:
    """Classes with two items that a training has at least: in the train part, or in the smallest of the folds."""
    train = items.parts(recipe.split, seed=seed).train
    folds = recipe.split.folds or 0
    trained = [train]
    if folds >= 2:
        trained = [train.without(names) for names in train.folds(folds, seed=seed)]
    return min(int((np.bincount(each.labels[~each.forged]) >= 2).sum()) for each in trained)


def _batch(
    recipe: Recipe, usable: int, largest: int, fixed: Collection[str]
) -> tuple[Recipe, list[str]]:
    """p no larger than the classes, k no larger than the largest class."""
    changes: dict[str, int | None] = {}
    if recipe.p > usable:
        if "p" in fixed:
            raise NotEnoughData(
                f"a batch of p={recipe.p} classes was asked for, and {usable} classes with two "
                f"items are there to "
                f"train on: --set p={usable} or less, or leave it out"
            )
        changes |= _smaller(recipe, usable)
    if recipe.k > largest:
        if "k" in fixed:
            raise NotEnoughData(
                f"k={recipe.k} items of each class were asked for, and the largest class has "
                f"{largest}: --set "
                f"k={largest} or less, or leave it out"
            )
        changes["k"] = largest
    if not changes:
        return recipe, []
    said = ", ".join(
        f"{name}={'off' if value is None else value}" for name, value in changes.items()
    )
    note = f"{said}: {usable} classes with two items train, the largest has {largest}"
    return recipe.model_copy(update=changes), [note]


def _check_groups(recipe: Recipe, train: Items) -> None:
    """Plan one epoch, to see that batches of groups can be filled."""
    if train.group is None:
        raise NotEnoughData(
            "groups_per_batch needs items with groups: give --levels 2 or a column group, or "
            "leave it out"
        )
    identity_batches(
        train.labels,
        p=recipe.p,
        k=recipe.k,
        seed=0,
        group=train.group,
        groups_per_batch=recipe.groups_per_batch,
    )


def _smaller(recipe: Recipe, usable: int) -> dict[str, int | None]:
    """The largest p up to `usable` that is a multiple of what must divide it; what cannot divide it is dropped."""
    for name in ("hard_classes", "groups_per_batch"):
        step = getattr(recipe, name)
        if step is None:
            continue
        if usable // step * step >= 2:
            return {"p": usable // step * step}
        return {"p": usable, name: None}
    return {"p": usable}

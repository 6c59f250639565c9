"""What a training would promise and how long it would take, before it starts."""

import contextlib
import itertools
import math
import time
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from twofold import build
from twofold.calibration.remedies import share_for
from twofold.calibration.standings import fewest_estimated
from twofold.config import Recipe
from twofold.data.adaptation import adapted, sized, steps_of_epoch, variants_of
from twofold.data.items import Items, Parts, paired_identities
from twofold.devices import device_of
from twofold.metrics.certification import fewest_identities
from twofold.results import Progress
from twofold.train.fit import fit

__all__ = ["Plan", "Promise", "plan"]

TIMED, WARM_UP = 5, 1
"""Steps that are timed, and those before them, in which memory is claimed and kernels are chosen."""

LONG_ENOUGH = 10.0
"""Seconds after which one timed step is enough."""

SHOWN_RATES = (1e-1, 1e-2, 1e-3)
"""False-accept rates that a plan tells of, beside the one asked for."""


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What it takes to say something of one false-accept rate.

    Attributes:
        estimated, certified: identities that must calibrate for an estimate, and for a certificate
            at the least.
        standing: what those that will calibrate carry: "certified", "estimate", or None.
        setting: the setting for --set with which this data would carry a certificate; None: it has
            one, or cannot.
    """

    far: float
    estimated: int
    certified: int
    standing: str | None
    setting: str | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training would be.

    Attributes:
        recipe: as it was fitted to the data; notes: what was changed.
        identities: that have a genuine pair. judging: of these, that will calibrate. parts:
            identities of each part.
        crossfitted: whether they are judged by cross-fitting.
        steps: of all trainings together. seconds: what they would take here.
    """

    recipe: Recipe
    notes: tuple[str, ...]
    identities: int
    judging: int
    parts: dict[str, int]
    crossfitted: bool
    promises: tuple[Promise, ...]
    steps: int
    seconds: float


def plan(
    recipe: Recipe,
    items: Items,
    *,
    far: float = 1e-2,
    fixed: Collection[str] = (),
    seed: int = 0,
    device: str | None = None,
) -> Plan:
    """Fit the recipe to the data as `fit_recipe` does, time a few steps, and tell what may be promised.

    Args:
        far: false-accept rate that is wanted.
        fixed, seed, device: as in `fit_recipe`.

    Raises:
        NotEnoughData: what `fit_recipe` would refuse.
    """
    fitted = adapted(sized(recipe, items.values), items, fixed=fixed, seed=seed)
    recipe = fitted.recipe
    parts = items.parts(recipe.split, seed=seed)
    folds = recipe.split.folds or 0
    crossfitted = folds >= 2
    judges = parts.train if crossfitted else parts.calibrate
    judging = int(paired_identities(judges).sum()) if len(judges) else 0
    identities = int(paired_identities(items).sum())
    rates = sorted({*SHOWN_RATES, far}, reverse=True)
    steps = _steps(recipe, parts)
    return Plan(
        recipe=recipe,
        notes=fitted.notes,
        identities=identities,
        judging=judging,
        parts={name: len(names) for name, names in parts.names().items()},
        crossfitted=crossfitted,
        promises=tuple(_promise(rate, judging, identities, folds=folds) for rate in rates),
        steps=steps,
        seconds=_seconds(recipe, parts.train, steps, seed=seed, device=device),
    )


def _promise(far: float, judging: int, identities: int, *, folds: int) -> Promise:
    compared = _compared(judging, folds)
    certified = fewest_identities(far)
    standing = "estimate" if compared * far >= 1.0 else None
    if not folds and judging >= certified:
        standing = "certified"
    share = share_for(certified, identities)
    setting = (
        f"split.calibrate={share:g}" if standing != "certified" and share is not None else None
    )
    estimated = fewest_estimated(far)
    if folds:  # only pairs inside a fold are compared
        estimated = next(
            number for number in itertools.count(estimated) if _compared(number, folds) * far >= 1.0
        )
    return Promise(
        far=far, estimated=estimated, certified=certified, standing=standing, setting=setting
    )


def _compared(judging: int, folds: int) -> int:
    """Pairs of different identities that are scored: all, or those inside the folds."""
    if not folds:
        return judging * (judging - 1) // 2
    sizes = [judging // folds + (fold < judging % folds) for fold in range(folds)]
    return sum(size * (size - 1) // 2 for size in sizes)


def _steps(recipe: Recipe, parts: Parts) -> int:
    """Steps of all trainings; those of a fold are fewer by its part of the items."""
    return steps_of_epoch(recipe, parts.train) * recipe.epochs * max(recipe.split.folds or 0, 1)


class _Enough(Exception):
    """The steps that shall be timed are over."""


def _seconds(recipe: Recipe, train: Items, steps: int, *, seed: int, device: str | None) -> float:
    """Seconds that so many steps take, by timing a few of them on some of the items."""
    started: list[float] = []
    began = time.monotonic()

    def watch(_: Progress) -> None:
        started.append(time.monotonic())
        if len(started) > WARM_UP + TIMED or (
            len(started) > WARM_UP + 1 and started[-1] - began > LONG_ENOUGH
        ):
            raise _Enough

    twin = build.twin(recipe, seed=seed).to(device_of(device))
    some = _some_classes(train, math.ceil(recipe.p / variants_of(recipe)) + 1)
    trial = recipe.model_copy(
        update={"epochs": WARM_UP + TIMED + 1, "max_seconds": None, "patience": None}
    )
    with contextlib.suppress(_Enough):
        fit(twin, some, recipe=trial, seed=seed, watch=watch)
    timed = np.diff(started[WARM_UP:])
    found = float(np.median(timed)) * steps
    return found if recipe.max_seconds is None else min(found, recipe.max_seconds)


def _some_classes(train: Items, classes: int) -> Items:
    """Identities with a genuine pair, as many as a batch takes: what is timed need not be decoded in full."""
    names = [
        name for name, has in zip(train.identities, paired_identities(train), strict=True) if has
    ]
    return train.where(identities=names[: max(classes, 2)])

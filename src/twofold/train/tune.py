"""tune: which settings of a recipe suit this data, tried on identities that the trial has not seen.

Law 2 rules. Identities that a later training keeps aside for its threshold take no part. The others
are dealt into three folds. Every trial trains on two and is measured on the third. The best two are
then compared with the recipe as it is on the other two folds, which have chosen nothing.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from twofold import build
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.adaptation import adapted, sized
from twofold.data.items import Items, paired_identities
from twofold.devices import training_device
from twofold.errors import BatchError, NotEnoughData, RecipeError, TrainingError, UsageError
from twofold.metrics.crossfit import CrossFit
from twofold.metrics.paired import differences
from twofold.results import Difference, Progress, Tuning
from twofold.train import study as studies
from twofold.train.checkpoint import Checkpoints
from twofold.train.crossfit import crossfit
from twofold.train.epochs import Watch
from twofold.train.features import with_cache
from twofold.train.fit import fit
from twofold.train.search_space import PARTS_OF, as_it_is, check_searched, settings_of
from twofold.train.trial_time import TrialTime

__all__ = ["Candidate", "Search", "Tuned", "tune"]

FOLDS = 3
CHOOSING, CONFIRMING = 0, (1, 2)
"""The fold on which trials are measured, and those on which the best are compared."""

FEWEST = 12
"""Identities with a genuine pair: three folds of four, as for cross-fitting."""

CONFIRMED = 2
"""Trials that are compared with the recipe as it is."""

LOOKS = 4
"""Times that a trial is measured on its way; a bad one is ended there."""

NOTHING_ASIDE = {"train": 1.0, "valid": 0.0, "calibrate": 0.0, "test": 0.0, "folds": 0}

LOWER = ("eer",)
"""Monitored numbers of which smaller is better."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is tried, and for how long.

    Attributes:
        trials: how many in all; of a continued study, with those before.
        seconds: for the whole tuning; no trial begins that would leave too little to confirm.
        names: what to search, of `search_space.SEARCHED`; all that the recipe has, if empty.
        fixed: settings that stay as they are, by their names for --set.
    """

    trials: int = 30
    seconds: float | None = None
    names: Sequence[str] = ()
    fixed: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Settings, and how they did.

    Attributes:
        settings: that differ from the recipe, as for --set; none of the recipe as it is.
        monitored: the recipe's `monitor` on the fold that chose.
        eer: equal error rate on the folds that chose nothing.
        gain: how much lower that is than the recipe's, paired over identities; None: this is the
            recipe.
        seconds: of one training.
    """

    settings: Mapping[str, Any]
    monitored: float
    eer: float
    gain: Difference | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a tuning has found.

    Attributes:
        recipe: the recommended one.
        candidates: the recipe as it is, then the best trials, those with the lowest `eer` first.
        chosen: of the candidates, the recommended one.
        finished, ended, failed: trials that ran to their end, were ended early as worse than most,
            and could not be trained.
        identities: that took part, in three folds.
        notes: what a reader should know.
    """

    recipe: Recipe
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    finished: int
    ended: int
    failed: int
    identities: int
    seconds: float
    notes: tuple[str, ...] = ()


def tune(
    recipe: Recipe,
    items: Items,
    place: str | Path,
    *,
    search: Search | None = None,
    seed: int = 0,
    resume: bool = False,
    device: str | None = None,
    watch: Callable[[Tuning], None] | None = None,
) -> Tuned:
    """Try settings of a recipe on the identities that `train` would learn from, and compare the best with the recipe.

    The same seed proposes the same settings as long as no trial is ended for time. Every trial is
    written to `place` when it ends, so a killed tuning loses one trial at most.

    Args:
        recipe: where the search begins; it is the first trial.
        items: labelled things.
        place: the file of the trials (extra `tune`).
        search: what is tried, and for how long.
        resume: continue the study at `place`.

    Raises:
        NotEnoughData: fewer than 12 identities with a genuine pair.
        UsageError: nothing to search, or the seconds are over before one trial can be confirmed.
        DataError: the study is of other data or of another recipe.
        MissingExtra: without the extra `tune`.
    """
    began, search = time.monotonic(), search or Search()
    if recipe.kind != "embedding":
        raise UsageError(
            f"recipes of kind {recipe.kind} are not tuned: trials are compared on identities, and "
            f"their data has none"
        )
    recipe = sized(recipe, items.values)
    searched = _searched(search.names, search.fixed, recipe)
    learning, notes = _learning(recipe, items, search.fixed, seed)
    study = studies.opened(
        Path(place),
        known={
            "data": studies.data_digest(learning),
            "recipe": studies.recipe_digest(recipe),
            "seed": seed,
        },
        better="minimize" if recipe.monitor in LOWER else "maximize",
        seed=seed,
        resume=resume,
    )
    work = _Work(
        recipe=recipe,
        items=with_cache(learning, recipe),
        searched=searched,
        fixed=tuple(search.fixed),
        seed=seed,
        device=training_device(device),
        time=TrialTime(
            until=None if search.seconds is None else began + search.seconds,
            folds=len(CONFIRMING),
        ),
        watch=watch,
    )
    work.search(study, search.trials)
    candidates = work.confirmed(study)
    chosen = min(candidates, key=lambda each: each.eer)
    states = [trial.state.name for trial in study.trials]
    return Tuned(
        recipe=recipe.replace(chosen.settings),
        candidates=candidates,
        chosen=chosen,
        finished=states.count("COMPLETE"),
        ended=states.count("PRUNED"),
        failed=states.count("FAIL"),
        identities=len(learning.identities),
        seconds=time.monotonic() - began,
        notes=notes,
    )


ALL_LEARN = (
    "settings were chosen on all identities, since they are too few to keep some aside: error "
    "rates that a later training measures on the same identities flatter it a little"
)


ACROSS_GROUPS = (
    "folds are dealt by identity, and split.by_group holds for train alone: identities of one group "
    "stand on both sides of a trial"
)


def _searched(asked: Sequence[str], fixed: Collection[str], recipe: Recipe) -> tuple[str, ...]:
    """What is searched; what the user has set stays out of it."""
    set_by_hand = {name.split(".")[-1] for name in fixed} | {name.split(".")[0] for name in fixed}
    set_by_hand |= {group for group, names in PARTS_OF.items() if {*names} & set_by_hand}
    names = check_searched(asked, recipe)
    left = tuple(name for name in names if name in asked or name not in set_by_hand)
    if not left:
        raise UsageError("nothing is left to search: leave out some of --set")
    return left


def _learning(
    recipe: Recipe, items: Items, fixed: Collection[str], seed: int
) -> tuple[Items, tuple[str, ...]]:
    """The items that `train` would learn from and choose on, and what is said of that."""
    count = int(paired_identities(items).sum())
    if count < FEWEST:
        raise NotEnoughData(
            f"{count} identities with two items: tuning takes {FEWEST}, three folds of four. Label "
            f"more, or train with the recipe as it is"
        )
    shares = [name for name in fixed if name.startswith("split.")]
    fitted = adapted(recipe, items, fixed=shares, seed=seed).recipe
    parts = items.parts(fitted.split, seed=seed)
    names = (*parts.train.identities, *parts.valid.identities)
    aside = len(items.identities) - len(names)
    notes = (*([] if aside else [ALL_LEARN]), *([ACROSS_GROUPS] if recipe.split.by_group else []))
    return items.where(identities=names), notes


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What every trial needs.

    Attributes:
        time: when the tuning must end, and what is kept free to confirm the best.
    """

    recipe: Recipe
    items: Items
    searched: tuple[str, ...]
    fixed: tuple[str, ...]
    seed: int
    device: torch.device
    time: TrialTime
    watch: Callable[[Tuning], None] | None

    def search(self, study: Any, trials: int) -> None:
        """Run trials until there are so many, or time is over."""
        studies.begun(study, as_it_is(self.recipe, self.searched))
        while self.time.allows_another(self._seconds(study)):
            known = bool(studies.complete(study))
            if known and self._ended(study) >= trials:
                break
            # what the recipe as it is cannot do is not caught: no trial would help
            study.optimize(
                lambda trial: self._tried(trial, study, trials),
                n_trials=1,
                catch=(TrainingError, RecipeError, BatchError) if known else (),
            )
        if not studies.complete(study):
            raise UsageError("not one trial could be finished: give more time (--max-time)")

    def confirmed(self, study: Any) -> tuple[Candidate, ...]:
        """The recipe as it is, and the best trials, on the folds that chose nothing."""
        own, *others = self._best(study)
        total = len(CONFIRMING) * (1 + len(others))
        before = self._scored({}, 0, total)
        found = [self._candidate({}, own, before, None)]
        for place, trial in enumerate(others, 1):
            settings = trial.user_attrs["settings"]
            scored = self._scored(settings, place * len(CONFIRMING), total)
            found.append(self._candidate(settings, trial, before, scored))
        return (found[0], *sorted(found[1:], key=lambda each: each.eer))

    def _best(self, study: Any) -> list[Any]:
        """The trial of the recipe as it is, and the best others, the best first."""
        ended = sorted(
            studies.complete(study),
            key=lambda trial: trial.value,
            reverse=self.recipe.monitor not in LOWER,
        )
        own = [trial for trial in ended if not trial.user_attrs["settings"]]
        return own[:1] + [trial for trial in ended if trial.user_attrs["settings"]][:CONFIRMED]

    def _candidate(
        self, settings: Mapping[str, Any], trial: Any, before: CrossFit, after: CrossFit | None
    ) -> Candidate:
        gain = differences(before, before if after is None else after, seed=self.seed)["eer"]
        return Candidate(
            settings=settings,
            monitored=trial.value,
            eer=gain.b,
            gain=None if after is None else gain,
            seconds=trial.duration.total_seconds(),
        )

    def _ended(self, study: Any) -> int:
        """Trials that were tried, however they ended."""
        return sum(trial.state.is_finished() for trial in study.trials)

    def _seconds(self, study: Any) -> list[float]:
        """How long each training took that would be confirmed now."""
        return [trial.duration.total_seconds() for trial in self._best(study)]

    def _tried(self, trial: Any, study: Any, trials: int) -> float:
        """Train on two folds, and measure on the third on the way and at the end."""
        settings = _changed(settings_of(trial, self.recipe, self.searched), self.recipe)
        if trial.number == 0:  # whatever the bounds of the search say
            settings = {}
        trial.set_user_attr("settings", settings)
        held = self.items.folds(FOLDS, seed=self.seed)[CHOOSING]
        train, judged = self.items.without(held), self.items.where(identities=held)
        recipe = self._fitted(settings, train)
        every = max(1, recipe.epochs // LOOKS)
        shown = self._watched("trial", self._ended(study), trials, study)
        bundle = fit(
            build.twin(recipe, seed=self.seed).to(self.device),
            train,
            judged,
            recipe=recipe.replace({"validate_every": every, "patience": None}),
            seed=self.seed,
            watch=studies.pruning(
                trial,
                every,
                shown,
                too_slow=lambda progress: self.time.too_slow(progress, self._seconds(study)),
            ),
        )
        return float(bundle.training["history"][-1][recipe.monitor])

    def _fitted(self, settings: Mapping[str, Any], train: Items) -> Recipe:
        """The recipe with these settings, fitted to a training part; none of it is kept aside."""
        chosen = self.recipe.replace(dict(settings))
        alone = chosen.replace({"split": NOTHING_ASIDE})
        fixed = {"epochs"} & set(self.fixed)  # p and k may be too large for two folds of three
        return adapted(alone, train, fixed=fixed, seed=self.seed).recipe

    def _scored(self, settings: Mapping[str, Any], done: int, total: int) -> CrossFit:
        """The scores of the folds that chose nothing, each by a model of the other two folds."""
        places = iter(range(done, total))

        def trained(
            part: Items, recipe: Recipe, states: Checkpoints | None, watch: Watch | None
        ) -> Bundle:
            fitted = self._fitted(settings, part)
            twin = build.twin(fitted, seed=self.seed).to(self.device)
            shown = self._watched("confirming", next(places), total)
            return fit(twin, part, recipe=fitted, seed=self.seed, watch=shown)

        folded = self.recipe.replace({"split.folds": FOLDS, "max_seconds": None})
        return crossfit(trained, self.items, folded, seed=self.seed, judged=CONFIRMING)

    def _watched(self, stage: str, number: int, total: int, study: Any = None) -> Watch | None:
        if self.watch is None:
            return None
        tell, best, after = self.watch, None, None
        if study is not None and studies.complete(study):
            best, after = study.best_value, self._after(study, total - number - 1)

        def shown(progress: Progress) -> None:
            still = after
            if study is None:  # of trainings that confirm, one takes about as long as another
                still = (progress.seconds + progress.seconds_left) * (total - number - 1)
            left = None if still is None else self.time.at_most(progress.seconds_left + still)
            tell(
                Tuning(
                    stage=stage,
                    number=number + 1,
                    total=total,
                    monitor=self.recipe.monitor,
                    best=best,
                    seconds_left=left,
                    training=progress,
                )
            )

        return shown

    def _after(self, study: Any, trials: int) -> float:
        """Seconds that so many more trials will take, and what confirms the best."""
        took = [trial.duration.total_seconds() for trial in study.trials if trial.duration]
        return trials * sum(took) / len(took) + sum(self._seconds(study)) * len(CONFIRMING)


def _changed(settings: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Those of the settings that change the recipe."""
    return {
        name: value for name, value in settings.items() if recipe.replace({name: value}) != recipe
    }

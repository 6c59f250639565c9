"""What the trials of a tuning have found so far, in a file that a later command continues (extra `tune`)."""

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twofold.config import Recipe
from twofold.data.items import Items
from twofold.errors import DataError, MissingExtra, UsageError
from twofold.results import Progress
from twofold.train.epochs import Watch

__all__ = [
    "begun",
    "complete",
    "data_digest",
    "opened",
    "optuna",
    "pruning",
    "recipe_digest",
]

FIRST_AT_RANDOM = 8
"""Trials at random before the sampler learns from them; TPE's default of 10 is a third of 30."""

FIRST_UNCUT = 4
"""Trials that run to their end before one is ended early."""


def optuna() -> Any:
    """The package that proposes settings.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import optuna as package
    except ImportError:
        raise MissingExtra("settings are proposed by optuna: pip install 'twofold[tune]'") from None
    package.logging.set_verbosity(package.logging.ERROR)  # our own words say what failed
    return package


def opened(path: Path, *, known: dict[str, Any], better: str, seed: int, resume: bool) -> Any:
    """The study at `path`, new or continued.

    Args:
        known: what the trials depend on; a study of other data or another recipe is refused.
        better: "minimize" or "maximize" the monitored number.
        seed: of the proposals.

    Raises:
        UsageError: a study is there and is not to be continued, or none is there.
        DataError: it is of other data, of another recipe, or damaged.
    """
    if resume and not path.exists():
        raise UsageError(f"{path} is not there, so nothing can be resumed: leave out --resume")
    study = _read(path, better=better, seed=seed)
    if complete(study) and not resume:
        raise UsageError(
            f"{path} holds the trials of an earlier tuning: --resume continues it, --force starts "
            f"over"
        )
    if study.trials and not complete(study):  # it ended before the first trial did
        path.unlink()
        study = _read(path, better=better, seed=seed)
    written = study.user_attrs or known
    if changed := [name for name in known if written.get(name) != known[name]]:
        raise DataError(
            f"{path} is a study of another {' and '.join(changed)}: give those it began with, or "
            f"leave out --resume and choose another place"
        )
    for name, value in known.items():
        study.set_user_attr(name, value)
    return study


def _read(path: Path, *, better: str, seed: int) -> Any:
    package = optuna()
    try:
        backend = package.storages.journal.JournalFileBackend(str(path))
        storage = package.storages.JournalStorage(backend)
        return _created(package, storage, better=better, seed=seed)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise DataError(
            f"{path} does not hold a study that can be read ({type(error).__name__}): remove it"
        ) from None


def _created(package: Any, storage: Any, *, better: str, seed: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is experimental in the package
        study = package.create_study(
            storage=storage, study_name="tune", direction=better, load_if_exists=True
        )
        # as many numbers later as trials are known, so that a continued study proposes new ones
        study.sampler = package.samplers.TPESampler(
            seed=seed + len(study.trials), n_startup_trials=FIRST_AT_RANDOM
        )
        study.pruner = package.pruners.MedianPruner(n_startup_trials=FIRST_UNCUT)
    return study


def data_digest(items: Items) -> str:
    """16 hexadecimal digits that change with the contents and the labels of the items, not with their order."""
    rows = sorted(
        f"{content} {items.names[label]}"
        for content, label in zip(items.content_hashes(), items.labels, strict=True)
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def recipe_digest(recipe: Recipe) -> str:
    """16 hexadecimal digits that change with the recipe."""
    told = json.dumps(recipe.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def begun(study: Any, own: dict[str, Any]) -> None:
    """See that the first trial leaves the recipe as it is, and end one that a killed tuning left unfinished.

    Args:
        own: the values by which a trial leaves the recipe as it is.
    """
    states = optuna().trial.TrialState
    for trial in study.trials:
        if trial.state == states.RUNNING:
            study.tell(trial.number, state=states.FAIL)
    if not study.trials:
        study.enqueue_trial(own)


def pruning(
    trial: Any, every: int, shown: Watch | None, *, too_slow: Callable[[Progress], bool]
) -> Watch:
    """A watch that reports each measurement to the study, and ends a trial that is worse than most, or too slow."""
    pruned = optuna().TrialPruned
    reported = 0

    def watch(progress: Progress) -> None:
        nonlocal reported
        if shown is not None:
            shown(progress)
        if too_slow(progress):
            raise pruned
        measured = (progress.epoch - 1) // every
        if progress.monitored is not None and measured > reported:
            reported = measured
            trial.report(progress.monitored, step=measured)
            if trial.should_prune():
                raise pruned

    return watch


def complete(study: Any) -> list[Any]:
    """The trials that ran to their end."""
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]

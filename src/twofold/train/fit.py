"""fit: items or pairs in, a trained and not yet calibrated bundle out."""

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from twofold import build
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.adaptation import ADAPTED, Adapted, adapted, sized
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.devices import training_device
from twofold.errors import RecipeError, SlowPrecision
from twofold.losses.external import name_of
from twofold.precision import slowdown
from twofold.provenance import Provenance
from twofold.train import checkpoint
from twofold.train.checkpoint import Checkpoints, State
from twofold.train.clock import Seconds
from twofold.train.crossfit import FINAL, begun, crossfit, part_of_time, under_fold, watched
from twofold.train.distributed import Processes
from twofold.train.epochs import Watch, learn
from twofold.train.features import Kept, kept_features, with_cache
from twofold.train.feed import Feed, ItemFeed, PairFeed
from twofold.train.freezing import frozen
from twofold.train.keeper import Keeper
from twofold.train.objective import objective, of_pairs
from twofold.train.outcome import bundle_of, class_names, leaks, recipe_of
from twofold.train.preparation import prepare
from twofold.train.run import Run, reorder
from twofold.train.split import (
    Dealt,
    deal,
    deal_again,
    deal_from,
    refuse_other_data,
    refuse_shared,
    trained_on,
)
from twofold.train.start import worse_than_start
from twofold.train.step import step
from twofold.train.validate import validation_of
from twofold.train.warm_start import take_weights
from twofold.twin import Twin

__all__ = ["fit", "fit_recipe"]


def fit(
    twin: Twin,
    train: Items | Pairs,
    valid: Items | Pairs | None = None,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    loss: Callable[..., Tensor] | None = None,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> Bundle:
    """Train `twin` so that what is the same in `train` comes close together; the twin itself is changed.

    Args:
        valid: items of identities, or pairs of things, that are not in `train`; the weights that do
            best on them are kept. None: the last.
        recipe: loss, batches, optimiser, and so on; its input, encoder and comparison give way to
            those of `twin`.
        seed: of data order, augmentation and dropout. The same seed gives the same weights on the
            same machine.
        loss: your own loss(embeddings, labels, *, comparison) instead of the recipe's
            (`losses.external` wraps others).
        checkpoints: where to keep the state after every epoch, and whether to go on from there.
        watch: called after every step.

    Returns:
        An uncalibrated bundle: embeddings and scores, but no verdicts yet; `calibrate` comes next.

    Raises:
        NotEnoughData: batches cannot be filled. RecipeError: pieces that do not fit. TrainingError:
            the loss is not finite. IdentityOverlap is raised later, if data of these identities is
            used to calibrate or evaluate.
    """
    began = _began(checkpoints)
    if isinstance(valid, Items) and isinstance(train, Items):
        refuse_shared(train, valid)
    state = _state(checkpoints)
    earlier = None if state is None else checkpoint.provenance(state.tensors)
    known = Provenance() if earlier is None else earlier
    parts = {name: part for name, part in (("train", train), ("valid", valid)) if part is not None}
    if earlier is not None:
        refuse_other_data(
            [content for part in parts.values() for content in part.content_hashes()],
            earlier,
            parts,
        )
    for name, part in parts.items():
        known = known.extended(name, part)
    material = Material(train=train, valid=valid, provenance=known, began=began)
    return _fit(
        twin,
        material,
        recipe=recipe,
        seed=seed,
        loss=loss,
        checkpoints=checkpoints,
        state=state,
        watch=watch,
    )


def fit_recipe(
    recipe: Recipe,
    items: Items,
    *,
    fixed: Collection[str] = (),
    seed: int = 0,
    device: str | None = None,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
    ancestor: Bundle | None = None,
) -> Bundle:
    """Fit the recipe to the data, split by identity, train, and write down what was kept aside and what was changed.

    A training that goes on (`checkpoints.resume`) keeps the split that it began with, even if the
    data has changed: see `train.split.deal_again`.

    Args:
        fixed: settings that must not be adapted to the data, by their names for --set ("p",
            "split.folds").
        device: "cpu", "cuda", "cuda:1" or "mps"; None: a CUDA card if there is one, else the
            processor.
        ancestor: the trained bundle whose weights the training begins with (see
            `train.warm_start`). What it was trained on counts as trained on here, and what it kept
            aside stays aside.

    Raises:
        DataError: a training shall go on with data that is not what it began with.
        RecipeError: the ancestor has another input or encoder than the recipe.
    """
    if recipe.kind != "embedding":
        raise RecipeError(
            f"the recipe is of kind {recipe.kind}, and these are items: train.dense.fit_scenes "
            f"trains on scenes"
        )
    began, asked_at, where = _began(checkpoints), Seconds.now(), training_device(device)
    items = with_cache(items, recipe)
    state = None if checkpoints is None or begun(checkpoints) else _state(checkpoints)
    known, recipe = None if ancestor is None else ancestor.provenance, sized(recipe, items.values)
    fitted = _adapted(recipe, items, known, state, fixed=fixed, seed=seed)
    recipe = fitted.recipe
    earlier = None if state is None else checkpoint.provenance(state.tensors)
    dealt = _dealt(items, recipe, seed, earlier=earlier, known=known)

    def begun_twin() -> tuple[Twin, tuple[str, ...]]:
        twin = build.twin(recipe, seed=seed)
        notes = () if ancestor is None else take_weights(twin, ancestor)
        return twin.to(where), notes

    judged = None
    if (folds := recipe.split.folds or 0) >= 2:

        def trained(
            part: Items, recipe: Recipe, states: Checkpoints | None, shown: Watch | None
        ) -> Bundle:
            return fit(
                begun_twin()[0], part, recipe=recipe, seed=seed, checkpoints=states, watch=shown
            )

        judged = crossfit(
            trained, dealt.parts.train, recipe, seed=seed, checkpoints=checkpoints, watch=watch
        )
        checkpoints, watch = under_fold(checkpoints, FINAL), watched(watch, folds, folds)
        state = _state(checkpoints)
    twin, notes = begun_twin()
    notes += dealt.notes if state is None or earlier else (OLD_STATE,)
    material = Material(
        train=dealt.parts.train,
        valid=dealt.parts.valid if len(dealt.parts.valid) else None,
        provenance=dealt.provenance,
        notes=notes,
        named=dealt.named,
        began=began if judged is None else monotonic(),
        asked_at=asked_at,
        ancestor=None if ancestor is None else ancestor.fingerprint,
    )
    timed = part_of_time(recipe, final=True)
    bundle = _fit(
        twin, material, recipe=timed, seed=seed, checkpoints=checkpoints, state=state, watch=watch
    )
    used = bundle.recipe.model_copy(update={"max_seconds": recipe.max_seconds})
    told = {**bundle.training, "adapted": list(fitted.notes)}
    reached = told["best"].get("eer") if judged is None else judged
    unseen = material.valid if judged is None else material.train
    if ancestor is None and isinstance(unseen, Items) and reached is not None:
        told["notes"] = [*told["notes"], *worse_than_start(recipe, unseen, reached, where)]
    return replace(bundle, recipe=used, training=told, crossfit=judged)


def _adapted(
    recipe: Recipe,
    items: Items,
    known: Provenance | None,
    state: State | None,
    *,
    fixed: Collection[str],
    seed: int,
) -> Adapted:
    """The recipe for this data. A model that has seen it cannot judge it fold by fold: what it kept aside judges.

    Raises:
        RecipeError: folds are asked for all the same.
    """
    seen = known is not None and trained_on(known, items)
    if seen and recipe.split.folds is None:
        recipe = recipe.replace({"split.folds": 0})
    fitted = (
        adapted(recipe, items, fixed=fixed, seed=seed)
        if state is None
        else _as_before(recipe, state, fixed)
    )
    if seen and (fitted.recipe.split.folds or 0) >= 2:
        raise RecipeError(KNOWN_FOLDS)
    return fitted


def _dealt(
    items: Items, recipe: Recipe, seed: int, *, earlier: Provenance | None, known: Provenance | None
) -> Dealt:
    """The parts of the data: as before if a training continues, by what an ancestor knew, or dealt at random."""
    if earlier is not None:
        return deal_again(items, earlier)
    if known is not None:
        return deal_from(items, recipe.split, seed, known)
    return deal(items, recipe.split, seed)


def _began(checkpoints: Checkpoints | None) -> float:
    return monotonic() if checkpoints is None or checkpoints.began is None else checkpoints.began


def _state(checkpoints: Checkpoints | None) -> State | None:
    return checkpoint.newest(checkpoints) if checkpoints and checkpoints.resume else None


def _as_before(recipe: Recipe, state: State, fixed: Collection[str]) -> Adapted:
    """The recipe as it was adapted when the training began, even if the data has changed."""
    before = Recipe.model_validate(state.numbers["recipe"])
    kept = {name: getattr(before, name) for name in ADAPTED if name not in fixed}
    chosen = [name.removeprefix("split.") for name in fixed if name.startswith("split.")]
    kept["split"] = before.split.model_copy(
        update={name: getattr(recipe.split, name) for name in chosen}
    )
    return Adapted(recipe=recipe.model_copy(update=kept))


KNOWN_FOLDS = (
    "these identities are to be cross-fitted, but the bundle of --from was trained on some of "
    "them, so that no fold would be unseen: set split.folds=0 (--set), or train on others"
)

OLD_STATE = (
    "the state was kept by a version that did not keep its split: identities were dealt again, "
    "which is the same split only if the data has not changed since"
)


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a training begins with.

    Attributes:
        train, valid: what is learned from, and what the best weights are chosen on.
        provenance: what the bundle will remember of them.
        notes: what should be said of them. named: the same with names of identities, which the
            bundle does not keep.
        ancestor: fingerprint of the bundle that gave the first weights.
        began: when the command started: from then on `max_seconds` counts.
        asked_at: when the work started, folds included: what the bundle tells of it counts from then.
    """

    train: Items | Pairs
    valid: Items | Pairs | None
    provenance: Provenance
    notes: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    ancestor: str | None = None
    began: float = 0.0
    asked_at: Seconds = field(default_factory=Seconds.now)


def _fit(
    twin: Twin,
    material: Material,
    *,
    recipe: Recipe | None,
    seed: int,
    loss: Callable[..., Tensor] | None = None,
    checkpoints: Checkpoints | None,
    state: State | None,
    watch: Watch | None,
) -> Bundle:
    recipe = recipe_of(twin, recipe or Recipe())
    with (
        frozen(twin, recipe.freeze) as still_parts,
        kept_features(twin, recipe, material.train, material.valid) as kept,
    ):
        asked = {"loss": loss, "checkpoints": checkpoints, "state": state, "watch": watch}
        return _fit_unfrozen(
            twin, material, kept, recipe=recipe, seed=seed, still=still_parts, **asked
        )


def _fit_unfrozen(
    twin: Twin,
    material: Material,
    kept: Kept,
    *,
    recipe: Recipe,
    seed: int,
    still: tuple[nn.Module, ...],
    **asked: Any,
) -> Bundle:
    """Train what is not frozen.

    Args:
        kept: what is fed, features of a frozen trunk perhaps.
        still: modules that are not trained.
        asked: loss, checkpoints, state and watch, as for `_fit`.
    """
    loss, state = asked["loss"], asked["state"]
    train, valid = kept.train, kept.valid
    left = (
        None if recipe.max_seconds is None else recipe.max_seconds - (monotonic() - material.began)
    )
    feed = _feed(twin, train, recipe, seed, pairs=loss is None and of_pairs(recipe), seconds=left)
    with build.seeded(seed):
        linked = isinstance(train, Pairs) and train.positive
        aim = objective(recipe, twin, classes=feed.classes, loss=loss, linked=linked)
    prepare(twin, train, feed.stored)
    run = Run(twin, aim.modules, recipe, seed, classes=feed.classes)
    run.frozen = still
    run.clock.prepared_since(material.asked_at)
    run.ancestor, run.budget.began = material.ancestor, material.began
    run.provenance, run.class_names = material.provenance, class_names(feed, material.provenance)
    validation = None if valid is None else validation_of(valid, twin.input, seconds=left)
    if state is not None:
        run.resume(state)
    if (slow := slowdown(run.precision, twin.device)) and slow not in run.notes:
        run.notes.append(slow)
        warnings.warn(slow, SlowPrecision, stacklevel=3)
    raw = (material.train, material.valid)
    contents = [part.content_hashes() for part in raw if part is not None]
    run.named = material.named
    said = (*material.notes, *kept.notes, *leaks(*contents))
    run.notes += [note for note in said if note not in run.notes]
    keeper = Keeper(run, asked["checkpoints"], ids=train.ids if isinstance(train, Items) else ())
    own = None if loss is None else getattr(loss, "called", None) or name_of(loss)

    def take(batch: Any, targets: Any, sizes: Sequence[int]) -> float:
        return step(run, batch, targets, aim, sizes=sizes)

    learn(run, feed, take, keeper=keeper, validation=validation, watch=asked["watch"])
    twin.load_state_dict(run.best_weights if validation else run.weights)
    reorder(twin.eval(), torch.contiguous_format)
    return bundle_of(run, feed, own_loss=own)


def _feed(
    twin: Twin,
    train: Items | Pairs,
    recipe: Recipe,
    seed: int,
    *,
    pairs: bool,
    seconds: float | None,
) -> Feed:
    """Batches of pairs for a list of pairs or a loss that wants them, else of labelled items."""
    processes = Processes.present()
    share = processes.rank, processes.count
    if isinstance(train, Pairs) or pairs:
        return PairFeed(
            train, twin.input, recipe, seed, share=share, device=twin.device, seconds=seconds
        )
    return ItemFeed(
        train, twin.input, recipe, seed, share=share, device=twin.device, seconds=seconds
    )

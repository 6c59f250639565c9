"""Cross-fitting: every identity judged by a model that has not seen it, and what may be said from that."""

import dataclasses

import numpy as np
import pytest

from twofold import calibrate, evaluate
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.data.synthetic import glyphs
from twofold.errors import CannotCertify, DamagedBundle, Interrupted
from twofold.train import fit as fitting
from twofold.train.checkpoint import Checkpoints
from twofold.train.fit import fit_recipe

RECIPE = Recipe.model_validate(
    {
        "input": {"name": "Image", "size": 16, "channels": 1},
        "encoder": {"name": "resnet_small", "dim": 8, "width": 8},
        "p": 4,
        "k": 3,
        "epochs": 2,
    }
)


@pytest.fixture(scope="module")
def items() -> Items:
    return glyphs(classes=12, each=4, size=16, seed=5)


@pytest.fixture(scope="module")
def bundle(items: Items) -> Bundle:
    return fit_recipe(RECIPE, items, seed=1, device="cpu")


def test_nobody_is_judged_by_a_model_that_has_seen_them(items, monkeypatch):
    seen = []
    plain = fitting.fit

    def fit(twin, train, *more, **options):
        seen.append(set(train.identities))
        return plain(twin, train, *more, **options)

    monkeypatch.setattr(fitting, "fit", fit)
    found = fit_recipe(RECIPE, items, seed=1, device="cpu").crossfit
    assert [len(names) for names in seen] == [8, 8, 8]
    for fold, names in enumerate(seen):
        inside = found.fold == fold
        judged = {
            items.identities[code]
            for code in np.unique([found.first[inside], found.second[inside]])
        }
        assert len(judged) == 4 and not judged & names


def test_every_pair_inside_a_fold_is_kept_once(items, bundle):
    found = bundle.crossfit
    assert found.units == 12 and found.folds == 3
    assert (int(found.same.sum()), int((~found.same).sum())) == (12 * 6, 3 * 6 * 16)
    assert found.impostor_identity_pairs == 18
    assert np.array_equal(found.same, found.first == found.second)


def test_a_threshold_from_it_is_always_an_estimate(items, bundle):
    known = calibrate(bundle, items, far=0.1).calibration
    assert known.certified is False and known.identities == 12
    impostors = bundle.crossfit.scores[~bundle.crossfit.same]
    assert (impostors >= known.threshold).mean() <= 0.1
    with pytest.raises(CannotCertify, match="cannot even estimate"):
        calibrate(bundle, items, far=1e-3)


def test_rates_at_the_threshold_are_taken_fold_by_fold(items, bundle):
    done = evaluate(calibrate(bundle, items, far=0.1), items)
    assert done.crossfitted and done.holds is None
    pairs = bundle.crossfit
    wrong = 0
    for fold in range(3):
        others = np.sort(pairs.scores[(pairs.fold != fold) & ~pairs.same].astype(np.float64))
        everything = np.unique(pairs.scores[pairs.fold != fold]).astype(np.float64)
        threshold = min(t for t in [*everything, np.inf] if (others >= t).mean() <= 0.1)
        wrong += int((pairs.scores[(pairs.fold == fold) & ~pairs.same] >= threshold).sum())
    assert done.number("false_match_rate").value == pytest.approx(
        wrong / int((~pairs.same).sum()), abs=0.01
    )
    assert any("cross-fitted" in note for note in done.notes)


def test_new_identities_judge_the_final_model_itself(items, bundle):
    others = glyphs(classes=20, each=3, size=16, seed=77)
    renamed = Items.from_arrays(np.stack(others.values), [f"new {code}" for code in others.labels])
    done = evaluate(calibrate(bundle, items, far=0.2), renamed)
    assert not done.crossfitted and done.number("recall_at_1")


def test_a_saved_bundle_has_it_and_protects_it(items, bundle, tmp_path):
    bundle.save(tmp_path / "m")
    loaded = Bundle.load(tmp_path / "m")
    for field in dataclasses.fields(bundle.crossfit):
        assert np.array_equal(
            getattr(loaded.crossfit, field.name), getattr(bundle.crossfit, field.name)
        )
    assert loaded.fingerprint == bundle.fingerprint
    assert (
        calibrate(loaded, items, far=0.1).calibration
        == calibrate(bundle, items, far=0.1).calibration
    )
    names = b"".join(path.read_bytes() for path in (tmp_path / "m").glob("crossfit*"))
    assert not any(name.encode() in names for name in items.identities)
    (tmp_path / "m" / "crossfit.safetensors").write_bytes(b"spoilt")
    with pytest.raises(DamagedBundle, match="crossfit"):
        Bundle.load(tmp_path / "m")


@pytest.mark.parametrize("steps", [3, 9])
def test_an_interrupted_cross_fitting_goes_on_to_the_same_bundle(items, bundle, tmp_path, steps):
    left = iter(range(steps))
    states = Checkpoints(tmp_path / "states", asked=lambda: next(left, None) is None)
    with pytest.raises(Interrupted):
        fit_recipe(RECIPE, items, seed=1, device="cpu", checkpoints=states)
    more = fit_recipe(
        RECIPE,
        items,
        seed=1,
        device="cpu",
        checkpoints=Checkpoints(tmp_path / "states", resume=True),
    )
    assert more.fingerprint == bundle.fingerprint
    assert np.array_equal(more.crossfit.scores, bundle.crossfit.scores)


def test_progress_runs_over_all_trainings(items):
    shown = []
    fit_recipe(RECIPE, items, seed=1, device="cpu", watch=shown.append)
    done = [
        (progress.epoch - 1 + progress.step / progress.steps) / progress.epochs
        for progress in shown
    ]
    assert done == sorted(done) and done[-1] == 1.0
    assert shown[-1].epochs == 4 * RECIPE.epochs


def test_too_few_to_do_both_are_told_what_to_do():
    few = glyphs(classes=5, each=3, size=16, seed=5)
    small = fit_recipe(RECIPE, few, device="cpu")
    assert small.crossfit is None and "calibrate" not in small.provenance.parts
    for verb in (lambda: calibrate(small, few, far=0.1), lambda: evaluate(small, few)):
        with pytest.raises(Exception, match=r"none was kept aside.*12"):
            verb()

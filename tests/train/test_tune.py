"""tune: trials on identities that they have not seen, a fair comparison of the best, and studies that go on."""

from dataclasses import replace

import numpy as np
import pytest

from twofold import Items, build, recipes, tune
from twofold.errors import (
    DamagedBundle,
    DataError,
    MissingExtra,
    NotEnoughData,
    RecipeError,
    UsageError,
)
from twofold.package_files import PackageFile
from twofold.results import Progress
from twofold.train import objective, search_space, trial_time
from twofold.train.search_space import SEARCHED, as_it_is, check_searched, settings_of
from twofold.train.tune import Search

NAMES, ONE = ("learning_rate", "loss"), Search(trials=1)
QUICK = {"epochs": 4, "fewest_steps": 0, "encoder.dim": 8}


def vectors(identities: int = 24, each: int = 6, seed: int = 0) -> Items:
    """Identities differ in four of sixteen numbers; the rest is louder noise, which a head must learn to leave out."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(identities, 4))
    labels = np.repeat(np.arange(identities), each)
    told = centres[labels] + 0.3 * draw.normal(size=(len(labels), 4))
    rows = np.concatenate([told, 3 * draw.normal(size=(len(labels), 12))], axis=1)
    return Items.from_arrays(rows.astype(np.float32), [f"v{label}" for label in labels])


def recipe(**settings):
    return recipes.head().replace({"input.size": 16, **QUICK, **settings})


class Drawn:
    """A trial that draws at random, as optuna's first ones do."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)

    def suggest_float(self, name, low, high, *, log=False):
        value = (
            self.draw.uniform(np.log(low), np.log(high)) if log else self.draw.uniform(low, high)
        )
        return float(np.exp(value)) if log else float(value)

    def suggest_categorical(self, name, choices):
        return choices[self.draw.integers(len(choices))]


@pytest.mark.parametrize(
    "name", [each for each in recipes.__all__ if recipes.find(each).kind == "embedding"]
)
def test_every_drawn_setting_fits_its_recipe(name):
    chosen = recipes.find(name)
    if name == "head":
        chosen = chosen.replace({"input.size": 16})
    try:
        searched = check_searched((), chosen)
        build.twin(chosen)
    except MissingExtra as missing:
        pytest.skip(str(missing))
    assert set(searched) <= set(SEARCHED) and "learning_rate" in searched
    for seed in range(20):
        drawn = settings_of(Drawn(seed), chosen, searched)
        changed = chosen.replace(drawn)
        if seed < 3:
            objective.check(changed)  # the loss takes its arguments, its miner and its margin
        accepted = search_space._parameters(changed.encoder.name)
        assert set(changed.encoder.arguments) <= set(accepted)
    assert set(as_it_is(chosen, searched)) == set(searched)


def test_what_can_be_searched_is_said():
    with pytest.raises(UsageError, match=r"'lose' cannot be searched.*loss"):
        check_searched(["lose"], recipe())
    with pytest.raises(UsageError, match="nothing to search in freeze"):
        check_searched(["freeze"], recipe())
    assert "freeze" in check_searched((), recipes.photo())
    assert "encoder" not in check_searched((), recipes.photo())


class Chosen(Drawn):
    """A trial that draws some of its values by name."""

    def __init__(self, **known) -> None:
        super().__init__(0)
        self.known = known

    def suggest_categorical(self, name, choices):
        assert name not in self.known or self.known[name] in choices
        return self.known.get(name) or super().suggest_categorical(name, choices)


def test_depth_is_what_the_network_calls_it():
    drawn = {"depth": 1}
    assert settings_of(Chosen(**drawn), recipes.generic(), ["depth"]) == {"encoder.blocks": 2}
    assert settings_of(Chosen(**drawn), recipes.text(), ["depth"]) == {"encoder.layers": 2}
    deep = recipe(**{"encoder.name": "mlp"})
    assert settings_of(Chosen(depth=-1), deep, ["depth"]) == {"encoder.depth": 1}
    with pytest.raises(UsageError, match="nothing to search in depth"):
        check_searched(["depth"], recipe())
    # a network without such a number in the place of one that has it
    drawn |= {"encoder": "conv4"}
    assert settings_of(Chosen(**drawn), recipes.generic(), ["encoder", "depth"]) == {
        "encoder.name": "conv4"
    }


def test_margins_grow_and_triplets_are_mined():
    drawn = {"loss": "triplet", "margin_growth": 0.5, "triplet.mining": "distance_weighted"}
    found = settings_of(Chosen(**drawn), recipe(), ["loss"])
    assert found["margin_growth"] == 0.5 and found["miner"] == "distance_weighted"
    objective.check(recipe().replace(found))
    # which knows how often each distance is met on the sphere alone
    far = Chosen(**drawn, comparison="manhattan")
    assert settings_of(far, recipe(), ["comparison", "loss"])["miner"] is None
    # what belongs to the recipe's own loss goes with it
    own = recipe(
        **{"loss.name": "triplet", "miner": "semi_hard", "margin_growth": 0.3, "memory": 8}
    )
    for name in ("supcon", "ProxyAnchor"):
        objective.check(own.replace(settings_of(Chosen(loss=name), own, ["loss"])))


def test_learned_comparisons_are_tried_where_they_fit():
    pictures = recipes.generic().replace({"input.size": 32})
    for name in ("Matching", "Bilinear", "Relation", "CrossAttention"):
        drawn = Chosen(comparison=name, loss="triplet")
        found = settings_of(drawn, pictures, ["comparison", "loss"])
        assert found["comparison"] == name
        objective.check(pictures.replace(found))
        # a loss that compares by angle would not teach it
        proxies = Chosen(comparison=name, loss="ArcFace")
        assert settings_of(proxies, pictures, ["comparison", "loss"]) == {"comparison": name}
    by_angle = pictures.replace({"loss": "ArcFace"})
    for own, left_out in ((by_angle, "Matching"), (recipe(), "Relation")):
        with pytest.raises(AssertionError):
            settings_of(Chosen(comparison=left_out), own, ["comparison"])


def test_half_of_a_trunk_can_be_frozen():
    deep = recipes.generic().replace({"input.size": 32})
    assert settings_of(Chosen(freeze="half"), deep, ["freeze"]) == {"freeze": 2}
    build.twin(deep.replace({"freeze": 2}))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    place = tmp_path_factory.mktemp("tune") / "study.trials"
    return tune(recipe(), vectors(), place, search=Search(trials=6, names=NAMES)), place


def test_the_best_are_compared_where_nothing_was_chosen(found):
    result, _ = found
    own, *others = result.candidates
    assert own.settings == {} and own.gain is None and 1 <= len(others) <= 2
    assert result.finished + result.ended + result.failed == 6
    for each in others:
        assert each.settings and each.gain.low <= each.gain.gain <= each.gain.high
        assert each.gain.gain == pytest.approx(own.eer - each.eer, abs=1e-9)
        # two of three folds of 24 identities judge
        assert each.gain.resampled == 16
    assert result.chosen.eer == min(each.eer for each in result.candidates)
    assert result.recipe == recipe().replace(dict(result.chosen.settings))
    assert any("too few to keep some aside" in note for note in result.notes)


def test_a_study_goes_on_and_keeps_what_it_knows(found):
    _, place = found
    more = tune(recipe(), vectors(), place, search=Search(trials=8, names=NAMES), resume=True)
    assert more.finished + more.ended + more.failed == 8


def test_studies_are_of_one_data_set_and_one_recipe(found, tmp_path):
    _, place = found
    with pytest.raises(UsageError, match="--resume continues it"):
        tune(recipe(), vectors(), place, search=ONE)
    with pytest.raises(DataError, match="of another data"):
        tune(recipe(), vectors(seed=1), place, search=ONE, resume=True)
    with pytest.raises(DataError, match="of another recipe"):
        tune(recipe(p=8), vectors(), place, search=ONE, resume=True)
    with pytest.raises(UsageError, match="nothing can be resumed"):
        tune(recipe(), vectors(), tmp_path / "none", search=ONE, resume=True)
    (tmp_path / "odd").write_text("not a study\n")
    with pytest.raises(DataError, match="does not hold a study"):
        tune(recipe(), vectors(), tmp_path / "odd", search=ONE, resume=True)


def test_the_same_seed_proposes_the_same_settings(tmp_path):
    asked = {"search": Search(trials=3, names=["learning_rate", "dim"])}
    one, two = (tune(recipe(), vectors(), tmp_path / name, **asked) for name in "ab")
    assert [each.settings for each in one.candidates] == [each.settings for each in two.candidates]
    assert [each.eer for each in one.candidates] == [each.eer for each in two.candidates]


def test_identities_that_are_kept_aside_take_no_part(tmp_path):
    many = vectors(identities=130, each=2)
    result = tune(
        recipe(epochs=1), many, tmp_path / "s", search=Search(trials=1, names=["learning_rate"])
    )
    assert 80 < result.identities < 120 and not result.notes
    whole = tune(
        recipe(epochs=1, **{"split.by_group": True}),
        replace(many, group=many.identity % 20, groups=tuple("abcdefghijklmnopqrst")),
        tmp_path / "t",
        search=Search(trials=1, names=["learning_rate"]),
    )
    assert [note for note in whole.notes if "split.by_group holds for train alone" in note]


def test_what_the_user_has_set_is_not_searched(tmp_path):
    search = Search(trials=2, fixed=["loss.temperature", "p"])
    result = tune(recipe(p=8), vectors(), tmp_path / "s", search=search)
    told = {name.split(".")[0] for each in result.candidates for name in each.settings}
    assert not told & {"loss", "p", "k"}
    mined = recipe(**{"loss.name": "triplet", "miner": "semi_hard", "epochs": 1})
    search = Search(trials=2, fixed=["miner"])  # which belongs to the loss
    result = tune(mined, vectors(), tmp_path / "t", search=search)
    told = {name.split(".")[0] for each in result.candidates for name in each.settings}
    assert not told & {"loss", "miner"}


def test_too_little_is_refused(tmp_path):
    with pytest.raises(NotEnoughData, match="8 identities with two items: tuning takes 12"):
        tune(recipe(), vectors(identities=8), tmp_path / "s", search=ONE)
    with pytest.raises(UsageError, match=r"not enough to confirm|could be finished"):
        tune(recipe(), vectors(), tmp_path / "t", search=Search(trials=5, seconds=1e-3))


def at(share: float, seconds: float) -> Progress:
    """A training of which a share is over after so many seconds."""
    numbers = {"loss": 1.0, "monitor": "eer", "monitored": None, "best": None, "waiting": 0.0}
    speeds = {"items_per_second": 1.0, "pairs_per_second": 1.0}
    left = seconds / share - seconds
    where = {"epoch": 1 + int(100 * share), "epochs": 100, "step": 0, "steps": 1}
    return Progress(**numbers, **speeds, **where, seconds=seconds, seconds_left=left)


def test_a_slow_trial_leaves_time_to_confirm_the_best(monkeypatch):
    monkeypatch.setattr(trial_time.time, "monotonic", lambda: 0.0)
    limit = trial_time.TrialTime(until=100.0, folds=2)
    assert not limit.too_slow(at(0.05, 20), [10.0])  # too early to tell
    assert not limit.too_slow(at(0.5, 10), [10.0])
    assert limit.too_slow(at(0.5, 20), [10.0])
    with pytest.raises(UsageError, match=r"about 50 s here.*--max-time 500 or more"):
        limit.too_slow(at(0.5, 25), [])
    # one more trial, and 15 % more than six trainings to confirm
    assert limit.allows_another([]) and limit.allows_another([10.0, 10.0, 10.0])
    assert not limit.allows_another([13.0, 13.0, 13.0])
    forever = trial_time.TrialTime(until=None, folds=2)
    assert forever.allows_another([1e9]) and not forever.too_slow(at(0.5, 1e9), [1e9])


def test_a_study_that_knows_nothing_yet_begins_again(tmp_path):
    place = tmp_path / "s"
    with pytest.raises(UsageError, match=r"could be finished|not enough to try"):
        tune(recipe(), vectors(), place, search=Search(trials=1, seconds=1e-3))
    result = tune(recipe(), vectors(), place, search=ONE)
    assert result.finished == 1 and result.failed == 0


def test_what_the_recipe_itself_cannot_do_is_said_at_once(tmp_path):
    mined = recipe(miner="semi_hard")
    with pytest.raises(RecipeError, match="takes no mined triplets"):
        tune(mined, vectors(), tmp_path / "s", search=Search(trials=5, names=["learning_rate"]))


def test_weights_of_another_hash_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(PackageFile, "path", lambda self: tmp_path / "weights")
    (tmp_path / "weights").write_bytes(b"other weights")
    pictures = Items.from_arrays(
        [np.full((32, 32, 3), shade, np.uint8) for shade in range(24)],
        [str(shade // 2) for shade in range(24)],
    )
    small = recipes.photo().replace({"input.size": 32, "encoder.weights": "imagenet"})
    with pytest.raises(DamagedBundle, match="has SHA-256"):
        tune(small, pictures, tmp_path / "s", search=Search(trials=2, names=["learning_rate"]))


def test_recipes_of_other_kinds_are_refused(tmp_path):
    with pytest.raises(UsageError, match="of kind change are not tuned"):
        tune(recipes.change(), vectors(), tmp_path / "s", search=ONE)


def test_progress_is_told(tmp_path):
    seen = []
    search = Search(trials=2, names=["learning_rate"])
    tune(recipe(), vectors(), tmp_path / "s", search=search, watch=seen.append)
    stages = [(each.stage, each.number) for each in seen]
    assert stages[0] == ("trial", 1) and ("trial", 2) in stages
    assert {number for stage, number in stages if stage == "confirming"} == {1, 2, 3, 4}
    assert all(each.total in (2, 4) for each in seen)
    left = [each.seconds_left for each in seen]
    assert left[0] is None and all(each is not None for each in left if seen[0].stage != "trial")
    assert left[-1] == pytest.approx(seen[-1].training.seconds_left)

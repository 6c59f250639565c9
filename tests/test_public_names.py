"""The public names, exactly: a new one is added here on purpose."""

import importlib

import pytest

import twofold


def test_exactly_these():
    assert set(twofold.__all__) == {
        "Bundle",
        "Checkpoints",
        "Index",
        "Items",
        "Pairs",
        "Recipe",
        "Tracker",
        "Twin",
        "__version__",
        "calibrate",
        "change",
        "dedup",
        "doctor",
        "embed",
        "enrol",
        "evaluate",
        "evaluate_pairs",
        "fit",
        "identify",
        "losses",
        "mining",
        "monitor",
        "search",
        "track",
        "tune",
        "verify",
        "verify_pairs",
    }
    for name in twofold.__all__:
        assert getattr(twofold, name) is not None
    assert dir(twofold) == sorted(twofold.__all__)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("calibrate", "pairs", "calibrate_scores"),
        ("cohort", "cohort", "calibrate_cohort"),
        ("gallery", "open_set", "calibrate_gallery"),
        ("groups", "groups", "calibrate_groups"),
    ],
)
def test_paths_of_the_first_documentation_still_import(old: str, new: str, name: str) -> None:
    before, now = (
        importlib.import_module(f"twofold.train.{old}"),
        importlib.import_module(f"twofold.calibration.{new}"),
    )
    assert getattr(before, name) is getattr(now, name)


def test_a_name_stays_what_it_is_after_its_module_was_imported():
    import twofold.embedding
    import twofold.train.fit

    assert twofold.embed is twofold.embedding.embed
    assert twofold.fit is twofold.train.fit.fit

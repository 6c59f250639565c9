"""References that do not belong: the doctor names a forgery among the genuine signatures of a writer."""

import shutil

import numpy as np
import pytest

from drawn_signatures import write
from twofold import Items, build
from twofold.apps.doctor import checkup
from twofold.apps.odd_references import odd_references
from twofold.calibration.pairs import calibrate
from twofold.calibration.references import calibrate_references
from twofold.embedding import embed
from twofold.recipes import signature
from twofold.train.fit import fit

OWN = {
    "input.size": [48, 96],
    "encoder": {"name": "whitened_places", "network": False, "unit_norm": True},
    "comparison": "cosine",
    "p": 4,
    "k": 3,
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A bundle of signatures with a threshold for single ones, and with thresholds for several."""
    root = tmp_path_factory.mktemp("signatures")
    recipe = signature().replace(OWN)
    train = Items.open(write(root / "train", 12, forgeries=3, seed=1))
    aside = Items.open(write(root / "aside", 12, each=10, forgeries=3, seed=2))
    bundle = fit(build.twin(recipe, seed=0), train, recipe=recipe, seed=0)
    single = calibrate(bundle, aside, far=0.05, frr=0.05, standing="estimate")
    return single, calibrate_references(
        single, aside, count=4, fusion="relative", standing="estimate"
    )


def test_the_doctor_names_a_forgery_among_the_references(bundles, tmp_path):
    single, several = bundles
    root = write(tmp_path / "new", 6, each=5, forgeries=1, seed=3)
    for number in (1, 4):
        shutil.move(root / f"w3{number:02}_forg" / "0.png", root / f"w3{number:02}" / "forged.png")
    for folder in root.glob("*_forg"):
        shutil.rmtree(folder)
    items = Items.open(root)
    whole = checkup(items, several)
    (found,) = [one for one in whole.findings if one.code == "odd-references"]
    assert set(found.files) >= {"w301/forged.png", "w304/forged.png"}
    assert len(found.files) <= 4, "genuine items are rarely accused"
    assert "of 32 items are unlike the others of their identity" in found.message
    assert "5% of genuine items" in found.message
    assert not any(items.ids[place] in found.files for place in whole.dropped)
    vectors = embed(single, items).vectors
    assert odd_references(single, vectors, items.labels) is None, "nothing is claimed without"


def test_sound_references_are_not_accused(bundles, tmp_path):
    items = Items.open(write(tmp_path / "sound", 6, each=5, seed=4))
    found = odd_references(bundles[1], embed(bundles[1], items).vectors, items.labels)
    assert found.judged == 30 and len(found.suspects) <= 3


def test_two_items_accuse_nobody(bundles):
    vectors = np.random.default_rng(0).normal(size=(5, bundles[1].twin.dim)).astype(np.float32)
    assert odd_references(bundles[1], vectors, np.array([0, 0, 1, 1, 2])) is None

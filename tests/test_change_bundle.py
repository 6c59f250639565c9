"""Kinds of bundles: one of change is kept and read back, and neither kind is taken for the other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import small_bundles
from twofold import build, recipes
from twofold.bundle import Bundle
from twofold.bundle_files import kind_of
from twofold.change_bundle import ChangeBundle
from twofold.errors import DamagedBundle, NewerFormat, NotCalibrated, WrongKind
from twofold.results.change import ChangeThreshold

THRESHOLD = ChangeThreshold(
    probability=0.4, f1=0.5, false_change_rate=0.01, scenes=2, certificate_scenes=700
)


def of_change() -> ChangeBundle:
    recipe = recipes.change().replace({"encoder.name": "fc_siam_diff"})
    twin = build.change_twin(recipe, seed=0).eval()
    return ChangeBundle(twin=twin, recipe=recipe, threshold=THRESHOLD, training={"epochs": 2})


def test_a_bundle_of_change_comes_back_as_it_was(tmp_path: Path):
    made = of_change()
    made.save(tmp_path / "model")
    read = ChangeBundle.load(tmp_path / "model")
    assert kind_of(tmp_path / "model") == "change"
    assert read.fingerprint == made.fingerprint and read.threshold == THRESHOLD
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32))
    assert torch.equal(read.twin.logits(x, x.flip(3)), made.twin.logits(x, x.flip(3)))
    assert "estimate, 2 scenes; a certificate of twice that takes 700" in repr(read)
    assert "fc_siam_diff" in read.facts()["network"]


def test_neither_kind_is_taken_for_the_other(tmp_path: Path):
    of_change().save(tmp_path / "change")
    small_bundles.of_pictures().save(tmp_path / "embedding")
    with pytest.raises(WrongKind, match=r"kind change, which maps .* `twofold change`"):
        Bundle.load(tmp_path / "change")
    with pytest.raises(WrongKind, match=r"kind embedding, .* and not of kind change"):
        ChangeBundle.load(tmp_path / "embedding")
    assert kind_of(tmp_path / "embedding") == kind_of(tmp_path / "nowhere") == "embedding"


def test_a_later_kind_is_named(tmp_path: Path):
    of_change().save(tmp_path / "model")
    described = tmp_path / "model" / "bundle.json"
    told = json.loads(described.read_text()) | {"kind": "dream"}
    described.write_text(json.dumps(told))
    with pytest.raises(DamagedBundle, match="not what was written"):
        ChangeBundle.load(tmp_path / "model")
    manifest = tmp_path / "model" / "manifest.json"
    from twofold.files import sha256_file

    content = json.loads(manifest.read_text())
    content["files"]["bundle.json"] = sha256_file(described)
    manifest.write_text(json.dumps(content))
    with pytest.raises(NewerFormat, match="kind 'dream': upgrade"):
        ChangeBundle.load(tmp_path / "model")


def test_weights_of_another_bundle_are_found_out(tmp_path: Path):
    of_change().save(tmp_path / "model")
    manifest = tmp_path / "model" / "manifest.json"
    told = json.loads(manifest.read_text()) | {"fingerprint": "0" * 64}
    manifest.write_text(json.dumps(told))
    with pytest.raises(DamagedBundle, match="put together from different bundles"):
        ChangeBundle.load(tmp_path / "model")


def test_without_validation_scenes_there_is_no_threshold():
    from dataclasses import replace

    bundle = replace(of_change(), threshold=None)
    with pytest.raises(NotCalibrated, match="no threshold"):
        bundle.deciding()
    assert "no validation scenes" in bundle.facts()["threshold"]

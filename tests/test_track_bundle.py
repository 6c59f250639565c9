"""Bundles of tracking: kept and read back, and no kind is taken for another."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import change_bundles
import small_bundles
import track_bundles
from twofold.bundle import Bundle
from twofold.bundle_files import kind_of
from twofold.change_bundle import ChangeBundle
from twofold.errors import DamagedBundle, NotCalibrated, WrongKind
from twofold.results.track import READINGS, TrackConfidence
from twofold.track_bundle import TrackBundle

COUNT = len(READINGS)
CONFIDENCE = TrackConfidence(
    weights=(1.0,) * COUNT,
    means=(0.0,) * COUNT,
    scales=(1.0,) * COUNT,
    bias=0.5,
    auroc=0.9,
    films=20,
)


def test_a_bundle_of_tracking_comes_back_as_it_was(tmp_path: Path):
    made = replace(track_bundles.of_network(), confidence=CONFIDENCE)
    made.save(tmp_path / "model")
    read = TrackBundle.load(tmp_path / "model")
    assert kind_of(tmp_path / "model") == "track"
    assert read.fingerprint == made.fingerprint and read.deciding() == CONFIDENCE
    crops = torch.arange(3 * 80 * 80, dtype=torch.uint8).view(1, 3, 80, 80)
    for one, other in zip(made.twin.features(crops), read.twin.features(crops), strict=True):
        assert torch.equal(one, other)
    assert "track_lite0" in read.facts()["network"] and "estimate" in repr(read)


def test_no_kind_is_taken_for_another(tmp_path: Path):
    track_bundles.of_network().save(tmp_path / "track")
    change_bundles.of_network().save(tmp_path / "change")
    small_bundles.of_pictures().save(tmp_path / "embedding")
    for loader in (Bundle, ChangeBundle):
        with pytest.raises(WrongKind, match=r"kind track, which follows .* `twofold track`"):
            loader.load(tmp_path / "track")
    for kind in ("change", "embedding"):
        with pytest.raises(WrongKind, match=rf"kind {kind}, .* and not of kind track"):
            TrackBundle.load(tmp_path / kind)


def test_weights_of_another_bundle_are_found_out(tmp_path: Path):
    track_bundles.of_network().save(tmp_path / "model")
    manifest = tmp_path / "model" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"fingerprint": "0" * 64}))
    with pytest.raises(DamagedBundle, match="put together from different bundles"):
        TrackBundle.load(tmp_path / "model")


def test_what_was_not_calibrated_says_so():
    bundle = track_bundles.of_network()
    with pytest.raises(NotCalibrated, match="twofold train track"):
        bundle.deciding()
    assert "not calibrated" in bundle.facts()["confidence"]

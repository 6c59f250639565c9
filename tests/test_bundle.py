"""Bundles: there and back, damaged, newer, foreign encoders, and what the fingerprint depends on."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from small_bundles import calibration
from twofold import build
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.embedding import embed, embed_values, scores
from twofold.errors import BundleError, CannotWrite, DamagedBundle, NewerFormat, UsageError
from twofold.inputs.image import Image
from twofold.inputs.padded import padded
from twofold.provenance import Provenance
from twofold.twin import Twin

RECIPE = Recipe(
    input={"name": "Image", "size": [16, 20], "channels": 1},
    augment={"rotation": 10},
    encoder={"name": "resnet_small", "dim": 8, "width": 8},
)


def bundle(**changes):
    recipe = RECIPE.replace(changes)
    records = Provenance().with_part(
        "train", Items.from_arrays(np.arange(6).reshape(3, 2), ["a", "b", "a"])
    )
    return Bundle(twin=build.twin(recipe, seed=0).eval(), recipe=recipe, provenance=records)


@pytest.fixture
def values():
    return list(np.random.default_rng(0).integers(0, 256, (5, 16, 20, 1), dtype=np.uint8))


@pytest.mark.parametrize("comparison", ["cosine", "manhattan", "WeightedL1", "Matching", "ExpL1"])
def test_there_and_back(tmp_path, values, comparison):
    made = bundle(comparison=comparison)
    back = Bundle.load(made.save(tmp_path / "b"))
    assert back.fingerprint == made.fingerprint
    assert (back.provenance, back.recipe) == (made.provenance, made.recipe)
    vectors = embed_values(made, values)
    np.testing.assert_array_equal(embed_values(back, values), vectors)
    np.testing.assert_array_equal(
        scores(back.twin, vectors, vectors), scores(made.twin, vectors, vectors)
    )


@dataclass(frozen=True)
class Steps:
    """An input of somebody's own: the differences of a series."""

    longest: int = 8
    name: ClassVar[str] = "Steps"
    version: ClassVar[int] = 1

    def read(self, value):
        return np.diff(np.asarray(value, np.float32))[: self.longest, None]

    def stack(self, arrays):
        return padded(arrays)

    def normalise(self, batch):
        return batch

    def example(self):
        return np.zeros((1, 1), np.float32)

    def facts(self):
        return {"kind": "series", "channels": 1}

    def arguments(self):
        return {"longest": self.longest}

    def augmentation(self, **settings):
        raise NotImplementedError


@pytest.mark.parametrize("own_encoder", [False, True])
def test_an_input_of_ones_own_is_given_again(tmp_path, own_encoder):
    recipe = RECIPE.replace(
        {
            "encoder": {"name": "gru", "dim": 4, "width": 4},
            "comparison": {"name": "Matching", "width": 3},
        }
    )
    twin = build.twin(recipe, given=Steps())
    encoder = build.twin(recipe, given=Steps(longest=5)).encoder
    if own_encoder:
        encoder = nn.ModuleDict({"inner": encoder})
        encoder.forward = encoder["inner"].forward
        own = nn.ModuleDict({"inner": twin.encoder})
        own.forward = own["inner"].forward
        made = Twin(Steps(), own)
        made.comparison = twin.comparison
        twin = made
    given = {"encoder": encoder} if own_encoder else {}
    made = Bundle(twin=twin.eval(), recipe=recipe)
    folder = made.save(tmp_path / "b")
    with pytest.raises(UsageError, match=r"input type of somebody's own \(Steps\)"):
        Bundle.load(folder, **given)
    with pytest.raises(UsageError, match=r"the given input is Steps\(longest=5\), and the bundle"):
        Bundle.load(folder, input=Steps(longest=5), **given)
    back = Bundle.load(folder, input=Steps(), **given)
    assert back.fingerprint == made.fingerprint and back.twin.input == Steps()
    assert back.twin.comparison.arguments() == {"width": 3}
    series = [np.arange(5.0) ** 2, np.arange(3.0)]
    assert np.array_equal(embed_values(back, series), embed_values(made, series))


def test_every_flipped_byte_is_found(tmp_path):
    made = bundle()
    for name in ("weights.safetensors", "bundle.json", "provenance.safetensors"):
        folder = made.save(tmp_path / name)
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(DamagedBundle, match="is not what was written"):
            Bundle.load(folder)


def mixed(into, other, name):
    """The first bundle with a file of the other, and a manifest whose hashes fit."""
    content = (other / name).read_bytes()
    (into / name).write_bytes(content)
    manifest = json.loads((into / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (into / "manifest.json").write_text(json.dumps(manifest))
    return into


def with_other_weights(made):
    twin = build.twin(made.recipe, seed=1).eval()
    return replace(made, twin=twin)


@pytest.mark.parametrize("name", ["weights.safetensors", "bundle.json"])
def test_files_of_two_bundles_are_no_bundle(tmp_path, name):
    made, other = bundle(), with_other_weights(bundle())
    folder = mixed(made.save(tmp_path / "a"), other.save(tmp_path / "b"), name)
    with pytest.raises(DamagedBundle, match="is put together from different bundles"):
        Bundle.load(folder)
    # the whole description with the weights: only the manifest is the first bundle's
    rest = {"weights.safetensors": "bundle.json", "bundle.json": "weights.safetensors"}[name]
    with pytest.raises(DamagedBundle, match="and the manifest is for"):
        Bundle.load(mixed(folder, tmp_path / "b", rest))


def test_a_threshold_of_another_bundle_is_refused(tmp_path):
    made, other = bundle(), with_other_weights(bundle()).with_calibration(calibration(0.7))
    folder = made.save(tmp_path / "a")
    text = json.loads((folder / "bundle.json").read_text())
    text["contract"] = other.contract.to_dict()
    other_folder = made.save(tmp_path / "b")
    (other_folder / "bundle.json").write_text(json.dumps(text))
    with pytest.raises(DamagedBundle, match="and the threshold is for"):
        Bundle.load(mixed(folder, other_folder, "bundle.json"))


def test_a_bundle_from_before_there_were_rules_keeps_them_and_its_fingerprint(tmp_path):
    old = bundle()
    old.twin.input = Image(**Image.left_out | old.twin.input.arguments() | {"rules": 1})
    folder = old.save(tmp_path / "b")
    described = json.loads((folder / "bundle.json").read_text())["twin"]["input"]
    assert "rules" not in described  # as it was written then
    loaded = Bundle.load(folder)
    assert loaded.twin.input.rules == 1
    assert loaded.fingerprint == json.loads((folder / "manifest.json").read_text())["fingerprint"]
    assert loaded.fingerprint != bundle().fingerprint


def test_what_is_missing_or_no_bundle(tmp_path):
    folder = bundle().save(tmp_path / "b")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(DamagedBundle, match=r"weights.safetensors is missing"):
        Bundle.load(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(DamagedBundle, match=r"manifest.json is damaged"):
        Bundle.load(folder)
    with pytest.raises(BundleError, match="is not a bundle"):
        Bundle.load(tmp_path)


def test_a_newer_format(tmp_path):
    folder = bundle().save(tmp_path / "b")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(NewerFormat, match="has format 99, this twofold reads up to 3"):
        Bundle.load(folder)


def test_a_save_replaces_a_bundle_and_nothing_else(tmp_path):
    folder = bundle().save(tmp_path / "b")
    other = bundle(**{"encoder.dim": 4})
    assert Bundle.load(other.save(folder)).twin.dim == 4
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(CannotWrite, match="not written by twofold"):
        other.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_the_fingerprint_is_of_weights_and_preprocessing():
    made = bundle()
    assert made.fingerprint == bundle().fingerprint == bundle(epochs=3).fingerprint
    different = [
        bundle(copies=2),
        bundle(**{"input.size": [16, 24]}),
        bundle(comparison="manhattan"),
    ]
    moved = bundle()
    with torch.no_grad():
        next(moved.twin.parameters())[0] += 1e-3
    prints = {made.fingerprint, moved.fingerprint, *(each.fingerprint for each in different)}
    assert len(prints) == 5


def test_warped_copies_change_the_vector_and_keep_its_length(values):
    one, eight = embed_values(bundle(), values), embed_values(bundle(copies=8), values)
    assert not np.allclose(one, eight, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(eight, axis=1), 1, atol=1e-5)


def test_a_vector_depends_on_its_item_alone(values):
    made = bundle(copies=4)
    together = embed_values(made, values)
    alone = np.concatenate([embed_values(made, [value]) for value in values])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_embed_keeps_ids_and_labels(values):
    items = Items.from_arrays(np.stack(values), list("aabbc"), ids=list("vwxyz"))
    found = embed(bundle(), items, batch_size=2)
    assert (found.ids, found.labels) == (tuple("vwxyz"), tuple("aabbc"))
    assert found.vectors.dtype == np.float32
    assert found.vectors.shape == (5, 8)
    assert found.fingerprint == bundle().fingerprint


def test_own_encoder_must_be_given_again(tmp_path):
    def encoder(dim):
        return nn.Sequential(nn.Flatten(), nn.Linear(256, dim))

    twin = Twin(Image(size=16, channels=1), encoder(8), comparison="euclidean")
    folder = Bundle(twin=twin, recipe=RECIPE).save(tmp_path / "b")
    with pytest.raises(UsageError, match="the argument `encoder` of Bundle"):
        Bundle.load(folder)
    with pytest.raises(UsageError, match="differ in name or shape"):
        Bundle.load(folder, encoder=encoder(9))
    back = Bundle.load(folder, encoder=encoder(8))
    assert torch.equal(back.twin.encoder[1].weight, twin.encoder[1].weight)
    assert back.twin.comparison.name == "euclidean"


@pytest.mark.parametrize(
    ("word", "network"), [("pretrained", "efficientnet_lite0"), ("minilm", "minilm")]
)
def test_a_word_stands_for_a_model_out_of_the_box(tmp_path, monkeypatch, word, network):
    monkeypatch.chdir(tmp_path)
    made = bundle()
    monkeypatch.setattr(Bundle, "pretrained", {network: made}.get)
    assert Bundle.load(word) is made
    bundle(**{"encoder.dim": 4}).save(word)
    assert Bundle.load(word).twin.dim == 4, "a folder of that name is what it says"

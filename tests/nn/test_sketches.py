"""Sketches of counts: what they say of the counts themselves, and that an item's vector is its own."""

import numpy as np
import pytest
import torch

from twofold.errors import UsageError
from twofold.inputs.padded import padded
from twofold.nn import sketch


def sequences(count=6, symbols=500, seed=0):
    random = np.random.default_rng(seed)
    common = random.integers(0, symbols, 200)
    return [
        np.where(random.random(200) < 0.4, random.integers(0, symbols, 200), common)[: 120 + 10 * n]
        for n in range(count)
    ]


def test_cosines_are_about_those_of_the_counts():
    arrays = sequences()
    counts = np.zeros((len(arrays), 500))
    for row, array in zip(counts, arrays, strict=True):
        np.add.at(row, array, 1)
    counts /= np.linalg.norm(counts, axis=1, keepdims=True)
    found = sketch(symbols=500, dim=4096)(padded(arrays)).detach().numpy()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found @ found.T, counts @ counts.T, atol=0.08)


def test_a_vector_depends_on_its_item_alone_and_two_encoders_agree():
    given = padded(sequences())
    encoder = sketch(symbols=500, dim=64)
    found = encoder(given)
    spoilt = type(given)(given.values.masked_fill(~given.mask, 3), given.lengths)
    torch.testing.assert_close(encoder(spoilt), found)
    torch.testing.assert_close(sketch(symbols=500, dim=64)(given[2:3])[0], found[2])


def test_weights_learn_and_are_all_that_a_bundle_keeps():
    encoder = sketch(symbols=500, dim=64)
    assert list(encoder.state_dict()) == ["weights.weight"]
    encoder(padded(sequences()))[0, :8].sum().backward()
    assert bool(encoder.weights.weight.grad.any())
    with pytest.raises(UsageError, match="takes se"):
        encoder(torch.zeros(2, 3))

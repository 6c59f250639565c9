"""Prototypes are the averages that their docstring says, and go on from a saved state to the same bits."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from twofold.train.prototypes import Prototypes


def batches(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    middles = torch.randn(7, 5, generator=generator)
    for _ in range(count):
        labels = torch.randint(0, 7, (12,), generator=generator)
        yield middles[labels] + 0.3 * torch.randn(12, 5, generator=generator), labels


def test_they_are_the_moving_averages_of_the_definition():
    prototypes, means, within, seen = Prototypes(8, 5, decay=0.7), {}, {}, np.zeros(8, int)
    for embeddings, labels in batches(6):
        prototypes.update(embeddings, labels)
        unit = F.normalize(embeddings.double()).numpy()
        for code in np.unique(labels):
            items = unit[labels.numpy() == code]
            if code in means:
                near = np.mean(items @ (means[code] / np.linalg.norm(means[code])))
                within[code] = 0.7 * within[code] + 0.3 * near if code in within else near
            means[code] = (
                0.7 * means[code] + 0.3 * items.mean(axis=0)
                if code in means
                else items.mean(axis=0)
            )
            seen[code] += 1
    assert (prototypes.seen.numpy() == seen).all()
    for code, mean in means.items():
        assert prototypes.means[code].numpy() == pytest.approx(mean, abs=1e-6)
        assert float(prototypes.within[code]) == pytest.approx(within.get(code, 1.0), abs=1e-6)
    assert not prototypes.means[7].any()


def test_a_saved_state_goes_on_to_the_same_bits():
    whole, first, second = (Prototypes(8, 5) for _ in range(3))
    made = list(batches(8))
    for batch in made:
        whole.update(*batch)
    for batch in made[:4]:
        first.update(*batch)
    second.load({name: tensor.clone() for name, tensor in first.state().items()})
    for batch in made[4:]:
        second.update(*batch)
    for name, tensor in whole.state().items():
        assert torch.equal(tensor, second.state()[name])
    assert (whole.groups(2, seed=0, epoch=1) == second.groups(2, seed=0, epoch=1)).all()


def test_embeddings_get_no_gradient_and_their_length_does_not_matter():
    a, b = Prototypes(8, 5), Prototypes(8, 5)
    embeddings, labels = next(iter(batches(1)))
    a.update(embeddings.requires_grad_(), labels)
    b.update((3 * embeddings).to(torch.bfloat16).float(), labels)
    assert not a.means.requires_grad
    assert torch.allclose(a.means, b.means, atol=1e-2)


def test_two_labels_of_one_identity_are_named():
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(30, 16))
    middles[29] = middles[4]
    prototypes = Prototypes(30, 16)
    for _ in range(12):
        labels = np.repeat(np.arange(30), 2)
        noisy = middles[labels] + 0.2 * rng.normal(size=(60, 16))
        prototypes.update(torch.from_numpy(noisy).float(), torch.from_numpy(labels))
    (found,) = prototypes.suspects([f"person {code}" for code in range(30)])
    assert found[:2] == ("person 4", "person 29")
    assert found[2] > 0.95
    groups = prototypes.groups(5, seed=0, epoch=0)
    assert groups[4] != groups[29]

"""How a feature map becomes a vector, against loops written from the definitions."""

import math

import pytest
import torch

from twofold.nn.attention import AttentionPool
from twofold.nn.heads import AveragePool, GeneralisedMeanPool, MaxPool


@pytest.fixture
def features() -> torch.Tensor:
    return torch.rand(3, 6, 4, 5, generator=torch.Generator().manual_seed(0)) + 0.1


def test_average_and_max(features):
    for item in range(3):
        for channel in range(6):
            places = features[item, channel].flatten().tolist()
            assert AveragePool()(features)[item, channel].item() == pytest.approx(sum(places) / 20)
            assert MaxPool()(features)[item, channel].item() == pytest.approx(max(places))


def test_generalised_mean(features):
    pooled = GeneralisedMeanPool()(features)
    places = features[1, 2].flatten().tolist()
    assert pooled[1, 2].item() == pytest.approx(
        (sum(place**3 for place in places) / 20) ** (1 / 3), rel=1e-5
    )


def test_generalised_mean_has_a_finite_gradient_at_zero():
    features = torch.zeros(1, 2, 3, 3, requires_grad=True)
    GeneralisedMeanPool()(features).sum().backward()
    assert features.grad is not None and features.grad.isfinite().all()


def test_attention_is_a_weighted_mean(features):
    pool = AttentionPool(6, heads=2)
    pooled = pool(features)
    weight, bias = pool.key.weight[:, :, 0, 0], pool.key.bias
    for head in range(2):
        own = slice(3 * head, 3 * head + 3)
        places = features[0].flatten(1).T
        keys = [(weight @ place + bias)[own] for place in places]
        weights = torch.stack([(pool.query[head] @ key) / math.sqrt(3) for key in keys]).exp()
        expected = sum(
            w * place[own] for w, place in zip(weights / weights.sum(), places, strict=True)
        )
        torch.testing.assert_close(pooled[0, own], expected)


def test_attention_takes_as_many_heads_as_divide_the_channels():
    assert AttentionPool(12, heads=8).heads == 4


def test_attention_over_equal_places_is_their_value():
    features = torch.randn(2, 8, 1, 1).expand(2, 8, 3, 3)
    torch.testing.assert_close(AttentionPool(8)(features), features[:, :, 0, 0])

"""Comparisons: the plain ones, the learned head, and the names by which they are built."""

import pytest
import torch

from twofold import build, distances
from twofold.comparison import Bilinear, Comparison, ExpL1, Matching, Plain, WeightedL1, named
from twofold.contract import score_from_distance
from twofold.errors import UnknownName, UsageError

A = torch.arange(12, dtype=torch.float64).reshape(4, 3).sin()
B = torch.arange(15, dtype=torch.float64).reshape(5, 3).cos()


def head(*weights: float, bias: float = 0.3) -> WeightedL1:
    made = WeightedL1(len(weights)).double()
    made.weight.data[:] = torch.tensor(weights)
    made.bias.data.fill_(bias)
    return made


@pytest.mark.parametrize(
    "name", [*distances.__all__, "WeightedL1", "Matching", "Bilinear", "ExpL1"]
)
def test_named_builds_it_again(name):
    made = named(name, dim=3)
    assert isinstance(made, Comparison)
    assert made.name == name
    assert named(made.name, dim=3, **made.arguments()).name == name
    torch.testing.assert_close(
        made.block(A.float(), B.float())[:, :4].diagonal(), made.pairs(A.float(), B[:4].float())
    )


def test_weighted_l1_follows_its_formula_with_weights_of_both_signs():
    comparison = head(0.5, -2.0, 1.5)
    slow = torch.stack(
        [torch.stack([(comparison.weight * (a - b).abs()).sum() - 0.3 for b in B]) for a in A]
    )
    torch.testing.assert_close(comparison.block(A, B), slow)
    torch.testing.assert_close(comparison.pairs(A, B[:4]), slow[:, :4].diagonal())


def test_weighted_l1_gradients_of_vectors_and_weights():
    comparison = head(0.5, -2.0, 1.5)
    inputs = (A.clone().requires_grad_(), B.clone().requires_grad_(), *comparison.parameters())
    assert torch.autograd.gradcheck(lambda a, b, *_: comparison.block(a, b), inputs)
    assert torch.autograd.gradcheck(lambda a, b, *_: comparison.pairs(a, b[:4]), inputs)


def test_weighted_l1_keeps_float32_under_autocast():
    comparison = WeightedL1(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert comparison.pairs(A.float(), B[:4].float()).dtype == torch.float32
        assert comparison.block(A.bfloat16(), B.bfloat16()).dtype == torch.float32


def test_unknown_names_and_arguments():
    with pytest.raises(
        UnknownName, match=r"no distance is called 'euclid': did you mean 'euclidean'\?"
    ):
        Plain("euclid")
    with pytest.raises(
        UnknownName, match=r"no comparison is called 'WeightedL2': did you mean 'WeightedL1'\?"
    ):
        named("WeightedL2", dim=3)
    with pytest.raises(UsageError, match="comparison 'cosine' takes no arguments, but got scale"):
        named("cosine", dim=3, scale=2)
    with pytest.raises(UsageError, match="'Matching' takes width alone, but got rate"):
        named("Matching", dim=3, rate=2)
    with pytest.raises(UsageError, match=r"comparison.width = 0: a whole number from 1 to 4,096"):
        named("Matching", dim=3, width=0)
    with pytest.raises(UsageError, match=r"comparison.rate = -1: a number above 0"):
        named("ExpL1", dim=3, rate=-1)


def test_exp_l1_is_the_similarity_of_malstm():
    comparison = named("ExpL1", dim=3, rate=0.5)
    assert comparison == ExpL1(0.5) and comparison.arguments() == {"rate": 0.5}
    similarity = score_from_distance("ExpL1", comparison.block(A, B))
    slow = torch.exp(-0.5 * (A[:, None] - B[None]).abs().sum(-1))
    torch.testing.assert_close(similarity, slow)
    torch.testing.assert_close(comparison.pairs(A, A), torch.zeros(4, dtype=torch.float64))


def trained_match() -> Matching:
    with build.seeded(0):
        made = Matching(3, width=4).double()
        torch.nn.init.normal_(made.last.weight)
    return made


def test_an_untrained_match_is_the_cosine():
    torch.testing.assert_close(Matching(3).double().block(A, B), distances.block("cosine", A, B))
    assert score_from_distance("Matching", 0.25) == 0.75


def test_a_match_follows_its_formula_is_symmetric_and_makes_its_block_in_parts(monkeypatch):
    match = trained_match()
    found = torch.stack([torch.stack([torch.cat([(a - b).abs(), a * b]) for b in B]) for a in A])
    slow = distances.block("cosine", A, B) - match.last(torch.relu(match.hidden(found)))[..., 0]
    torch.testing.assert_close(match.block(A, B), slow)
    torch.testing.assert_close(match.block(B, A).T, slow)
    torch.testing.assert_close(match.pairs(A, B[:4]), slow[:, :4].diagonal())
    monkeypatch.setattr("twofold.comparison.NUMBERS", 31)
    torch.testing.assert_close(match.block(A, B), slow)


def test_gradients_of_a_match():
    match = trained_match()
    inputs = (A.clone().requires_grad_(), B.clone().requires_grad_(), *match.parameters())
    assert torch.autograd.gradcheck(lambda a, b, *_: match.block(a, b), inputs)
    assert torch.autograd.gradcheck(lambda a, b, *_: match.pairs(a, b[:4]), inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Matching(3).block(A.float(), B.bfloat16()).dtype == torch.float32


def test_a_bilinear_match_is_the_cosine_before_training_symmetric_and_follows_its_formula():
    torch.testing.assert_close(Bilinear(3).double().block(A, B), distances.block("cosine", A, B))
    match = Bilinear(3).double()
    with build.seeded(0):
        torch.nn.init.normal_(match.weight)
    both = (match.weight + match.weight.mT) / 2
    slow = distances.block("cosine", A, B) - torch.stack(
        [torch.stack([a @ both @ b for b in B]) for a in A]
    )
    torch.testing.assert_close(match.block(A, B), slow)
    torch.testing.assert_close(match.block(B, A).T, slow)
    torch.testing.assert_close(match.pairs(A, B[:4]), slow[:, :4].diagonal())
    inputs = (A.clone().requires_grad_(), B.clone().requires_grad_(), *match.parameters())
    assert torch.autograd.gradcheck(lambda a, b, *_: match.block(a, b), inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Bilinear(3).block(A.float(), B.bfloat16()).dtype == torch.float32

"""What every loss of `__all__` must do, on every comparison: a new loss is tested by being listed."""

import inspect

import pytest
import torch

from twofold import losses
from twofold.comparison import Plain, WeightedL1
from twofold.errors import BatchError, UsageError
from twofold.losses import mining, pairing

BATCH = [name for name in losses.__all__ if name.islower() and not name.startswith("pair_")]
PAIR = [name for name in losses.__all__ if name.startswith("pair_")]
WEIGHTED = [name for name in losses.__all__ if not name.islower()]
COMPARISONS = ["cosine", "euclidean", "squared_euclidean", "manhattan", "WeightedL1"]
LABELS = torch.tensor([0, 1, 2, 1, 0, 2, 1, 3])


def make(name: str, *, dim: int = 4):
    """The loss, and an iterable of its weights."""
    if name in BATCH:
        return getattr(losses, name), ()
    module = getattr(losses, name)(dim, 5).double()
    return module, tuple(module.parameters())


def compare(name: str):
    return WeightedL1(4).double() if name == "WeightedL1" else Plain(name)


@pytest.mark.parametrize("comparison", COMPARISONS)
# its weights are constants by design
@pytest.mark.parametrize("name", [name for name in BATCH if name != "circle"])
def test_gradcheck(name, comparison, batch):
    embeddings, compared = batch(8), compare(comparison)
    settings = (
        {"temperature": 0.3}
        if "temperature" in inspect.signature(getattr(losses, name)).parameters
        else {}
    )
    weights = tuple(compared.parameters()) if isinstance(compared, WeightedL1) else ()
    inputs = (embeddings[:6].requires_grad_(), embeddings[6:].requires_grad_(), *weights)

    def value(rows, columns, *_):
        references = (columns, LABELS[6:])
        return getattr(losses, name)(
            rows, LABELS[:6], comparison=compared, references=references, **settings
        )

    assert torch.autograd.gradcheck(value, inputs)


@pytest.mark.parametrize("name", WEIGHTED)
def test_gradcheck_with_weights(name, batch):
    loss, weights = make(name)
    inputs = (batch(8).requires_grad_(), *weights)
    assert torch.autograd.gradcheck(
        lambda x, *_: loss(x, LABELS, comparison=Plain("cosine")), inputs
    )


@pytest.mark.parametrize("name", PAIR)
def test_gradcheck_of_pair_losses(name, batch):
    distances, targets = (
        batch(8)[:, 0].abs().requires_grad_(),
        torch.tensor([1.0, 0, 0, 1, 1, 0, 1, 0]).double(),
    )
    assert torch.autograd.gradcheck(lambda d: getattr(losses, name)(d, targets), (distances,))


@pytest.mark.parametrize("name", BATCH + WEIGHTED)
def test_order_is_only_order(name, batch):
    loss, _ = make(name)
    embeddings, order = batch(8), torch.tensor([3, 1, 7, 5, 0, 2, 4, 6])
    value = loss(embeddings, LABELS, comparison=Plain("cosine"))
    torch.testing.assert_close(
        loss(embeddings[order], LABELS[order], comparison=Plain("cosine")), value
    )


SETTINGS = [(name, {}) for name in BATCH] + [
    ("contrastive", {"squared": True}),
    ("triplet", {"mining": "hard"}),
    ("triplet", {"mining": "semi_hard"}),
    ("triplet", {"margin": 1.0}),
    ("triplet", {"mining": "semi_hard", "margin": 1.0}),
]


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_rounding_decides_no_tie(name, settings, comparison):
    """float32 vectors on a grid, many equal, within a class and across; how a product rounds depends on its place."""
    grid = torch.cat(
        [torch.randint(4, (60, 3), generator=torch.Generator().manual_seed(0)), torch.ones(60, 1)],
        1,
    )
    grid[9] = grid[10] = grid[0]
    grid[18:27] = grid[18]
    labels, loss, compared = torch.arange(60) % 9, getattr(losses, name), compare(comparison)
    exact = loss(grid.double(), labels, comparison=compared, **settings).float()
    for seed in range(3):
        order = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
        value = loss(grid[order].float(), labels[order], comparison=compared, **settings).float()
        torch.testing.assert_close(value, exact, rtol=1e-6, atol=1e-6)


def test_only_what_is_apart_counts_as_apart():
    """Twice the same direction is a distance of 0 however it rounds, and no part of the mean over active pairs."""
    x = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([1.0, 3.0, 0.1, 7.0])[:, None]
    embeddings = torch.cat([x[:4], x[:4] * scale, x[4:]])
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3])
    d = Plain("cosine").block(embeddings.double(), embeddings.double())
    same = labels[:, None] == labels
    far, near = d[same & (d > 1e-9)], (1 - d[~same]).clamp(min=0)
    expected = far.mean() + near.sum() / (near > 0).sum()
    torch.testing.assert_close(
        losses.contrastive(embeddings, labels, comparison=Plain("cosine")).double(), expected
    )


@pytest.mark.parametrize("name", BATCH)
def test_labels_are_only_names(name, batch):
    embeddings, loss = batch(8), getattr(losses, name)
    value = loss(embeddings, LABELS, comparison=Plain("euclidean"))
    assert torch.equal(loss(embeddings, 100 - 7 * LABELS, comparison=Plain("euclidean")), value)
    assert torch.equal(loss(embeddings, LABELS.int(), comparison=Plain("euclidean")), value)


@pytest.mark.parametrize("name", BATCH)
def test_what_the_distance_does_not_see_the_loss_does_not_see(name, batch):
    embeddings, loss = batch(8), getattr(losses, name)
    moved = embeddings @ torch.linalg.qr(batch(4, seed=1)).Q + batch(1, seed=2)
    for x, y, comparison in (
        (embeddings, moved, "euclidean"),
        (embeddings, moved, "squared_euclidean"),
        (embeddings, embeddings + batch(1, seed=2), "manhattan"),
        (embeddings, 3 * (embeddings @ torch.linalg.qr(batch(4, seed=1)).Q), "cosine"),
    ):
        values = [loss(one, LABELS, comparison=Plain(comparison)) for one in (x, y)]
        torch.testing.assert_close(*values)


# Losses with proxies refuse a learned comparison: see test_proxies.
CASES = [(n, c) for n in BATCH for c in COMPARISONS] + [
    (n, c) for n in WEIGHTED for c in COMPARISONS[:-1]
]


@pytest.mark.parametrize(("name", "comparison"), CASES)
def test_gradient_is_finite_at_equal_vectors(name, comparison):
    loss, _ = make(name)
    for value in (0.0, 1.0):
        embeddings = torch.full((8, 4), value, dtype=torch.float64, requires_grad=True)
        loss(embeddings, LABELS, comparison=compare(comparison)).backward()
        assert embeddings.grad is not None and bool(embeddings.grad.isfinite().all())


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("name", BATCH)
def test_half_precision_and_autocast_keep_float32(name, comparison, batch):
    embeddings, loss = batch(8).bfloat16(), getattr(losses, name)
    compared = WeightedL1(4) if comparison == "WeightedL1" else Plain(comparison)
    exact = loss(embeddings.float(), LABELS, comparison=compared)
    value = loss(embeddings.requires_grad_(), LABELS, comparison=compared)
    value.backward()
    assert embeddings.grad is not None and embeddings.grad.dtype == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss(embeddings.detach().float(), LABELS, comparison=compared)
    assert value.dtype == cast.dtype == torch.float32
    assert torch.equal(value.detach(), exact.detach()) and torch.equal(
        cast.detach(), exact.detach()
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", BATCH + WEIGHTED)
def test_every_precision(name, dtype, batch):
    loss = make(name, dim=16)[0]
    loss = loss.float() if isinstance(loss, torch.nn.Module) else loss
    x, labels = batch(32, 16).to(dtype).requires_grad_(), torch.arange(32) % 5
    exact = x.detach().double().requires_grad_()
    value, expected = (loss(one, labels, comparison=Plain("cosine")) for one in (x, exact))
    value.backward()
    expected.backward()
    assert value.dtype == torch.promote_types(dtype, torch.float32) and x.grad.dtype == dtype
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=0)
    assert float((x.grad - exact.grad).norm() / exact.grad.norm()) < max(
        2e-5, torch.finfo(dtype).eps
    )


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("name", BATCH + mining.__all__)
def test_whatever_is_made_is_made_where_the_embeddings_are(name, comparison, batch, monkeypatch):
    """As on an accelerator: tensors made without a word on the device land elsewhere, here on one without numbers."""
    monkeypatch.setattr(pairing, "_block_bytes", lambda device: 1)
    x, labels, compared = batch(50).requires_grad_(), torch.arange(50) % 9, compare(comparison)
    if name == "distance_weighted":
        compared = Plain("cosine")
    for name_of_room in ("softmax", "triplets"):
        monkeypatch.setattr(f"twofold.losses.{name_of_room}.HALVED", 2)
    with torch.device("meta"):
        found = getattr(losses if name in BATCH else mining, name)(x, labels, comparison=compared)
        if name in BATCH:
            found.backward()
    assert name not in BATCH or (x.grad.device.type == "cpu" and bool(x.grad.isfinite().all()))


@pytest.mark.parametrize("name", BATCH)
def test_blocks_change_nothing(name, batch, monkeypatch):
    embeddings, labels, loss = (
        batch(50).requires_grad_(),
        torch.arange(50) % 9,
        getattr(losses, name),
    )
    results = []
    for size in (2**20, 1):
        monkeypatch.setattr(pairing, "_block_bytes", lambda device, size=size: size)
        value = loss(embeddings, labels, comparison=Plain("euclidean"))
        results.append((value, *torch.autograd.grad(value, embeddings)))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("name", BATCH)
def test_without_gradient(name, batch):
    with torch.no_grad():
        value = getattr(losses, name)(batch(8), LABELS, comparison=Plain("cosine"))
    assert not value.requires_grad


@pytest.mark.parametrize("name", BATCH)
def test_batches_that_a_loss_cannot_answer_for(name, batch, unchecked):
    loss, x = getattr(losses, name), batch(8)
    cosine = Plain("cosine")
    for labels, text in (
        (torch.arange(8), "no two of 8 items share a label"),
        (torch.zeros(8, dtype=torch.int64), "all 8 items have one label"),
        (LABELS[:7], "8 embeddings need 8 labels"),
        (LABELS.double(), "labels of embeddings must be integers"),
        (LABELS > 1, "labels of embeddings must be integers"),
    ):
        with pytest.raises(BatchError, match=text):
            loss(x, labels, comparison=cosine)
    for embeddings, labels, text in (
        (x, LABELS.tolist(), "labels of embeddings must be a tensor, not list"),
        (x, LABELS.numpy(), "labels of embeddings must be a tensor, not ndarray"),
        (x.numpy(), LABELS, "embeddings must be a tensor, not ndarray"),
        (x.long(), LABELS, "embeddings must be floats"),
    ):
        with pytest.raises(BatchError, match=text):
            loss(embeddings, labels, comparison=cosine)
    for settings in ({}, {"mining": "hard"}) if name == "triplet" else ({},):
        with pytest.raises(
            UsageError, match=r"comparison must be one of twofold.comparison.* not 'cosine'"
        ):
            loss(x, LABELS, comparison="cosine", **settings)
    with pytest.raises(BatchError, match="references must be two tensors"):
        loss(x, LABELS, comparison=cosine, references=x)
    with pytest.raises(BatchError, match=r"embeddings must be floats of shape \(batch, dim\)"):
        loss(x[0], LABELS, comparison=cosine)
    with pytest.raises(BatchError, match="references have 3 numbers each, embeddings 4"):
        loss(x, LABELS, comparison=cosine, references=(x[:, :3], LABELS))
    with pytest.raises(BatchError, match="no embeddings"):
        loss(x[:0], LABELS[:0], comparison=cosine)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", BATCH + WEIGHTED)
def test_a_number_that_is_none_is_named(name, bad, batch):
    loss, x = make(name)[0], batch(8)
    x[5, 1] = bad
    with pytest.raises(
        BatchError, match=r"row 5 of the embeddings \(label 2\) holds NaN or infinity"
    ):
        loss(x, LABELS, comparison=Plain("cosine"))

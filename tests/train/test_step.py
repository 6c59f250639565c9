"""A step: in pieces, with a memory, in rows; what one process does is what the parts of several add up to."""

import copy

import pytest
import torch
from torch import nn

from twofold import build, losses
from twofold.comparison import Plain
from twofold.config import Recipe
from twofold.errors import RecipeError, TrainingError
from twofold.inputs.image import Image
from twofold.losses import mining
from twofold.losses.pairing import Share, sharing
from twofold.train.memory import Memory
from twofold.train.objective import objective
from twofold.train.run import Run
from twofold.train.step import gradients, step
from twofold.twin import Twin

BATCH = [
    name
    for name in losses.__all__
    if name.islower() and not name.startswith("pair_") and name != "external"
]


class Net(nn.Module):
    dim = 8

    def __init__(self, *, dropout=0.0, norm=False):
        super().__init__()
        middle = nn.BatchNorm1d(32) if norm else nn.Identity()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 32), middle, nn.Dropout(dropout), nn.Linear(32, 8)
        )

    def forward(self, batch):
        return self.layers.double()(batch.double())


def made(encoder=None, **settings):
    recipe = Recipe.model_validate({"comparison": "euclidean", "loss": "contrastive"} | settings)
    with build.seeded(0):
        twin = Twin(Image(size=8, channels=1), encoder or Net(), "euclidean")
        aim = objective(recipe, twin, classes=5, loss=None)
        batch = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    return Run(twin, aim.modules, recipe, seed=0), aim, batch, torch.arange(20) % 5


def gradient(run):
    return torch.cat([parameter.grad.flatten() for parameter in run.twin.parameters()])


@pytest.mark.parametrize("size", [1, 7, 19, 20, 64])
def test_a_batch_in_pieces_has_the_gradient_of_the_whole(size):
    whole, aim, batch, labels = made()
    value = gradients(whole, batch, labels, aim, sizes=[20])
    pieces, aim, batch, labels = made(micro_batch=size)
    assert gradients(pieces, batch, labels, aim, sizes=[20]) == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(gradient(pieces), gradient(whole), rtol=1e-12, atol=1e-15)


def test_a_piece_that_is_embedded_again_drops_the_same_features():
    run, aim, batch, labels = made(Net(dropout=0.5), micro_batch=6)
    seen = []
    embed = run.forward
    run.forward = lambda piece: seen.append(embed(piece)) or seen[-1]
    gradients(run, batch, labels, aim, sizes=[20])
    assert len(seen) == 8
    for first, second in zip(seen[:4], seen[4:], strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(seen[0][:2], seen[3])


def test_running_statistics_move_once_a_step():
    run, aim, batch, labels = made(Net(norm=True), micro_batch=10)
    once = copy.deepcopy(run.twin)
    gradients(run, batch, labels, aim, sizes=[20])
    for piece in batch.split(10):
        once.forward(piece)
    for found, expected in zip(run.twin.buffers(), once.buffers(), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", BATCH)
@pytest.mark.parametrize("processes", [2, 3])
def test_the_parts_of_a_loss_add_up(name, processes):
    """Each process in turn, the others' counts known beforehand: totals are asked for in the same order."""
    labels = torch.arange(30) % 6
    x = torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    loss = getattr(losses, name)
    whole = x.clone().requires_grad_()
    value = loss(whole, labels, comparison=Plain("euclidean"))
    value.backward()
    counts = [[] for _ in range(processes)]
    for rank in range(processes):
        with sharing(
            Share(rank, processes, lambda count, rank=rank: counts[rank].append(count) or count)
        ):
            loss(x, labels, comparison=Plain("euclidean"))
    totals = [sum(each) for each in zip(*counts, strict=True)]
    shared, parts = x.clone().requires_grad_(), 0.0
    for rank in range(processes):
        left = list(totals)
        with sharing(Share(rank, processes, lambda count, left=left: left.pop(0))):
            part = loss(shared, labels, comparison=Plain("euclidean"))
        part.backward()
        parts += float(part.detach())
        assert not left
    assert parts == pytest.approx(float(value.detach()), rel=1e-12)
    torch.testing.assert_close(shared.grad, whole.grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["batch_hard", "semi_hard"])
def test_each_process_mines_its_own_anchors(name):
    labels, x = torch.arange(30) % 6, torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    miner = getattr(mining, name)
    whole = torch.stack(miner(x, labels, comparison=Plain("euclidean")), 1)
    parts = []
    for rank in range(3):
        with sharing(Share(rank, 3, lambda count: count)):
            parts.append(torch.stack(miner(x, labels, comparison=Plain("euclidean")), 1))
    assert sorted(torch.cat(parts).tolist()) == sorted(whole.tolist())
    assert all(len(part) for part in parts)


def test_the_memory_is_a_ring():
    memory = Memory(5, 2, torch.device("cpu"))
    assert memory.references is None
    memory.add(torch.full((3, 2), 1.0), torch.tensor([1, 1, 1]))
    embeddings, labels = memory.references
    assert labels.tolist() == [1, 1, 1]
    memory.add(torch.full((4, 2), 2.0), torch.tensor([2, 2, 2, 2]))
    embeddings, labels = memory.references
    assert sorted(labels.tolist()) == [1, 2, 2, 2, 2]
    assert torch.equal(embeddings[:, 0].long(), labels)
    memory.add(torch.full((9, 2), 3.0), torch.arange(9))
    assert sorted(memory.references[1].tolist()) == [4, 5, 6, 7, 8]


def test_remembered_items_are_further_pairs_after_the_warm_up():
    run, aim, batch, labels = made(memory=20, loss="supcon", schedule={"warmup": 0.5})
    assert run.references is None
    first = step(run, batch, labels, aim, sizes=[20])
    assert run.references is None, "weights change too quickly at first"
    run.set_learning_rate(0.6)
    assert len(run.references[0]) == 20
    assert step(run, batch, labels, aim, sizes=[20]) > first
    assert not run.references[0].requires_grad


def test_what_a_memory_says_is_the_loss_with_references():
    run, aim, batch, labels = made(memory=20, loss="supcon", schedule={"warmup": 0.0})
    before = run.twin.embed(batch).detach()
    step(run, batch, labels, aim, sizes=[20])
    after = run.twin.embed(batch)
    expected = losses.supcon(
        after, labels, comparison=Plain("euclidean"), references=(before.float().double(), labels)
    )
    assert gradients(run, batch, labels, aim, sizes=[20]) == pytest.approx(
        float(expected.detach()), rel=1e-6
    )


@pytest.mark.parametrize("settings", [{"loss": "ArcFace"}, {"loss": "pair_contrastive"}])
def test_a_loss_that_compares_with_nothing_else_takes_no_memory(settings):
    with pytest.raises(RecipeError, match="compares with no further embeddings: drop memory"):
        made(memory=8, **settings)


class Beside:
    """One of two processes in this one: `other` is what the other process embeds, None: the same as this one."""

    def __init__(self, rank, other=None):
        self.rank, self.count, self.other = rank, 2, other

    def total(self, x):
        return 2 * x.detach()

    def gather(self, rows, sizes):
        both = [rows, rows if self.other is None else self.other]
        return torch.cat(both if self.rank == 0 else both[::-1])

    def add_gradients(self, parameters):
        """What comes from the other process."""

    def average(self, buffers):
        """Nothing moves here."""


def test_a_loss_without_rows_is_divided_by_the_number_of_processes():
    """Each process takes the whole batch: undivided, the sum over both would be twice the loss and its gradient."""
    alone, aim, batch, labels = made(loss="ArcFace")
    value = gradients(alone, batch, labels, aim, sizes=[20])
    shared, aim, batch, labels = made(loss="ArcFace")
    assert not aim.in_rows
    shared.processes = Beside(0, shared.twin.embed(batch[10:]).detach())
    assert gradients(shared, batch[:10], labels, aim, sizes=[10, 10]) == pytest.approx(
        value, rel=1e-6
    )
    proxies = [next(run.modules.parameters()).grad for run in (alone, shared)]
    torch.testing.assert_close(2 * proxies[1], proxies[0], rtol=1e-5, atol=1e-8)


def test_every_process_drops_other_features():
    """With one seed for all, the halves of a batch would lose the same features."""
    seen, net = [], Net(dropout=0.5)
    for rank in (0, 1, 0):  # of one network, so that nothing but the dropped features can differ
        run, aim, batch, labels = made(copy.deepcopy(net))
        run.processes, embed = Beside(rank), run.forward
        run.forward = lambda piece, embed=embed: seen.append(embed(piece)) or seen[-1]
        gradients(run, batch[:10], labels, aim, sizes=[10, 10])
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_an_alarm_leaves_weights_and_optimiser_as_they_were(broken):
    run, aim, batch, labels = made()
    step(run, batch, labels, aim, sizes=[20])
    before = {name: tensor.clone() for name, tensor in run.tensors().items()}

    def spoilt(embeddings, labels, references):
        value = aim.loss(embeddings, labels, references)
        if broken == "loss":
            return value * float("nan")
        # 0, with a slope of infinity
        return value + (embeddings.sum() - embeddings.sum().detach()).abs().sqrt()

    with pytest.raises(TrainingError, match=r"Lower optimiser\.learning_rate"):
        step(run, batch, labels, aim._replace(loss=spoilt), sizes=[20])
    for name, tensor in run.tensors().items():
        assert torch.equal(tensor, before[name]), name
    assert run.step == 1

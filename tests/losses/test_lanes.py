"""Threads change no loss, and are given back."""

import pytest
import torch

from twofold import losses
from twofold.comparison import Plain, WeightedL1
from twofold.losses import lanes, mining, pairing

BATCH = [name for name in losses.__all__ if name.islower() and not name.startswith("pair_")]


@pytest.fixture
def with_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("comparison", [Plain("euclidean"), Plain("cosine"), WeightedL1(4)])
@pytest.mark.parametrize("name", [*BATCH, "batch_hard"])
def test_as_many_threads_as_there_are_give_the_same_bits(
    name, comparison, with_threads, monkeypatch
):
    monkeypatch.setattr(pairing, "_block_bytes", lambda device: 1)
    for room in ("softmax", "triplets"):
        monkeypatch.setattr(f"twofold.losses.{room}.HALVED", 2)
    x, labels = (
        torch.randn(60, 4, generator=torch.Generator().manual_seed(0)),
        torch.arange(60) % 11,
    )
    results = []
    for threads in (1, 2):
        with_threads(threads)
        y = x.clone().requires_grad_()
        if name in BATCH:
            value = getattr(losses, name)(y, labels, comparison=comparison)
            results.append([value.detach(), *torch.autograd.grad(value, y)])
        else:
            results.append(getattr(mining, name)(x, labels, comparison=comparison))
        assert torch.get_num_threads() == threads
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_an_error_in_a_lane_is_raised_and_the_threads_are_given_back(with_threads):
    def work(lane):
        assert torch.get_num_threads() == 1 and not torch.is_grad_enabled()
        if lane == lanes.LANES - 1:
            raise ValueError("in a lane")

    with_threads(2)
    with pytest.raises(ValueError, match="in a lane"):
        lanes.in_lanes(work)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("rows", [1, 5, 12, 100])
def test_every_row_is_in_one_block_of_one_lane(rows, monkeypatch):
    monkeypatch.setattr(pairing, "_block_bytes", lambda device: 1)
    pairs = pairing.pair_up(
        torch.randn(rows, 2), torch.arange(rows) % 2, None, genuine=False, impostor=False
    )
    blocks = [block for lane in range(pairs.lanes) for block in pairs.blocks(lane)]
    assert sorted(row for block in blocks for row in range(block.start, block.stop)) == list(
        range(rows)
    )
    assert blocks and sorted(blocks, key=lambda block: block.start) == list(pairs.blocks())

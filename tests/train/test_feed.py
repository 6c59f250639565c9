"""Feeds: the same batches whoever makes them, whether one process or several."""

import numpy as np
import PIL.Image
import pytest
import torch

from twofold.config import Recipe
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.errors import NotEnoughData
from twofold.inputs.image import Image
from twofold.train.feed import ItemFeed, PairBatch, PairFeed

IMAGE = Image(size=12, channels=1)
AUGMENT = {"rotation": 20.0, "noise": 0.1, "quarter_turns_as_classes": True}


def pictures(classes=9, each=5, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (classes * each, 12, 12, 1), dtype=np.uint8)
    return Items.from_arrays(values, [f"c{code // each}" for code in range(len(values))])


def recipe(**settings):
    return Recipe.model_validate({"p": 3, "k": 3, "augment": AUGMENT} | settings)


def item_feeds(world, **settings):
    items = pictures()
    return [ItemFeed(items, IMAGE, recipe(**settings), 5, share=(rank, world)) for rank in range(world)]


def pair_feeds(source, world, **settings):
    made = recipe(augment={"shift": 0.2}, loss="pair_contrastive", **settings)
    return [PairFeed(source, IMAGE, made, 5, share=(rank, world)) for rank in range(world)]


@pytest.fixture
def listed(tmp_path):
    items = pictures()
    files = [tmp_path / f"{name}.png" for name in items.ids]
    for file, value in zip(files, items.values, strict=True):
        PIL.Image.fromarray(value[:, :, 0]).save(file)
    a, b = np.random.default_rng(1).integers(0, len(items), (2, 40))
    a, b = a[a != b], b[a != b]
    answers = (items.labels[a] == items.labels[b]).astype(np.float64)
    return Pairs(values=tuple(files), ids=items.ids, index_a=a, index_b=b, answers=answers)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_the_parts_of_the_processes_are_the_batch_of_one_process(world):
    (single,), feeds = item_feeds(1), item_feeds(world)
    plan = single.plan(2)
    for planned, *theirs in zip(plan, *(feed.plan(2) for feed in feeds), strict=True):
        assert all((planned == other).all() for other in theirs)
        whole, labels = single.batch(planned, 2)
        parts = [feed.batch(planned, 2) for feed in feeds]
        assert torch.equal(torch.cat([batch for batch, _ in parts]), whole)
        assert all(torch.equal(targets, labels) for _, targets in parts)
        sizes = single.sizes(planned), feeds[-1].sizes(planned)
        assert sizes == ([len(planned)], [len(batch) for batch, _ in parts])
        assert max(sizes[1]) - min(sizes[1]) <= 1


@pytest.mark.parametrize("drawn", [True, False])
def test_pairs_are_shared_by_their_items(drawn, listed):
    source = pictures() if drawn else listed
    (single,), feeds = pair_feeds(source, 1), pair_feeds(source, 2)
    for planned in single.plan(1):
        whole, pairs = single.batch(planned, 1)
        parts = [feed.batch(planned, 1) for feed in feeds]
        assert torch.equal(torch.cat([batch for batch, _ in parts]), whole)
        assert feeds[0].sizes(planned) == [len(batch) for batch, _ in parts]
        for _, theirs in parts:
            assert isinstance(theirs, PairBatch)
            assert all(torch.equal(getattr(theirs, name), getattr(pairs, name)) for name in ("a", "b", "targets"))


def test_a_batch_smaller_than_the_number_of_processes_is_refused(listed):
    (feed, *_) = item_feeds(16)
    with pytest.raises(NotEnoughData, match="a batch of 9 items cannot be shared by 16 processes: raise p, or start"):
        feed.plan(0)
    (feed, *_) = pair_feeds(listed, 16)
    with pytest.raises(NotEnoughData, match="cannot be shared by 16 processes"):
        feed.plan(0)

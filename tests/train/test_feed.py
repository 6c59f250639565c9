"""Feeds: the same batches whoever makes them, one process or several, from memory, a file or the disk."""

import tempfile
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch

from twofold.config import Recipe
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.errors import NotEnoughData
from twofold.inputs.image import Image
from twofold.train import feed as feeds
from twofold.train import stored as module
from twofold.train.feed import Ahead, ItemFeed, PairBatch, PairFeed
from twofold.train.stored import Stored

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
    return [
        ItemFeed(items, IMAGE, recipe(**settings), 5, share=(rank, world)) for rank in range(world)
    ]


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
            assert all(
                torch.equal(getattr(theirs, name), getattr(pairs, name))
                for name in ("a", "b", "targets")
            )


def test_a_batch_smaller_than_the_number_of_processes_is_refused(listed):
    (feed, *_) = item_feeds(16)
    with pytest.raises(
        NotEnoughData,
        match="a batch of 9 items cannot be shared by 16 processes: raise p, or start",
    ):
        feed.plan(0)
    (feed, *_) = pair_feeds(listed, 16)
    with pytest.raises(NotEnoughData, match="cannot be shared by 16 processes"):
        feed.plan(0)


def test_decoded_arrays_are_the_same_from_memory_a_file_and_the_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    values = pictures().values
    size = 144 * len(values)
    kept, mapped = Stored(IMAGE, values), Stored(IMAGE, values, memory=size - 1)
    again = Stored(IMAGE, values, memory=size - 1, mapped=size - 1)
    assert isinstance(mapped.arrays.rows, np.memmap)
    assert isinstance(kept.arrays, list)
    assert again.arrays is None
    order = np.random.default_rng(0).permutation(len(values))
    for stored in (kept, mapped, again):
        assert torch.equal(
            IMAGE.stack(stored.take(order)), IMAGE.stack([values[index] for index in order])
        )
    assert list(tmp_path.iterdir()) == []
    assert not mapped.arrays.rows.flags.writeable


@pytest.mark.parametrize("trouble", ["another shape", "a full disk", "little room"])
def test_what_cannot_be_mapped_is_decoded_again(trouble, monkeypatch):
    class Ragged(Image):
        def read(self, value):
            return np.zeros((2, int(str(value)) // 2), np.uint8)

    values = [8, 8, 10] if trouble == "another shape" else [8, 8, 8]
    if trouble == "a full disk":

        def full(**_):
            return Path("/dev/full").open("wb", buffering=0)

        monkeypatch.setattr(tempfile, "TemporaryFile", full)
    if trouble == "little room":
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=47))
    stored = Stored(Ragged(), values, memory=8)
    assert stored.arrays is None
    assert [array.size for array in stored.take(np.array([2, 0]))] == [values[2], 8]


def test_batches_come_in_order_and_the_wait_for_them_is_counted(monkeypatch):
    ticks = count()  # a second passes between two looks at the clock
    monkeypatch.setattr(feeds, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    waiting = Ahead(lambda planned: int(planned[0]), [np.array([number]) for number in range(4)])
    assert list(waiting) == [0, 1, 2, 3]
    assert waiting.waited == 4.0


def test_batches_are_made_with_one_thread_and_the_step_keeps_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert list(Ahead(lambda _: torch.get_num_threads(), [np.zeros(1)] * 3)) == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_in_making_a_batch_comes_out_where_it_is_asked_for():
    def broken(planned):
        raise NotEnoughData("no such item")

    with pytest.raises(NotEnoughData, match="no such item"):
        list(Ahead(broken, [np.zeros(1)] * 3))


def test_a_batch_is_put_on_the_device_before_it_is_augmented():
    items = pictures()
    feed = ItemFeed(items, IMAGE, recipe(), 5, device=torch.device("cpu"))
    planned = feed.plan(0)[0]
    assert torch.equal(feed.batch(planned, 0)[0], item_feeds(1)[0].batch(planned, 0)[0])


def test_groups_of_classes_come_into_a_batch_together():
    feed = ItemFeed(pictures(classes=8), IMAGE, recipe(p=4, k=2, hard_classes=2, augment={}), 0)
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    for planned in feed.plan(1, groups):
        labels = np.unique(feed.labels[planned])
        assert sorted(np.bincount(groups[labels], minlength=4)) == [0, 0, 2, 2]
    assert any(
        len(np.unique(groups[np.unique(feed.labels[planned])])) > 2 for planned in feed.plan(1)
    )


def test_classes_have_names_and_variants_say_which():
    feed = item_feeds(1)[0]
    assert feed.names[:5] == ["c0", "c0 (variant 1)", "c0 (variant 2)", "c0 (variant 3)", "c1"]
    assert len(feed.names) == feed.classes


def test_where_time_is_short_nothing_is_read_ahead():
    class Slow(Image):
        def read(self, value):
            time.sleep(0.002)
            return super().read(value)

    values = list(np.zeros((200, 8, 8, 1), np.uint8))
    assert Stored(Slow(size=8, channels=1), values, seconds=0.5).arrays is None
    whole = Stored(Slow(size=8, channels=1), values, seconds=1000.0)
    assert len(whole.arrays) == 200
    late = Stored(Slow(size=8, channels=1), values, seconds=0.0)
    np.testing.assert_array_equal(late.take(np.array([3, 5])), whole.take(np.array([3, 5])))

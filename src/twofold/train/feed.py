"""Batches for training: read once into memory where they fit, augmented one step ahead in a thread.

Where several processes train together, all of them plan the same batches; each makes its own share
of the items of a batch and knows the targets of all of it. What an item looks like does not depend
on who makes it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from twofold import build
from twofold.config import Recipe
from twofold.data.batches import balanced_pairs, hard_batches, identity_batches
from twofold.data.decoded import decoded
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.errors import NotEnoughData
from twofold.inputs import Input
from twofold.train.stored import Stored

__all__ = [
    "Ahead",
    "Batches",
    "Feed",
    "ItemFeed",
    "PairBatch",
    "PairFeed",
    "pairs_of_batch",
    "parts_of_batch",
]


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """Pairs among the rows of a batch: row `a[i]` and row `b[i]`, and how alike they are (1: the same)."""

    a: Int[Tensor, "pairs"]
    b: Int[Tensor, "pairs"]
    targets: Float[Tensor, "pairs"]

    def to(self, device: torch.device) -> "PairBatch":
        """The same on another device."""
        return PairBatch(a=self.a.to(device), b=self.b.to(device), targets=self.targets.to(device))


class ItemFeed:
    """P x K batches of labelled items; a variant that changes the label is a class of its own.

    Attributes:
        classes: number of classes, variants included.
        share: (rank, world): which of how many processes this one is; it makes the rank-th part of
            every batch.
        device: where batches are put before they are augmented; None: they stay with the processor.

    Args:
        seconds: what is left of the training's time; None: no limit.
    """

    def __init__(
        self,
        items: Items,
        input: Input,
        recipe: Recipe,
        seed: int,
        *,
        share: tuple[int, int] = (0, 1),
        device: torch.device | None = None,
        seconds: float | None = None,
    ) -> None:
        self.augment = build.augmentation(recipe, input)
        self.variants = self.augment.variants if self.augment else 1
        self.stored = Stored(input, items.values, seconds=seconds, known=decoded(items, input))
        self.recipe, self.seed, self.share, self.device = recipe, seed, share, device
        present, codes = np.unique(items.labels, return_inverse=True)
        self.label_names = [items.names[code] for code in present]
        self.labels = self._every_variant(codes.reshape(-1))
        # a variant of a group is a group: characters of one alphabet all turned alike are the hard
        # ones to tell apart
        self.groups = None if items.group is None else self._every_variant(items.group)
        # a writer's batch also holds forgeries of that writer: the negatives that matter
        self.identity = np.repeat(items.identity, self.variants) if items.forged.any() else None
        self.classes = int(self.labels.max()) + 1
        if recipe.groups_per_batch is not None and items.group is None:
            raise NotEnoughData(
                "groups_per_batch needs items with groups: give --levels 2, a `group` column, or "
                "drop it"
            )

    def _every_variant(self, codes: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n_variants"]:
        return (codes[:, None] * self.variants + np.arange(self.variants)).reshape(-1)

    @property
    def names(self) -> list[str]:
        """The name of each class; a variant's says which."""
        return [
            name if variant == 0 else f"{name} (variant {variant})"
            for name in self.label_names
            for variant in range(self.variants)
        ]

    def plan(
        self, epoch: int, groups: Int[np.ndarray, "classes"] | None = None
    ) -> list[np.ndarray]:
        """The batches of an epoch, as indices of (item, variant).

        Args:
            groups: a group of each class, of which `recipe.hard_classes` at a time come into a
                batch together, in place of the items' own groups.
        """
        recipe = self.recipe
        size = {"p": recipe.p, "k": recipe.k}
        order = {"seed": self.seed, "epoch": epoch, "identity": self.identity}
        if groups is not None and recipe.hard_classes is not None:
            per_batch = recipe.p // recipe.hard_classes
            plan = hard_batches(
                self.labels, groups[self.labels], groups_per_batch=per_batch, **size, **order
            )
        else:
            group = self.groups if recipe.groups_per_batch else None
            plan = identity_batches(
                self.labels,
                balance=recipe.balance,
                group=group,
                groups_per_batch=recipe.groups_per_batch,
                **size,
                **order,
            )
        _check_shares([len(indices) for indices in plan], self.share[1])
        return plan

    def sizes(self, planned: Int[np.ndarray, "n"]) -> list[int]:
        """How many items of a planned batch each process makes, in the order of their ranks."""
        return parts_of_batch(len(planned), self.share[1])

    def pairs(self, targets: Int[Tensor, "n"]) -> int:
        """All pairs of the items of a batch."""
        return len(targets) * (len(targets) - 1) // 2

    def batch(self, planned: Int[np.ndarray, "n"], epoch: int) -> tuple[Any, Tensor]:
        """This process's part of one planned batch, and the labels of the whole batch."""
        mine = planned[_part(len(planned), self.share)]
        batch = _made(self, mine // self.variants, mine % self.variants, epoch=epoch)
        return batch, torch.from_numpy(self.labels[planned])


class PairFeed:
    """Batches of pairs: of a list, or drawn from labelled items, half of them genuine. Each item is embedded once.

    Attributes:
        share: (rank, world): which of how many processes this one is; it makes the rank-th part of
            a batch's items.
        device: where batches are put before they are augmented; None: they stay with the processor.
    """

    classes = 0

    def __init__(
        self,
        source: Items | Pairs,
        input: Input,
        recipe: Recipe,
        seed: int,
        *,
        share: tuple[int, int] = (0, 1),
        device: torch.device | None = None,
        seconds: float | None = None,
    ) -> None:
        self.augment = build.augmentation(recipe, input)
        self.stored = Stored(input, source.values, seconds=seconds, known=decoded(source, input))
        self.source, self.recipe, self.seed, self.share, self.device = (
            source,
            recipe,
            seed,
            share,
            device,
        )
        self.partners = _partners(source) if isinstance(source, Pairs) and source.positive else None

    def plan(self, epoch: int, groups: None = None) -> list[np.ndarray]:
        """The batches of an epoch, each an array (3, pairs): first item, second item, how alike they are."""
        size = pairs_of_batch(self.recipe)
        pairs = (
            self._drawn(self.source, epoch)
            if isinstance(self.source, Items)
            else self._listed(self.source, epoch)
        )
        plan = [pairs[:, start : start + size] for start in range(0, pairs.shape[1], size)]
        if self.share[1] > 1:
            _check_shares([len(np.unique(planned[:2])) for planned in plan], self.share[1])
        return plan

    def _drawn(self, items: Items, epoch: int) -> Float[np.ndarray, "3 pairs"]:
        count = len(items.values) // 2 * 2
        drawn = balanced_pairs(
            items.labels, count=count, seed=self.seed, epoch=epoch, identity=items.identity
        )
        return np.stack(drawn).astype(np.float64)

    def _listed(self, pairs: Pairs, epoch: int) -> Float[np.ndarray, "3 pairs"]:
        """Every pair once; of two kinds the smaller one again and again, in turn with the other. Graded: any order."""
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(pairs.targets))
        same = pairs.targets[order] == 1
        if same.any() and np.isin(pairs.targets, (0.0, 1.0)).all() and not same.all():
            sides = [order[same], order[~same]]
            longest = max(len(side) for side in sides)
            order = np.stack([np.resize(side, longest) for side in sides], axis=1).reshape(-1)
        return np.stack([pairs.index_a[order], pairs.index_b[order], pairs.targets[order]]).astype(
            np.float64
        )

    def sizes(self, planned: Float[np.ndarray, "3 pairs"]) -> list[int]:
        """How many items of a planned batch each process makes, in the order of their ranks."""
        return parts_of_batch(len(np.unique(planned[:2])), self.share[1])

    def pairs(self, targets: PairBatch) -> int:
        """Those that are listed."""
        return len(targets.targets)

    def batch(self, planned: Float[np.ndarray, "3 pairs"], epoch: int) -> tuple[Any, PairBatch]:
        """This process's part of the items of one planned batch, and the pairs among the items of the whole batch.

        Where all pairs are the same, these are all that are listed of the batch's items, not the
        drawn ones alone: two things that are known to be the same must not serve as different ones.
        """
        items, rows = np.unique(planned[:2].astype(np.int64), return_inverse=True)
        mine = items[_part(len(items), self.share)]
        batch = _made(self, mine, np.zeros_like(mine), epoch=epoch)
        ends, targets = rows.reshape(2, -1), planned[2].astype(np.float32)
        if self.partners is not None:
            ends = _linked(items, self.partners)
            targets = np.ones(ends.shape[1], np.float32)
        a, b = torch.from_numpy(ends)
        return batch, PairBatch(a=a, b=b, targets=torch.from_numpy(targets))


Feed = ItemFeed | PairFeed


class Batches(Protocol):
    """What an epoch asks of a feed."""

    def plan(self, epoch: int, groups: Any = None) -> list[np.ndarray]:
        """The batches of an epoch; `groups` is what the model finds alike."""
        ...

    def sizes(self, planned: np.ndarray) -> list[int]:
        """How many items of a planned batch each process makes, in the order of their ranks."""
        ...

    def pairs(self, targets: Any) -> int:
        """How many pairs a batch compares."""
        ...

    def batch(self, planned: np.ndarray, epoch: int) -> tuple[Any, Any]:
        """This process's part of one planned batch, and the targets of all of it."""
        ...


def _partners(pairs: Pairs) -> dict[int, list[int]]:
    """The things that each thing is listed with."""
    partners: dict[int, list[int]] = {}
    for one, other in zip(pairs.index_a.tolist(), pairs.index_b.tolist(), strict=True):
        partners.setdefault(one, []).append(other)
    return partners


def _linked(
    items: Int[np.ndarray, "n"], partners: Mapping[int, Sequence[int]]
) -> Int[np.ndarray, "2 pairs"]:
    """Rows of the pairs that are listed among these items."""
    row = {item: place for place, item in enumerate(items.tolist())}
    ends = [
        (row[one], row[other]) for one in row for other in partners.get(one, ()) if other in row
    ]
    return np.array(ends, np.int64).T.copy()


def pairs_of_batch(recipe: Recipe) -> int:
    """Pairs of a batch, an even number: as many items as a batch of labelled items has, about."""
    return max(recipe.p * recipe.k // 4 * 2, 2)


def _made(
    feed: Feed, items: Int[np.ndarray, "n"], variants: Int[np.ndarray, "n"], *, epoch: int
) -> Any:
    """The items as one batch, augmented by keys that say nothing of the batch or of the process."""
    batch = feed.stored.input.stack(feed.stored.take(items))
    if feed.device is not None:
        batch = batch.to(feed.device)
    if not feed.augment:
        return batch
    count = len(items)
    keys = np.stack([np.full(count, feed.seed), np.full(count, epoch), items, variants], axis=1)
    return feed.augment(batch, keys.astype(np.int64))


def parts_of_batch(count: int, world: int) -> list[int]:
    """Sizes of the contiguous parts of `count` items, at most one apart, the larger ones first."""
    whole, rest = divmod(count, world)
    return [whole + (rank < rest) for rank in range(world)]


def _part(count: int, share: tuple[int, int]) -> slice:
    rank, world = share
    ends = np.cumsum([0, *parts_of_batch(count, world)])
    return slice(int(ends[rank]), int(ends[rank + 1]))


def _check_shares(sizes: list[int], world: int) -> None:
    if sizes and min(sizes) < world:
        raise NotEnoughData(
            f"a batch of {min(sizes)} items cannot be shared by {world} processes: raise p, or "
            f"start fewer processes"
        )


class Ahead:
    """`make` of each planned batch, in order, computed up to two steps before it is asked for.

    One thread does it, with arithmetic in one thread: the training step's own threads keep the
    cores (a team of threads beside theirs, on as many cores, made both twenty times slower).

    Attributes:
        waited: seconds that whoever asks for the batches has stood still for them so far.
    """

    def __init__(self, make: Callable[[np.ndarray], Any], plan: Sequence[np.ndarray]) -> None:
        self.make, self.plan = make, plan
        self.waited = 0.0

    def __iter__(self) -> Iterator[Any]:
        with ThreadPoolExecutor(1) as pool:
            _limit_to_one_thread(pool)
            coming = [pool.submit(self.make, planned) for planned in self.plan[:2]]
            try:
                for step in range(len(self.plan)):
                    asked = time.perf_counter()
                    made = coming.pop(0).result()
                    self.waited += time.perf_counter() - asked
                    if step + 2 < len(self.plan):
                        coming.append(pool.submit(self.make, self.plan[step + 2]))
                    yield made
            finally:
                for future in coming:
                    future.cancel()


def _limit_to_one_thread(pool: ThreadPoolExecutor) -> None:
    """One thread for torch's arithmetic in the pool's thread, and as many as before in all others."""
    threads = torch.get_num_threads()
    pool.submit(torch.set_num_threads, 1).result()
    # torch reads its setting at a thread's first use: now, not later
    pool.submit(torch.get_num_threads).result()
    torch.set_num_threads(threads)

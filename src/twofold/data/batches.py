"""Plans of batches: which items stand together. Labels in, indices out, decided by (seed, epoch) alone (law 11).

Nothing here is N x N: a plan for a million items takes about a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from twofold.data.arrangement import arranged, runs, turns
from twofold.data.balanced_pairs import balanced_pairs
from twofold.errors import DataError, NotEnoughData, UsageError

__all__ = ["Episode", "balanced_pairs", "episodes", "hard_batches", "identity_batches"]

# The first word of each plan's seed keeps plans of one seed apart; 2 is that of `balanced_pairs`.
_IDENTITY, _EPISODES, _HARD = 1, 3, 5


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One N-way K-shot task, as positions of items; row i of both is the i-th class of the task."""

    support: Int[np.ndarray, "n_way k_shot"]
    query: Int[np.ndarray, "n_way queries"]


@dataclass(frozen=True, kw_only=True)
class _Classes:
    """Items sorted by class, in random order within each: class c is order[start[c] : start[c] + count[c]]."""

    order: Int[np.ndarray, " n"]
    start: Int[np.ndarray, " classes"]
    count: Int[np.ndarray, " classes"]


def identity_batches(  # noqa: PLR0913 - a plan has no smaller parts to be given by
    labels: Int[np.ndarray, " n"],
    *,
    p: int,
    k: int,
    seed: int,
    epoch: int = 0,
    balance: float = 0.0,
    group: Int[np.ndarray, " n"] | None = None,
    groups_per_batch: int | None = None,
    identity: Int[np.ndarray, " n"] | None = None,
) -> list[Int[np.ndarray, " _"]]:
    """One epoch of batches of P classes x K items, the food of every batch loss.

    No item stands twice in a batch, no class twice. Each item of a class with at least K items is
    drawn about once an epoch (which items a remainder leaves out changes with the epoch); less
    often only where a class is so large that it cannot be in that many batches, and for the last
    fewer than P draws that fill no batch. A class with 2 to K - 1 items gives what it has. Items
    that are alone in their class make no genuine pair, so they only fill seats that stay free of
    the p * k, each once before any comes again.

    Args:
        labels: class of each item.
        p: classes per batch.
        k: items per class, at least 2.
        seed, epoch: the same give the same batches.
        balance: how much more often small classes are drawn than large ones (beta of Cui et al.
            2019): a class of n items in proportion to n / E_n, where its effective number of items
            is E_n = (1 - beta^n) / (1 - beta). 0: in proportion to n; 1: all classes alike. An
            epoch has as many draws as before.
        group: group of each item, one per class; with `groups_per_batch` = g a batch takes p / g
            classes from each of g groups, or all classes of a group that has fewer.
        identity: where given, each class also brings up to k of the items that are alone in their
            class and have its identity (forgeries of a writer), on top of the p * k.

    Returns:
        a list, in the order of training; within a batch the items of a class stand together.

    Raises:
        UsageError: p, k or groups_per_batch that mean nothing.
        NotEnoughData: fewer than p classes (or g groups) that can fill a batch: how many there are,
            and the remedy.
    """
    _check_batch(p, k, group=group, groups_per_batch=groups_per_batch)
    rng = np.random.default_rng([_IDENTITY, seed, epoch])
    classes = _by_class(labels, rng)
    draws = _draws(classes.count, k, balance, rng)
    if group is None or groups_per_batch is None:
        plan = _plan_whole(draws, p, rng)
    else:
        of_class = _group_of_classes(labels, group, classes)
        plan = _plan_groups(draws, of_class, p=p, groups_per_batch=groups_per_batch, rng=rng)
    batches = _seated(plan, classes, k)
    alone = classes.order[classes.start[classes.count == 1]]
    if identity is not None:
        batches = _with_forgeries(batches, identity, k, alone=alone, rng=rng)
    return _filled(batches, rng.permutation(alone), p * k)


def hard_batches(
    labels: Int[np.ndarray, " n"],
    groups: Int[np.ndarray, " n"],
    *,
    p: int,
    k: int,
    groups_per_batch: int,
    seed: int,
    epoch: int = 0,
    identity: Int[np.ndarray, " n"] | None = None,
) -> list[Int[np.ndarray, " _"]]:
    """`identity_batches` of groups of look-alike classes; what is over of larger classes comes at random.

    All classes of a group stand in its batches, so there are as many of these as its smallest class
    fills. Items that would be left out by that, K or more of a class, make further batches, among
    the others in the order of training.

    Raises:
        UsageError, NotEnoughData: as `identity_batches`.
    """
    plan = identity_batches(
        labels,
        p=p,
        k=k,
        seed=seed,
        epoch=epoch,
        group=groups,
        groups_per_batch=groups_per_batch,
        identity=identity,
    )
    seated = np.zeros(len(labels), dtype=bool)
    seated[np.concatenate(plan)] = True
    most = int(labels.max()) + 1
    left, drawn = (
        np.bincount(labels[~seated], minlength=most),
        np.bincount(labels[seated], minlength=most),
    )
    over = (left >= k) | ((left >= 2) & (drawn == 0))
    rest = np.flatnonzero(~seated & over[labels])
    if over.sum() >= p:
        plan += [
            rest[batch]
            for batch in identity_batches(labels[rest], p=p, k=k, seed=seed, epoch=epoch)
        ]
    order = np.random.default_rng([_HARD, seed, epoch]).permutation(len(plan))
    return [plan[index] for index in order]


def _check_batch(
    p: int, k: int, *, group: Int[np.ndarray, " n"] | None, groups_per_batch: int | None
) -> None:
    if p < 2 or k < 2:
        raise UsageError(
            f"p={p}, k={k}: a batch needs at least 2 classes with at least 2 items of each"
        )
    if groups_per_batch is None:
        return
    if group is None:
        raise UsageError(f"groups_per_batch={groups_per_batch}, but the items have no groups")
    if groups_per_batch < 1 or p % groups_per_batch:
        raise UsageError(
            f"groups_per_batch={groups_per_batch} must divide "
            f"p={p}: choose a p that is a multiple of it"
        )


def _by_class(labels: Int[np.ndarray, " n"], rng: np.random.Generator) -> _Classes:
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    start, count = runs(labels[order])
    return _Classes(order=order, start=start, count=count)


def _draws(
    count: Int[np.ndarray, " classes"], k: int, balance: float, rng: np.random.Generator
) -> Int[np.ndarray, " classes"]:
    """How often each class is drawn this epoch: n / k on average, so each of its items is drawn once on average."""
    expected = np.where(count < k, count >= 2, count / k)
    if balance:
        effective = count if balance == 1 else (1 - balance**count) / (1 - balance)
        favoured = np.where(count >= 2, count / effective, 0)
        expected = favoured * (expected.sum() / max(favoured.sum(), 1))
    whole = np.floor(expected)
    return (whole + (rng.random(len(count)) < expected - whole)).astype(np.int64)


def _plan_whole(
    draws: Int[np.ndarray, " classes"], p: int, rng: np.random.Generator
) -> list[Int[np.ndarray, " _"]]:
    usable = int((draws > 0).sum())
    if usable < p:
        raise NotEnoughData(
            f"p={p} classes per batch, but {usable} have two items "
            f"or more: --set p={usable} or less, or give more"
            if usable >= 2
            else f"{usable} classes have two items or more: a batch "
            "takes at least 2. Give more items of the same class"
        )
    return list(arranged(draws, p, rng))


def _plan_groups(
    draws: Int[np.ndarray, " classes"],
    group: Int[np.ndarray, " classes"],
    *,
    p: int,
    groups_per_batch: int,
    rng: np.random.Generator,
) -> list[Int[np.ndarray, " _"]]:
    """Plan each group by itself with p / g classes, then put together plans of g different groups."""
    share = p // groups_per_batch
    least = 2 if groups_per_batch == 1 else 1
    inside: list[list[np.ndarray]] = []
    for code in np.unique(group):
        members = np.flatnonzero((group == code) & (draws > 0))
        if len(members) >= least:
            plan = arranged(draws[members], min(share, len(members)), rng)
            inside.append([members[row] for row in plan])
    if len(inside) < groups_per_batch:
        raise NotEnoughData(
            f"groups_per_batch={groups_per_batch}, but {len(inside)} groups have {least} or more "
            "classes of two items or more: set it lower, or train without groups"
        )
    left = [iter(plans) for plans in inside]
    rows = arranged(np.array([len(plans) for plans in inside]), groups_per_batch, rng)
    return [np.concatenate([next(left[code]) for code in row]) for row in rows]


def _seated(
    plan: list[Int[np.ndarray, " _"]], classes: _Classes, k: int
) -> list[Int[np.ndarray, " _"]]:
    """The items of each batch: a class's j-th draw of the epoch takes its j-th k items, the last one its last k.

    A class that is drawn more often than that begins again.
    """
    drawn = np.concatenate(plan)
    start, count = classes.start[drawn], classes.count[drawn]
    turn = turns(drawn) % -(-count // k)
    first = np.maximum(np.minimum(turn * k, count - k), 0)
    seats = first[:, None] + np.arange(k)
    items = classes.order[np.minimum(start[:, None] + seats, len(classes.order) - 1)]
    valid = seats < count[:, None]
    ends = np.cumsum([len(row) for row in plan])
    return [
        items[end - len(row) : end][valid[end - len(row) : end]]
        for row, end in zip(plan, ends, strict=True)
    ]


def _with_forgeries(
    batches: list[Int[np.ndarray, " _"]],
    identity: Int[np.ndarray, " n"],
    k: int,
    *,
    alone: Int[np.ndarray, " alone"],
    rng: np.random.Generator,
) -> list[Int[np.ndarray, " _"]]:
    """Up to k lone items of each identity in a batch, in turn over the epoch."""
    mine = {}
    alone = rng.permutation(alone)
    alone = alone[np.argsort(identity[alone], kind="stable")]
    for items in np.split(alone, np.flatnonzero(np.diff(identity[alone])) + 1):
        if len(items):
            mine[int(identity[items[0]])] = items
    turn = dict.fromkeys(mine, 0)
    wider = []
    for batch in batches:
        brought = [batch]
        for code in np.unique(identity[batch]).tolist():
            if code in mine:
                items = mine[code]
                brought.append(
                    items.take(np.arange(turn[code], turn[code] + min(k, len(items))), mode="wrap")
                )
                turn[code] += k
        wider.append(np.concatenate(brought))
    return wider


def _filled(
    batches: list[Int[np.ndarray, " _"]], alone: Int[np.ndarray, " alone"], seats: int
) -> list[Int[np.ndarray, " _"]]:
    """Free seats given to lone items in turn; one that sits in the batch already is passed over."""
    filled, turn = [], 0
    for batch in batches:
        free = min(seats - len(batch), len(alone))
        if free > 0:
            extra = alone.take(np.arange(turn, turn + free), mode="wrap")
            turn += free
            batch = np.concatenate([batch, extra[~np.isin(extra, batch)]])
        filled.append(batch)
    return filled


def _group_of_classes(
    labels: Int[np.ndarray, " n"], group: Int[np.ndarray, " n"], classes: _Classes
) -> Int[np.ndarray, " classes"]:
    first = group[classes.order[classes.start]]
    if (np.repeat(first, classes.count) != group[classes.order]).any():
        raise DataError(
            "items of one class stand in more than one "
            "group: batches by group need one group per class"
        )
    return first


def episodes(
    labels: Int[np.ndarray, " n"],
    *,
    n_way: int,
    k_shot: int,
    queries: int,
    count: int,
    seed: int,
    epoch: int = 0,
    group: Int[np.ndarray, " n"] | None = None,
) -> Iterator[Episode]:
    """N-way K-shot tasks: n_way random classes, k_shot items of each to learn from and `queries` others to recognise.

    Args:
        labels: class of each item; classes with fewer than k_shot + queries items are left out.
        count: number of tasks.
        seed, epoch: the same give the same tasks.
        group: where given, all classes of a task come from one group (chosen by its number of
            classes).

    Raises:
        UsageError: n_way below 2, or k_shot, queries or count below 1.
        NotEnoughData: fewer than n_way classes (in any group) that are large enough.
    """
    if n_way < 2 or min(k_shot, queries, count) < 1:
        raise UsageError(
            f"n_way={n_way}, k_shot={k_shot}, queries={queries}, "
            f"count={count}: 2, 1, 1 and 1 at least"
        )
    rng = np.random.default_rng([_EPISODES, seed, epoch])
    classes = _by_class(labels, rng)
    large = classes.count >= k_shot + queries
    groups = (
        np.zeros(len(large), np.int64)
        if group is None
        else _group_of_classes(labels, group, classes)
    )
    pools = [np.flatnonzero(large & (groups == code)) for code in np.unique(groups)]
    most = max((len(pool) for pool in pools), default=0)
    if most < n_way:
        where = "" if group is None else " in one group"
        raise NotEnoughData(
            f"n_way={n_way}, but at most {most} classes{where} have k_shot + queries = "
            f"{k_shot + queries} items: lower n_way, k_shot or queries, or give more items"
        )
    pools = [pool for pool in pools if len(pool) >= n_way]
    return _tasks(classes, pools, (n_way, k_shot, queries), count=count, rng=rng)


def _tasks(
    classes: _Classes,
    pools: list[Int[np.ndarray, " _"]],
    shape: tuple[int, int, int],
    *,
    count: int,
    rng: np.random.Generator,
) -> Iterator[Episode]:
    n_way, k_shot, queries = shape
    weights = np.array([len(pool) for pool in pools], dtype=np.float64)
    for code in rng.choice(len(pools), size=count, p=weights / weights.sum()):
        ways = rng.choice(pools[code], size=n_way, replace=False)
        drawn = [
            rng.choice(classes.count[way], size=k_shot + queries, replace=False) for way in ways
        ]
        items = classes.order[classes.start[ways][:, None] + np.stack(drawn)]
        yield Episode(support=items[:, :k_shot], query=items[:, k_shot:])

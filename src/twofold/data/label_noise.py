"""Labels that the neighbours contradict, and whether the features are good enough to say so."""

from dataclasses import dataclass

import faiss
import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["ENOUGH", "Doubts", "doubtful_labels"]

NEIGHBOURS = 32
"""Of an item that are looked at: some are of its own class, and every other class may vote."""

VOTERS = 3
"""Neighbours of a class that speak for it: one alone may be wrongly labelled itself."""

ROWS_AT_ONCE = 4096
"""Items whose neighbours are looked for at once."""


MARGIN = 0.6
"""By so much of the nearest neighbour's similarity another class must be nearer: precision .8 to 1 on invented
characters and on faces with 5 % of the labels swapped, recall .7 to 1, wherever the accuracy is `ENOUGH`."""

ENOUGH = 0.8
"""Neighbours that agree with fewer of the labels are too weak to contradict any: at .74 (handwritten characters of 964
classes) a third of what they name is right as it is."""


@dataclass(frozen=True, kw_only=True)
class Doubts:
    """Which labels are doubtful.

    Attributes:
        accuracy: share of the items (of classes of three and more) whose own label is the one that
            their neighbours would give.
        suspects: positions of the items whose label is doubtful; none where the accuracy is not
            `ENOUGH`.
        better: the label that the neighbours of each of `suspects` have.
        recall: share of labels swapped on purpose, one in twenty of those not in doubt, that were
            found.
    """

    accuracy: float
    suspects: Int[np.ndarray, "m"]
    better: Int[np.ndarray, "m"]
    recall: float


@dataclass(frozen=True, kw_only=True)
class _Near:
    """The nearest other items of each item, and their similarity above that of the last of them, the first being 1."""

    place: Int[np.ndarray, "n k"]
    similarity: Float[np.ndarray, "n k"]


def doubtful_labels(
    vectors: Float[np.ndarray, "n dim"], labels: Int[np.ndarray, "n"], *, seed: int = 0
) -> Doubts | None:
    """Items whose nearest neighbours, themselves left out, stand together under one other label.

    Leave-one-out cross-validation of a classifier by neighbours: a class's score for an item is the
    mean similarity of its three nearest members (fewer where classes are smaller), of the 32
    nearest items. An item is a suspect when another class leads its own by `MARGIN`. Found only
    where the neighbours agree with `ENOUGH` of the labels.

    Args:
        vectors: float32; cosine similarity counts.
        labels: class of each item.
        seed: of the labels that are swapped on purpose, to measure how many would be found.

    Returns:
        None where no class has three items (of two that contradict each other nobody can say which
        one is wrong), or there is one class only.
    """
    sizes = np.bincount(labels)[labels]
    if len(np.unique(labels)) < 2 or not (sizes > 2).any():
        return None
    judged = sizes > 2
    voters = int(np.clip(np.median(sizes[judged]) - 1, 1, VOTERS))
    near = _nearest(vectors)
    lead, better = _contradiction(near, labels, voters)
    accuracy = float((lead[judged] <= 0).mean())
    suspect = (lead > MARGIN) & judged if accuracy >= ENOUGH else np.zeros(len(labels), dtype=bool)
    recall = _recall(near, labels, voters=voters, sound=(lead <= 0) & judged, seed=seed)
    return Doubts(
        accuracy=accuracy, suspects=np.flatnonzero(suspect), better=better[suspect], recall=recall
    )


def _nearest(vectors: Float[np.ndarray, "n dim"]) -> _Near:
    unit = np.ascontiguousarray(vectors, dtype=np.float32)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    count = min(NEIGHBOURS + 1, len(unit))
    similarity, place = faiss.knn(unit, unit, count, metric=faiss.METRIC_INNER_PRODUCT)
    # the item itself goes to the end, and is cut off; of many equal ones it may not be among the
    # nearest
    similarity = np.where(place == np.arange(len(unit))[:, None], -np.inf, similarity)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, : count - 1]
    similarity, place = (np.take_along_axis(each, order, axis=1) for each in (similarity, place))
    above = similarity - similarity[:, -1:]
    return _Near(place=place, similarity=above / np.maximum(above[:, :1], 1e-9))


def _contradiction(
    near: _Near, labels: Int[np.ndarray, "n"], voters: int
) -> tuple[Float[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """By how much the best other class leads an item's own (negative: it does not), and which class that is."""
    lead, better = np.zeros(len(labels)), np.zeros(len(labels), np.int64)
    for start in range(0, len(labels), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        classes = labels[near.place[rows]]
        equal = classes[:, :, None] == classes[:, None, :]
        # an item votes unless so many of its class are nearer
        votes = np.tril(equal, -1).sum(axis=2) < voters
        score = (equal * (near.similarity[rows] * votes)[:, None, :]).sum(axis=2) / voters
        mine = classes == labels[rows, None]
        own = np.where(mine, score, 0.0).max(axis=1)
        other = np.where(mine, -1.0, score)
        best = other.argmax(axis=1)[:, None]
        lead[rows] = np.take_along_axis(other, best, axis=1)[:, 0] - own
        better[rows] = np.take_along_axis(classes, best, axis=1)[:, 0]
    return lead, better


def _recall(
    near: _Near,
    labels: Int[np.ndarray, "n"],
    *,
    voters: int,
    sound: Bool[np.ndarray, "n"],
    seed: int,
) -> float:
    """Share found of labels that are swapped on purpose; 0 where there is no sound one."""
    generator = np.random.default_rng(seed)
    swapped = generator.permutation(np.flatnonzero(sound))[: max(len(labels) // 20, 1)]
    if not len(swapped):
        return 0.0
    classes = int(labels.max()) + 1
    changed = labels.copy()
    changed[swapped] = (labels[swapped] + generator.integers(1, classes, len(swapped))) % classes
    lead, _ = _contradiction(near, changed, voters)
    return float((lead[swapped] > MARGIN).mean())

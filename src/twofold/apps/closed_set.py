"""How often the nearest example of a gallery is of the right class, where every class has examples there.

Classes that a model was trained on make a closed set. Its accuracy says how well the model tells
these classes apart, and nothing of others (law 2): it must be asked for by name, and it is no
ground for a threshold.
"""

from collections import Counter

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold import admission
from twofold.apps.evaluate import Watch, stage
from twofold.bundle import Bundle
from twofold.data.items import Items
from twofold.data.listing import some
from twofold.embedding import embed_readable, scores
from twofold.errors import DataError, IdentityOverlap
from twofold.metrics.intervals import estimate, resampled_means, share_interval
from twofold.plurals import counted
from twofold.provenance import TRAINED
from twofold.results import Estimate, NearestExample

__all__ = ["nearest_example"]

AT_ONCE = 256
"""Items whose scores with the whole gallery are held at once."""

REPLICATES = 1000
"""Resamplings of identities for an interval."""

CONFUSED = 10
"""Pairs of classes that are named, the most frequent first."""


def nearest_example(
    bundle: Bundle,
    items: Items,
    gallery: Items,
    *,
    closed_set: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
    watch: Watch | None = None,
) -> NearestExample:
    """The share of items whose most similar item of the gallery is of their class (1-NN accuracy).

    Classes that are tied have equal chances. Of classes that were trained on, the interval is one
    over items (Clopper & Pearson 1934), which says nothing of other classes; of unseen ones it
    resamples the classes.

    Args:
        closed_set: the classes may be those that the bundle was trained on.
        watch: called with what is being done, and how far it is: (text, done, total).

    Raises:
        IdentityOverlap: classes were trained on, and `closed_set` is not set.
        DataError: classes of the items that the gallery has no example of.
    """
    trained = _trained(bundle, items, gallery)
    if trained.any() and not closed_set:
        raise IdentityOverlap(
            f"{int(trained.sum())} of {len(items.identities)} classes were trained on "
            f"({some(_names(items, trained), 3)}), so that this would say nothing of unseen ones: "
            f"give unseen classes, or say --closed-set (closed_set=True) where the classes are fixed"
        )
    if strange := sorted(set(items.names) - set(gallery.names)):
        raise DataError(
            f"the gallery has no example of {counted(len(strange), 'class')} of the data "
            f"({some(strange, 3)}): give a gallery with all classes; who is unknown is what "
            f"`identify` tells"
        )
    again = len(set(items.content_hashes()) & set(gallery.content_hashes()))
    items, vectors = embed_readable(bundle, items, progress=stage(watch, "embedding"))
    gallery, known = embed_readable(bundle, gallery, progress=stage(watch, "gallery"))
    right, taken = _nearest(bundle, items, gallery, vectors=vectors, known=known)
    closed = bool(trained.any())
    numbers = (
        _over_items(right, items.labels, confidence)
        if closed
        else _over_classes(right, items.labels, confidence, seed)
    )
    notes = (
        [f"{counted(again, 'item', 'stands')} in the gallery, too, and finds itself"]
        if again
        else []
    )
    wrong = Counter(
        (items.names[label], gallery.names[other])
        for label, other in zip(items.labels, taken, strict=True)
        if items.names[label] != gallery.names[other]
    )
    return NearestExample(
        estimates=numbers,
        items=len(items),
        gallery=len(gallery),
        classes=len(items.names),
        closed_set=closed,
        confused=tuple((*pair, count) for pair, count in wrong.most_common(CONFUSED)),
        notes=(*items.notes, *notes),
    )


def _trained(bundle: Bundle, items: Items, gallery: Items) -> Bool[np.ndarray, "identities"]:
    """Which identities of the items were trained on: by their contents, or by those of the same name in the gallery."""
    found = admission.known(bundle.provenance, items, TRAINED)
    of_gallery = set(_names(gallery, admission.known(bundle.provenance, gallery, TRAINED)))
    return found | np.array([name in of_gallery for name in items.identities])


def _names(items: Items, chosen: Bool[np.ndarray, "identities"]) -> list[str]:
    return [name for name, wanted in zip(items.identities, chosen, strict=True) if wanted]


def _nearest(
    bundle: Bundle,
    items: Items,
    gallery: Items,
    *,
    vectors: Float[np.ndarray, "n dim"],
    known: Float[np.ndarray, "m dim"],
) -> tuple[Float[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """The chance that each item's nearest example is of its class, and the class of that example."""
    place = {name: code for code, name in enumerate(gallery.names)}
    wanted = np.array([place[items.names[label]] for label in items.labels])
    right, taken = np.zeros(len(items)), np.zeros(len(items), np.int64)
    for start in range(0, len(items), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        found = scores(bundle.twin, vectors[rows], known)
        best = found == found.max(axis=1, keepdims=True)
        same = gallery.labels[None, :] == wanted[rows, None]
        right[rows] = (best & same).sum(axis=1) / best.sum(axis=1)
        taken[rows] = gallery.labels[found.argmax(axis=1)]
    return right, taken


def _over_items(
    right: Float[np.ndarray, "n"], labels: Int[np.ndarray, "n"], confidence: float
) -> tuple[Estimate, ...]:
    low, high = share_interval(float(right.sum()), len(right), confidence=confidence)
    accuracy = Estimate(
        name="accuracy",
        value=float(right.mean()),
        low=low,
        high=high,
        confidence=confidence,
        unit="item",
        resampled=len(right),
    )
    codes = np.arange(len(right))
    drawn = resampled_means(
        {str(label): np.where(labels == label, right, np.nan) for label in np.unique(labels)},
        codes,
        identities=len(right),
        replicates=REPLICATES,
        seed=0,
    )
    balanced = estimate(
        "balanced_accuracy",
        _balanced(right, labels),
        replicates=np.mean(list(drawn.values()), axis=0),
        resampled=len(right),
        confidence=confidence,
        unit="item",
    )
    return accuracy, balanced


def _over_classes(
    right: Float[np.ndarray, "n"], labels: Int[np.ndarray, "n"], confidence: float, seed: int
) -> tuple[Estimate, ...]:
    names = np.unique(labels)
    means = np.array([right[labels == label].mean() for label in names])
    drawn = resampled_means(
        {"accuracy": right}, labels, identities=len(names), replicates=REPLICATES, seed=seed
    )
    drawn |= resampled_means(
        {"balanced_accuracy": means},
        np.arange(len(names)),
        identities=len(names),
        replicates=REPLICATES,
        seed=seed,
    )
    values = {"accuracy": float(right.mean()), "balanced_accuracy": float(means.mean())}
    return tuple(
        estimate(name, value, replicates=drawn[name], resampled=len(names), confidence=confidence)
        for name, value in values.items()
    )


def _balanced(right: Float[np.ndarray, "n"], labels: Int[np.ndarray, "n"]) -> float:
    """The mean over the classes of their own shares."""
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))

"""What is given to an index, looked at before anything is written: names, vectors, their length."""

from collections import Counter
from collections.abc import Callable, Sequence, Set

import numpy as np

from twofold.contract import Contract
from twofold.errors import StoreError
from twofold.results import Embeddings
from twofold.store.exact import UNIT_TOLERANCE

__all__ = ["check_length", "check_names", "check_vectors"]

LARGEST = 1e15  # beyond it squared distances leave float32


def check_names(embeddings: Embeddings) -> None:
    """Refuse ids and labels that do not fit their vectors, are empty or no text, or ids that stand twice."""
    ids, labels = embeddings.ids, embeddings.labels
    if not len(ids) == len(labels) == len(embeddings.vectors):
        raise StoreError(
            f"{len(ids)} ids, {len(labels)} labels and {len(embeddings.vectors)} vectors: give one of each"
        )
    names = set(ids)
    if len(names) < len(ids):
        twice = [name for name, times in Counter(ids).items() if times > 1]
        raise StoreError(
            f"the id {twice[0]!r} stands twice in one call ({len(twice)} such ids): give each item its own"
        )
    names.update(labels)
    if not all_fit(names) and (wrong := [name for name in names if not all_fit({name})]):
        raise StoreError(f"{wrong[0]!r} is no id or label: give a text that is not empty, is UTF-8 and has no NUL")


def all_fit(names: Set[str]) -> bool:
    """Whether all names are texts that are not empty, are UTF-8 and have no NUL: looked at in one piece."""
    text = "".join(names)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "" not in names and "\0" not in text


def check_vectors(contract: Contract, vectors: np.ndarray, name: Callable[[int], str]) -> np.ndarray:
    """The vectors as float32 rows, or an error that names the first that does not fit."""
    if vectors.ndim != 2 or vectors.shape[1] != contract.dim:
        raise StoreError(f"vectors of shape {vectors.shape}: this index takes (n, {contract.dim})")
    if vectors.dtype != np.float32:
        with np.errstate(over="ignore"):  # what is too large is told below
            vectors = vectors.astype(np.float32)
    rows = np.ascontiguousarray(vectors)
    # one sum of squares answers for every number of a good batch; NaN passes no comparison
    fine = np.vdot(rows, rows) <= LARGEST**2
    if not fine and len(wrong := np.flatnonzero(~(np.abs(rows) <= LARGEST).all(axis=1))):
        raise StoreError(f"the vector of {name(wrong[0])} has NaN, infinity or more than {LARGEST:g} in it: drop it")
    if contract.distance == "cosine" and len(wrong := np.flatnonzero(~rows.any(axis=1))):
        raise StoreError(f"the vector of {name(wrong[0])} is all zeros, which has no direction to compare: drop it")
    return rows


def check_length(contract: Contract, vectors: np.ndarray, ids: Sequence[str]) -> None:
    """Refuse vectors that are not of unit length where the distance is the cosine."""
    if contract.distance != "cosine":
        return
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    if len(wrong := np.flatnonzero(np.abs(lengths - 1) > UNIT_TOLERANCE)):
        raise StoreError(
            f"the vector of {ids[wrong[0]]!r} has length {lengths[wrong[0]]:.4g}: an index for the cosine keeps unit "
            "vectors, so divide each by its length (an encoder with unit_norm=true does)"
        )

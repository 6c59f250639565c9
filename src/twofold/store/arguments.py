"""Arguments of an index, checked before anything is written: names, vectors, dates."""

from collections import Counter
from collections.abc import Sequence, Set
from datetime import UTC, date, datetime, time

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.errors import StoreError, UsageError
from twofold.results import Embeddings
from twofold.store.exact import UNIT_TOLERANCE, check_vectors
from twofold.store.filters import metadata_text

__all__ = ["check_items", "each_once", "learned", "utc"]


def check_items(
    contract: Contract, items: Embeddings
) -> tuple[Float[np.ndarray, "n dim"], list[str]]:
    """The vectors of new items as float32, and their metadata as JSON.

    Raises:
        StoreError: a name, a vector or metadata that an index cannot keep; names the item.
    """
    check_names(items)
    vectors = check_vectors(contract, items.vectors, lambda row: repr(items.ids[row]))
    check_length(contract, vectors, items.ids)
    return vectors, metadata_text(items.ids, items.metadata)


def check_names(embeddings: Embeddings) -> None:
    """Refuse ids and labels of the wrong number, empty ones, ones that are not text, and repeated ids."""
    ids, labels = embeddings.ids, embeddings.labels
    if not len(ids) == len(labels) == len(embeddings.vectors):
        raise StoreError(
            f"{len(ids)} ids, {len(labels)} labels and "
            f"{len(embeddings.vectors)} vectors: give one of each"
        )
    names = set(ids)
    if len(names) < len(ids):
        twice = [name for name, times in Counter(ids).items() if times > 1]
        raise StoreError(
            f"the id {twice[0]!r} appears twice in one call "
            f"({len(twice)} such ids): give each item its own"
        )
    names.update(labels)
    if not all_fit(names) and (wrong := [name for name in names if not all_fit({name})]):
        raise StoreError(
            f"{wrong[0]!r} is not a valid id or label: give a "
            "text that is not empty, is UTF-8 and has no NUL"
        )


def all_fit(names: Set[str]) -> bool:
    """Whether all names are non-empty UTF-8 text without NUL; joined and checked at once."""
    text = "".join(names)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "" not in names and "\0" not in text


def check_length(contract: Contract, vectors: np.ndarray, ids: Sequence[str]) -> None:
    """Refuse vectors that are not of unit length if the distance is the cosine."""
    if contract.distance != "cosine":
        return
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    if len(wrong := np.flatnonzero(np.abs(lengths - 1) > UNIT_TOLERANCE)):
        raise StoreError(
            f"the vector of {ids[wrong[0]]!r} has length {lengths[wrong[0]]:.4g}: "
            "an index for the cosine keeps unit vectors, so divide each by its "
            "length (an encoder with unit_norm=true does)"
        )


def learned(contract: Contract) -> StoreError:
    """The error of a search without the weights of a learned comparison."""
    return StoreError(
        f"{contract.distance} is a learned comparison, whose weights are in the bundle: "
        "search with twofold.apps.search.search(bundle, index, queries)"
    )


def each_once(labels: str | Sequence[str]) -> tuple[str, ...]:
    """One label or several as a tuple, each once, in the order given."""
    return (labels,) if isinstance(labels, str) else tuple(dict.fromkeys(labels))


def utc(when: str | date | None) -> str | None:
    """A date or a time as the database compares it: UTC, ISO 8601, whole seconds; a date is its first moment in UTC.

    Raises:
        UsageError: it is not a date.
    """
    if when is None:
        return None
    try:
        moment = datetime.fromisoformat(when) if isinstance(when, str) else when
    except ValueError as error:
        raise UsageError(
            f"{when!r} is not a date: write it as 2027-12-31 or 2027-12-31T18:00:00+01:00"
        ) from error
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="seconds")

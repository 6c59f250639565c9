"""Embedding on Ray Data: a class for `map_batches`, and its batches as embeddings. It needs no Ray itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twofold.bundle import Bundle
from twofold.devices import device_of
from twofold.embedding import embed_read
from twofold.errors import DataError, UnreadableInput, UsageError, nearest
from twofold.results import Embeddings

__all__ = ["Embedder", "embeddings_of"]

VECTOR, MODEL, ERROR = "vector", "fingerprint", "error"
Batch = Mapping[str, np.ndarray]


class Embedder:
    """Adds to a batch the vectors of one of its columns, and the model's fingerprint.

        data.map_batches(Embedder, fn_constructor_args=["models/shop"], concurrency=8, num_gpus=1)

    Ray makes one in each of its actors, so that a bundle is loaded once there and not for each
    batch.

    Args:
        bundle: the folder of a bundle (each machine must see it), or the bundle.
        column: what to embed: paths, or bytes as `ray.data.read_binary_files` gives them.
        skip: leave out what cannot be read and say why in the column "error" (vectors of NaN),
            rather than stop.
        device: "cpu", "cuda", ...; None: the GPU that Ray gave, if it gave one, else the processor.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        column: str = "path",
        *,
        skip: bool = False,
        device: str | None = None,
    ) -> None:
        where = device_of(device)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        self.bundle.twin.to(where)
        self.column = column
        self.skip = skip

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        """The batch with the columns vector (float32, rows x dim) and fingerprint; with `skip` also error (text).

        Raises:
            UsageError: the batch has no such column. UnreadableInput: a thing cannot be read, and
                `skip` is False.
        """
        if self.column not in batch:
            raise UsageError(
                f"the batch has no column {self.column!r}: {nearest(self.column, batch)}"
            )
        errors = np.full(len(batch[self.column]), "", object)
        places, arrays = self._read([plain(value) for value in batch[self.column]], errors)
        vectors = np.full((len(errors), self.bundle.contract.dim), np.nan, np.float32)
        if places:
            vectors[places] = embed_read(self.bundle, arrays)[:, : vectors.shape[1]]
        made = {VECTOR: vectors, MODEL: np.full(len(errors), self.bundle.fingerprint, object)}
        return {**batch, **made, **({ERROR: errors} if self.skip else {})}

    def _read(
        self, values: Sequence[Any], errors: np.ndarray
    ) -> tuple[list[int], list[np.ndarray]]:
        """Places and arrays of what can be read; `skip` records the errors of the others."""
        places, arrays = [], []
        for place, value in enumerate(values):
            try:
                arrays.append(self.bundle.twin.input.read(value))
                places.append(place)
            except UnreadableInput as error:
                if not self.skip:
                    raise
                errors[place] = str(error)
        return places, arrays


def embeddings_of(
    batch: Batch, *, id: str = "path", label: str | None = None, metadata: Sequence[str] = ()
) -> Embeddings:
    """The rows of a batch that `Embedder` made, for `Index.add`; those with an error are left out.

    Args:
        id: the column of the ids. label: that of the labels; None: each id is its own label.
        metadata: columns to keep with each item.

    Raises:
        DataError: a column is missing, or the vectors are of more than one model.
    """
    for column in (VECTOR, MODEL, id, *([label] if label else []), *metadata):
        if column not in batch:
            raise DataError(f"the batch has no column {column!r}: {nearest(column, batch)}")
    kept = [
        place for place, error in enumerate(batch.get(ERROR, [""] * len(batch[id]))) if not error
    ]
    models = {str(each) for each in batch[MODEL]}
    if len(models) != 1:
        raise DataError(
            f"a batch of vectors of {len(models)} models: "
            "give one that holds rows of a single model"
        )
    vectors = np.stack([np.asarray(each, np.float32) for each in batch[VECTOR]])
    return Embeddings(
        ids=tuple(str(batch[id][place]) for place in kept),
        labels=tuple(str(batch[label or id][place]) for place in kept),
        vectors=vectors[kept],
        fingerprint=models.pop(),
        metadata=tuple({key: plain(batch[key][place]) for key in metadata} for place in kept),
    )


def plain(value: Any) -> Any:
    """A value of a column as plain Python."""
    return value.item() if isinstance(value, np.generic) else value

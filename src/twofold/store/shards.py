"""Embeddings as Parquet parts in a folder: each written whole or not at all, by any number of machines.

A part holds rows of consecutive items. Its footer says whose vectors they are (fingerprint), which
things they were made of (digest) and what their bytes are (SHA-256), so that a part which is there
already can be left alone, and a damaged one is found.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from twofold.contract import Contract
from twofold.errors import BundleError, DamagedIndex, MissingExtra, NewerFormat, StoreError
from twofold.files import PRIVATE_FOLDER, write_atomically
from twofold.results import Embeddings
from twofold.strict_json import plain_object

__all__ = ["Shards", "digest"]

FORMAT = 1
MANIFEST = "embeddings.json"
KEY = b"twofold"


@dataclass(frozen=True, kw_only=True)
class Shards:
    """A folder of parts, as every machine that writes into it sees it.

    Attributes:
        contract: of the bundle whose vectors they are. items: number of things to embed. rows:
            things per part; the last part may have fewer.
    """

    folder: Path
    contract: Contract
    items: int
    rows: int

    @staticmethod
    def found(folder: str | Path) -> bool:
        """Whether a folder holds such parts."""
        return (Path(folder) / MANIFEST).is_file()

    @classmethod
    def open(cls, folder: str | Path) -> "Shards":
        """What a folder's manifest says.

        Raises:
            StoreError: no manifest there. DamagedIndex: it cannot be read. NewerFormat: a later
                version wrote it.
        """
        place = Path(folder) / MANIFEST
        if not place.is_file():
            raise StoreError(f"{folder} holds no {MANIFEST}: `twofold embed` makes such a folder")
        try:
            told = plain_object(place.read_bytes())
            if told["format"] > FORMAT:
                raise NewerFormat(
                    f"{place} has format {told['format']}, this "
                    f"twofold reads up to {FORMAT}: upgrade it"
                )
            contract = Contract.from_dict(told["contract"])
            if (
                type(told["items"]) is not int
                or type(told["rows"]) is not int
                or told["items"] < 0
                or told["rows"] < 1
            ):
                raise ValueError(f"items {told['items']!r}, rows {told['rows']!r}")
            return cls(
                folder=Path(folder), contract=contract, items=told["items"], rows=told["rows"]
            )
        except NewerFormat:
            raise
        except (OSError, ValueError, KeyError, TypeError, BundleError) as error:
            raise DamagedIndex(
                f"{place} is damaged ({error}): restore it, or embed again elsewhere"
            ) from None

    def save(self) -> None:
        """Write the manifest, or check that the one there says the same.

        Raises:
            StoreError: the folder holds vectors of another model, or of another number of things.
            CannotWrite: the disk does not take it.
        """
        if not self.found(self.folder):
            self.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            told = {
                "format": FORMAT,
                "contract": self.contract.to_dict(),
                "items": self.items,
                "rows": self.rows,
            }
            write_atomically(
                self.folder / MANIFEST, (json.dumps(told, indent=1) + "\n").encode(), private=True
            )
            return
        known = Shards.open(self.folder)
        for what, ours, theirs in (
            ("vectors of model", self.contract.fingerprint[:12], known.contract.fingerprint[:12]),
            ("the things, whose number is", self.items, known.items),
            ("parts with so many rows each:", self.rows, known.rows),
        ):
            if ours != theirs:
                raise StoreError(
                    f"{self.folder} holds {what} {theirs}, not {ours}: choose another folder"
                )

    @property
    def parts(self) -> range:
        """Numbers of the parts."""
        return range(-(-self.items // self.rows))

    def span(self, part: int) -> range:
        """Positions of the things of a part."""
        return range(part * self.rows, min((part + 1) * self.rows, self.items))

    def path(self, part: int) -> Path:
        """The path of a part."""
        return self.folder / f"part-{part:05}-of-{len(self.parts):05}.parquet"

    def has(self, part: int, made_of: str) -> bool:
        """Whether a part is there, of this model and of things with this digest; a damaged one is not."""
        try:
            footer = self._footer(part)
        except DamagedIndex:
            return False
        return footer is not None and (footer["fingerprint"], footer["digest"]) == (
            self.contract.fingerprint,
            made_of,
        )

    def write(self, part: int, embeddings: Embeddings, made_of: str) -> None:
        """Write a part, whole or not at all.

        Raises:
            CannotWrite: the disk does not take it. MissingExtra: pyarrow is not installed.
        """
        pyarrow, parquet = _pyarrow()
        vectors = np.ascontiguousarray(embeddings.vectors, "<f4")
        columns = _columns(embeddings)
        footer = {"format": FORMAT, "fingerprint": embeddings.fingerprint, "digest": made_of}
        footer |= {"sha256": _checksum(columns, vectors)}
        flat = pyarrow.FixedSizeListArray.from_arrays(
            pyarrow.array(vectors.ravel()), self.contract.dim
        )
        table = pyarrow.table({**columns, "vector": flat}).replace_schema_metadata(
            {KEY: json.dumps(footer)}
        )
        stream = io.BytesIO()
        # vectors do not compress, and dictionaries of them would only cost time
        parquet.write_table(
            table, stream, compression="zstd", use_dictionary=["label"], write_page_checksum=True
        )
        write_atomically(self.path(part), stream.getvalue(), private=True)

    def read(self, part: int) -> Embeddings:
        """The rows of a part, each byte checked.

        Raises:
            StoreError: it is not there yet. DamagedIndex: it is not what was written.
                FingerprintMismatch is for the index to raise: a part says itself whose vectors it
                holds.
        """
        footer = self._footer(part)
        if footer is None:
            raise StoreError(
                f"{self.path(part)} is missing: the same `twofold embed` again makes it"
            )
        _, parquet = _pyarrow()
        try:
            table = parquet.read_table(self.path(part), page_checksum_verification=True)
            columns = {name: table[name].to_pylist() for name in ("id", "label", "metadata")}
            vectors = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            vectors = vectors.reshape(len(columns["id"]), self.contract.dim)
        except Exception as error:  # pyarrow meets damaged files with a dozen kinds
            raise self._damaged(part) from error
        if _checksum(columns, vectors) != footer["sha256"]:
            raise self._damaged(part)
        return Embeddings(
            ids=tuple(columns["id"]),
            labels=tuple(columns["label"]),
            vectors=vectors,
            fingerprint=footer["fingerprint"],
            metadata=tuple(json.loads(text) for text in columns["metadata"]),
        )

    def missing(self) -> list[int]:
        """Numbers of the parts that are not there yet."""
        return [part for part in self.parts if not self.path(part).is_file()]

    def __iter__(self) -> Iterator[Embeddings]:
        """All parts, one after the other.

        Raises:
            StoreError: some are missing; says how many, before the first is read. And as `read`.
        """
        if absent := self.missing():
            raise StoreError(
                f"{len(absent)} of {len(self.parts)} parts are missing in "
                f"{self.folder} (the first is {self.path(absent[0]).name}): "
                "let all shards of `twofold embed` end, or start them again"
            )
        return map(self.read, self.parts)

    def _footer(self, part: int) -> dict[str, Any] | None:
        """What the footer of a part says; None where there is no such part."""
        if not self.path(part).is_file():
            return None
        _, parquet = _pyarrow()
        try:
            told = json.loads(parquet.read_schema(self.path(part)).metadata[KEY])
            return {name: str(told[name]) for name in ("fingerprint", "digest", "sha256")}
        except Exception as error:
            raise self._damaged(part) from error

    def _damaged(self, part: int) -> DamagedIndex:
        return DamagedIndex(
            f"{self.path(part)} is not what was written: delete it, and embed again"
        )


def digest(
    fingerprint: str, ids: Sequence[str], labels: Sequence[str], metadata: Sequence[Any]
) -> str:
    """What a part was made of, as 64 hexadecimal digits: it changes with the model and with each of the things."""
    told = json.dumps([fingerprint, list(ids), list(labels), list(metadata)], sort_keys=True)
    return sha256(told.encode()).hexdigest()


def _columns(embeddings: Embeddings) -> dict[str, list[str]]:
    metadata = embeddings.metadata or ({},) * len(embeddings.ids)
    texts = [json.dumps(dict(each), sort_keys=True, ensure_ascii=False) for each in metadata]
    return {"id": list(embeddings.ids), "label": list(embeddings.labels), "metadata": texts}


def _checksum(columns: dict[str, list[str]], vectors: np.ndarray) -> str:
    found = sha256(json.dumps([columns[name] for name in ("id", "label", "metadata")]).encode())
    found.update(np.ascontiguousarray(vectors, "<f4").data)
    return found.hexdigest()


def check_parquet() -> None:
    """Raise MissingExtra where no Parquet can be written: before hours of embedding, not after."""
    _pyarrow()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra(
            "embeddings in Parquet need pyarrow: pip install 'twofold[data]'"
        ) from error
    return pyarrow, parquet

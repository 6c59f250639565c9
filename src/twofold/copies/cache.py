"""What a search for copies keeps for the next one: what was read, the pairs that count, and where things meet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from twofold.bundle import Bundle
from twofold.copies.candidates import Candidates
from twofold.copies.cells import Cells
from twofold.copies.reading import MARKER, Collection, load_arrays, save_arrays
from twofold.errors import FingerprintMismatch
from twofold.inputs import Input

__all__ = ["CopyPairs", "Remembered", "remember", "remembered"]


@dataclass(frozen=True, kw_only=True)
class CopyPairs:
    """Pairs that count, with their scores, who stands for whom in them, and what makes the next look cheap."""

    pairs: Int[np.ndarray, "pairs 2"]
    scores: Float[np.ndarray, "pairs"]
    same: Int[np.ndarray, "n"]
    looked: Candidates | None
    cells: Cells | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What was read, and found, by the calls before."""

    known: Collection
    found: CopyPairs


def _kind(reader: Input | Bundle) -> str:
    if isinstance(reader, Bundle):
        return reader.fingerprint
    return f"{reader.name} {reader.version} {reader.arguments()}"


def remembered(memory: str | Path | None, reader: Input | Bundle, limit: float | None) -> Remembered | None:
    """What an earlier call has kept, if it was of the same reader and threshold."""
    if memory is None or not (Path(memory) / MARKER).exists():
        return None
    known, told, arrays = load_arrays(memory)
    if told["reader"] != _kind(reader) or told["limit"] != limit:
        raise FingerprintMismatch(
            f"{memory} was made by another model, reader or threshold ({told['limit']}, now {limit}): its vectors "
            "cannot be compared with new ones; name another place"
        )
    looked, signed = None, _cells(arrays, told, "signed")
    if signed:
        looked = Candidates(
            pairs=np.zeros((0, 2), np.int64),
            same=np.arange(len(known)),
            each=told["each"],
            rows=np.asarray(arrays["rows"]),
            cells=signed,
            vector_cells=_cells(arrays, told, "seen"),
        )
    found = CopyPairs(
        pairs=np.asarray(arrays["pairs"]),
        scores=np.asarray(arrays["scores"]),
        same=np.arange(len(known)),
        looked=looked,
        cells=_cells(arrays, told, "near"),
    )
    return Remembered(known=known, found=found)


def _cells(arrays: dict[str, np.ndarray], told: dict[str, Any], name: str) -> Cells | None:
    if f"{name}_same" not in arrays:  # of a version that knew no crowds: looked for anew
        return None
    met, planned = told[name]
    pivots, assigned, same = (np.asarray(arrays[f"{name}_{part}"]) for part in ("pivots", "assigned", "same"))
    return Cells(pivots=pivots, assigned=assigned, same=same, met=met, planned=planned)


def remember(
    memory: str | Path, reader: Input | Bundle, known: Collection, *, limit: float | None, found: CopyPairs
) -> None:
    """Write it all, whole or not at all."""
    looked = found.looked
    all_cells = {"signed": looked and looked.cells, "seen": looked and looked.vector_cells, "near": found.cells}
    arrays = {"pairs": found.pairs, "scores": found.scores}
    if looked:
        arrays["rows"] = looked.rows
    told: dict[str, Any] = {"reader": _kind(reader), "limit": limit, "each": looked.each if looked else 0}
    for name, cells in all_cells.items():
        if cells:
            arrays |= {f"{name}_{part}": getattr(cells, part) for part in ("pivots", "assigned", "same")}
            told[name] = (cells.met, cells.planned)
    save_arrays(memory, known, told, arrays)

"""Scores of production, as far as anybody knows whose they are: JSON lines, tables, verdicts, vectors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from twofold.contract import scores_block
from twofold.data import tables
from twofold.data.fields import number, truth
from twofold.data.json_lines import LINES, read_lines
from twofold.data.listing import coded
from twofold.data.scores import Scores, unlabelled
from twofold.data.tables import Table
from twofold.errors import DataError, NotEnoughData
from twofold.plurals import counted

__all__ = ["ProductionScores"]


ENDS = (("identity_a", "identity_b", "identity"), *((*ends, "thing") for ends in tables.ENDS))
"""Columns that say what the two sides of a pair are, the better first."""

VECTORS = 2000
"""Vectors of which every pair is scored: two million pairs."""


@dataclass(frozen=True, kw_only=True)
class ProductionScores:
    """Scored pairs of production, of which little may be known.

    Attributes:
        same: 1 genuine, 0 impostor, -1 nobody said.
        first, second: codes of what the two sides are; both the same where nobody said.
        unit: what these are: "identity", "thing" (a file, say), or "pair" where nobody said.
        groups: the group of each pair; None where nobody said.
        span: the first and the last `at`; None where nobody said.
        dim: of the vectors that the scores were made from here (no cohort has normalised those); 0:
            given as scores.
        undrawn: vectors that were left out, because there are too many for every pair.
        unowned: every pair of some vectors is here, and nobody knows which of them are of one
            person.
    """

    scores: Float[np.ndarray, "n"]
    same: Int[np.ndarray, "n"]
    first: Int[np.ndarray, "n"]
    second: Int[np.ndarray, "n"]
    unit: Literal["identity", "thing", "pair"] = "pair"
    groups: tuple[str, ...] | None = None
    span: tuple[str, str] | None = None
    dim: int = 0
    undrawn: int = 0
    unowned: bool = False

    @classmethod
    def from_vectors(
        cls, vectors: Float[np.ndarray, "n dim"], *, distance: str = "cosine", seed: int = 0
    ) -> "ProductionScores":
        """Every pair of vectors of which nobody knows whose they are; of more than 2,000 so many drawn by chance.

        Raises:
            DataError: a number is not finite. NotEnoughData: fewer than two vectors.
        """
        wrong = int((~np.isfinite(vectors).all(axis=1)).sum())
        if wrong:
            raise DataError(
                f"{wrong} of {len(vectors)} vectors have numbers that are not finite: check them"
            )
        if len(vectors) < 2:
            raise NotEnoughData(f"{counted(len(vectors), 'vector', 'makes')} no pair")
        drawn = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:VECTORS])
        some = vectors[drawn]
        first, second = np.triu_indices(len(some), 1)
        return cls(
            scores=scores_block(distance, some, some)[first, second],
            same=np.full(len(first), -1),
            first=first,
            second=second,
            unit="thing",
            dim=vectors.shape[1],
            undrawn=len(vectors) - len(some),
            unowned=True,
        )

    @classmethod
    def of(cls, scores: "Float[np.ndarray, 'n'] | Scores | ProductionScores") -> "ProductionScores":
        """Plain scores, of which nothing is known, or scored pairs of known truth.

        Raises:
            DataError: a score is not finite.
        """
        if isinstance(scores, ProductionScores):
            return scores
        if isinstance(scores, Scores):
            blocks = list(scores.pairs)
            columns = [
                np.concatenate([getattr(block, name) for block in blocks])
                for name in ("scores", "same")
            ]
            ends = [
                np.concatenate([getattr(block, name) for block in blocks])
                for name in ("first", "second")
            ]
            unit = "identity" if scores.unit == "identity" else "pair"
            same = columns[1].astype(np.int64)
            return cls(
                scores=columns[0],
                same=same,
                first=ends[0],
                second=ends[1],
                unit=unit,
                dim=scores.dim,
            )
        found = np.asarray(scores, dtype=np.float64).ravel()
        if not np.isfinite(found).all():
            raise DataError(
                f"{int((~np.isfinite(found)).sum())} of {len(found)} scores are not finite: check "
                f"them"
            )
        each = np.arange(len(found))
        return cls(scores=found, same=np.full(len(found), -1), first=each, second=each)

    @classmethod
    def open(cls, path: str | Path, *, distance: str = "cosine") -> "ProductionScores":
        """Scores in a file.

        - JSON lines (.jsonl, .ndjson; or a JSON list, as `verify --pairs --json` prints): objects
            with `score`.
        - A table (CSV, TSV, Parquet) with the column `score`.
        - A one-dimensional .npy of scores, of which nothing else is known.
        - Vectors with labels, as `Scores.open` reads them: every pair is scored. Without labels:
            see `from_vectors`.

        Beside `score` an object or a row may have `same` (1 or 0), `identity_a` and `identity_b`
        (or `a` and `b`, the things themselves), `group` and `at` (ISO 8601). Each may be empty
        where it is not known.

        Raises:
            DataError: no such file, no score, a field that cannot be read; names the line.
            NotEnoughData: nothing in it.
        """
        path = Path(path)
        if path.suffix.lower() in (*LINES, ".json"):
            columns, places = read_lines(path, example='{"score": 0.71}')
            return _of_table(Table(path=path, columns=columns, places=places))
        if path.suffix.lower() == ".npy" and _flat(path) is not None:
            return cls.of(np.asarray(_flat(path)))
        if path.suffix.lower() in tables.SUFFIXES:
            table = tables.read(path)
            if "score" in table.columns:
                return _of_table(table)
        vectors = unlabelled(path)
        if vectors is not None:
            return cls.from_vectors(vectors, distance=distance)
        return cls.of(Scores.open(path, distance=distance))


def _flat(path: Path) -> np.ndarray | None:
    """A one-dimensional array of numbers; None for anything else, which `Scores.open` judges."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return found if found.ndim == 1 and found.dtype.kind in "fiu" else None


def _of_table(table: Table) -> ProductionScores:
    scores = np.array(
        [
            number(field, place)
            for field, place in zip(table.column("score"), table.places, strict=True)
        ]
    )
    told = table.columns.get("same", ("",) * len(scores))
    same = np.array([_truth(field, place) for field, place in zip(told, table.places, strict=True)])
    first, second, unit = _ends(table)
    if unit == "identity":
        same = _checked(same, first == second, table)
    days = sorted(filter(None, table.columns.get("at", ())))
    groups = table.columns.get("group")
    return ProductionScores(
        scores=scores,
        same=same,
        first=first,
        second=second,
        unit=unit,
        groups=groups if groups is not None and any(groups) else None,
        span=(days[0], days[-1]) if days else None,
    )


def _ends(table: Table) -> tuple[np.ndarray, np.ndarray, Literal["identity", "thing", "pair"]]:
    count = len(table.places)
    for left, right, unit in ENDS:
        if {left, right} <= table.columns.keys() and any(table.columns[left]):
            codes, _ = coded(table.column(left) + table.column(right))
            return codes[:count], codes[count:], "identity" if unit == "identity" else "thing"
    each = np.arange(count)
    return each, each, "pair"


def _checked(same: np.ndarray, equal: np.ndarray, table: Table) -> np.ndarray:
    """The truth, filled in from equal identities where it is not said; pairs that contradict theirs are refused."""
    torn = np.flatnonzero((same == 1) & ~equal)
    if len(torn):
        raise DataError(
            f"{table.places[torn[0]]}: the pair is said to be the same, but of two identities"
        )
    return np.where(same < 0, equal.astype(np.int64), same)


def _truth(field: str, place: str) -> int:
    if not field:
        return -1
    return int(truth(field, place))

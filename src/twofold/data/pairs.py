"""Pairs: two items and whether (or how far) they are the same, read from a table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from twofold.data import tables
from twofold.data.fields import number, truth
from twofold.data.hashes import content_hash
from twofold.data.items import Items
from twofold.data.listing import coded
from twofold.data.tables import Table
from twofold.data.vectors import parsed
from twofold.errors import DataError
from twofold.plurals import counted
from twofold.records import shown

__all__ = ["Pairs", "things_of"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Pairs:
    """Pairs of things, each thing held once.

    Attributes:
        values, ids: the things that stand in any pair, as in Items; a text is its own id.
        index_a, index_b: the two things of each pair.
        answers: 1 for the same, 0 for different, or a graded score; None where the table does not
            say.
        identity: who each thing belongs to, a code into `identities`; None where the table does not
            say.
        groups: the group of each pair; None where the table does not say.
        grades: whether answers count as graded though they are all 0 or 1, as in a part of a graded
            table.
        columns: what the two columns of the table are called.
        notes: what was found out by looking, in words.
    """

    values: tuple[Any, ...]
    ids: tuple[str, ...]
    index_a: Int[np.ndarray, " pairs"]
    index_b: Int[np.ndarray, " pairs"]
    answers: Float[np.ndarray, " pairs"] | None = None
    identity: Int[np.ndarray, " things"] | None = None
    identities: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    grades: bool = False
    columns: tuple[str, str] = tables.ENDS[0]
    notes: tuple[str, ...] = ()

    @classmethod
    def from_table(cls, path: str | Path, *, columns: Sequence[str] = ()) -> "Pairs":
        """Pairs of a table: CSV, TSV, JSON lines or Parquet.

        Columns: `a` and `b`, files relative to the table's folder, or `text_a` and `text_b`, or
        `sequence_a` and `sequence_b`, `series_a` and `series_b`, or `vector_a` and `vector_b` (lists
        of numbers); `same` (1 or 0, true or false, yes or no) or `score` (a number, larger for more
        alike), if the truth is known; `identity_a` and `identity_b`, if there are; `group`, where each group has a
        threshold of its own.

        Args:
            columns: those that make up a record, each of them there twice: for ("name", "city") the
                table has name_a, name_b, city_a and city_b.

        Raises:
            DataError: a missing column or file, an unreadable answer, two identities for one thing;
                names the line.
            NotEnoughData: no rows.
            MissingExtra: Parquet without the extra `data`.
        """
        table = tables.read(Path(path), columns)
        ends = tables.ends_of(table) or tables.ENDS[0]
        names = table.column(ends[0]) + table.column(ends[1])
        records, names = names, tuple(map(shown, names)) if columns else names
        things = _things(table, ends) if ends[0] in ("a", "vector_a") else records
        index, ids = coded(names)
        where = dict(zip(names, things, strict=True))
        answers = _answers(table)
        said = f"{counted(len(table.places), 'pair')} of {counted(len(ids), _noun(ends))}"
        identity, identities = _identities(table, index, ids)
        return cls(
            values=tuple(where[name] for name in ids),
            ids=ids,
            index_a=index[: len(table.places)],
            index_b=index[len(table.places) :],
            answers=answers,
            identity=identity,
            identities=identities,
            groups=table.column("group") if "group" in table.columns else None,
            columns=ends,
            notes=(said if answers is None else f"{said}, {_said(answers)}",),
        )

    @staticmethod
    def found(path: str | Path, *, columns: Sequence[str] = ()) -> bool:
        """Whether a path is a table with two columns of things to compare: pairs, and no items."""
        path = Path(path)
        if not tables.is_table(path):
            return False
        return tables.ends_of(tables.read(path, columns)) is not None

    def __len__(self) -> int:
        return len(self.index_a)

    def __repr__(self) -> str:
        whose = f" of {len(self.identities)} identities" if self.identity is not None else ""
        return f"Pairs({len(self)} pairs of {len(self.ids)} things{whose})"

    def take(self, index: Int[np.ndarray, " m"]) -> "Pairs":
        """The pairs at these positions, in this order; the things stay."""
        return replace(
            self,
            index_a=self.index_a[index],
            index_b=self.index_b[index],
            answers=None if self.answers is None else self.answers[index],
            groups=None if self.groups is None else tuple(self.groups[i] for i in index),
            grades=self.answers is not None and self.graded,
        )

    def alone(self) -> "Pairs":
        """The same pairs without the things that stand in none of them."""
        used, index = np.unique(np.concatenate([self.index_a, self.index_b]), return_inverse=True)
        index = index.reshape(2, -1).astype(np.int64)
        return replace(
            self,
            values=tuple(self.values[place] for place in used),
            ids=tuple(self.ids[place] for place in used),
            index_a=index[0],
            index_b=index[1],
            identity=None if self.identity is None else self.identity[used],
        )

    @property
    def noun(self) -> str:
        """What one of the things is called: a file, a text, a sequence."""
        return _noun(self.columns)

    @property
    def positive(self) -> bool:
        """Whether all pairs are the same, so that nothing says what is different."""
        return not self.graded and bool((self.targets == 1.0).all())

    @property
    def graded(self) -> bool:
        """Whether the answers say how much alike two things are, and not only whether they are the same."""
        return self.grades or not np.isin(self.targets, (0.0, 1.0)).all()

    def refuse_graded(self, what: str) -> None:
        """Raise DataError where the answers are graded: `what` cannot be told from them."""
        if self.graded:
            raise DataError(
                f"the pairs have graded scores, from {self.targets.min():g} to "
                f"{self.targets.max():g}: {what} need "
                "the column same with 0 or 1 in place of score; write 1 from the score on that "
                "counts as the same"
            )

    @property
    def targets(self) -> Float[np.ndarray, " pairs"]:
        """The answers.

        Raises:
            DataError: the table does not say which pairs are the same.
        """
        if self.answers is None:
            raise DataError(
                "the pairs have no answers: the table needs a column same (0 or 1) or score (a "
                "number)"
            )
        return self.answers

    def content_hashes(self) -> tuple[str, ...]:
        """SHA-256 of each thing's content, as Items.content_hashes."""
        return tuple(content_hash(value) for value in self.values)


def _things(table: Table, ends: tuple[str, str]) -> tuple[Any, ...]:
    """Files, or vectors, of both columns, one after the other."""
    if ends == tables.ENDS[0]:
        return tables.located(table, ends[0]) + tables.located(table, ends[1])
    fields = table.column(ends[0]) + table.column(ends[1])
    return tuple(parsed(fields, table.places * 2).astype(np.float32))


def things_of(pairs: Pairs) -> Items:
    """What stands in the pairs, each thing once; without identities each thing is its own."""
    identity = np.arange(len(pairs.ids)) if pairs.identity is None else pairs.identity
    names = pairs.ids if pairs.identity is None else pairs.identities
    return Items(
        values=pairs.values,
        ids=pairs.ids,
        labels=identity,
        names=names,
        identity=identity,
        identities=names,
        forged=np.zeros(len(pairs.ids), dtype=bool),
    )


def _noun(columns: tuple[str, str]) -> str:
    return "file" if columns == tables.ENDS[0] else columns[0].removesuffix("_a")


def _said(answers: Float[np.ndarray, " pairs"]) -> str:
    if not np.isin(answers, (0.0, 1.0)).all():
        return f"graded from {answers.min():g} to {answers.max():g}"
    return f"{int(answers.sum())} the same and {int((answers == 0).sum())} different"


def _answers(table: Table) -> Float[np.ndarray, " pairs"] | None:
    told = [name for name in ("same", "score") if name in table.columns]
    if len(told) > 1:
        raise DataError(
            f"{table.path.name} has the columns same and score: leave one, so that it is clear "
            f"what counts"
        )
    if not told:
        return None
    read = truth if told[0] == "same" else number
    fields = zip(table.places, table.column(told[0]), strict=True)
    return np.array([read(field, place) for place, field in fields], dtype=np.float64)


def _identities(
    table: Table, index: Int[np.ndarray, " ends"], ids: tuple[str, ...]
) -> tuple[Int[np.ndarray, " things"] | None, tuple[str, ...]]:
    """One identity a thing, from the columns identity_a and identity_b."""
    if not {"identity_a", "identity_b"} & table.columns.keys():
        return None, ()
    names = table.column("identity_a") + table.column("identity_b")
    codes, identities = coded(names)
    identity = np.zeros(len(ids), dtype=np.int64)
    identity[index] = codes
    torn = np.flatnonzero(identity[index] != codes)
    if len(torn):
        end = int(torn[0])
        place, thing = table.places[end % len(table.places)], ids[index[end]]
        raise DataError(
            f"{place}: {thing} is of {names[end]!r} here, elsewhere of "
            f"{identities[identity[index[end]]]!r}"
        )
    return identity, identities

"""Items: what one learns from, by reference, with who it belongs to. Nothing is decoded here.

Law 2 rules: `labels` say which items are genuine to each other, `identity` is what a split may not
tear apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int

from twofold.config import Split
from twofold.data import fasta, file_names, folders, series_files, splits, tables, vectors
from twofold.data.hashes import content_hash
from twofold.data.listing import OPTIONAL, Listing, coded_fields, codes_of, natural, recoded, some
from twofold.errors import DataError, IdentityOverlap, UsageError

__all__ = ["Items", "Parts", "paired_identities"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Items:
    """References to labelled things.

    Two items are genuine to each other if and only if their `labels` are equal. A forgery has a
    label of its own (so it is nobody's genuine) and the identity of the writer that it imitates (so
    a split keeps it on the writer's side).

    Attributes:
        values: file paths, texts or arrays: whatever an input type reads.
        ids: one unique name per item: the path inside the folder, the path in the table, or a
            number.
        labels: class codes from 0 on; `names[labels[i]]` is the class of item i. Codes follow the
            names' natural order.
        identity: codes into `identities`; equal to the class except for forgeries.
        group: codes into `groups` (an alphabet, a camera), or None.
        source: codes into `sources` (the recording or photograph that it was cut from), or None.
        site: codes into `sites` (where its identity was recruited), or None.
        forged: True for forgeries.
        strays: what lay in the folder and was left out.
        notes: what was found out by looking, in words.
        metadata: what the other columns of a table say of each item, or None.
    """

    values: Sequence[Any]
    ids: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    names: tuple[str, ...]
    identity: Int[np.ndarray, " n"]
    identities: tuple[str, ...]
    forged: Bool[np.ndarray, " n"]
    group: Int[np.ndarray, " n"] | None = None
    groups: tuple[str, ...] = ()
    source: Int[np.ndarray, " n"] | None = None
    sources: tuple[str, ...] = ()
    site: Int[np.ndarray, " n"] | None = None
    sites: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metadata: tuple[Mapping[str, str | int | float], ...] | None = None

    @classmethod
    def open(cls, path: str | Path, levels: int = 1, *, columns: Sequence[str] = ()) -> "Items":
        """Items of a folder, of a table, of a FASTA file or of a file of series, whichever the path is.

        Args:
            levels: as in `from_folder`; with 0 a table needs no column `label` either.
            columns: of a table, as in `from_table`.

        Raises:
            DataError: neither; says what was looked for.
        """
        path = Path(path)
        if not columns and series_files.found_in(path):
            return cls.from_series(path, labelled=levels > 0)
        if not columns and vectors.found_in(path):
            return cls.from_table(path, labelled=levels > 0)
        if path.is_dir():
            folders.refuse_products(path)
            if file_names.asked_for() and levels > 0:
                return cls.from_file_names(path)
            return cls.from_folder(path, levels=levels)
        if tables.is_table(path):
            return cls.from_table(path, labelled=levels > 0, columns=columns)
        if path.suffix.lower() in fasta.FASTA and path.is_file():
            return cls.from_fasta(path, labelled=levels > 0)
        state = "is neither" if path.exists() else "does not exist: DATA is"
        raise DataError(
            f"{path} {state} a folder with one sub-folder per identity or a table "
            f"({', '.join(tables.SUFFIXES)}) with the columns path (or text, sequence, series, "
            f"vector) and label, vectors (.npy), series (.ts; .tsv or .txt with a label and numbers in "
            f"each line) or sequences ({', '.join(fasta.FASTA)})"
        )

    @classmethod
    def from_folder(
        cls, path: str | Path, *, levels: int = 1, suffixes: frozenset[str] | None = None
    ) -> "Items":
        """Items of a folder with one sub-folder per identity.

        A sub-folder `X_forg` (`X_forged`, `X_forgery`) next to `X` holds forgeries of X. Hidden
        files are skipped, files outside the identity folders are `strays`. Files are not opened:
        the doctor finds the undecodable ones.

        Args:
            levels: 1: `identity/file`; 2: `group/identity/file`, labelled "group/identity"; 0:
                files at any depth that nobody has labelled: each is a class of its own, named by
                its id.
            suffixes: lower-case endings (".png") that count; None: every file counts.

        Raises:
            DataError: no such folder.
            NotEnoughData: no file stands where it should; says what stands there instead.
        """
        return cls(**coded_fields(folders.scan(Path(path), levels, suffixes)))

    @classmethod
    def from_table(
        cls, path: str | Path, *, labelled: bool = True, columns: Sequence[str] = ()
    ) -> "Items":
        """Items of a table: CSV, TSV, JSON lines or Parquet.

        Columns: `path` (relative to the table's folder) or `text`, `sequence` or `series`, or vectors (see
        `data.vectors`; also for .npy and folders of `twofold embed`); `label`; and if there are,
        `group`, `source`, `site`, and `forgery_of`, which names the label that the row imitates
        (its own label is then not used). All other columns are the items' `metadata`.

        Args:
            labelled: False takes a table without the column `label`, too: each row is then a class
                of its own.
            columns: those that make up a record, in the place of `text`, for an input with these
                `fields`: ("name", "street", "city").

        Raises:
            DataError: a column or a file is missing, a label is empty; names the line.
            NotEnoughData: no rows.
            MissingExtra: Parquet without the extra `data`.
        """
        table = tables.read(Path(path), columns) if columns else vectors.read(Path(path))
        if (ends := tables.ends_of(table)) is not None:
            raise DataError(
                f"{path} is a table of pairs (columns {ends[0]} and {ends[1]}); "
                "give labelled items: a folder with one sub-folder per identity, "
                "or a table with the columns path and label. Pairs are for "
                "train, calibrate, evaluate and verify --pairs (in Python: Pairs)"
            )
        return cls(**coded_fields(tables.rows_as_items(table, labelled=labelled)))

    @classmethod
    def from_fasta(
        cls, path: str | Path, *, labelled: bool = True, field: int | None = None
    ) -> "Items":
        """Items of a FASTA file: one per record, labelled by a field of its header.

        Args:
            labelled: False: where no field fits, each record is a class of its own, named by its
                header.
            field: which field is the label, from 1 on; fields stand between bars, semicolons, tabs
                or else blanks. None: the finest field that most records share with others; `notes`
                says which one that is.

        Raises:
            DataError: not FASTA, or no field fits.
            NotEnoughData: no records.
        """
        return cls(**coded_fields(fasta.listed(Path(path), labelled=labelled, field=field)))

    @classmethod
    def from_file_names(cls, path: str | Path, *, field: int | None = None) -> "Items":
        """Items of a folder whose file names say what the files are: `7_jackson_32.wav`.

        Args:
            field: which field of the name is the label, from 1 on; fields stand between `_`, `-`,
                blanks or points. None: what `--label-field` says.

        Raises:
            UsageError: no field is named. DataError: a name without that field.
            NotEnoughData: no files.
        """
        return cls(**coded_fields(file_names.listed(Path(path), field=field)))

    @classmethod
    def from_series(cls, path: str | Path, *, labelled: bool = True) -> "Items":
        """Items of a file of time series, float64 (length, channels): see `data.series_files`."""
        return cls(**coded_fields(series_files.listed(Path(path), labelled=labelled)))

    @classmethod
    def from_arrays(
        cls,
        arrays: Sequence[Any] | np.ndarray,
        labels: Sequence[Any] | np.ndarray,
        *,
        group: Sequence[Any] | np.ndarray | None = None,
        source: Sequence[Any] | np.ndarray | None = None,
        site: Sequence[Any] | np.ndarray | None = None,
        ids: Sequence[str] | None = None,
    ) -> "Items":
        """Items of arrays in memory (or of any other values that the input type reads).

        Args:
            arrays: one array per item, or one array whose first axis counts items.
            labels: class of each item, a number or a name.
            group, source, site: of each item (see `Items`).
            ids: unique names; "0", "1", ... where not given.

        Raises:
            DataError: lengths that differ, or an id twice. NotEnoughData: no items.
        """
        names = tuple(str(label) for label in labels)
        listing = Listing(
            values=tuple(arrays),
            ids=tuple(ids) if ids is not None else tuple(str(i) for i in range(len(names))),
            labels=names,
            identities=names,
            groups=None if group is None else tuple(str(name) for name in group),
            sources=None if source is None else tuple(str(name) for name in source),
            sites=None if site is None else tuple(str(name) for name in site),
        )
        return cls(**coded_fields(listing))

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        forged = f", {int(self.forged.sum())} of them forgeries" if self.forged.any() else ""
        groups = f" in {len(self.groups)} groups" if self.groups else ""
        return f"Items({len(self)} items of {len(self.identities)} identities{groups}{forged})"

    def take(self, index: Int[np.ndarray, " m"] | Sequence[int]) -> "Items":
        """The items at these positions, in this order; codes are made anew, so that they run from 0 without gaps."""
        index = np.asarray(index, dtype=np.int64)
        labels, names = recoded(self.labels[index], self.names)
        identity, identities = recoded(self.identity[index], self.identities)
        optional: dict[str, Any] = {}
        for field, table in OPTIONAL:
            if (codes := getattr(self, field)) is not None:
                optional[field], optional[table] = recoded(codes[index], getattr(self, table))
        taken = Items(
            values=tuple(self.values[i] for i in index),
            ids=tuple(self.ids[i] for i in index),
            labels=labels,
            names=names,
            identity=identity,
            identities=identities,
            forged=self.forged[index],
            **optional,
            metadata=None if self.metadata is None else tuple(self.metadata[i] for i in index),
        )
        if known := self.__dict__.get("_contents"):
            taken.__dict__["_contents"] = tuple(known[i] for i in index)
        if decoded := self.__dict__.get("_decoded"):
            taken.__dict__["_decoded"] = decoded
        if (features := self.__dict__.get("_features")) is not None:
            taken.__dict__["_features"] = features
        return taken

    def where(
        self, *, identities: Sequence[str] | None = None, groups: Sequence[str] | None = None
    ) -> "Items":
        """The items of these identities (their forgeries with them), of these groups, or of both, in the old order.

        Raises:
            DataError: a name that no item has.
        """
        keep = np.ones(len(self), dtype=bool)
        if identities is not None:
            keep &= np.isin(self.identity, codes_of(identities, self.identities, "identity"))
        if groups is not None:
            if self.group is None:
                raise DataError(
                    f"groups {some(groups)} were asked for, but the items have no groups"
                )
            keep &= np.isin(self.group, codes_of(groups, self.groups, "group"))
        return self.take(np.flatnonzero(keep))

    def at_sites(self, of: Literal["site", "group", "none"]) -> "Items":
        """The same items, their sites being their groups ("group"), or with no sites ("none"); "site": as they are.

        Raises:
            DataError: there are no groups.
        """
        if of == "none":
            return replace(self, site=None, sites=())
        if of == "group" and self.group is None:
            raise DataError(
                "the items have no groups to be sites: give a column group, or folders of folders"
            )
        return self if of == "site" else replace(self, site=self.group, sites=self.groups)

    def split(
        self,
        train: float | int = 0.7,
        valid: float | int = 0.1,
        *,
        calibrate: float | int = 0.1,
        test: float | int = 0.1,
        seed: int = 0,
        by: str = "identity",
    ) -> "Parts":
        """Four parts that share no identity; the same for the same identities and seed, whatever the order of rows.

        Identities with and without a genuine pair are dealt out apart. A part whose share is not 0
        gets at least two identities with a genuine pair.

        Args:
            train, valid, calibrate, test: shares, which add up to 1.
            by: "identity", or "group" to keep whole groups on one side.

        Raises:
            UsageError: shares that do not add up to 1.
            NotEnoughData: too few identities with a genuine pair; says how many it takes.
            IdentityOverlap: by="group" and an identity stands in two groups.
        """
        shares = {"train": train, "valid": valid, "calibrate": calibrate, "test": test}
        if by not in ("identity", "group"):
            raise UsageError(f"by={by!r}: a split goes by 'identity' or by 'group'")
        deal = splits.deal_identities
        if by == "group":
            group = splits.Groups(codes=_group_of_identities(self), names=self.groups)
            deal = partial(splits.deal_groups, group=group)
        dealt = deal(self.identities, paired_identities(self), shares=shares, seed=seed)
        return Parts(**{part: self.where(identities=names) for part, names in dealt.items()})

    def parts(self, split: Split, *, seed: int = 0) -> "Parts":
        """The parts that the `split` of a recipe asks for; see `split`."""
        by = "group" if split.by_group else "identity"
        return self.split(
            split.train, split.valid, calibrate=split.calibrate, test=split.test, seed=seed, by=by
        )

    def folds(self, count: int, *, seed: int = 0) -> tuple[tuple[str, ...], ...]:
        """The identities in folds of equal size; those with a genuine pair are dealt apart from the others."""
        paired = paired_identities(self)
        order = []
        for side in (True, False):
            names = [name for name, has in zip(self.identities, paired, strict=True) if has == side]
            order += splits.shuffled_names(names, seed)
        return tuple(tuple(sorted(order[fold::count], key=natural)) for fold in range(count))

    def without(self, identities: Sequence[str]) -> "Items":
        """The items of all other identities."""
        left_out = set(identities)
        return self.where(identities=[name for name in self.identities if name not in left_out])

    def content_hashes(self) -> tuple[str, ...]:
        """SHA-256 of each item's content: of the file's bytes, of the text, or of the array with its shape and type.

        Raises:
            UnreadableInput: a file that cannot be read.
        """
        return self._contents

    @cached_property
    def _contents(self) -> tuple[str, ...]:
        """Hashed once, and handed on by `take`: reading a million files twice takes long."""
        return tuple(content_hash(value) for value in self.values)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Four sets of items that share no identity."""

    train: Items
    valid: Items
    calibrate: Items
    test: Items

    def names(self) -> dict[str, tuple[str, ...]]:
        """Part -> its identities' names: what `Items.where(identities=...)` takes to get the part again."""
        return {part: getattr(self, part).identities for part in splits.PARTS}


def paired_identities(items: Items) -> Bool[np.ndarray, " identities"]:
    """Which identities have a genuine pair."""
    counts = np.bincount(items.labels, minlength=len(items.names))
    paired = np.zeros(len(items.identities), dtype=bool)
    paired[items.identity[counts[items.labels] >= 2]] = True
    return paired


def _group_of_identities(items: Items) -> Int[np.ndarray, " identities"]:
    if items.group is None:
        raise UsageError(
            "a split by group needs groups: a table with the "
            "column group, or folders of folders (--levels 2)"
        )
    group = np.zeros(len(items.identities), dtype=np.int64)
    group[items.identity] = items.group
    torn = np.unique(items.identity[group[items.identity] != items.group])
    if len(torn):
        names = some(items.identities[i] for i in torn)
        raise IdentityOverlap(
            f"identities in more than one group: {names}. Split by identity instead"
        )
    return group

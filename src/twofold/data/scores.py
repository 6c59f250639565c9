"""Scores or vectors of some other model, with the identities they belong to: from CSV, TSV, Parquet, npy."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.contract import scores_block
from twofold.data import tables, vectors
from twofold.data.fields import number, truth
from twofold.data.listing import coded, some
from twofold.data.tables import Table
from twofold.errors import DataError, NotEnoughData
from twofold.metrics.pairs import AllPairs, PairList, PairSource
from twofold.metrics.sites import BySite, sites_of_identities
from twofold.plurals import counted

__all__ = ["NO_IDENTITIES", "Scores", "unlabelled"]

NO_IDENTITIES = (
    "the identities of the pairs are not given (columns identity_a and identity_b): pairs that "
    "share people are "
    "not independent"
)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scored pairs of any model, larger being more alike.

    Attributes:
        pairs: scores, truth, and the identities of either side.
        unit: "identity"; "pair" where the identities are not given, so that nothing can be
            certified.
        identities: how many there are; 0 where nobody said.
        dim, distance: of the vectors that the scores were made from; 0 and "score" where the scores
            were given.
        sites: the site of each identity of `pairs`, where those recruited together are not
            independent; else None.
    """

    pairs: PairSource
    unit: str
    identities: int
    dim: int = 0
    distance: str = "score"
    sites: Int[np.ndarray, "identities"] | None = None

    @property
    def by_site(self) -> PairSource:
        """The pairs, their units being sites where there are such."""
        return self.pairs if self.sites is None else BySite(self.pairs, self.sites)

    @classmethod
    def from_arrays(
        cls,
        scores: Float[np.ndarray, "n"],
        same: Bool[np.ndarray, "n"],
        *,
        first: Int[np.ndarray, "n"] | None,
        second: Int[np.ndarray, "n"] | None,
    ) -> "Scores":
        """Scores that are in memory.

        Args:
            same: whether a pair is genuine.
            first, second: codes of the identities of either side; None: not known, so that nothing
                can be certified.

        Raises:
            DataError: a score is not finite.
        """
        if first is None or second is None:
            each = np.arange(len(scores))
            return cls(
                pairs=PairList(scores, same, first=each, second=each), unit="pair", identities=0
            )
        pairs = PairList(scores, same, first=first, second=second)
        return cls(pairs=pairs, unit="identity", identities=pairs.units)

    @classmethod
    def from_vectors(
        cls,
        vectors: Float[np.ndarray, "n dim"],
        labels: Int[np.ndarray, "n"],
        *,
        identity: Int[np.ndarray, "n"] | None = None,
        source: Int[np.ndarray, "n"] | None = None,
        site: Int[np.ndarray, "n"] | None = None,
        distance: str = "cosine",
    ) -> "Scores":
        """Every pair of vectors, scored by a plain distance as the pairs are gone through.

        Args:
            labels: two vectors are genuine when their labels are equal.
            identity: what is resampled, None: the labels; a skilled forgery has the identity of the
                writer it imitates.
            source: recording of each vector; those of one identity and one recording count as one.
            site: where the identity of each vector was recruited; sites are then what is certified.
            distance: cosine, euclidean, squared_euclidean or manhattan.

        Raises:
            DataError: an identity stands at two sites.
            NotEnoughData: fewer than two vectors.
        """
        if len(vectors) < 2:
            raise NotEnoughData(
                f"{counted(len(vectors), 'vector', 'makes')} no pair: give several of each identity"
            )

        def score(
            rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]
        ) -> Float[np.ndarray, "rows cols"]:
            return scores_block(distance, vectors[rows], vectors[cols])

        pairs = AllPairs(score, labels, identity=identity, source=source)
        sites = None if site is None else _sites(labels if identity is None else identity, site)
        return cls(
            pairs=pairs,
            unit="identity",
            identities=pairs.units,
            dim=vectors.shape[1],
            distance=distance,
            sites=sites,
        )

    @classmethod
    def open(cls, path: str | Path, *, distance: str = "cosine") -> "Scores":
        """Scores or vectors in a file.

        - A table (CSV, TSV, Parquet) with the column `score`: one pair a row. `identity_a` and
          `identity_b` say whose the two sides are; `same` (1 or 0) says whether the pair is
          genuine, by default when the two are equal.
        - A table with the columns `vector` ("[0.1, 0.2]", or a list in Parquet) and `label`: every
            pair is scored.
        - Columns of numbers and `label`, or a folder that `twofold embed` wrote, likewise.
        - `NAME.npy` (n x dim) beside a table `NAME.csv` (or .tsv, .parquet) with the column
            `label`, row for row.

        With vectors an optional column `forgery_of` names the label that a row imitates: an
        impostor of that identity. `source` says which vectors are of one recording, `site` (or
        `site_a` and `site_b` beside `identity_a` and `identity_b`) where an identity was recruited.

        Raises:
            DataError: no such file or column, a field that is not a number; names the line.
            MissingExtra: Parquet without the extra `data`.
        """
        path = Path(path)
        if path.suffix.lower() == ".npy":
            beside = vectors.table_beside(path)
            if beside is None:
                raise DataError(
                    f"{path.name} does not say whose its vectors are: put a table {path.stem}.csv "
                    f"beside it, with a "
                    "column label and a row for each vector. Pairs that share people are not "
                    "independent, so "
                    "nothing can be told without identities"
                )
            return _with_labels(vectors.array_in(path), tables.read(beside), distance)
        table = vectors.read(path)
        if "score" in table.columns:
            return _scored(table)
        if table.vectors is not None:
            return _with_labels(table.vectors.astype(np.float64), table, distance)
        raise DataError(
            f"{path.name} has neither a column score nor a column vector: its columns are "
            f"{some(table.columns, 12)}"
        )


def _scored(table: Table) -> Scores:
    scores = np.array([number(field, place) for field, place in _fields(table, "score")])
    known = {"identity_a", "identity_b"} & table.columns.keys()
    if not known:
        same = np.array([truth(field, place) for field, place in _fields(table, "same")])
        return Scores.from_arrays(scores, same, first=None, second=None)
    codes, _ = coded(table.column("identity_a") + table.column("identity_b"))
    first, second = codes[: len(scores)], codes[len(scores) :]
    sites = _listed_sites(table, first, second)
    if "same" not in table.columns:
        return replace(
            Scores.from_arrays(scores, first == second, first=first, second=second), sites=sites
        )
    same = np.array([truth(field, place) for field, place in _fields(table, "same")])
    torn = np.flatnonzero(same & (first != second))
    if len(torn):
        raise DataError(
            f"{table.places[torn[0]]}: the pair is said to be the same, but of two identities "
            f"({table.columns['identity_a'][torn[0]]!r} and "
            f"{table.columns['identity_b'][torn[0]]!r})"
        )
    return replace(Scores.from_arrays(scores, same, first=first, second=second), sites=sites)


def _listed_sites(table: Table, first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
    """The site of each identity of a table of scored pairs; None: it has no such columns."""
    if not {"site_a", "site_b"} <= table.columns.keys():
        return None
    sites, _ = coded(table.column("site_a") + table.column("site_b"))
    return _sites(np.concatenate([first, second]), sites)


def _sites(identity: np.ndarray, site: np.ndarray) -> np.ndarray:
    return sites_of_identities(
        identity, site, [f"number {code}" for code in range(int(identity.max(initial=-1)) + 1)]
    )


def _with_labels(vectors: np.ndarray, table: Table, distance: str) -> Scores:
    if len(vectors) != len(table.places):
        raise DataError(
            f"{len(vectors)} vectors, and {len(table.places)} rows in {table.path.name}: one row "
            f"per vector"
        )
    if "label" not in table.columns:
        raise DataError(
            f"{table.path.name} has no column label: without identities no pair is known to be "
            f"genuine, and pairs that "
            f"share people are not independent; its columns are {some(table.columns, 12)}"
        )
    imitated = table.columns.get("forgery_of", ("",) * len(vectors))
    labels = table.columns["label"] if any(imitated) else table.column("label")
    owners, _ = coded(tuple(of or label for label, of in zip(labels, imitated, strict=True)))
    # a forgery is a class of its own, resampled with the identity that it imitates
    alone = np.array([bool(of) for of in imitated])
    classes = np.where(alone, owners.max() + 1 + np.arange(len(vectors)), owners)
    found = {
        name: coded(table.column(name))[0] for name in ("source", "site") if name in table.columns
    }
    return Scores.from_vectors(vectors, classes, identity=owners, distance=distance, **found)


def _fields(table: Table, name: str) -> list[tuple[str, str]]:
    return list(zip(table.column(name), table.places, strict=True))


def unlabelled(path: Path) -> Float[np.ndarray, "n dim"] | None:
    """Vectors in a file that does not say whose they are: an array with no table beside it, a table without labels.

    Raises:
        DataError: it cannot be read.
    """
    if path.suffix.lower() == ".npy":
        return None if vectors.table_beside(path) else vectors.array_in(path)
    table = vectors.read(path)
    if table.vectors is None or "label" in table.columns or "score" in table.columns:
        return None
    return table.vectors.astype(np.float64)

"""Records of engines on other machines: rows with their hash, exact scores of candidates, scans."""

import json
from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.errors import DamagedIndex, StoreError
from twofold.plurals import counted
from twofold.results import Embeddings, Finding, Hit, Inspection
from twofold.store.exact import SAME, neighbours, within
from twofold.store.sqlite.rows import digest

__all__ = [
    "LONGEST",
    "SPARE",
    "Record",
    "bound",
    "check_long",
    "checked",
    "decided",
    "embeddings",
    "in_range",
    "inspection",
    "nearest_first",
    "ranked",
    "refuse_missing",
    "scan",
    "scan_range",
]

# bytes of an id or a label: what a primary key of either engine takes with room to spare
LONGEST = 1024
SPARE = 16  # candidates more than asked: the engines order by float32, the answer by float64
ROUNDED = 4.0  # times the usual bound of a float32 sum: servers add in their own ways
# of a float32 distance; the exact score removes what it lets through in excess
SLACK = 1e-3


class Record(NamedTuple):
    """One row as an engine keeps it; `metadata` is JSON, `vector` float32 of length dim."""

    id: str
    label: str
    metadata: str
    vector: np.ndarray

    def digest(self) -> bytes:
        """SHA-256 of the row."""
        vector = self.vector.astype("<f4", copy=False).tobytes()
        return digest(self.id.encode(), self.label.encode(), self.metadata.encode(), vector)

    def hit(self, score: float) -> Hit:
        """The row as an answer."""
        return Hit(id=self.id, label=self.label, score=score, metadata=json.loads(self.metadata))


def checked(record: Record, found: bytes, place: str) -> Record:
    """The record, or an error where it is not what was written."""
    if record.digest() != found:
        raise DamagedIndex(
            f"the row {record.id!r} of {place} is not what was written (SHA-256): somebody or "
            "something else changed it. Add the item again, or remove it"
        )
    return record


def check_long(names: Iterable[str]) -> None:
    """Refuse ids and labels that a key of the engines cannot hold."""
    for name in names:
        if len(name.encode()) > LONGEST:
            raise StoreError(
                f"{name[:40]!r}... is not a valid id or label "
                f"for this engine: give at most {LONGEST} bytes"
            )


def refuse_missing(ids: Sequence[str], found: Container[str], place: str) -> None:
    """Raise StoreError for the first id that is not there."""
    if missing := [name for name in ids if name not in found]:
        raise StoreError(f"{place} holds no item {missing[0]!r}: see index.ids for those it holds")


def embeddings(contract: Contract, records: Sequence[Record]) -> Embeddings:
    """Rows as what was once added."""
    vectors = (
        np.stack([each.vector for each in records]) if records else np.empty((0, contract.dim))
    )
    return Embeddings(
        ids=tuple(each.id for each in records),
        labels=tuple(each.label for each in records),
        vectors=vectors.astype(np.float32),
        fingerprint=contract.fingerprint,
        metadata=tuple(json.loads(each.metadata) for each in records),
    )


def ranked(
    contract: Contract, query: Float[np.ndarray, "dim"], records: Sequence[Record]
) -> list[Hit]:
    """Hits with the contract's exact scores, best first; equal ones in the order of their ids."""
    if not records:
        return []
    scores = contract.each_score(query, np.stack([each.vector for each in records]))
    return sorted(map(Record.hit, records, scores.tolist()), key=rank)


def nearest_first(
    contract: Contract, query: Float[np.ndarray, "dim"], records: Sequence[Record]
) -> list[Record]:
    """Records, best first; equal scores in the order of their ids."""
    by_id = {each.id: each for each in records}
    return [by_id[hit.id] for hit in ranked(contract, query, records)]


def rank(hit: Hit) -> tuple[float, str]:
    """The sort key of a hit: its score, then its id."""
    return -hit.score, hit.id


def decided(
    contract: Contract,
    query: Float[np.ndarray, "dim"],
    records: Sequence[Record],
    *,
    hits: Sequence[Hit],
    k: int,
) -> bool:
    """Whether no row that the server has not sent can come before the k-th hit: float32 orders near ties arbitrarily.

    Args:
        records: what the server sent, the nearest by its own count. hits: the same, ranked.
    """
    if len(hits) <= k:
        return False
    kth, last = (float(contract.score(hit.score)) for hit in (hits[k - 1], hits[-1]))
    rounded = ROUNDED * (contract.dim + 4) * 2.0**-24
    if contract.distance == "cosine":
        return last > kth + rounded
    if contract.distance == "manhattan":
        return last > kth * (1 + rounded)
    if contract.distance == "euclidean":
        kth, last = kth**2, last**2
    longest = max(float(np.linalg.norm(each.vector.astype(np.float64))) for each in records)
    return last > kth + rounded * (longest + float(np.linalg.norm(query.astype(np.float64)))) ** 2


def scan(
    contract: Contract,
    queries: Float[np.ndarray, "q dim"],
    blocks: Iterable[Sequence[Record]],
    *,
    k: int,
) -> list[list[Hit]]:
    """The exact answer for all queries in one pass over all rows; memory holds one block."""
    best: list[list[Hit]] = [[] for _ in queries]
    for block in blocks:
        rows = np.stack([each.vector for each in block])
        found = neighbours(contract, queries, rows, k=min(k, len(block)))
        for hits, (places, scores) in zip(best, found, strict=True):
            worst = hits[-1].score if len(hits) == k else -np.inf
            near = zip(places.tolist(), scores.tolist(), strict=True)
            hits += [block[place].hit(score) for place, score in near if score >= worst]
            hits.sort(key=rank)
            del hits[k:]
    return best


def scan_range(
    contract: Contract,
    queries: Float[np.ndarray, "q dim"],
    blocks: Iterable[Sequence[Record]],
    score: float,
) -> list[list[Hit]]:
    """All rows of at least a score, for all queries in one pass over all rows."""
    found: list[list[Hit]] = [[] for _ in queries]
    for block in blocks:
        rows = np.stack([each.vector for each in block])
        for query, hits in zip(queries, found, strict=True):
            places, scores = within(contract, query[None], rows, score)
            hits += [
                block[place].hit(each)
                for place, each in zip(places.tolist(), scores.tolist(), strict=True)
            ]
    for hits in found:
        hits.sort(key=rank)
    return found


def in_range(
    contract: Contract,
    queries: Float[np.ndarray, "q dim"],
    found: Sequence[Sequence[Record]],
    score: float,
) -> list[list[Hit]]:
    """Of the records that a server sent for each query those that score at least `score` (to 12 digits)."""
    least = score - SAME * max(1.0, abs(score))
    hits = [ranked(contract, query, records) for query, records in zip(queries, found, strict=True)]
    return [[hit for hit in one if hit.score >= least] for one in hits]


def bound(contract: Contract, score: float) -> float:
    """A distance that no row of at least this score exceeds, even computed in float32."""
    distance = float(contract.score(score))  # distance = zero - score, as score = zero - distance
    # the cosine is 1 minus a sum of terms of its own size;
    # the others are sums of what is small where they are
    return distance + SLACK * (1.0 if contract.distance == "cosine" else abs(distance))


def inspection(items: int, *, wrong: Sequence[str], place: str, dropped: bool) -> Inspection:
    """What a check of all rows has found, and whether the damaged ones were dropped."""
    found = []
    if wrong:
        shown = ", ".join(map(repr, wrong[:5])) + (" ..." if len(wrong) > 5 else "")
        message = f"{counted(len(wrong), 'row', 'is')} not as written (SHA-256) in {place}: {shown}"
        remedy = (
            "they were taken out: add them again"
            if dropped
            else "add them again, or repair, which takes them out"
        )
        found.append(
            Finding(
                level="warning" if dropped else "fatal", code="row", message=message, remedy=remedy
            )
        )
    gone = tuple(wrong) if dropped else ()
    repaired = (f"took out {len(gone)} damaged rows",) if gone else ()
    return Inspection(items=items, findings=tuple(found), dropped=gone, repaired=repaired)

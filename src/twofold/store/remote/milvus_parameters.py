"""How Milvus is told to search: what each kind of index is built and searched with, metrics, edges of ranges."""

from collections.abc import Mapping

import numpy as np

from twofold.contract import Contract

__all__ = ["INDEXES", "compares", "exactly", "metric", "quickly", "radius"]

INDEXES: Mapping[str, tuple[dict[str, int], dict[str, int]]] = {
    "FLAT": ({}, {}),
    "IVF_FLAT": ({"nlist": 1024}, {"nprobe": 64}),
    "HNSW": ({"M": 16, "efConstruction": 200}, {"ef": 200}),
    "DISKANN": ({}, {"search_list": 200}),
    "AUTOINDEX": ({}, {}),
}
"""Kinds of index over the vectors: what each is built with, and what it is searched with."""


def metric(contract: Contract) -> str:
    """The metric by which Milvus compares vectors; for other distances rows are read and compared here."""
    return "COSINE" if contract.distance == "cosine" else "L2"


def compares(contract: Contract) -> bool:
    """Whether Milvus knows this distance."""
    return contract.distance in ("cosine", "euclidean", "squared_euclidean")


def exactly(index: str) -> Mapping[str, int] | None:
    """Parameters with which no row is missed; None if this kind of index cannot do that."""
    if index == "FLAT":
        return {}
    return {"nprobe": INDEXES["IVF_FLAT"][0]["nlist"]} if index == "IVF_FLAT" else None


def quickly(index: str, k: int) -> Mapping[str, int]:
    """Parameters with which little is missed; a graph's list of candidates must be longer than the answer."""
    _, how = INDEXES[index]
    return {name: value if name == "nprobe" else max(value, 2 * k) for name, value in how.items()}


def radius(contract: Contract, furthest: float) -> float:
    """The edge of a range in Milvus: the least cosine, or the largest squared distance."""
    if contract.distance == "cosine":
        return 1.0 - furthest
    square = furthest if contract.distance == "squared_euclidean" else furthest**2
    return max(square, float(np.finfo(np.float32).tiny))

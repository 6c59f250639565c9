"""What a search asks PostgreSQL: the rows near queries among those that pass a filter, by a scan or by the graph."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.store.filters import Condition
from twofold.store.remote.postgres_server import filtered
from twofold.store.remote.postgres_table import Table
from twofold.store.remote.records import Record

__all__ = ["LISTED", "Passing", "narrowed", "nearest", "within"]

# candidates that a search in the graph keeps: at least, at most (pgvector's limit)
EXPANSION = 200, 1000
# rows that a walk through the graph looks at, at most; fewer where more than ALL_COMPARED pass
WALK = 100_000
QUERIES = 64  # in one statement: bounds what one answer takes
# Rows that pass a filter are all compared up to ALL_COMPARED, or
# ALL_COMPARED_ROOT times the root of all rows: what a walk meets for one that
# passes grows with all rows, what a comparison costs with those that pass.
ALL_COMPARED, ALL_COMPARED_ROOT = 5000, 12
WORK_MEMORY = "64MB"  # in which those rows stay beside the queries; else they go through a file

LISTED = "row = ANY(%s)"
Passing = tuple[str, list[Any]]
"""A condition in SQL with its values."""


def narrowed(table: Table, filters: Sequence[Condition]) -> Passing:
    """The condition of a filter with its values; if few rows pass it, those rows, so that it is tested once.

    The server estimates well how many rows have a value, but next to none for any range, which it
    would then test on all rows for every query. So small estimates are checked.
    """
    condition, values = filtered(filters)
    if not filters:
        return condition, values
    estimate = "SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)"
    [(known,)] = table.rows(estimate, [table.address.table])
    few = max(ALL_COMPARED, int(ALL_COMPARED_ROOT * max(known, 0) ** 0.5))
    rows = "SELECT row FROM {table} WHERE {condition} LIMIT %s"
    [([plan],)] = table.rows(
        f"EXPLAIN (FORMAT JSON) {rows}", [*values, few + 1], condition=condition
    )
    if plan["Plan"]["Plan Rows"] > few:
        return condition, values
    found = [row for (row,) in table.rows(rows, [*values, few + 1], condition=condition)]
    return (LISTED, [found]) if len(found) <= few else (condition, values)


def nearest(
    table: Table, queries: Float[np.ndarray, "q dim"], k: int, passing: Passing, *, graph: bool
) -> list[list[Record]]:
    """The rows nearest to each query as the server counts, in the order of their numbers."""
    order = "ORDER BY {vector} {operator} {query} LIMIT %s"
    return _ask(table, queries, order, k, width=k if graph else 0, passing=passing)


def within(
    table: Table, queries: Float[np.ndarray, "q dim"], furthest: float, passing: Passing
) -> list[list[Record]]:
    """The rows up to a distance from each query, in the order of their numbers; every row is compared."""
    chosen = "WHERE {vector} {operator} {query} <= %s"
    return _ask(table, queries, chosen, furthest, width=0, passing=passing)


def _ask(
    table: Table, queries: np.ndarray, chosen: str, value: float, *, width: int, passing: Passing
) -> list[list[Record]]:
    """The records that are chosen for each query among those that pass a filter, in the order of their rows.

    Args:
        chosen: SQL that takes one value.
        width: for how many rows of each the graph is searched; 0: not at all, every row is
            compared.
    """
    condition, values = passing
    kind = table.graph if width and table.graph else "vector"
    # rows that pass are read once for all queries, or as they are met
    at_once = "" if values and not width else "NOT"
    statement = table.named(
        f"WITH passing AS {at_once} MATERIALIZED (SELECT row, {{columns}} FROM {{table}} "
        f"WHERE {{condition}}) "
        "SELECT n, r.* FROM unnest(%s::vector[]) WITH ORDINALITY AS q(v, n) "
        f"CROSS JOIN LATERAL (SELECT * FROM passing {chosen}) r ORDER BY n, row",
        kind,
        condition=condition,
    )
    found: list[list[Record]] = [[] for _ in queries]
    for start in range(0, len(queries), QUERIES):
        block = _directions(table.contract, queries[start : start + QUERIES])
        with table.transaction():
            _tune(table, width)
            given = [*values, list(block), value]
            for number, _, *row in table.connection.execute(statement, given, binary=True):
                found[start + number - 1].append(table.record(row))
    return found


def _tune(table: Table, width: int) -> None:
    """Set for this transaction how wide the graph is searched, or that it is not used."""
    least, most = EXPANSION
    settings = {
        "hnsw.ef_search": str(min(most, max(least, 2 * width))),
        "hnsw.iterative_scan": "relaxed_order",  # goes on until enough rows pass the filter
        "hnsw.max_scan_tuples": str(WALK),
        "work_mem": WORK_MEMORY,
        "enable_indexscan": "on" if width else "off",
    }
    settings |= dict.fromkeys(
        ("enable_seqscan", "enable_bitmapscan", "enable_sort"), "off" if width else "on"
    )
    for name, value in settings.items():
        table.connection.execute("SELECT set_config(%s, %s, true)", [name, value])


def _directions(
    contract: Contract, queries: Float[np.ndarray, "q dim"]
) -> Float[np.ndarray, "q dim"]:
    """Queries as they are sent: of unit length for the cosine, since the engine's float16 and squares have limits."""
    if contract.distance != "cosine":
        return queries
    long = queries.astype(np.float64)
    return (long / np.linalg.norm(long, axis=1, keepdims=True)).astype(np.float32)

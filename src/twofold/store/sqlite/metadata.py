"""Metadata in SQLite: which rows pass a filter, and which keys there are, by its JSON functions."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from twofold.store.filters import Condition, Scalar, kind
from twofold.store.sqlite.database import Database

__all__ = ["metadata_keys", "passing"]

KINDS = {
    "text": "text",
    "integer": "number",
    "real": "number",
    "true": "true or false",
    "false": "true or false",
}
KINDS |= {"null": "null"}
"""What `filters.kind` calls SQLite's types of JSON."""

COMPARED = {"text": "= 'text'", "number": "IN ('integer', 'real')"}
"""What SQLite calls the kinds whose values are compared."""


def passing(database: Database, filters: Sequence[Condition]) -> Int[np.ndarray, "n"]:
    """Numbers of the rows whose metadata pass a filter, ascending."""
    tests, values = sql(filters)
    # `tests` holds no word of a user's
    query = f"SELECT row FROM items NOT INDEXED WHERE {tests} ORDER BY row"
    return np.fromiter(
        (number for (number,) in database.connection.execute(query, values)), np.int64
    )


def metadata_keys(database: Database) -> dict[str, dict[str, int]]:
    """For each key of the metadata how many rows have a value of which kind, as `filters.kind` calls it."""
    found: dict[str, dict[str, int]] = {}
    counted = "SELECT key, type, count(*) FROM items, json_each(items.metadata) GROUP BY key, type"
    for key, name, count in database.connection.execute(counted):
        kinds = found.setdefault(key, {})
        kinds[KINDS[name]] = kinds.get(KINDS[name], 0) + count
    return found


def sql(filters: Sequence[Condition]) -> tuple[str, list[Scalar]]:
    """Conditions for SQLite's JSON functions on a column `metadata`, and the values of their question marks."""
    tests: list[str] = []
    values: list[Scalar] = []
    for each in filters:
        path = f'$."{each.key}"'
        alternatives = [] if each.values is None else [equals(path, value) for value in each.values]
        if each.values is None:
            alternatives = [ranges(path, each)]
        tests.append(f"({' OR '.join(test for test, _ in alternatives)})")
        values += [value for _, more in alternatives for value in more]
    return " AND ".join(tests), values


def equals(path: str, value: Scalar) -> tuple[str, list[Scalar]]:
    """The test that a key has a value."""
    if value is None:
        return "coalesce(json_type(metadata, ?), 'null') = 'null'", [path]
    if isinstance(value, bool):
        return f"coalesce(json_type(metadata, ?), '') = '{str(value).lower()}'", [path]
    return f"(json_type(metadata, ?) {COMPARED[kind(value)]} AND json_extract(metadata, ?) = ?)", [
        path,
        path,
        value,
    ]


def ranges(path: str, wanted: Condition) -> tuple[str, list[Scalar]]:
    """The test that a key lies in a range."""
    bound = wanted.high if wanted.low is None else wanted.low
    tests, values = [f"json_type(metadata, ?) {COMPARED[kind(bound)]}"], list[Scalar]([path])
    for sign, bound in ((">=", wanted.low), ("<=", wanted.high)):
        if bound is not None:
            tests.append(f"json_extract(metadata, ?) {sign} ?")
            values += [path, bound]
    return f"({' AND '.join(tests)})", values

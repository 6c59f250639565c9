"""Commands that look after an index: check."""

from dataclasses import asdict
from pathlib import Path

from twofold.cli.options import NO, YES, Flag, Json, print_json, show

__all__ = ["check"]


def check(index: str, /, *, repair: Flag = False, json: Json = False) -> int:
    """Look at every byte of INDEX. Exit code 0 all is as it was written, 1 something is not.

    Args:
        index: a folder, or the address of an engine.
        repair: keep what is whole, drop what is provably damaged and say what that was, finish an erasure, drop caches;
            nobody else should use the index meanwhile.
        json: print one JSON object.
    """
    from twofold import wording
    from twofold.store.index import Index
    from twofold.store.upkeep import inspect

    if "://" in index or index.startswith("milvus"):
        with Index.open(index) as opened:
            found = opened.check(repair=repair)
    else:
        found = inspect(Path(index), repair=repair)
    print_json(asdict(found)) if json else show(wording.inspection(found))
    return YES if found.sound else NO

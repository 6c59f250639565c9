"""Which engine keeps the index at an address; engines on other machines are imported only when asked for."""

from pathlib import Path
from typing import TYPE_CHECKING

from twofold.contract import Contract
from twofold.errors import StoreError
from twofold.store.engine import Engine
from twofold.store.local import LocalEngine
from twofold.store.protection.protect import Key, find_key
from twofold.store.sqlite.connection import stands

if TYPE_CHECKING:
    from twofold.store.remote.milvus import MilvusEngine
    from twofold.store.remote.postgres import PostgresEngine

__all__ = ["create_engine", "index_stands", "open_engine"]


def create_engine(
    place: str | Path,
    contract: Contract,
    *,
    protect: Key | str | Path | bool = False,
    rotate: bool | None = None,
) -> Engine:
    """Make an empty index and open it; arguments and errors as `Index.create`."""
    remote = _remote(place)
    if remote is not None:
        if protect is not False:
            raise StoreError(
                f"{remote.NAME} keeps vectors as they are: "
                "only an index in a folder can be protected"
            )
        return remote.create(place, contract)
    key = None if protect is False else find_key(None if protect is True else protect)
    return LocalEngine.create(Path(place), contract, key=key, rotate=rotate)


def open_engine(place: str | Path, *, key: Key | str | Path | None = None) -> Engine:
    """Open an index; arguments and errors as `Index.open`."""
    remote = _remote(place)
    if remote is None:
        return LocalEngine.open(Path(place), key=None if key is None else find_key(key))
    if key is not None:
        raise StoreError(
            f"{remote.NAME} keeps vectors as they are, no key opens them: leave it out"
        )
    return remote.open(place)


def index_stands(place: str | Path) -> bool:
    """Whether there is an index at a place."""
    remote = _remote(place)
    return stands(Path(place)) if remote is None else remote.found(place)


def _remote(place: str | Path) -> "type[MilvusEngine | PostgresEngine] | None":
    """The engine that an address names; None: it is a folder."""
    scheme, sign, _ = str(place).partition(":")
    if scheme in ("milvus", "milvus+file") and sign:
        from twofold.store.remote.milvus import MilvusEngine

        return MilvusEngine
    if scheme in ("postgresql", "postgres") and sign:
        from twofold.store.remote.postgres import PostgresEngine

        return PostgresEngine
    if "://" in str(place):
        # the rest may hold a password
        raise StoreError(
            f"{scheme}: is not a place for an index: give a "
            "folder, milvus://, milvus+file: or postgresql://"
        )
    return None

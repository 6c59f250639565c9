"""Addresses of engines on other machines, taken apart without showing a password."""

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from twofold.errors import StoreError

__all__ = ["hidden", "host_shown", "split_address"]


def split_address(place: str | Path, example: str) -> SplitResult:
    """The parts of an engine's address.

    Raises:
        StoreError: no address; it does not repeat what was given, which may hold a password.
    """
    try:
        parts = urlsplit(str(place))
        _ = parts.port
    except ValueError:
        parts = None
    # a password with a bare @ or / falls apart into what
    # looks like a host and a path, and would be shown as such
    if (
        parts is None
        or parts.netloc.count("@") > 1
        or (parts.netloc and set("/:@") & set(parts.path[1:]))
    ):
        raise StoreError(
            f"this is not the address of an engine: give one like {example}; in user and password "
            "write @ as %40, / as %2F and : as %3A"
        )
    return parts


def host_shown(parts: SplitResult) -> str:
    """Host and port of an address, without who logs in there."""
    return parts.netloc.rpartition("@")[2]


def hidden(message: str, password: str | None) -> str:
    """A message of an engine without the password, should it repeat it."""
    for secret in {password, unquote(password or "")} - {None, ""}:
        message = message.replace(str(secret), "***")
    return " ".join(message.split())

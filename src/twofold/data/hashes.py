"""What two things are when they are exactly the same: the SHA-256 of their content."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import numpy as np

from twofold.errors import UnreadableInput

__all__ = ["content_hash"]


SHORT = 64
"""Bytes of a text under which a dictionary finds it by its plain hash: names, addresses, numbers."""


def content_hash(value: Any, *, key: str = "") -> str:
    """SHA-256 of one raw thing, as 64 hexadecimal digits.

    Args:
        key: hashes of texts and bytes of less than 64 bytes are keyed with it (HMAC), so that who
            sees them cannot look them up.

    Raises:
        UnreadableInput: a file that cannot be read, or a thing that is neither path, text, bytes
            nor array.
    """
    if isinstance(value, Path):
        try:
            with value.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UnreadableInput(f"{value} cannot be read: {error.strerror}") from error
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        keyed = key and len(value) < SHORT
        return (
            hmac.digest(key.encode(), value, "sha256") if keyed else hashlib.sha256(value).digest()
        ).hex()
    if isinstance(value, np.ndarray) and value.dtype != object:
        head = f"{value.dtype.str} {value.shape}\0".encode()
        return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()
    raise UnreadableInput(
        f"a {type(value).__name__} has no content to hash: give a path, a text, bytes or an array"
    )

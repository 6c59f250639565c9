"""What two things are when they are exactly the same: the SHA-256 of their content."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from twofold.errors import UnreadableInput

__all__ = ["content_hash"]


def content_hash(value: Any) -> str:
    """SHA-256 of one raw thing, as 64 hexadecimal digits.

    Raises:
        UnreadableInput: a file that cannot be read, or a thing that is neither path, text, bytes nor array.
    """
    if isinstance(value, Path):
        try:
            with value.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UnreadableInput(f"{value} cannot be read: {error.strerror}") from error
    if isinstance(value, str):
        return hashlib.sha256(value.encode()).hexdigest()
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, np.ndarray) and value.dtype != object:
        head = f"{value.dtype.str} {value.shape}\0".encode()
        return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()
    raise UnreadableInput(f"a {type(value).__name__} has no content to hash: give a path, a text, bytes or an array")

"""Calling a command in this process."""

from collections.abc import Callable

import pytest

from twofold import cli

Run = Callable[..., tuple[int, str, str]]
"""Of the fixture `run`: a command's words in, its exit code and what it wrote on both streams out."""


def exit_code(*words: object) -> int:
    """Call a command with these words; what it ends with."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    return int(ended.value.code or 0)

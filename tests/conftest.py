"""Every test runs with the shapes of twofold's tensors checked: jaxtyping's annotations, enforced by beartype."""

import os
from collections.abc import Callable, Iterator

import pytest

import type_checking

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before torch is loaded: see twofold.threads
type_checking.install()


@pytest.fixture(autouse=True, scope="session")
def no_bfloat16_by_default() -> Iterator[None]:
    """`precision = "auto"` is float32 in this process, whatever the processor; tests/test_precision.py fakes others."""
    from twofold import precision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "native_bfloat16", lambda device: False)
        yield


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call a command: its exit code, what it printed, and what it complained."""
    from exit_codes import exit_code

    def call(*words: object) -> tuple[int, str, str]:
        code = exit_code(*words)
        out, err = capsys.readouterr()
        return code, out, err

    return call

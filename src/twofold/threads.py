"""How the threads of an operation wait for each other. No torch here: OpenMP reads its settings as torch is loaded."""

import os
from collections.abc import MutableMapping

__all__ = ["wait_briefly"]

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""What a user may say about it: to OpenMP, to GNU's runtime (torch on Linux), to LLVM's (torch on macOS)."""

SPINS = "1000"
"""Some 20 microseconds. GNU's runtime spins for milliseconds: beside other work, a thread then keeps the core from the
one it waits for. Training on two cores among 16 busy threads took a quarter of the time with it (docs/LOG.md)."""

MILLISECONDS = "0"
"""LLVM's runtime spins for 200 of them unless told otherwise."""


def wait_briefly(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads that wait sleep soon, unless the user has said how they shall wait; before torch is imported."""
    if not any(name in environment for name in SETTINGS):
        environment.update(GOMP_SPINCOUNT=SPINS, KMP_BLOCKTIME=MILLISECONDS)

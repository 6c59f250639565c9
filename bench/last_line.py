"""The last line that every benchmark prints: one JSON object, so that a program can read its figures."""

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measured_code import measured_code

__all__ = ["machine", "print_last_line", "row"]


def row(
    name: str,
    value: float,
    *,
    interval: tuple[float, float] | None = None,
    unit: str = "",
    goal: float | None = None,
    anchor: str = "",
    seed: int | None = None,
) -> dict[str, Any]:
    """One figure: `goal` is what it should reach, `anchor` what it is compared with and how it was measured."""
    low, high = interval or (None, None)
    return {
        "name": name,
        "value": value,
        "low": low,
        "high": high,
        "unit": unit,
        "goal": goal,
        "anchor": anchor,
        "seed": seed,
    }


def print_last_line(bench: str, started: float, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the benchmark's JSON object; `started` is what `time.monotonic()` said at its start."""
    line = {
        "bench": bench,
        "commit": _commit(),
        "code": measured_code(bench),
        "machine": machine(),
        "seconds": round(time.monotonic() - started, 1),
        "results": results,
    }
    print(json.dumps(line))
    return line


INSTRUCTIONS = ("avx", "amx", "asimd", "sve", "bf16", "i8mm")
"""How the names of vector instructions begin, as Linux lists them."""

LIMITS = (
    "ONEDNN_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "OPENBLAS_CORETYPE",
    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT",
)
"""What a user may set that decides which instructions are used and how threads wait."""


def machine() -> str:
    """Processor, cores, threads, vector instructions, what limits them, system and versions, in one line."""
    facts = _processor()
    model = facts.get("model name") or platform.processor() or platform.machine()
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    vectors = (
        " ".join(sorted(flag for flag in flags if flag.startswith(INSTRUCTIONS)))
        or "instructions unknown"
    )
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    system = f"{platform.system()}, Python {platform.python_version()}, torch {version('torch')}"
    return ", ".join(
        [model, f"{os.cpu_count()} cores", f"{_threads()} threads", vectors, *limits, system]
    )


def _processor() -> dict[str, str]:
    """What Linux says of the first core."""
    known = Path("/proc/cpuinfo")
    if not known.is_file():
        return {}
    lines = known.read_text().split("\n\n")[0].splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _threads() -> int | str:
    """How many threads an operation of torch has; what the environment says where torch is not loaded."""
    if "torch" in sys.modules:
        return sys.modules["torch"].get_num_threads()
    return os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"

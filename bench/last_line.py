"""The last line that every benchmark prints: one JSON object, so that a program can read its figures."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

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
        "machine": machine(),
        "seconds": round(time.monotonic() - started, 1),
        "results": results,
    }
    print(json.dumps(line))
    return line


def machine() -> str:
    """Processor, cores and system, in one line."""
    model = platform.processor() or platform.machine()
    known = Path("/proc/cpuinfo")
    if known.is_file():
        models = [
            text.split(":", 1)[1].strip() for text in known.read_text().splitlines() if text.startswith("model name")
        ]
        model = models[0] if models else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"

"""A hostile user: spoilt pictures, bundles, indexes and tables, odd names and options, and what is said to each.

Each try is drawn from a seed and made by a process that can be killed, through the command line or
the library. Right is the true answer or a refusal in one line (exit code 2). `tracebacks` counts
crashes and internal errors, `hangs` more than a minute of processor time, `over_memory` more than
700 MB, `silent_wrong` another answer than the truth without a word, `unsafe_output` control
characters in what is shown. Formats that cannot know of damage (no checksum) are counted apart, by
name. Nothing is fetched: the network is drawn by chance.

    python bench/hostile.py [--quick] [--tries 3000] [--only AREA:NUMBER]
"""

import argparse
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hostile_cases import AREAS
from hostile_world import World, made
from last_line import print_last_line, row

TRIES, QUICK = 3000, 120
BOMB = "bomb:"
QUICK_BOMBS = 6
"""Of so many bombs one, with --quick."""
HANG_SECONDS = 60
"""Of processor time of one try: the slowest honest one takes two seconds."""
STUCK_SECONDS = 600
"""Without an answer and without work: a deadlock, on however busy a machine."""
GOALS = {
    "tracebacks": "traceback",
    "hangs": "hang",
    "over_memory": "memory",
    "silent_wrong": "silent",
    "unsafe_output": "unsafe",
}


class Worker:
    """A process that tries cases; it is started anew when it has died or was killed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.process: subprocess.Popen[str] | None = None

    def try_case(self, area: str, number: int) -> dict[str, Any]:
        """What came of a try."""
        process = self.started()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{area} {number}\n")
        process.stdin.flush()
        began, waited = cpu_seconds(process.pid), 0
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not selector.select(timeout=1):
                waited += 1
                if cpu_seconds(process.pid) - began > HANG_SECONDS or waited > STUCK_SECONDS:
                    self.end()
                    return ended(area, number, "hang", f"{waited} s")
        if not (line := process.stdout.readline()):
            code = process.wait()
            self.end()
            return {
                "name": f"{area} {number}",
                "state": "traceback",
                "detail": f"the process died: {code}",
                "apart": "",
            }
        found = json.loads(line)
        return (
            found | {"state": "memory", "detail": f"{found['bytes']:,} bytes"}
            if found["bytes"]
            else found
        )

    def started(self) -> "subprocess.Popen[str]":
        """The process, at work."""
        if self.process is None or self.process.poll() is not None:
            command = [
                sys.executable,
                "-W",
                "ignore",
                str(Path(__file__).with_name("hostile_worker.py")),
                str(self.world.root),
            ]
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        return self.process

    def end(self) -> None:
        """Kill the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None


def ended(area: str, number: int, state: str, detail: str) -> dict[str, Any]:
    """What is said of a try whose process is gone."""
    return {"name": f"{area} {number}", "state": state, "detail": detail, "apart": ""}


def cpu_seconds(process: int) -> float:
    """Processor time that a process has used."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tried(world: World, cases: list[tuple[str, int]]) -> Counter[str]:
    """How often each thing came of the cases; what is not fine is told on standard error, to be tried again alone."""
    worker, counts = Worker(world), Counter[str]()
    for area, number in cases:
        found = worker.try_case(area, number)
        apart = (
            f"silent_{found['apart']}"
            if found["state"] == "silent" and found["apart"]
            else found["state"]
        )
        counts[apart] += 1
        if apart in GOALS.values():
            print(
                f"{area}:{number}  {found['state']}  {found['name']!a}  {found['detail']!a}",
                file=sys.stderr,
                flush=True,
            )
    worker.end()
    return counts


def chosen(arguments: argparse.Namespace) -> list[tuple[str, int]]:
    """Areas and numbers of the cases: the areas in turn, and every bomb once; a few of them with --quick."""
    if arguments.only:
        area, _, number = arguments.only.rpartition(":")
        if area in AREAS:
            return [(area, int(number))]
        return [(arguments.only, n) for n in range(arguments.tries or 100)]
    tries = arguments.tries or (QUICK if arguments.quick else TRIES)
    areas = [area for area in AREAS if not area.startswith(BOMB)]
    bombs = [(area, 0) for area in AREAS if area.startswith(BOMB)]
    if arguments.quick:
        bombs = bombs[arguments.seed :: QUICK_BOMBS]
    drawn = [
        (areas[n % len(areas)], arguments.seed * 1_000_000 + n // len(areas))
        for n in range(tries - len(bombs))
    ]
    return [*drawn, *bombs]


def main() -> None:
    """Try, count, and print the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few tries, as for CI")
    parser.add_argument("--tries", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="an area, or area:number as standard error told it")
    arguments = parser.parse_args()
    started = time.monotonic()
    cases = chosen(arguments)
    with tempfile.TemporaryDirectory() as folder:
        counts = tried(made(Path(folder)), cases)
    areas = Counter(area.partition(":")[0] for area, _ in cases)
    anchor = ", ".join(f"{area} {n}" for area, n in areas.items())
    results = [row("tries", len(cases), anchor=anchor, seed=arguments.seed)]
    results += [
        row(name, counts[state], goal=0, anchor="of all tries", seed=arguments.seed)
        for name, state in GOALS.items()
    ]
    apart = sorted(name for name in counts if name.startswith("silent_"))
    results += [
        row(name, counts[name], anchor="cannot know of the damage", seed=arguments.seed)
        for name in apart
    ]
    print_last_line("hostile", started, results)
    sys.exit(any(counts[state] for state in GOALS.values()) if arguments.quick else 0)


if __name__ == "__main__":
    main()

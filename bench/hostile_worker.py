"""One process that tries cases, told by number on standard input, and says what became of each; killed if it hangs."""

import contextlib
import io
import json
import os
import resource
import shutil
import sys
import tempfile
import traceback
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hostile_cases import AREAS, Case
from hostile_world import World
from twofold import cli
from twofold.errors import TwofoldError

__all__ = ["Outcome", "tried"]

ADDRESSES = 3 * 2**30
"""Bytes of address space that a try may take beyond those of the libraries: what protects the machine."""

ALLOWED = 700 * 2**20
"""Bytes of memory that a try may take: a picture of 25 million pixels in colour has 75 million."""

SHOWN = 300
UNSAFE = ("Cc", "Cs", "Zl", "Zp")


class Outcome(NamedTuple):
    """What came of a try: "fine", "traceback", "silent", "unsafe" (control characters reach the terminal)."""

    name: str
    state: str
    detail: str = ""
    apart: str = ""


class Answer(NamedTuple):
    """Exit code, standard output and standard error; of a call 0 and its value, or 2 and its error."""

    code: int
    out: Any
    err: str


def tried(world: World, area: str, number: int) -> Outcome:
    """Draw a case and try it, in a folder that is gone afterwards."""
    scratch = Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        case = AREAS[area](
            world, scratch, np.random.default_rng([number, sorted(AREAS).index(area)])
        )
        return judged(case, answered(case.words or case.call, scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def judged(case: Case, answer: Answer) -> Outcome:
    """What an answer is worth."""
    said = answer.err[-SHOWN:]
    if "Traceback" in answer.err or answer.code not in (0, 1, 2, 3):
        return Outcome(case.name, "traceback", said)
    if answer.code == 2 and not answer.out and answer.err.count("\n") != 1:
        return Outcome(case.name, "traceback", f"not one line: {said}")
    shown = answer.err + answer.out if case.words else ""
    if bad := {sign for sign in shown if sign not in "\n" and unicodedata.category(sign) in UNSAFE}:
        return Outcome(case.name, "unsafe", ascii(sorted(bad)))
    if answer.code == 2 or (answer.code == 0 and answer.err and case.like):
        return Outcome(case.name, "fine")
    if case.refuse:
        return Outcome(case.name, "silent", f"accepted: {answer.code} {str(answer.out)[:SHOWN]}")
    if case.like is not None and (truth := answered(case.like, None)).out != answer.out:
        return Outcome(
            case.name, "silent", f"{str(answer.out)[:SHOWN]} | {str(truth.out)[:SHOWN]}", case.apart
        )
    return Outcome(case.name, "fine")


def answered(asked: "tuple[str, ...] | Callable[[], Any] | None", folder: Path | None) -> Answer:
    """The answer of a command line or of a call."""
    out, err = io.StringIO(), io.StringIO()
    here = Path.cwd()
    try:
        os.chdir(folder or here)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if callable(asked):
                return Answer(0, asked(), "")
            cli.main(list(asked or ()))
    except SystemExit as ended:
        return Answer(int(ended.code or 0), comparable(out.getvalue()), err.getvalue())
    except TwofoldError as error:
        return Answer(2, "", f"{error}\n".replace("\n", " ").strip() + "\n")
    except BaseException:
        return Answer(cli.INTERNAL, "", traceback.format_exc())
    finally:
        os.chdir(here)
    return Answer(cli.INTERNAL, "", "no exit")


def comparable(out: str) -> str:
    """What a command printed, without what differs from run to run."""
    try:
        plain = json.loads(out)
    except ValueError:
        return out
    for each in plain if isinstance(plain, list) else [plain]:
        if isinstance(each, dict):
            each.pop("seconds", None)
    return json.dumps(plain, sort_keys=True)


def peak() -> int:
    """The most memory that this process has ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def serve(world: World) -> None:
    """Try what standard input names, `area number` a line; a line of JSON for each."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with contextlib.suppress(ValueError, OSError):
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESSES, size + ADDRESSES))
    for line in sys.stdin:
        area, number = line.split()
        before = peak()
        outcome = tried(world, area, int(number))
        more = peak() - before if peak() > before + ALLOWED else 0
        answers.write(json.dumps({**outcome._asdict(), "bytes": more}) + "\n")
        answers.flush()
        if more:
            return  # the peak never falls: the next try needs a new process


if __name__ == "__main__":
    serve(World(Path(sys.argv[1])))

"""The processes that hold locks on an index, if the system tells (Linux)."""

import os
from enum import Enum
from pathlib import Path

__all__ = ["Use", "users"]

LOCKS = Path("/proc/locks")


class Use(Enum):
    """Bytes of the shared-memory file that SQLite locks for a use (sqlite.org/walformat.html, 2.3)."""

    WRITING = range(120, 121)
    READING = range(123, 128)


def users(database: Path, use: Use) -> str:
    """The processes with such a lock, as words: "process 4711 (python)"; "another process" where nobody can tell.

    The file is never opened for it: closing it would drop SQLite's own locks on it.
    """
    try:
        status = database.with_name(f"{database.name}-shm").stat()
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return "another process"
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    pids = {int(words[4]) for words in map(str.split, lines) if holds(words, wanted, use.value)}
    others = pids - {os.getpid()} if use is Use.READING else pids
    names = [f"process {pid} ({name_of(pid)})" for pid in sorted(others) if pid > 0]
    return ", ".join(names) or (
        "another thread of this process" if pids - others else "another process"
    )


def holds(words: list[str], file: str, wanted: range) -> bool:
    """Whether a line of /proc/locks is a held lock on one of these bytes of a file."""
    if (
        len(words) != 8
        or words[1] == "->"
        or words[5] != file
        or not words[4].lstrip("-").isdigit()
    ):
        return False
    last = 2**63 if words[7] == "EOF" else int(words[7])
    return int(words[6]) < wanted.stop and last >= wanted.start


def name_of(pid: int) -> str:
    """What a process is called."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "ended"

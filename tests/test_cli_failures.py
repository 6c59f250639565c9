"""Exit codes and the one line that a failure is answered with: a crash is never an answer, and never a traceback."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import twofold
from twofold.cli.failures import failure
from twofold.store import Index


def raising(monkeypatch, error):
    def found(*_):
        raise error

    monkeypatch.setattr(Index, "found", found)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyError("somebody"), 70, "internal error in `twofold info`: KeyError: 'somebody'"),
        (RecursionError("too deep"), 70, "RecursionError"),
        (AssertionError(), 70, "AssertionError"),
        (ValueError("first\nsecond\x1b[2J"), 70, "ValueError: first. This"),
        (MemoryError(), 2, "not enough memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            2,
            "not enough memory",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
        (
            OSError(errno.ENOSPC, "No space left on device", "b/x"),
            2,
            "b/x: No space left on device; the disk is full",
        ),
        (
            OSError(errno.EACCES, "Permission denied", "b\n"),
            2,
            "b\\n: Permission denied; choose a place",
        ),
        (OSError(errno.ENAMETOOLONG, "File name too long", "b"), 2, "choose a shorter name"),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", "b"), 2, "form a loop"),
        (OSError(errno.EISDIR, "Is a directory", "b"), 2, "it is a folder"),
        (OSError(errno.EROFS, "Read-only file system", "b"), 2, "read-only: choose another place"),
        (OSError("a library's own words"), 70, "a library's own words"),
    ],
)
def test_every_exception_has_its_code_and_at_most_one_line(run, monkeypatch, error, code, says):
    raising(monkeypatch, error)
    found, out, err = run("info", "b")
    assert (found, out) == (code, "")
    assert err.count("\n") == bool(says)
    assert says in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback_and_keeps_the_code(run, monkeypatch):
    raising(monkeypatch, ValueError("a fault"))
    code, _, err = run("info", "b", "--debug")
    assert code == 70
    assert "Traceback" in err and err.splitlines()[-1].startswith("twofold: internal error")


def test_wrong_use_is_one_line_with_the_nearest(run):
    assert 'Did you mean "train"?' in run("trian")[2]
    code, _, err = run("train", "face", "d", "-o", "m", "--sed", "1")
    assert code == 2
    assert "Did you mean --seed?" in err and "twofold train --help" in err
    assert err.count("\n") == 1


def test_an_empty_argument_is_not_this_folder(run):
    code, _, err = run("dedup", "", "--apply", "decisions.csv")
    assert code == 2
    assert "argument 2 is empty" in err


def test_data_cannot_forge_a_line_of_the_command():
    code, line = failure(
        twofold.errors.UnknownLabel("nobody is called x\ntwofold: all is well\x1b[0m"), ["forget"]
    )
    assert code == 2
    assert line == "twofold: nobody is called x\\ntwofold: all is well\\x1b[0m\n"


def called(words: list[str], **streams: object) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(Path(twofold.__file__).parents[1])}
    command = [sys.executable, "-m", "twofold", *words]
    return subprocess.run(command, env=environment, check=False, **streams)  # type: ignore[call-overload]


def test_a_closed_pipe_is_no_answer():
    reading, writing = os.pipe()
    os.close(reading)
    done = called(["--help"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output_is_said():
    with Path("/dev/full").open("wb") as full:
        done = called(["--help"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.startswith(b"twofold: standard output: No space left on device")


def test_debug_after_two_dashes_is_a_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("info", "--", "--debug")
    assert code == 2
    assert "--debug" in err and "Traceback" not in err


def test_pillows_words_on_tags_are_not_repeated(tmp_path):
    script = "import sys, warnings\nfrom twofold import cli\nfrom twofold.store import Index\n"
    script += "def found(*_):\n    warnings.warn_explicit('Corrupt EXIF', UserWarning, 'x', 1, 'PIL.Image')"
    script += "\n    warnings.warn('ours')\n    raise KeyboardInterrupt\nIndex.found = found\ncli.main()\n"
    environment = os.environ | {"PYTHONPATH": str(Path(twofold.__file__).parents[1])}
    command = [sys.executable, "-c", script, "info", "b"]
    done = subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 130
    assert "EXIF" not in done.stderr and "ours" in done.stderr

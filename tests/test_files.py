"""Whole or nothing (law 10): what stands on the disk after a write that went well, and after one that did not."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from twofold import files
from twofold.errors import CannotWrite


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_write_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    for content in (b"old", b"", b"new" * 100_000):
        files.write_atomically(path, content)
        assert path.read_bytes() == content
        assert files.sha256_file(path) == hashlib.sha256(content).hexdigest()
    assert names(tmp_path) == {"one.json"}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_folder_is_synced_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Without it a power cut can take the new name back (law 10)."""
    done: list[str] = []
    real_sync, real_rename, real_replace = os.fsync, Path.rename, Path.replace

    def sync(handle: int) -> None:
        where = Path(f"/proc/self/fd/{handle}").readlink()
        done.append("folder" if where == tmp_path else "new")
        real_sync(handle)

    def moved(real):
        def move(self: Path, target: Path) -> Path:
            done.append("rename")
            return real(self, target)

        return move

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", moved(real_rename))
    monkeypatch.setattr(Path, "replace", moved(real_replace))
    if kind == "file":
        files.write_atomically(tmp_path / "one.json", b"new")
    else:
        with files.new_folder(tmp_path / "bundle", marker="manifest.json") as folder:
            (folder / "manifest.json").write_text("{}")
    assert done.count("rename") == 1
    at = done.index("rename")
    assert "new" in done[:at]
    assert done[at + 1 :] == ["folder"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CannotWrite, match=r"cannot write .*none/one.json: No such file or directory"
    ):
        files.write_atomically(tmp_path / "none" / "one.json", b"x")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "one.json"
    files.write_atomically(path, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), full)
    with pytest.raises(
        CannotWrite, match=r"No space left on device.*. What stood there before is unchanged"
    ):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == {"one.json"}


def test_a_kill_in_the_middle_leaves_all_of_one(tmp_path: Path) -> None:
    path = tmp_path / "one.bin"
    code = (
        "import itertools, sys; from twofold.files import write_atomically\n"
        "for n in itertools.count(): write_atomically(sys.argv[1], bytes([n % 256]) * 200_000); "
        "print(n, flush=True)"
    )
    environment = dict(os.environ, PYTHONPATH=str(Path(files.__file__).parents[1]))
    for pause in (0, 1, 2):
        command = [sys.executable, "-c", code, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
            assert writer.stdout is not None
            for _ in range(2 + pause):
                written = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        assert len(content) == 200_000
        assert len(set(content)) == 1
        assert content[0] >= written


def test_a_new_folder_appears_whole(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with files.new_folder(tmp_path / "a" / "bundle", marker="manifest.json") as folder:
            (folder / "weights").mkdir()
            (folder / "weights" / "1").write_text(content)
            (folder / "manifest.json").write_text("{}")
        assert (tmp_path / "a" / "bundle" / "weights" / "1").read_text() == content
    assert names(tmp_path / "a") == {"bundle"}


def test_a_failing_block_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with files.new_folder(target, marker="manifest.json") as folder:
        (folder / "manifest.json").write_text("old")
    with (
        pytest.raises(ZeroDivisionError),
        files.new_folder(target, marker="manifest.json") as folder,
    ):
        (folder / "manifest.json").write_text(str(1 / 0))
    assert (target / "manifest.json").read_text() == "old"
    assert names(tmp_path) == {"bundle"}


def test_without_an_exchange_two_renames_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "exchange", lambda one, other: False)
    test_a_new_folder_appears_whole(tmp_path)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_not_ours_is_not_replaced(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "letters"
    if kind == "folder":
        target.mkdir()
        (target / "dear.txt").write_text("keep me")
    else:
        target.write_text("keep me")
    with (
        pytest.raises(
            CannotWrite,
            match=r"letters exists and holds no manifest.json: it was not written by twofold",
        ),
        files.new_folder(target, marker="manifest.json"),
    ):
        raise AssertionError("the block must not run")
    assert (target / "dear.txt" if kind == "folder" else target).read_text() == "keep me"

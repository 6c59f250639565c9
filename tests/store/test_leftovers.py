"""What a killed call leaves beside an index is swept away; receipts count it, and are kept in the index, too."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import twofold
from twofold import files
from twofold.contract import Contract
from twofold.errors import StoreError
from twofold.results import Embeddings
from twofold.store import Index
from twofold.store.upkeep import inspect

Make = Callable[..., Embeddings]
PEOPLE = [f"{name}-surname/{number}" for name in ("anna", "bert", "carl") for number in range(4)]


@pytest.fixture
def written(tmp_path: Path, make: Make, contract: Contract) -> Path:
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(PEOPLE))
    return tmp_path / "store"


KILLED = """
import os, signal, sys
from pathlib import Path
from twofold import files
from twofold.store import upkeep
from twofold.store import Index
where, step = sys.argv[2], int(sys.argv[3])
count = 0
STEPS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "shutil.rmtree", "sqlite3.connect"}
def dying(event, arguments):
    # every rename, deletion, opening and change of rights is a place to die at
    global count
    if event in STEPS:
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
index = None
if where == "repair":
    sys.addaudithook(dying)
    upkeep.inspect(Path(sys.argv[1]), repair=True)
else:
    index = Index.open(sys.argv[1])
    sys.addaudithook(dying)
    index.forget("anna-surname")
print(count)
"""


def killed(folder: Path, where: str, step: int) -> int | None:
    """Let a process die at a step; None: it died, else how many steps there are."""
    environment = os.environ | {"PYTHONPATH": str(Path(twofold.__file__).parents[1])}
    command = [sys.executable, "-c", KILLED, str(folder), where, str(step)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def beside(folder: Path) -> list[str]:
    return [path.name for path in folder.parent.iterdir() if path != folder]


def left_of_anna(folder: Path) -> list[Path]:
    found = [path for path in folder.parent.rglob("*") if path.is_file()]
    return [path for path in found if b"anna-surname" in path.read_bytes()]


def spoil(folder: Path, make: Make) -> None:
    """Change the last row, so that a repair writes the index anew."""
    content, vector = (folder / "truth.sqlite").read_bytes(), make(PEOPLE).vectors[-1].tobytes()
    assert content.count(vector) == 1
    (folder / "truth.sqlite").write_bytes(content.replace(vector, vector[::-1]))


def steps(last: int, *, every: bool) -> list[int]:
    """All steps, or in a quick run two in the middle."""
    return list(range(1, last + 1)) if every else [last // 3, 2 * last // 3]


def check_every_step(
    make_index: Callable[[Path], Path], tmp_path: Path, where: str, *, every: bool
) -> None:
    last = killed(make_index(tmp_path / "whole"), where, 0)
    assert last
    for step in steps(last, every=every):
        folder = make_index(tmp_path / f"{where}-{step}")
        before = {path.name for path in folder.parent.iterdir()}
        killed(folder, where, step)
        with Index.open(folder) as index:
            assert beside(folder) == [], f"step {step}: {beside(folder)}"
            if "anna-surname" in index.labels:
                receipt = index.forget("anna-surname")
                assert receipt.left == 0
        assert before == {path.name for path in folder.parent.iterdir()}
        assert left_of_anna(folder) == [], f"step {step}"
        assert inspect(folder).findings == ()


@pytest.fixture
def make_index(make: Make, contract: Contract) -> Callable[[Path], Path]:
    def made(parent: Path) -> Path:
        with Index.create(parent / "store", contract) as index:
            index.add(make(PEOPLE))
        return parent / "store"

    return made


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_repair_may_be_killed_at_every_step(
    make_index: Callable[[Path], Path], make: Make, tmp_path: Path, every: bool
) -> None:
    def damaged(parent: Path) -> Path:
        folder = make_index(parent)
        spoil(folder, make)
        return folder

    last = killed(damaged(tmp_path / "whole"), "repair", 0)
    assert last
    copies = 0
    for step in steps(last, every=every):
        folder = damaged(tmp_path / str(step))
        killed(folder, "repair", step)
        copies += len(beside(folder))
        found = inspect(folder, repair=True)
        assert (found.sound, found.items, beside(folder)) == (True, 11, [])
        with Index.open(folder) as index:
            assert len(index) == 11
            assert index.forget("anna-surname").left == 0
        assert left_of_anna(folder) == []
    assert copies


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_forget_may_be_killed_at_every_step(
    make_index: Callable[[Path], Path], tmp_path: Path, every: bool
) -> None:
    check_every_step(make_index, tmp_path, "forget", every=every)


def copy_beside(folder: Path, ending: str = "tmp") -> Path:
    """What a repair that was killed leaves."""
    spare = folder.with_name(f".{folder.name}.0123456789ab.{ending}")
    spare.mkdir()
    (spare / "truth.sqlite").write_bytes((folder / "truth.sqlite").read_bytes())
    return spare


@pytest.mark.parametrize("ending", ["tmp", "old"])
def test_a_copy_beside_the_index_is_told_and_swept(written: Path, ending: str) -> None:
    spare = copy_beside(written, ending)
    (finding,) = inspect(written).findings
    assert (finding.code, finding.level, spare.exists()) == ("leftover-copy", "warning", True)
    assert inspect(written, repair=True).repaired == (
        "deleted 1 copy of the index that a killed repair had left beside it",
    )
    assert not spare.exists()
    copy_beside(written, ending)
    with Index.open(written) as index:
        assert not spare.exists()
        copy_beside(written, ending)
        receipt = index.forget("anna-surname")
        assert (receipt.swept, receipt.left, spare.exists()) == (1, 0, False)


def test_a_copy_that_cannot_be_deleted_is_not_nothing(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index.open(written) as index:
        copy_beside(written)
        monkeypatch.setattr("twofold.files.shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(StoreError, match="still hold bytes of them"):
            index.forget("anna-surname")


def test_a_repair_at_work_and_what_is_not_ours_are_left_alone(written: Path) -> None:
    others = [
        written.with_name(name)
        for name in (".store.notes.tmp", ".other.0123456789ab.tmp", "store.old")
    ]
    for other in others:
        other.mkdir()
    spare = copy_beside(written)
    with files.claimed(spare), Index.open(written) as index:
        assert spare.exists()
        assert {code.code for code in inspect(written).findings} == {"leftover-copy"}
        assert index.ids
    Index.open(written).close()
    assert not spare.exists()
    assert all(other.exists() for other in others)


def test_a_repair_does_not_begin_while_somebody_writes(
    written: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(written, make)
    monkeypatch.setattr("twofold.store.sqlite.connection.WAIT_SECONDS", 0.05)
    import sqlite3

    writer = sqlite3.connect(written / "truth.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="is writing to"):
        inspect(written, repair=True)
    writer.close()
    assert inspect(written, repair=True).sound


def test_the_receipt_stands_in_the_index_without_names(written: Path) -> None:
    with Index.open(written) as index:
        receipt = index.forget(["anna-surname", "bert-surname"])
        log = index.audit("anna-surname")
        assert [(entry.event, entry.items) for entry in log] == [("forget", 4), ("erased", 4)]
        told = log[-1].receipt
        assert told == {
            name: getattr(receipt, name)
            for name in ("pieces", "files", "searched", "leftovers", "swept", "left")
        }
        assert told["left"] == 0 < told["pieces"]
        assert "surname" not in json.dumps([vars(entry) for entry in index.audit()])
        assert [entry.event for entry in index.audit()] == ["forget", "forget", "erased", "erased"]
        assert index.check().findings == ()

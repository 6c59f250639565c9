"""Who may read what is kept: only the owner, whatever the umask is; and what is said where it was otherwise."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from exit_codes import Run
from small_bundles import of_vectors
from twofold import files
from twofold.contract import Contract
from twofold.results import Embeddings
from twofold.store import Index
from twofold.store.shards import Shards
from twofold.store.upkeep import inspect
from vectors import clustered

Make = Callable[..., Embeddings]


@pytest.fixture(autouse=True, params=[0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    old = os.umask(request.param)
    yield
    os.umask(old)


def modes(folder: Path) -> dict[str, int]:
    found = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    return found | {".": folder.stat().st_mode & 0o777}


def is_private(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_an_index_is_its_owners_alone(
    tmp_path: Path, make: Make, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.store.large.EXACT_ROWS", 500)
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make([f"a/{number}" for number in range(600)]))
        index.search(clustered(3))
        names = modes(tmp_path / "store")
        assert {"truth.sqlite", "truth.sqlite-wal", "truth.sqlite-shm"} <= set(names)
        assert {"acknowledged", "cache", "cache.lock"} <= set(names)
        is_private(tmp_path / "store")
        index.add(make(["b/1"]))
        index.forget("b")
        is_private(tmp_path / "store")
    assert inspect(tmp_path / "store", repair=True).findings == ()
    is_private(tmp_path / "store")


def test_an_open_index_is_said_and_mended(
    tmp_path: Path, make: Make, contract: Contract, run: Run
) -> None:
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(["a/1"]))
    (tmp_path / "store").chmod(0o755)
    (tmp_path / "store" / "truth.sqlite").chmod(0o644)
    (finding,) = inspect(tmp_path / "store").findings
    assert (finding.level, finding.code) == ("warning", "readable-by-others")
    code, out, _ = run("check", tmp_path / "store", "--repair")
    assert code == 0 and "repair: let only the owner in" in out
    is_private(tmp_path / "store")
    with Index.open(tmp_path / "store") as index:
        assert index.ids == ("a/1",)
        (tmp_path / "store").chmod(0o755)
        assert index.check(repair=True).repaired == (
            "let only the owner in: folders 0700, files 0600",
        )
        assert index.search(make(["a/1"]).vectors)[0][0].id == "a/1"


def test_parts_and_bundles_are_their_owners_alone(
    tmp_path: Path, make: Make, contract: Contract
) -> None:
    given = make(["a/1", "b/1"])
    shards = Shards(folder=tmp_path / "parts", contract=contract, items=2, rows=4)
    shards.save()
    shards.write(0, given, "digest")
    is_private(tmp_path / "parts")
    assert np.array_equal(shards.read(0).vectors, given.vectors)
    of_vectors().save(tmp_path / "bundle")
    is_private(tmp_path / "bundle")


def test_a_private_file_stays_one_when_it_is_replaced(tmp_path: Path) -> None:
    for before in (None, 0o644):
        if before:
            (tmp_path / "receipt.json").chmod(before)
        files.write_atomically(tmp_path / "receipt.json", b"{}", private=True)
        assert (tmp_path / "receipt.json").stat().st_mode & 0o777 == 0o600
    files.write_atomically(tmp_path / "page.html", b"")
    files.write_durably(tmp_path / "plain", b"")
    assert (tmp_path / "page.html").stat().st_mode == (tmp_path / "plain").stat().st_mode

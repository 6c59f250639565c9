"""ONNX files as encoders: the vectors of their own runtime, whatever the batch; what cannot be taken is one line."""

import copy

import numpy as np
import pytest
import torch

from twofold.bundle import Bundle
from twofold.data.items import Items
from twofold.embedding import embed_values
from twofold.errors import RecipeError, TwofoldError, UsageError
from twofold.inputs.image import Image
from twofold.inputs.vector import Vector
from twofold.nn import onnx_model

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
helper = onnx.helper
FLOAT = onnx.TensorProto.FLOAT
SIDE, DIM = 4, 5


def tensor(name, shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return onnx.numpy_helper.from_array(values, name)


def graph_of(nodes, given, found, held=(), *, domains=()):
    """A model; shapes by name."""
    values = {
        kind: [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in each.items()]
        for kind, each in (("given", given), ("found", found))
    }
    graph = helper.make_graph(nodes, "embedder", values["given"], values["found"], list(held))
    sets = [helper.make_opsetid("", 17), *(helper.make_opsetid(each, 1) for each in domains)]
    return helper.make_model(graph, opset_imports=sets, ir_version=8)


def embedder(batch="n", layout="nchw", outputs=("embedding",)):
    """A matrix on the numbers of a picture."""
    shape = [batch, 3, SIDE, SIDE] if layout == "nchw" else [batch, SIDE, SIDE, 3]
    nodes = [
        helper.make_node("Flatten", ["picture"], ["flat"]),
        *(helper.make_node("MatMul", ["flat", "w"], [name]) for name in outputs),
    ]
    found = {name: [batch, DIM] for name in outputs}
    return graph_of(nodes, {"picture": shape}, found, [tensor("w", (3 * SIDE * SIDE, DIM))])


def saved(path, model):
    onnx.save(model, path)
    return path


def pictures(count=7):
    random = np.random.default_rng(1)
    return list(random.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8))


def runtime_vectors(path, arrays):
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = np.stack(arrays).transpose(0, 3, 1, 2).astype(np.float32)
    rows = (rows / 255 - 0.5) / 0.5
    size = session.get_inputs()[0].shape[0]
    step = size if isinstance(size, int) else len(rows)
    name = session.get_inputs()[0].name
    return np.concatenate(
        [session.run(None, {name: rows[at : at + step]})[0] for at in range(0, len(rows), step)]
    )


@pytest.mark.parametrize("batch", ["n", 1])
def test_the_vectors_are_those_of_the_runtime_and_a_bundle_keeps_the_file(tmp_path, batch):
    path = saved(tmp_path / "m.onnx", embedder(batch))
    bundle = Bundle.from_onnx(path, input=Image(size=SIDE, channels=3, mean=0.5, std=0.5))
    wanted = runtime_vectors(path, pictures())
    np.testing.assert_allclose(embed_values(bundle, pictures()), wanted, atol=1e-6)
    bundle.save(tmp_path / "b")
    path.unlink()
    back = Bundle.load(tmp_path / "b")
    assert back.fingerprint == bundle.fingerprint and back.twin.dim == DIM
    np.testing.assert_array_equal(embed_values(back, pictures()), embed_values(bundle, pictures()))
    assert copy.deepcopy(back.twin.encoder)(torch.zeros(1, 3, SIDE, SIDE)).shape == (1, DIM)


def test_another_file_is_another_fingerprint(tmp_path):
    input = Image(size=SIDE, channels=3)
    one = Bundle.from_onnx(saved(tmp_path / "a.onnx", embedder()), input=input)
    model = embedder()
    model.graph.initializer[0].CopyFrom(tensor("w", (3 * SIDE * SIDE, DIM), seed=1))
    other = Bundle.from_onnx(saved(tmp_path / "b.onnx", model), input=input)
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint == Bundle.from_onnx(tmp_path / "a.onnx", input=input).fingerprint


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_a_fixed_batch_is_looped_and_its_last_one_filled_up(tmp_path, count):
    fixed = onnx_model(weights=str(saved(tmp_path / "f.onnx", embedder(4))), size=SIDE)
    free = onnx_model(weights=str(saved(tmp_path / "n.onnx", embedder())), size=SIDE)
    batch = torch.from_numpy(np.stack(pictures(count))).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(fixed(batch), free(batch), atol=1e-6, rtol=1e-6)


def test_colours_the_other_way_round_and_channels_last(tmp_path):
    plain = onnx_model(weights=str(saved(tmp_path / "a.onnx", embedder())), size=SIDE)
    turned = onnx_model(weights=str(tmp_path / "a.onnx"), size=SIDE, order="bgr")
    batch = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(turned(batch), plain(batch.flip(1)))
    last = onnx_model(
        weights=str(saved(tmp_path / "b.onnx", embedder(layout="nhwc"))), size=SIDE, layout="nhwc"
    )
    weights = onnx.numpy_helper.to_array(embedder().graph.initializer[0])
    wanted = batch.permute(0, 2, 3, 1).flatten(1) @ torch.tensor(weights)
    torch.testing.assert_close(last(batch), wanted)


def test_unit_length_on_request_and_vectors_in(tmp_path):
    nodes = [helper.make_node("MatMul", ["v", "w"], ["e"])]
    model = graph_of(nodes, {"v": ["n", 6]}, {"e": ["n", 2]}, [tensor("w", (6, 2))])
    path = saved(tmp_path / "v.onnx", model)
    bundle = Bundle.from_onnx(path, input=Vector(size=6), distance="euclidean")
    assert bundle.contract.distance == "euclidean" and bundle.twin.dim == 2
    made = onnx_model(weights=str(path), size=6, unit_norm=True)
    torch.testing.assert_close(made(torch.ones(2, 6)).norm(dim=1), torch.ones(2))
    with pytest.raises(UsageError, match="takes any x 6, and the input gives any x 5"):
        Bundle.from_onnx(path, input=Vector(size=5))


def test_one_of_two_outputs_by_name(tmp_path):
    path = saved(tmp_path / "m.onnx", embedder(outputs=("a", "b")))
    with pytest.raises(RecipeError, match=r"has 2 outputs \(a, b\): say which"):
        onnx_model(weights=str(path), size=SIDE)
    assert onnx_model(weights=str(path), size=SIDE, output="b").dim == DIM
    with pytest.raises(RecipeError, match="has no output 'c'"):
        onnx_model(weights=str(path), size=SIDE, output="c")


def external(folder, location="weights.bin"):
    """A model whose matrix lies in another file."""
    path = folder / "m.onnx"
    onnx.save(
        embedder(),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
        convert_attribute=False,
    )
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_beside_the_file_comes_along(tmp_path):
    bundle = Bundle.from_onnx(external(tmp_path), input=Image(size=SIDE, channels=3))
    bundle.save(tmp_path / "b")
    (tmp_path / "weights.bin").unlink()
    plain = Bundle.from_onnx(saved(tmp_path / "p.onnx", embedder()), input=bundle.twin.input)
    found = embed_values(Bundle.load(tmp_path / "b"), pictures())
    np.testing.assert_array_equal(found, embed_values(plain, pictures()))


def broken(kind, folder):
    """A file that cannot be taken."""
    path, spoilt = folder / "m.onnx", {"not onnx": b"\x80\x04 not a graph", "empty": b""}
    if kind in spoilt:
        path.write_bytes(spoilt[kind])
    elif kind in ("missing data", "link"):
        external(folder)
        (folder / "weights.bin").unlink()
        if kind == "link":
            (folder / "weights.bin").symlink_to("/etc/hostname")
    elif kind in ELSEWHERE:
        external(folder, ELSEWHERE[kind])
    elif kind in NODES:
        saved(path, odd_graph(*NODES[kind]))
    return path


ELSEWHERE = {"data above": "../weights.bin", "data elsewhere": "/etc/hostname"}
NODES = {
    "own operator": ("Magic", ["picture"], SIDE, "acme"),
    "unknown operator": ("Banana", ["picture"], SIDE, ""),
    "four axes": ("Relu", ["picture"], SIDE, ""),
    "two inputs": ("Add", ["picture", "other"], SIDE, ""),
    "other size": ("Flatten", ["picture"], 9, ""),
}


def odd_graph(operator, names, side, domain):
    """One operator on inputs of these names."""
    shape = ["n", 3, side, side]
    node = helper.make_node(operator, names, ["e"], domain=domain)
    found = ["n", 3 * side * side] if operator == "Flatten" else shape
    sets = [domain] if domain else []
    return graph_of([node], dict.fromkeys(names, shape), {"e": found}, domains=sets)


BROKEN = {
    "missing data": "which is not beside it: copy both",
    "data above": "outside its folder",
    "data elsewhere": "outside its folder",
    "link": "outside its folder",
    "not onnx": "is not an ONNX file",
    "empty": "is not an ONNX file",
    "nothing": "there is no ONNX file",
    "own operator": "operators of its maker's own (acme)",
    "unknown operator": "cannot be run: ",
    "four axes": "must be (batch, dim)",
    "two inputs": "has 2 inputs (picture, other): it must have one",
    "other size": "takes any x 3 x 9 x 9, and the input gives any x 3 x 4 x 4",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_taken_is_one_line(tmp_path, kind):
    path = broken(kind, tmp_path)
    with pytest.raises(TwofoldError) as caught:
        Bundle.from_onnx(path, input=Image(size=SIDE, channels=3))
    assert BROKEN[kind] in str(caught.value) and "\n" not in str(caught.value)


def test_it_cannot_be_trained(tmp_path):
    from twofold import Recipe, build, fit

    path = saved(tmp_path / "m.onnx", embedder())
    recipe = Recipe(
        input={"name": "Image", "size": SIDE},
        encoder={"name": "onnx_model", "weights": str(path)},
    )
    with pytest.raises(RecipeError, match="nothing to learn"):
        fit(build.twin(recipe), Items.from_arrays(pictures(8), "aabbccdd"), recipe=recipe)


def test_other_things_are_refused(tmp_path):
    made = onnx_model(weights=str(saved(tmp_path / "m.onnx", embedder())), size=SIDE)
    for batch in ("words", torch.zeros(2, 5), torch.zeros(2, 1, SIDE, SIDE)):
        with pytest.raises(UsageError):
            made(batch)
    with pytest.raises(RecipeError, match=r"needs encoder\.weights"):
        onnx_model()
    with pytest.raises(RecipeError, match="order = 'brg'"):
        onnx_model(order="brg")


class TestCommand:
    """`twofold import`."""

    def test_from_the_file_to_an_index(self, tmp_path, run):
        from PIL import Image as Picture

        random = np.random.default_rng(2)
        for number in range(60):
            look = pictures(20)[number // 3].astype(float)
            array = (look + random.normal(0, 20, look.shape)).clip(0, 255).astype(np.uint8)
            folder = tmp_path / "data" / f"p{number // 3}"
            folder.mkdir(parents=True, exist_ok=True)
            Picture.fromarray(array).save(folder / f"{number}.png")
        path, out = saved(tmp_path / "m.onnx", embedder(1)), tmp_path / "b"
        code, told, err = run("import", path, "-o", out)
        assert code == 0, err
        assert "onnx_model on Image, 5 numbers per vector" in told
        assert Bundle.load(out).twin.input.arguments()["size"] == SIDE
        assert run("index", out, tmp_path / "data", tmp_path / "index")[0] == 0
        query = tmp_path / "data" / "p0" / "0.png"
        code, told, _ = run("search", out, tmp_path / "index", query, "-k", "1")
        assert code == 0 and "p0/0.png" in told
        code, _, err = run("calibrate", out, tmp_path / "data", "--far", "0.1", "--estimate")
        assert code == 0, err
        assert run("import", path, "-o", out)[0] == 2  # there is a bundle
        assert run("import", path, "-o", out, "--force")[0] == 0

    def test_preprocessing(self, tmp_path, run):
        path = saved(tmp_path / "m.onnx", embedder())
        sets = ["mean=[104, 117, 123]", "std=1", "range=255", "order=bgr", "fit=stretch"]
        words = [word for each in sets for word in ("--set", each)]
        code, _, err = run("import", path, "--input", "image", "-o", tmp_path / "b", *words)
        assert code == 0, err
        input = Bundle.load(tmp_path / "b").twin.input
        batch = input.normalise(input.stack([np.full((SIDE, SIDE, 3), 255, np.uint8)]))
        assert batch[0, :, 0, 0].tolist() == pytest.approx([132.0, 138.0, 151.0], abs=1e-3)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--size", "9"], "takes any x 3 x 4 x 4, and the input gives any x 3 x 9 x 9"),
            (["--input", "text"], "--input"),
            (["--set", "maen=0.5"], "maen"),
            (["--set", "order=rbg"], "order = 'rbg'"),
            (["--distance", "far"], "far"),
            (["--input", "vector"], "takes pictures"),
        ],
    )
    def test_what_does_not_fit(self, tmp_path, run, words, said):
        path = saved(tmp_path / "m.onnx", embedder())
        code, _, err = run("import", path, "-o", tmp_path / "b", *words)
        assert code == 2 and said in err and err.count("\n") <= 2, err

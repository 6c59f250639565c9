"""Names that are not UTF-8, look like markup or steer terminals, and tables with odd fields: through every command."""

import json
import os
import shlex
import shutil

import numpy as np
import PIL.Image
import pytest
import safetensors.numpy

import small_bundles
from twofold.bundle import Bundle
from twofold.bundle_files import fingerprint_of
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.errors import DamagedBundle, DataError, TwofoldError
from twofold.files import sha256_file
from twofold.printable import utf8_name

ODD = [
    "cat[copy].png",
    "[bold]x.png",
    "\x1b[2J.png",
    "a\nb.png",
    " blank .png",
    "=1+1.png",
    "x\udcff.png",
    "-5.png",
]


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 24), np.uint8)).save(
        os.fsencode(path), "png"
    )
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return small_bundles.of_pictures().save(tmp_path_factory.mktemp("bundles") / "b")


@pytest.fixture
def data(tmp_path):
    for number, name in enumerate(ODD):
        picture(tmp_path / "data" / f"who{number % 3}" / name, number)
    picture(tmp_path / "data" / "=who\udcfe" / "x.png", 99)
    return tmp_path / "data"


def test_indexed_searched_and_shown_by_the_exact_name(run, bundle, data, tmp_path):
    assert run("index", bundle, data, tmp_path / "i", "--keep-source")[0] == 0
    code, out, _ = run("search", bundle, tmp_path / "i", data, "-k", "20", "--json")
    names = {hit["id"] for found in json.loads(out) for hit in found["hits"]}
    assert {name.replace("\udcff", "\\xff") for name in ODD} <= {
        name.split("/", 1)[1] for name in names
    }
    code, out, err = run("search", bundle, tmp_path / "i", data / "who0" / ODD[0])
    assert code in (0, 1, 3)
    assert "cat[copy].png" in out
    assert not set(out + err) & {"\x1b", "\r", "\udcff"}
    assert "=who\\xfe" in out


def test_embedded_deduplicated_and_enrolled(run, bundle, data, tmp_path):
    assert run("embed", bundle, data, tmp_path / "parts")[0] == 0
    code, out, err = run("dedup", data, "--report", tmp_path / "page.html")
    assert code == 0 and "\x1b" not in out + err
    for name in ODD:
        label = name.removesuffix(".png")
        code, out, err = run(
            "enrol", bundle, tmp_path / "gallery", "--", label, next(data.rglob("*/x*.png"))
        )
        assert (code, "\x1b" in out + err) == (0, False)
    labels = json.loads(run("audit", tmp_path / "gallery", "--json")[1])
    assert len(labels) == len(ODD)


def test_two_names_that_would_be_stored_as_one_are_refused(tmp_path):
    picture(tmp_path / "a\udcff" / "1.png", 1)
    picture(tmp_path / "a\\xff" / "1.png", 2)
    with pytest.raises(DataError, match="two names would both be stored as"):
        Items.from_folder(tmp_path)


def test_the_cleaned_table_is_read_back_exactly(run, data, tmp_path):
    assert run("doctor", data, "--fix", tmp_path / "clean.csv")[0] in (0, 2)
    known, again = Items.open(data), Items.open(tmp_path / "clean.csv")
    kept = {str(value.resolve()) for value in known.values if utf8_name(str(value)) == str(value)}
    assert {str(value.resolve()) for value in again.values} <= kept
    assert {"=1+1.png", "a\nb.png", " blank .png"} <= {value.name for value in again.values}
    dropped = (tmp_path / "clean.dropped.csv").read_text()
    assert "not UTF-8" in dropped and "x\\xff.png" in dropped


def test_an_unreadable_file_is_left_out_of_the_verdicts(run, bundle, tmp_path):
    for number in range(3):
        picture(tmp_path / f"{number}.png", number)
    (tmp_path / "bad.png").write_text("not a picture")
    table = tmp_path / "pairs.csv"
    table.write_text("a,b\n0.png,1.png\n0.png,bad.png\n1.png,2.png\n")
    code, out, err = run("verify", bundle, "--pairs", table, "--json")
    assert code == 0
    assert [(row["a"], row["b"]) for row in json.loads(out)] == [
        ("0.png", "1.png"),
        ("1.png", "2.png"),
    ]
    assert "bad.png" in err and "1 of 3 pairs have no verdict" in err
    table.write_text("a,b\n0.png,bad.png\n")
    code, _, err = run("verify", bundle, "--pairs", table)
    assert code == 2
    assert "none of 1 pairs can be read" in err


def resealed(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {
        path.name: sha256_file(path) for path in folder.iterdir() if path.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "null", "[]", "{}", '{"recipe": 1}', '{"a": NaN}', "", "\udcff"]
)
@pytest.mark.parametrize("name", ["bundle.json", "manifest.json"])
def test_json_of_any_shape_is_called_damaged(bundle, tmp_path, name, content):
    folder = shutil.copytree(bundle, tmp_path / "b")
    (folder / name).write_bytes(os.fsencode(content))
    if name == "bundle.json":
        resealed(folder)
    with pytest.raises(TwofoldError if content == '{"recipe": 1}' else DamagedBundle):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            (key, value)
            for key in ("recipe", "twin", "contract")
            for value in (None, [], -1, "x", {"a": 1})
        ),
        *(("training", value) for value in (None, -1, "x")),
    ],
)
def test_parts_of_a_description_of_other_types_are_called_damaged(bundle, tmp_path, key, value):
    folder = shutil.copytree(bundle, tmp_path / "b")
    description = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(description | {key: value}))
    resealed(folder)
    with pytest.raises(TwofoldError):
        Bundle.load(folder)


def test_arguments_in_the_wrong_order_are_recognised(run, bundle, data, tmp_path, monkeypatch):
    run("index", bundle, data, tmp_path / "i")
    one, two = sorted(data.rglob("*[[]copy]*"))[0], sorted(data.rglob("*-5*"))[0]
    for words, meant in [
        (
            ["train", data, "face", "-o", tmp_path / "m"],
            ["train", "face", data, "-o", tmp_path / "m"],
        ),
        (["verify", one, two, bundle], ["verify", bundle, one, two]),
        (["search", tmp_path / "i", bundle, one], ["search", bundle, tmp_path / "i", one]),
        (["identify", bundle, one, tmp_path / "i"], ["identify", bundle, tmp_path / "i", one]),
        (["calibrate", data, bundle], ["calibrate", bundle, data]),
        (["dedup", data, bundle], ["dedup", bundle, data]),
        (["index", bundle, tmp_path / "new", data], ["index", bundle, data, tmp_path / "new"]),
        (["forget", tmp_path / "i", bundle, "x"], ["forget", bundle, tmp_path / "i", "x"]),
        (["enrol", bundle, "x", tmp_path / "i", one], ["enrol", bundle, tmp_path / "i", "x", one]),
    ]:
        code, _, err = run(*words)
        assert code == 2
        assert f"in the wrong order? twofold {shlex.join(map(str, meant))}" in err
    assert "wrong order" not in run("verify", bundle, one, tmp_path / "none.png")[2]


def test_what_twofold_wrote_is_no_data(run, bundle, data, tmp_path):
    run("index", bundle, data, tmp_path / "i")
    assert "is a bundle (a trained model), not data" in run("dedup", bundle)[2]
    assert "is an index, not data" in run("doctor", tmp_path / "i")[2]
    assert (
        f"twofold dedup {data} --against {tmp_path / 'i'}" in run("dedup", tmp_path / "i", data)[2]
    )


def resealed_with_weights(folder, change):
    """Other tensors, with every hash and fingerprint as it should be."""
    tensors = change(safetensors.numpy.load_file(folder / "weights.safetensors"))
    (folder / "weights.safetensors").write_bytes(safetensors.numpy.save(tensors))
    described = json.loads((folder / "bundle.json").read_text())
    recipe = Recipe.model_validate(described["recipe"])
    sha = sha256_file(folder / "weights.safetensors")
    print_of = fingerprint_of(sha, described["twin"], recipe, 1)
    described["contract"]["fingerprint"] = print_of
    (folder / "bundle.json").write_text(json.dumps(described))
    resealed(folder)
    manifest = json.loads((folder / "manifest.json").read_text()) | {"fingerprint": print_of}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda tensors: {f"other.{name}": tensor for name, tensor in tensors.items()},
            "Missing key",
        ),
        (
            lambda tensors: {name: tensor[..., None] for name, tensor in tensors.items()},
            "size mismatch",
        ),
        (
            lambda tensors: {
                name: each for name, each in tensors.items() if not name.endswith("weight")
            },
            "Missing key",
        ),
        (lambda tensors: tensors | {"more": np.zeros(3, np.float32)}, "Unexpected key"),
    ],
)
def test_weights_of_another_network_are_one_line_though_every_hash_fits(
    run, bundle, tmp_path, change, says
):
    folder = shutil.copytree(bundle, tmp_path / "b")
    resealed_with_weights(folder, change)
    with pytest.raises(
        DamagedBundle, match="does not describe a bundle that this twofold can rebuild"
    ) as caught:
        Bundle.load(folder)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    code, _, err = run("info", folder)
    assert code == 2 and err.count("\n") == 1

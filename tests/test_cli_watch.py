"""calibrate with groups and a cohort, verify by group, evaluate of pairs with a page, monitor and its exit codes."""

import csv
import json

import numpy as np
import pytest
from PIL import Image as Picture

from twofold import Recipe
from twofold.data.items import Items
from twofold.data.synthetic import clusters, glyphs
from twofold.train.fit import fit_recipe


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two groups of thirty characters, in folders."""
    folder, items = tmp_path_factory.mktemp("data") / "people", glyphs(60, 4, size=16)
    for place, value in enumerate(items.values):
        inside = (
            folder / ("day" if items.labels[place] % 2 else "night") / f"{items.labels[place]:02d}"
        )
        inside.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.asarray(value).squeeze()).save(inside / f"{place}.png")
    return folder


@pytest.fixture
def model(people, tmp_path):
    image, encoder = {"name": "Image", "size": 16, "channels": 1}, {"name": "conv4", "dim": 16}
    recipe = Recipe.model_validate({"input": image, "encoder": encoder, "epochs": 1, "p": 8})
    split = {"split.train": 0.2, "split.valid": 0.1, "split.calibrate": 0.6, "split.test": 0.1}
    bundle = fit_recipe(recipe.replace(split), Items.open(people, levels=2), device="cpu")
    return bundle.save(tmp_path / "model")


def test_a_threshold_for_each_group(run, people, model):
    words = ["calibrate", model, people, "--levels", 2, "--far", 0.2, "--estimate"]
    code, out, _ = run(*words, "--set", "groups=true", "--json")
    told = json.loads(out)
    assert code == 0 and [each["name"] for each in told["groups"]] == ["day", "night"]
    pair = sorted((people / "day" / "01").iterdir())[:2]
    code, _, err = run("verify", model, *pair)
    assert (
        code == 2
        and "no group was given, and each has a threshold of its own: day, night; or 'any'" in err
    )
    code, out, _ = run("verify", model, *pair, "--group", "day", "--json")
    assert (
        code in (0, 1)
        and json.loads(out)["threshold"] == told["groups"][0]["calibration"]["threshold"]
    )
    assert "group 'noon' is not known" in run("verify", model, *pair, "--group", "noon")[2]
    code, _, err = run("identify", model, model, pair[0], "--group", "noon")
    assert code == 2
    code, out, _ = run(*words, "--set", "cohort=12")
    assert code == 0 and "12 vectors" in out
    code, out, _ = run("verify", model, *pair)
    assert code in (0, 1) and "12 vectors" not in out
    code, _, err = run(*words, "--set", "cohort=40")
    assert code == 2 and "36 identities, of which 40 were to be the cohort" in err


def test_pairs_have_a_page(run, people, model, tmp_path):
    run("calibrate", model, people, "--levels", 2, "--far", 0.2, "--estimate")
    others = glyphs(20, 4, size=16, seed=5)
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "same", "identity_a", "identity_b"])
        for a in range(80):
            for b in (a ^ 1, (a + 7) % 80, (a + 13) % 80):
                ends = others.labels[[a, b]]
                writer.writerow(
                    [
                        f"{a}.png",
                        f"{b}.png",
                        int(ends[0] == ends[1]),
                        f"new{ends[0]}",
                        f"new{ends[1]}",
                    ]
                )
            Picture.fromarray(np.asarray(others.values[a]).squeeze()).save(tmp_path / f"{a}.png")
    page = tmp_path / "report.html"
    code, out, err = run("evaluate", model, tmp_path / "pairs.csv", "--report", page, "--json")
    told = json.loads(out)
    assert (
        (code, err) == (0, "")
        and len(told["hard"]) == 12
        and told["hard"][0]["kind"] == "false accept"
    )
    text = page.read_text(encoding="utf-8")
    assert "data:image/" in text and "new3" in text and "evaluate" in text
    code, out, _ = run(
        "evaluate", model, tmp_path / "pairs.csv", "--report", page, "--set", "pictures=false"
    )
    assert code == 0 and "pictures=false" in page.read_text(encoding="utf-8")
    code, _, err = run("evaluate", model, tmp_path / "pairs.csv", "--set", "picture=false")
    assert code == 2 and "did you mean 'pictures'" in err


def scores_file(path, *, moved=0.0, identities=60, seed=1):
    items = clusters(identities, 4, spread=0.7, uneven=0.3, seed=seed)
    vectors, generator = np.stack(items.values).astype(float), np.random.default_rng(seed)
    a = generator.integers(0, len(vectors), 800)
    b = np.where(np.arange(800) % 2 == 0, a ^ 1, generator.integers(0, len(vectors), 800))
    lines = [
        {
            "score": float(vectors[i] @ vectors[j]) + moved,
            "a": f"{items.labels[i]}",
            "b": f"{items.labels[j]}",
        }
        for i, j in zip(a, b, strict=True)
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def test_monitor_says_by_its_exit_code(run, tmp_path):
    items = clusters(110, 4, spread=0.7, uneven=0.3)
    np.save(tmp_path / "v.npy", np.stack(items.values))
    (tmp_path / "v.csv").write_text("label\n" + "".join(f"{label}\n" for label in items.labels))
    contract = tmp_path / "contract.json"
    assert run("calibrate", tmp_path / "v.npy", "--far", "0.01", "-o", contract)[0] == 0
    code, out, _ = run("monitor", contract, scores_file(tmp_path / "healthy.jsonl"))
    assert (
        code == 0
        and out.startswith("no drift: 800 pairs")
        and "false alarms in at most 0.01 of runs" in out
    )
    code, out, _ = run("monitor", contract, scores_file(tmp_path / "moved.jsonl", moved=0.25))
    assert code == 1 and out.startswith("drift") and "next: look at recent inputs" in out
    code, out, _ = run(
        "monitor", contract, scores_file(tmp_path / "few.jsonl", identities=12), "--json"
    )
    assert code == 3 and json.loads(out)["decision"] == "too little data"
    code, out, _ = run("monitor", contract, tmp_path / "few.jsonl")
    assert "next: collect more pairs" in out
    settings = ["--set", "looks=52", "--set", "genuine=0.3", "--false-alarms", "0.05"]
    code, out, _ = run("monitor", contract, tmp_path / "healthy.jsonl", *settings, "--json")
    assert code == 0 and json.loads(out)["false_alarms"] == 0.05
    code, _, err = run("monitor", contract, tmp_path / "healthy.jsonl", "--set", "looks=x")
    assert code == 2 and "must be a whole number" in err
    code, _, err = run("monitor", contract, tmp_path / "none.jsonl")
    assert code == 2 and "cannot be read" in err

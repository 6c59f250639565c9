"""`twofold dedup`: found, shown, decided, carried out, taken back; and what it refuses."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from exit_codes import exit_code
from twofold.copies.trash import Moved
from twofold.terminal.wording.dedup import carried_out


def run(capsys, *words):
    code = exit_code("dedup", *words)
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "pictures"
    place.mkdir()
    for seed in range(4):
        small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
        picture = PIL.Image.fromarray(small).resize((96, 96), PIL.Image.Resampling.BICUBIC)
        picture.save(place / f"{seed}.png")
    picture.resize((60, 60)).save(place / "small.png")
    return place


def test_the_whole_way(capsys, folder, tmp_path):
    page = tmp_path / "groups.html"
    code, out, _ = run(capsys, folder, "--report", page)
    assert code == 0 and "1 group, 1 copy" in out and "3.png ~ small.png" in out
    assert "small.png" in page.read_text(encoding="utf-8")
    size = (folder / "small.png").stat().st_size
    table = tmp_path / "decisions.csv"
    table.write_text(
        f"group,path,decision,bytes\n1,3.png,keep,0\n1,small.png,delete,{size}\n", encoding="utf-8"
    )
    code, out, _ = run(capsys, folder, "--apply", table, "--json")
    told = json.loads(out)
    assert (
        code == 0 and list(told["moved"]) == ["small.png"] and not (folder / "small.png").exists()
    )
    code, out, _ = run(capsys, folder, "--json")
    assert json.loads(out)["groups"] == []
    code, out, _ = run(capsys, folder, "--apply", told["undo"])
    assert code == 0 and "1 file is back" in out and (folder / "small.png").exists()


def test_a_cache_reads_what_is_new_and_its_old_name_is_known(capsys, folder, tmp_path):
    run(capsys, folder, "--cache", tmp_path / "cache")
    _, out, err = run(capsys, folder, "--memory", tmp_path / "cache", "--json")
    assert "--memory is called --cache now" in err
    told = json.loads(out)
    assert (told["new"], told["items"], len(told["groups"])) == (0, 5, 1)


def test_vectors(capsys, tmp_path):
    rows = np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32)
    rows[7] = rows[2] * 1.001
    np.save(tmp_path / "rows.npy", rows)
    code, out, _ = run(capsys, tmp_path / "rows.npy")
    assert code == 0 and "2 ~ 7 1.000" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{folder}", "--keep", "biggest"], "keep = 'biggest' is not a rule"),
        (
            ["{folder}", "--threshold", "0.9"],
            "a threshold and an index are about vectors: give a bundle as well",
        ),
        (["{folder}/none.npy"], "cannot be read as an npy file of vectors"),
        (["{folder}/none.npy", "--cache", "x"], "vectors are compared as they are"),
        (["{folder}/none.npy", "--out", "x.csv"], "vectors are compared as they are"),
        (["{folder}", "--apply", "{folder}/none.csv"], "none.csv cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line(capsys, folder, words, said):
    code, _, err = run(capsys, *(word.format(folder=folder) for word in words))
    assert code == 2 and said in err and "Traceback" not in err


def test_against_an_index(capsys, folder, tmp_path):
    from twofold import build
    from twofold.bundle import Bundle
    from twofold.config import Recipe
    from twofold.data.items import Items
    from twofold.embedding import embed
    from twofold.store.index import Index

    recipe = Recipe.model_validate(
        {"input": {"name": "Image", "size": 32}, "encoder": {"name": "conv4", "width": 8}}
    )
    bundle = Bundle(twin=build.twin(recipe, seed=0).eval(), recipe=recipe)
    bundle.save(tmp_path / "bundle")
    old = Items.open(folder, levels=0).take(np.array([0]))
    with Index.create(tmp_path / "index", bundle.contract) as index:
        index.add(embed(bundle, old))
    new = tmp_path / "new"
    new.mkdir()
    (new / "again.png").write_bytes((folder / "0.png").read_bytes())
    code, out, _ = run(capsys, tmp_path / "bundle", new, "--against", tmp_path / "index", "--json")
    told = json.loads(out)
    assert code == 0 and told["groups"][0]["kept"] == "0.png" and told["groups"][0]["known"]
    assert "a default, nothing certifies it" in told["rule"]


def test_the_limit_of_pixels_is_an_option_that_the_error_names(capsys, folder, monkeypatch):
    monkeypatch.delenv("TWOFOLD_MAX_PIXELS", raising=False)
    for words in (("--max-pixels", 5000), ("--max-pixels=5000",)):
        code, out, _ = run(capsys, folder, "--json", *words)
        refused = json.loads(out)["unreadable"]
        assert code == 0 and sorted(refused) == ["0.png", "1.png", "2.png", "3.png"]
        assert "(--max-pixels 9216; in Python `max_pixels`)" in refused["0.png"]
    code, out, _ = run(capsys, folder, "--json", "--max-pixels", 9216)
    assert json.loads(out)["unreadable"] == {}
    for wrong in ("many", "0", "-1"):
        code, _, err = run(capsys, folder, "--max-pixels", wrong)
        assert code == 2 and f"--max-pixels must be a positive whole number, not '{wrong}'" in err


def test_files_of_a_table_are_said_to_be_where_they_went():
    undo = Path("data") / ".twofold-trash" / "undo-1.csv"
    moved = Moved(files={"a.png": "b.png"}, undo=undo, linked={})
    told = carried_out(moved, Path("data") / "table.csv")
    assert f"1 file was moved to {undo.parent}\n" in told

"""The doctor at the command line: what it compares with, and the cleaned table."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from exit_codes import exit_code
from twofold.data.items import Items
from twofold.data.synthetic import glyphs


def told(capsys, *words) -> tuple[int, dict]:
    code = exit_code("doctor", *words, "--json")
    out = json.loads(capsys.readouterr().out)
    return code, out | {"codes": {finding["code"] for finding in out["findings"]}}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Glyphs on paper of changing grey, in a table with a copy and an identity in two parts."""
    items, generator = glyphs(9, 4, size=32, seed=2), np.random.default_rng(0)
    rows = ["path,label,split"]
    for place, (value, code) in enumerate(zip(items.values, items.labels, strict=True)):
        picture = np.asarray(value)[:, :, 0] // 2 + np.uint8(generator.integers(0, 60))
        PIL.Image.fromarray(picture).save(tmp_path / f"{place}.png")
        rows.append(f"{place}.png,{items.names[code]},{'test' if place >= 30 else 'train'}")
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    (tmp_path / "table.csv").write_text("\n".join([*rows, "copy.png,glyph 0,train"]) + "\n")
    return tmp_path / "table.csv"


def test_parts_of_a_table_and_the_cleaned_one(capsys, table: Path) -> None:
    code, out = told(capsys, table, "--fix", table.with_name("clean.csv"))
    assert code == 0 and {"duplicates-within-classes", "overlap-identities"} <= out["codes"]
    assert out["dropped"]["copy.png"] == "equal to 0.png"
    assert out["dropped"]["28.png"] == "its identity is on another side, too"
    kept = Items.open(table.with_name("clean.csv"))
    assert len(kept) == 37 - len(out["dropped"]) and table.with_name("clean.dropped.csv").is_file()
    code, out = told(capsys, table.with_name("clean.csv"), "--against", table)
    assert "overlap-contents" in out["codes"]


def test_the_terminal_says_where_the_table_is(capsys, table: Path) -> None:
    exit_code("doctor", table, "--fix", table.with_name("clean.csv"))
    assert (
        "clean.dropped.csv names the others with their reasons"
        in capsys.readouterr().out.replace("\n", " ")
    )

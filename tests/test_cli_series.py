"""Time series on the command line: from a file to verdicts, an index and groups."""

import json
from pathlib import Path

import numpy as np
import pytest

from twofold.bundle import Bundle

QUICK = (
    "--set",
    "encoder=fcn_1d",
    "--set",
    "encoder.width=16",
    "--set",
    "fewest_steps=60",
    "--set",
    "epochs=1",
    "--max-time",
    "60",
)


def drawn(
    kinds: int, each: int, *, length: int = 40, seed: int = 0
) -> list[tuple[str, np.ndarray]]:
    """Kinds of machines are sums of three sines; a series is one with another phase, and noise."""
    draw = np.random.default_rng(seed)
    found = []
    for kind in range(kinds):
        rates, sizes = draw.uniform(0.1, 1.2, 3), draw.uniform(0.5, 2, 3)
        for _ in range(each):
            times = np.arange(length + int(draw.integers(-4, 5)))
            wave = sizes @ np.sin(rates[:, None] * times + draw.uniform(0, 0.6))
            found.append((f"m{seed}-{kind}", wave + draw.normal(0, 0.1, len(times))))
    return found


def machines(folder: Path, kinds: int = 40, each: int = 5, *, seed: int = 0) -> Path:
    """A .ts file of unequal lengths, with a value missing here and there."""
    lines = []
    for number, (label, wave) in enumerate(drawn(kinds, each, seed=seed)):
        fields = [f"{value:.4f}" for value in wave]
        fields[number % 7 + 1] = "?" if number % 3 == 0 else fields[number % 7 + 1]
        lines.append(f"{','.join(fields)}:{label}\n")
    place = folder / f"machines{seed}.ts"
    place.write_text("@problemName machines\n@classLabel true\n@data\n" + "".join(lines))
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("series")


@pytest.fixture(scope="module")
def data(place):
    return machines(place)


@pytest.fixture(scope="module")
def model(place, data):
    from exit_codes import exit_code

    assert exit_code("train", "series", data, "-o", place / "model", *QUICK) == 0
    assert exit_code("calibrate", place / "model", data, "--far", "0.05", "--estimate") == 0
    return place / "model"


def test_the_doctor_and_the_plan_know_the_recipe(run, data):
    code, out, _ = run("doctor", data)
    assert code == 0 and "200 series of 40 classes, 36 to 44 values long, 1 channel" in out
    assert "values are missing in 67" in out
    assert "next: twofold train series" in out


def test_verify_series_of_files_and_typed_ones(run, model, data, tmp_path):
    assert run("verify", model, f"{data}#1", f"{data}#2")[0] == 0
    assert run("verify", model, f"{data}#1", f"{data}#200")[0] == 1
    wave = drawn(40, 5)[0][1]
    (tmp_path / "one.csv").write_text(
        "time,value\n" + "".join(f"{n},{v}\n" for n, v in enumerate(wave))
    )
    np.save(tmp_path / "one.npy", wave)
    assert run("verify", model, tmp_path / "one.csv", tmp_path / "one.npy")[0] == 0
    assert run("verify", model, json.dumps(wave.tolist()), f"{data}#2")[0] == 0
    (tmp_path / "flat.csv").write_text("value\n" + "2\n" * 9)
    for words, said in (
        (("[1, 1, 1]", f"{data}#1"), "[1, 1, 1]: the series is constant (1)"),
        ((f"{data}#1", tmp_path / "flat.csv"), "flat.csv: the series is constant (2)"),
        (("[1]", f"{data}#1"), "has 1 value: 2 are the fewest"),
        (("[1, nan, nan, nan]", f"{data}#1"), "75% of the values of channel 1 are missing"),
        (("[[1, 2], [2, 1]]", f"{data}#1"), "has 2 channels, and 1 is wanted"),
        ((data, f"{data}#1"), "machines0.ts holds 200 series: name one as machines0.ts#1"),
        ((f"{data}#999", f"{data}#1"), "holds 200 series, called machines0.ts#1"),
        (("photo.png", f"{data}#1"), "photo.png is not a series"),
    ):
        code, _, err = run("verify", model, *words)
        assert code == 2 and said in err and err.count("\n") == 1, err


def test_search_identify_and_dedup(run, model, data, tmp_path):
    index = tmp_path / "index"
    assert run("index", model, data, index)[0] == 0
    new = machines(tmp_path, 3, 1, seed=9)
    code, out, _ = run("search", model, index, new, "--json")
    assert code in (0, 1) and len(json.loads(out)) == 3
    code, out, _ = run("identify", model, index, f"{data}#3", "--json")
    assert code == 0 and json.loads(out)["label"] == "m0-0"
    one = tmp_path / "normal"
    assert run("enrol", model, one, "normal", f"{data}#1", f"{data}#2")[0] == 0
    assert run("identify", model, one, f"{data}#3")[0] == 0
    code, out, _ = run("identify", model, one, f"{data}#200")
    assert code == 1 and out.startswith("nobody")
    code, _, err = run("dedup", model, data, "-o", tmp_path / "groups.csv")
    assert code in (0, 1), err


def test_a_report_and_a_search_page_draw_series(run, model, data, tmp_path):
    others = machines(tmp_path, 12, seed=5)
    page = tmp_path / "page.html"
    code, out, err = run("evaluate", model, others, "--report", page, "--json")
    assert code == 0, err
    assert {each["name"] for each in json.loads(out)["estimates"]} >= {"eer", "accuracy"}
    assert page.read_text().count('<svg class="course"') >= 4
    index = tmp_path / "index"
    assert run("index", model, data, index)[0] == 0
    words = ("search", model, index, f"{data}#1", "-k", 3, "--report", page, "--pictures", data)
    assert run(*words)[0] == 0
    assert page.read_text().count('class="behind"') == 3


def test_a_closed_set_only_by_name(run, model, data, tmp_path):
    train, test = machines(tmp_path, 5, 6, seed=3), tmp_path / "test.ts"
    lines = train.read_text().splitlines()
    header, cases = lines[:3], lines[3:]
    train.write_text("\n".join(header + cases[::2]) + "\n")
    test.write_text("\n".join(header + cases[1::2]) + "\n")
    closed = tmp_path / "closed"
    code, _, err = run("train", "series", train, "-o", closed, *QUICK, "--set", "epochs=1")
    assert code == 0 and "none is kept aside" in err
    code, _, err = run("evaluate", closed, test, "--gallery", train)
    assert code == 2 and "5 of 5 classes were trained on" in err and "--closed-set" in err
    code, out, _ = run("evaluate", closed, test, "--gallery", train, "--closed-set")
    assert code == 0 and out.startswith("closed set: the classes were trained on, so this says")
    assert "nothing is certified" in out and "resampling 15 items" in out
    words = ("evaluate", closed, test, "--gallery", train, "--closed-set", "--json")
    assert json.loads(run(*words)[1])["closed_set"] is True
    code, out, _ = run("evaluate", model, test, "--gallery", train, "--closed-set")
    assert code == 0 and "closed set" not in out and "resampling 5 identities" in out
    code, _, err = run("calibrate", closed, train, "--far", "0.05")
    assert code == 2 and "none was kept aside" in err and err.count("\n") == 1
    for words, said in (
        (("evaluate", model, test, "--closed-set"), "--closed-set is for --gallery"),
        (("evaluate", model, test, "--gallery", train, "--far", "0.1"), "--far is about pairs"),
    ):
        code, _, err = run(*words)
        assert code == 2 and said in err


def two_channels() -> list[tuple[str, np.ndarray]]:
    return [(label, np.stack([wave, -wave], axis=1)) for label, wave in drawn(6, 4, length=24)]


@pytest.mark.parametrize("form", ["folder", "table", "long", "npy", "tsv"])
def test_every_form_of_data_trains(run, tmp_path, form):
    channels = 1 if form == "tsv" else 2
    things = drawn(6, 4, length=24) if form == "tsv" else two_channels()
    if form == "folder":
        for number, (label, values) in enumerate(things):
            (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
            np.savetxt(tmp_path / "data" / label / f"{number}.csv", values, delimiter=",")
        data = tmp_path / "data"
    elif form == "table":
        data = tmp_path / "data.csv"
        rows = [f'"{values.tolist()}",{label}' for label, values in things]
        data.write_text("series,label\n" + "\n".join(rows) + "\n")
    elif form == "long":
        data = tmp_path / "data.csv"
        rows = [
            f"{n},{t},{a},{b},{label}"
            for n, (label, values) in enumerate(things)
            for t, (a, b) in enumerate(values)
        ]
        data.write_text("id,time,x,y,label\n" + "\n".join(rows) + "\n")
    elif form == "npy":
        data = tmp_path / "data.npy"
        np.save(data, np.stack([values[:20] for _, values in things]))
        labels = "\n".join(label for label, _ in things)
        (tmp_path / "data.csv").write_text(f"label\n{labels}\n")
    else:
        data = tmp_path / "data.tsv"
        rows = ["\t".join([label[3:], *map(str, values)]) for label, values in things]
        data.write_text("\n".join(rows) + "\n")
    out = tmp_path / "model"
    code, _, err = run("train", "series", data, "-o", out, *QUICK, "--set", "fewest_steps=2")
    assert code == 0, err
    assert Bundle.load(out).twin.input.facts()["channels"] == channels
    code, _, err = run("doctor", data)
    assert code == 0, err


def test_other_things_are_refused_in_one_line(run, model, data, tmp_path):
    texts = tmp_path / "texts.csv"
    texts.write_text("text,label\nanna,a\nberta,b\n")
    tsv = tmp_path / "wrong.tsv"
    tsv.write_text("1\t0.5\t0.7\n2\t0.1\tx\n")
    bare = tmp_path / "bare.ts"
    bare.write_text("@classLabel false\n@data\n1,2,3\n2,1,3\n")
    empty = tmp_path / "empty.ts"
    empty.write_text("")
    for words, said in (
        (("train", "names", data, "-o", tmp_path / "m"), "the recipe series reads them"),
        (("train", "face", data, "-o", tmp_path / "m"), "the recipe series reads them"),
        (("train", "series", texts, "-o", tmp_path / "m"), "holds texts"),
        (("calibrate", model, texts), "give a .ts file"),
        (("train", "series", tsv, "-o", tmp_path / "m"), "wrong.tsv, line 2: 'x' is not a number"),
        (("train", "series", bare, "-o", tmp_path / "m"), "bare.ts has no labels"),
        (("train", "series", empty, "-o", tmp_path / "m"), "it is not a .ts file of series"),
    ):
        code, _, err = run(*words)
        assert code == 2 and said in err and err.count("\n") == 1, err

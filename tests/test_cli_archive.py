"""index, search and embed as a person uses them, and what is said about mistakes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture

from twofold import build
from twofold.apps.indexing import index_items
from twofold.apps.pruning import prune, vanished
from twofold.bundle import Bundle
from twofold.calibration.pairs import calibrate
from twofold.cli.archive import share_of
from twofold.cli.filters import filters
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.data.synthetic import glyphs
from twofold.errors import UsageError
from twofold.store import Index

RECIPE = Recipe(
    input={"name": "Image", "size": [16, 16], "channels": 1},
    encoder={"name": "resnet_small", "dim": 16, "width": 8},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    drawn = glyphs(classes=6, each=4, size=16, seed=0)
    for number, (value, label) in enumerate(zip(drawn.values, drawn.labels, strict=True)):
        (place / f"c{label}").mkdir(exist_ok=True)
        Picture.fromarray(np.asarray(value).squeeze()).save(
            place / f"c{label}" / f"{number % 4}.png"
        )
    return place


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    bundle = Bundle(twin=build.twin(RECIPE, seed=0).eval(), recipe=RECIPE)
    return bundle.save(tmp_path_factory.mktemp("models") / "plain")


@pytest.fixture(scope="module")
def calibrated(model, tmp_path_factory):
    known = calibrate(
        Bundle.load(model),
        glyphs(classes=30, each=4, size=16, seed=5),
        far=0.05,
        standing="estimate",
    )
    return known.save(tmp_path_factory.mktemp("models") / "calibrated")


def test_the_whole_way(run, folder, model, tmp_path):
    code, out, said = run("index", model, folder, tmp_path / "i", "--keep-source")
    assert code == 0
    assert (
        "24 embedded, 0 known already; 24 items are new or changed" in out
        and "24 items of 6 labels" in out
    )
    assert "24 files of 6 identities" in said
    assert (
        "0 embedded, 24 known already; 0 items"
        in run("index", model, folder, tmp_path / "i", "--keep-source")[1]
    )
    code, out, _ = run("info", tmp_path / "i", "--json")
    assert (code, json.loads(out)["items"]) == (0, 24)

    query = folder / "c2" / "1.png"
    code, out, _ = run(
        "search", model, tmp_path / "i", query, "-k", 3, "--report", tmp_path / "page.html"
    )
    assert code == 0
    assert (
        out.startswith(f"{query}: what is most like it; the bundle has no threshold")
        and "1.0000  c2" in out
    )
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg") == 4
    code, out, _ = run("search", model, tmp_path / "i", folder / "c3", "-k", 2, "--json")
    told = json.loads(out)
    assert [each["query"] for each in told] == ["0.png", "1.png", "2.png", "3.png"]
    assert all(each["hits"][0]["label"] == "c3" and each["decision"] is None for each in told)


def test_what_is_gone_is_pruned_but_never_much_of_it_unasked(run, folder, model, tmp_path):
    data, place = shutil.copytree(folder, tmp_path / "data"), tmp_path / "i"

    def indexed(*more):
        return run("index", model, data, place, "--prefix", "a/", *more)

    indexed()
    run("index", model, folder / "c1", place, "--prefix", "b/", "--levels", 0)
    (data / "c2" / "1.png").rename(data / "c2" / "new.png")
    (data / "c3" / "0.png").unlink()
    assert "29 items of" in indexed()[1]  # without --prune nothing goes
    code, out, _ = indexed("--prune")
    assert code == 0
    assert "2 items removed, because their files are gone" in out
    assert "27 items of" in out
    assert json.loads(indexed("--prune", "--json")[1])["pruned"] == 0
    left = {f"a/{path.relative_to(data)}" for path in data.glob("*/*.png")}
    with Index.open(place) as index:
        assert set(index.ids) == left | {f"b/{number}.png" for number in range(4)}

    shutil.rmtree(data / "c4")
    code, _, said = indexed("--prune")
    assert code == 2
    assert "4 of 23 items of" in said
    assert (
        "('a/c4/0.png', 'a/c4/1.png', 'a/c4/2.png', ...), more than a tenth: is all of it mounted"
        in said
    )
    (tmp_path / "unmounted").mkdir()
    assert run("index", model, tmp_path / "unmounted", place, "--prune", "--force")[0] == 2
    with Index.open(place) as index:
        assert len(index) == 27
    assert "4 items removed" in indexed("--prune", "--force")[1]
    code, _, said = indexed("--force")
    assert (code, "--force is for --prune" in said) == (2, True)
    run("embed", model, data, tmp_path / "parts")
    code, _, said = run("index", model, tmp_path / "parts", place, "--prune")
    assert (code, "of which nothing vanishes: --prune wants the things" in said) == (2, True)


def test_what_lay_elsewhere_is_not_pruned(run, folder, model, tmp_path):
    one, two = (shutil.copytree(folder / name, tmp_path / name / "x") for name in ("c1", "c2"))
    for number, path in enumerate(sorted(two.iterdir())):
        path.rename(two / f"two{number}.png")
    place = tmp_path / "i"
    for path in (one, two):
        run("index", model, path, place, "--keep-source", "--levels", 0)
    (one / "0.png").unlink()
    bundle = Bundle.load(model)
    with Index.open(place) as index:
        index.add(replace(index.get(["1.png"]), ids=("by hand",), metadata=({},)))
        items = Items.from_folder(one, levels=0)
        with pytest.raises(
            UsageError,
            match=r"1 of 9 items of .* are not in .* any more \('0.png'\), more than a tenth",
        ):
            vanished(index, items, root=one)
        gone = vanished(index, items, root=one, force=True)
        assert gone == ("0.png",)
        assert prune(index, gone) == 1
        assert prune(index, gone) == 0  # somebody else was faster
        assert len(index) == 8
        assert index_items(bundle, index, items, keep_source=True).known == 3


def test_what_cannot_be_read_is_said_and_the_others_are_searched(run, folder, model, tmp_path):
    run("index", model, folder, tmp_path / "i")
    queries = shutil.copytree(folder / "c3", tmp_path / "queries")
    (queries / "a note.txt").write_text("no picture")
    code, out, _ = run("search", model, tmp_path / "i", queries, "--json")
    told = json.loads(out)
    assert code == 0 and [bool(each["hits"]) for each in told] == [True] * 4 + [False]
    assert "a note.txt is not a picture" in told[4]["unreadable"] and told[0]["unreadable"] is None
    code, out, _ = run("search", model, tmp_path / "i", queries, "--report", tmp_path / "page.html")
    assert code == 0 and "a note.txt is not a picture" in out.splitlines()[-2]
    assert "a note" not in (tmp_path / "page.html").read_text()
    (tmp_path / "texts").mkdir()
    for name in "ab":
        (tmp_path / "texts" / name).write_text("no picture")
    code, _, said = run("search", model, tmp_path / "i", tmp_path / "texts")
    assert code == 2 and "none of 2 queries can be read; the first:" in said


def test_a_calibrated_bundle_says_yes_or_no(run, folder, calibrated, tmp_path):
    run("index", calibrated, folder, tmp_path / "i")
    code, out, _ = run("search", calibrated, tmp_path / "i", folder / "c2" / "1.png", "--json")
    (told,) = json.loads(out)
    assert (code, told["decision"], told["standing"]) == (0, "same", "estimate")
    assert told["hits"][0]["probability"] > 0.5
    assert (
        ": found, threshold "
        in run("search", calibrated, tmp_path / "i", folder / "c2" / "1.png")[1]
    )
    only = ("--where", "content=nothing")
    code, out, _ = run("search", calibrated, tmp_path / "i", folder / "c2" / "1.png", *only)
    assert (code, "nothing like it" in out) == (1, True)


def test_two_folders_with_the_same_names(run, folder, model, tmp_path):
    run("index", model, folder / "c0", tmp_path / "i")
    _, out, _ = run("index", model, folder / "c1", tmp_path / "i")
    assert (
        "4 items took the place of other content under the same id" in out
        and "give --prefix" in out
    )
    _, out, _ = run("index", model, folder / "c2", tmp_path / "i", "--prefix", "two/")
    assert "took the place" not in out and "8 items of 8 labels" in out
    _, out, _ = run("search", model, tmp_path / "i", folder / "c2" / "3.png", "-k", 1)
    assert out.endswith("1.0000  two/3.png\n")


def test_a_table_is_searched_by_its_columns(run, folder, model, tmp_path):
    rows = [
        f"{folder}/c{label}/0.png,{'red' if label < 3 else 'blue'},{label}" for label in range(6)
    ]
    (tmp_path / "shop.csv").write_text("\n".join(["path,colour,price", *rows]))
    assert "6 items of 6 labels" in run("index", model, tmp_path / "shop.csv", tmp_path / "i")[1]

    def found(*where):
        words = [word for each in where for word in ("--where", each)]
        told = json.loads(
            run("search", model, tmp_path / "i", folder / "c0" / "0.png", *words, "--json")[1]
        )
        return sorted(hit["metadata"]["price"] for hit in told[0]["hits"])

    assert found("colour=blue") == [3, 4, 5]
    assert found("price=1..3") == [1, 2, 3]
    assert found("price=4..", "colour=blue") == [4, 5]
    assert found("price=0", "price=5") == [0, 5]
    for where, says in [
        (
            "Colour=red",
            "has the key 'Colour': did you mean 'colour'? Keys: colour (6 items), content (6 "
            "items), price",
        ),
        ("size=3", "has the key 'size'"),
        ("colour=1..3", "the range of 'colour' is of numbers"),
        ("price=5..2", "the smaller end comes first, 2..5"),
        ("price=abc..3", "abc is not a number"),
        ("price=3..x", "x is not a number"),
    ]:
        code, _, told = run(
            "search", model, tmp_path / "i", folder / "c0" / "0.png", "--where", where
        )
        assert (code, says in told) == (2, True), told
    page = tmp_path / "page.html"
    run(
        "search",
        model,
        tmp_path / "i",
        folder / "c0" / "0.png",
        "--report",
        page,
        "--pictures",
        folder,
    )
    assert page.read_text().count("data:image/jpeg") == 7, "absolute paths lie where they lie"


def test_many_queries_of_any_kind(run, folder, model, tmp_path):
    run("index", model, folder, tmp_path / "i")
    (tmp_path / "asked.csv").write_text(f"path,label\n{folder}/c1/0.png,x\n{folder}/c1/1.png,y\n")
    page = tmp_path / "page.html"
    asked = (folder / "c0" / "0.png", folder / "c2", tmp_path / "asked.csv")
    code, out, _ = run("search", model, tmp_path / "i", *asked, "-k", 1, "--json", "--report", page)
    told = [(one["query"], one["hits"][0]["id"]) for one in json.loads(out)]
    assert (code, len(told)) == (0, 7)
    assert told[0] == (str(folder / "c0" / "0.png"), "c0/0.png")
    assert told[1] == (f"{folder}/c2/0.png", "c2/0.png")
    assert [hit for _, hit in told[5:]] == ["c1/0.png", "c1/1.png"]
    assert page.exists()


def test_a_column_named_source_is_metadata(run, folder, model, tmp_path):
    rows = [f"{folder}/c{label}/0.png,{'museum' if label < 3 else 'archive'}" for label in range(6)]
    (tmp_path / "shop.csv").write_text("\n".join(["path,source", *rows]))
    run("index", model, tmp_path / "shop.csv", tmp_path / "i")
    asked = (
        "search",
        model,
        tmp_path / "i",
        folder / "c0" / "0.png",
        "--where",
        "source=archive",
        "--json",
    )
    assert len(json.loads(run(*asked)[1])[0]["hits"]) == 3


def test_shares_make_one_index(run, folder, model, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("twofold.apps.indexing.PART_ROWS", 8)
    code, out, _ = run("embed", model, folder, tmp_path / "parts", "--shard", "2/2")
    assert (code, "share 2 of 2: 8 things in 1 part, 1 of them written" in out) == (0, True)
    assert "2 parts of other shares not yet in" in out
    code, out, _ = run("info", tmp_path / "parts", "--json")
    assert [json.loads(out)[key] for key in ("kind", "items", "parts", "missing")] == [
        "embeddings",
        24,
        3,
        2,
    ]
    code, _, said = run("index", model, tmp_path / "parts", tmp_path / "i")
    assert (code, "2 of 3 parts are missing" in said) == (2, True)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "is complete: twofold index" in run("embed", model, folder, tmp_path / "parts")[1]
    assert (
        "24 items are new or changed" in run("index", model, tmp_path / "parts", tmp_path / "i")[1]
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["index", "{model}", "{folder}", "{tmp}/i", "--device", "nonsense"],
            "--device nonsense: no such device. This machine has: cpu",
        ),
        (["index", "{model}", "{tmp}/nothing", "{tmp}/i"], "does not exist"),
        (["search", "{model}", "{tmp}/none", "{folder}"], "none"),
        (["search", "{model}", "{tmp}/made", "{tmp}/nothing.png"], "nothing.png does not exist"),
        (
            ["search", "{model}", "{tmp}/made", "{folder}/c0/0.png", "--where", "colour"],
            "write it as key=value",
        ),
        (["search", "{model}", "{tmp}/made", "{folder}/c0/0.png", "-k", "0"], "at least 1"),
        (["search", "{other}", "{tmp}/made", "{folder}/c0/0.png"], "holds vectors of model"),
        (["index", "{other}", "{folder}", "{tmp}/made"], "holds vectors of model"),
        (
            ["index", "{model}", "{tmp}/texts", "{tmp}/i"],
            "none of 1 things can be read; the first:",
        ),
        (
            ["embed", "{model}", "{folder}", "{tmp}/parts", "--shard", "0/2"],
            "--shard 0/2: write it as 1/8",
        ),
    ],
)
def test_mistakes_are_one_clear_line(run, folder, model, tmp_path, words, says):
    Bundle(twin=build.twin(RECIPE, seed=1).eval(), recipe=RECIPE).save(tmp_path / "other")
    run("index", model, folder, tmp_path / "made")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no picture")
    places = {"model": model, "folder": folder, "tmp": tmp_path, "other": tmp_path / "other"}
    code, _, said = run(*(word.format(**places) for word in words))
    assert code == 2
    assert says in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((), None),
        (("a=x",), {"a": ["x"]}),
        (("a = x ", "a=7"), {"a": ["x", "7", 7]}),
        (("a=2..5",), {"a": {"min": 2, "max": 5}}),
        (("a=..-2.5",), {"a": {"max": -2.5}}),
        (("a=x..y",), {"a": {"min": "x", "max": "y"}}),
        (("a=2020-01-01..",), {"a": {"min": "2020-01-01"}}),
        (("a=..",), {"a": [".."]}),
        (("a=nan",), {"a": ["nan"]}),
        (("a=b=c",), {"a": ["b=c"]}),
    ],
)
def test_conditions(given, wanted):
    assert filters(given) == wanted


def test_a_range_stands_alone():
    for given in (("a=1..2", "a=3"), ("a=3", "a=1..2")):
        with pytest.raises(UsageError, match="a range allows no second condition"):
            filters(given)


@pytest.mark.parametrize(
    ("shard", "environment", "wanted"),
    [
        (None, {}, (0, 1)),
        ("1/4", {"RANK": "3", "WORLD_SIZE": "4"}, (0, 4)),
        (None, {"RANK": "3", "WORLD_SIZE": "4", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, (3, 4)),
        (None, {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (1, 2)),
        (
            None,
            {
                "SLURM_ARRAY_TASK_ID": "5",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "2",
            },
            (3, 4),
        ),
    ],
)
def test_shares(shard, environment, wanted):
    assert share_of(shard, environment) == wanted


@pytest.mark.parametrize(
    ("shard", "environment"),
    [
        ("5/4", {}),
        ("0/4", {}),
        ("half", {}),
        (None, {"RANK": "4", "WORLD_SIZE": "4"}),
        (None, {"RANK": "x", "WORLD_SIZE": "1"}),
    ],
)
def test_no_shares(shard, environment):
    with pytest.raises(UsageError, match="1/8"):
        share_of(shard, environment)


def test_a_folder_that_grows_a_sub_folder_is_listed_as_before(run, folder, model, tmp_path):
    loose = tmp_path / "loose"
    loose.mkdir()
    for number, file in enumerate(sorted(folder.glob("c*/*.png"))[:5]):
        (loose / f"p{number}.png").write_bytes(file.read_bytes())
    assert run("index", model, loose, tmp_path / "i")[0] == 0
    (loose / "new").mkdir()
    (loose / "new" / "q.png").write_bytes((folder / "c3" / "0.png").read_bytes())
    code, out, _ = run("index", model, loose, tmp_path / "i", "--prune")
    assert code == 0 and "6 items" in out


def test_what_is_on_the_disk_is_not_pruned_though_it_is_listed_otherwise(
    run, folder, model, tmp_path
):
    run("index", model, folder, tmp_path / "i", "--levels", 0)
    (folder / "loose.png").write_bytes((folder / "c3" / "0.png").read_bytes())
    try:
        run("index", model, folder, tmp_path / "i", "--levels", 0)
        run("index", model, folder, tmp_path / "i", "--levels", 1, "--prune", "--force")
        assert json.loads(run("info", tmp_path / "i", "--json")[1])["items"] == 25
    finally:
        (folder / "loose.png").unlink()


def test_an_error_leaves_no_empty_index(run, folder, model, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.png").write_bytes(b"nothing")
    assert run("index", model, bad, tmp_path / "i", "--levels", 0)[0] == 2
    assert run("index", model, tmp_path / "nowhere", tmp_path / "i")[0] == 2
    assert not (tmp_path / "i").exists()

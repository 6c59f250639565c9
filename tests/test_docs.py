"""What the README and the guides say is run: Python blocks in order, commands parsed, links followed."""

import contextlib
import json
import re
import shlex
from pathlib import Path

import pytest

from twofold import cli
from twofold.cli.commands import called

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "docs"}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)
    assert "__builtins__" in names or not blocks(page, "python")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_ones_that_there_are(page):
    text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("twofold ")]
    for line in lines:
        with contextlib.ExitStack() as stack:  # options of every command are not the app's own
            words = cli.without_options(shlex.split(line, comments=True)[1:], stack)
        if not {"--help", "--version"} & set(words):
            command = cli.app.parse_args(words, exit_on_error=False, print_error=False)[0]
            assert called(command) == words[0]
    assert lines or page.name != "README.md"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def intervals_of(text):
    """Intervals in the prose of a page, as (low, high, decimals), without those of paragraphs that link to the log."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    number = r"(-?\d*\.?\d+)"
    for paragraph in re.split(r"\n\s*\n", prose):
        if "LOG.md" not in paragraph:
            for low, high in re.findall(
                rf"\[{number}, {number}\]", re.sub(r"`[^`]*`", "", paragraph)
            ):
                decimals = max(len(end.partition(".")[2]) for end in (low, high))
                yield float(low), float(high), decimals


def test_intervals_in_the_guides_are_what_the_benchmarks_printed():
    printed = []
    for path in sorted((ROOT / "bench" / "results").glob("*.json")):
        for result in json.loads(path.read_text(encoding="utf-8"))["results"]:
            if result["low"] is not None:
                low, high = result["low"], result["high"]
                ends = ((low, high), (-high, -low), (1 - high, 1 - low))  # losses as gains, errors
                printed += [(scale * low, scale * high) for low, high in ends for scale in (1, 100)]
    made = {ROOT / "docs" / name for name in ("LOG.md", "figures.md", "cli.md")}
    unknown = {
        f"{page.name}: [{low:g}, {high:g}]"
        for page in PAGES
        if page not in made
        for low, high, decimals in intervals_of(page.read_text(encoding="utf-8"))
        if not any(
            abs(low - one) < 0.51 / 10**decimals and abs(high - other) < 0.51 / 10**decimals
            for one, other in printed
        )
    }
    assert not unknown, "measure them, or name the log (docs/LOG.md) where they stand"


def test_contributing_is_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.parametrize(("script", "made"), [("reference", "cli.md"), ("figures", "figures.md")])
def test_made_pages_are_up_to_date(script, made):
    path = ROOT / "docs" / f"{script}.py"
    names = {"__name__": script, "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    assert (ROOT / "docs" / made).read_text(encoding="utf-8") == names[script](), "run `make docs`"


def figures_script():
    path = ROOT / "docs" / "figures.py"
    names = {"__name__": "figures", "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    return names


def figures_of(results, *, folder, stem):
    line = {
        "bench": stem,
        "commit": "0000000",
        "machine": "a machine",
        "seconds": 1.0,
        "results": results,
    }
    (folder / f"{stem}.json").write_text(json.dumps(line), encoding="utf-8")
    figures = figures_script()["figures"]
    figures.__globals__["RESULTS"] = folder
    return figures()


def test_figures_in_rows_and_columns_are_one_table(tmp_path):
    results = [
        {
            "name": f"supcon_{size}_{kind}",
            "value": size / 100,
            "goal": goal,
            "unit": "x",
            "anchor": "a peer",
        }
        for size, goal in ((64, 0.9), (4096, 9))
        for kind in ("time_ratio", "memory_ratio")
    ]
    page = figures_of(results, folder=tmp_path, stem="losses")
    assert "| loss, batch | faster, one thread | less memory (allocated) |" in page
    assert "| supcon, 4,096 | 41.0 (goal 9) | 41.0 (goal 9) |" in page
    assert "supcon, 64" not in page and "Batches of 64 and 128 are in the JSON." in page
    assert "[all 4 figures](../bench/results/losses.json)" in page


def test_figures_of_several_seeds_are_one_row(tmp_path):
    results = [
        {"name": "orl_eer", "value": value, "seed": seed, "unit": "s"}
        for seed, value in ((0, 0.5), (1, 0.25))
    ]
    page = figures_of(results, folder=tmp_path, stem="faces")
    assert (
        "| figure | seed 0 | seed 1 |\n| --- | --- | --- |\n| orl eer | 0.5000 s | 0.2500 s |"
        in page
    )


def test_figures_with_a_goal_come_first_and_long_lists_end_in_the_json(tmp_path):
    results = [
        {"name": f"figure_{letter}", "value": 1, "goal": None}
        for letter in "abcdefghijklmnopqrstuvwxyz"
    ]
    results[25]["goal"] = 2
    page = figures_of(results, folder=tmp_path, stem="unheard_of")
    assert page.index("figure z") < page.index("figure a")
    assert "figure y" not in page and "6 more are in the JSON." in page


def test_the_picture_of_loss_ratios(tmp_path):
    names = figures_script()
    rows = [
        {"name": f"supcon_{size}_{kind}_ratio{more}", "value": size / 100, "goal": goal}
        for size, goal in ((64, 0.9), (4096, 9), (4096, None))
        for kind, more in (("time", ""), ("time", "_2_threads"), ("memory", ""), ("resident", ""))
    ]
    (tmp_path / "losses.json").write_text(json.dumps({"results": rows}), encoding="utf-8")
    names["draw"].__globals__.update(RESULTS=tmp_path, PICTURES=tmp_path / "pictures")
    names["draw"]()
    assert (tmp_path / "pictures" / "losses.png").read_bytes().startswith(b"\x89PNG")

"""What the README and the guides say is run: Python blocks in order, commands parsed, links followed."""

import json
import re
import shlex
from pathlib import Path

import pytest

from twofold import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


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
        words = shlex.split(line, comments=True)[1:]
        if not {"--help", "--version"} & set(words):
            command = cli.app.parse_args(words, exit_on_error=False, print_error=False)[0]
            assert command.__name__ == words[0]
    assert lines or page.name != "README.md"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_contributing_is_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.parametrize(("script", "made"), [("reference", "cli.md"), ("figures", "figures.md")])
def test_made_pages_are_up_to_date(script, made):
    path = ROOT / "docs" / f"{script}.py"
    names = {"__name__": script, "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    assert (ROOT / "docs" / made).read_text(encoding="utf-8") == names[script](), "run `make docs`"


def test_the_picture_of_loss_ratios(tmp_path):
    path = ROOT / "docs" / "figures.py"
    names = {"__name__": "figures", "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    rows = [
        {"name": f"supcon_{size}_{kind}_ratio{more}", "value": size / 100, "goal": goal}
        for size, goal in ((64, 0.9), (4096, 9), (4096, None))
        for kind, more in (("time", ""), ("time", "_2_threads"), ("memory", ""), ("resident", ""))
    ]
    (tmp_path / "losses.json").write_text(json.dumps({"results": rows}), encoding="utf-8")
    names["draw"].__globals__.update(RESULTS=tmp_path, PICTURES=tmp_path / "pictures")
    names["draw"]()
    assert (tmp_path / "pictures" / "losses.png").read_bytes().startswith(b"\x89PNG")

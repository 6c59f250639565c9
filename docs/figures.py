"""Write docs/figures.md and its pictures from bench/results/*.json: `make docs`. A test checks that it is current."""

import json
import re
import runpy
import textwrap
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

PAGE = Path(__file__).with_name("figures.md")
TABLES = Path(__file__).with_name("figures.toml")
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
PICTURES = Path(__file__).with_name("figures")

PLAIN_ROWS = 20
"""Figures of a section that are listed one by one; what is more belongs in a fold, or stays in the JSON."""

NOTE_LENGTH = 180
"""Characters of a note on the page; longer ones are cut, and whole in the JSON."""

SHORT_UNITS = (
    "x",
    "s",
    "ms",
    "MB",
    "bytes",
    "CPU ms",
    "CPU s",
    "items/s",
    "items/CPU s",
    "queries/s",
    "pairs/s",
)
"""Units that stand behind the number; what else stands in `unit` is a note."""

HEAD = """# Figures

Look up here what was measured, on which machine, and how to measure it again. The scripts in `bench/` print one JSON
object each, and this page is generated from those in `bench/results/`; do not edit it by hand.

How to read the tables:

- Brackets are 95 % intervals. The notes say what was resampled; for times, single repetitions.
- Every goal is shown beside its figure, whether it was reached or missed.
- Long tables are folded. Each section links to its JSON, which holds every figure with its notes.
- Each section names its machine. Sections that name no vector instructions were measured on an Intel processor with
  AVX-512 and AMX. Speed ratios depend on the processor: matrix products and convolutions gain more from AVX-512 and AMX
  than the loops between them, so they differ on other processors.
- *stale*: the code that was measured has changed since. *of unknown code*: the script did not record which code it
  measured (`bench/measured_code.py`).
"""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Figures whose names fit a pattern, as a table with one row per `row` and one column per `column` of the names."""

    pattern: str
    title: str
    first: str  # the heading above the names of the rows
    columns: dict[str, str]  # what `column` matches -> the heading of its column
    notes: bool = False  # whether each row ends with the notes of its first figure
    above: int | None = None  # only rows whose name ends in a larger number
    only: Literal["nonzero"] | None = None  # only rows with a value other than 0
    others: str = ""  # said if rows were left out

    def keeps(self, row: str, results: Iterable[dict[str, Any]]) -> bool:
        """Whether a row is shown."""
        if self.above is not None and int(row.rpartition("_")[2]) <= self.above:
            return False
        return self.only is None or any(result["value"] for result in results)


def figures() -> str:
    """Every file of results as a section: folded tables first, then figures with goals, then the others."""
    return "\n".join([HEAD, *(_section(path) for path in sorted(RESULTS.glob("*.json")))])


def _script(bench: str) -> str:
    """The script of a benchmark, whose name may be followed by what it measured: signals_ucr is of signals."""
    words = bench.split("_")
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    return next((name for name in names if (ROOT / "bench" / f"{name}.py").is_file()), bench)


def _section(path: Path) -> str:
    line = json.loads(path.read_text(encoding="utf-8"))
    about = tomllib.loads(TABLES.read_text(encoding="utf-8")).get(path.stem, {})
    results = line["results"]
    parts = [
        f"## {about.get('heading', _words(path.stem).capitalize())}",
        about.get("question", ""),
        f"`bench/{_script(line['bench'])}.py` at commit {line['commit']}, {line['machine']}, "
        f"{line['seconds']:.0f} s"
        f"{age(line)}; [all {len(results)} figures](../bench/results/{path.name}).",
        _pictures(line["bench"]),
    ]
    for fold in about.get("folds", ()):
        table, results = _folded(Fold(**fold), results)
        parts.append(table)
    repeated = len({result["name"] for result in results}) < len(results)
    parts.append(_by_seed(results) if repeated else _plain(results))
    return "\n\n".join(part for part in parts if part) + "\n"


def age(line: dict[str, Any], *, root: Path = ROOT) -> str:
    """What is to be said of a result whose code is not the code now."""
    code = line.get("code")
    if code is None:
        return ", *of unknown code*"
    now = _hashed()(code["paths"], root=root)
    return "" if now == code["sha256"] else ", *stale*"


@cache
def _hashed() -> Any:
    return runpy.run_path(str(ROOT / "bench" / "measured_code.py"))["hashed"]


def _folded(fold: Fold, results: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The table of a fold, and the results that it does not hold."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    rest = []
    for result in results:
        found = re.fullmatch(fold.pattern, result["name"])
        if found and found["column"] in fold.columns:
            rows.setdefault(found["row"], {})[found["column"]] = result
        else:
            rest.append(result)
    if not rows:
        return "", rest
    shown = {row: cells for row, cells in rows.items() if fold.keeps(row, cells.values())}
    left = [_words(row) for row in rows if row not in shown]
    others = fold.others.format(count=len(left), names=", ".join(left)) if left else ""
    notes = {_notes(cell) for cells in rows.values() for cell in cells.values()}
    shared = f"Each figure: {notes.pop()}." if len(notes) == 1 and notes != {""} else ""
    return "\n\n".join(
        part for part in (fold.title, shared, _matrix(fold, shown), others) if part
    ), rest


def _matrix(fold: Fold, rows: dict[str, dict[str, dict[str, Any]]]) -> str:
    used = {
        key: text
        for key, text in fold.columns.items()
        if any(key in cells for cells in rows.values())
    }
    lines = [
        [
            _words(row),
            *(_beside_goal(cells[key]) if key in cells else "" for key in used),
            _notes(next(iter(cells.values()))) if fold.notes else "",
        ]
        for row, cells in rows.items()
    ]
    return _table([fold.first, *used.values(), "notes"], lines) if lines else ""


def _by_seed(results: list[dict[str, Any]]) -> str:
    """One row per figure, one column per seed; the figure without a seed is the mean over them."""
    seeds = list(dict.fromkeys(result.get("seed") for result in results))
    rows: dict[str, dict[Any, dict[str, Any]]] = {}
    for result in results:
        rows.setdefault(result["name"], {})[result.get("seed")] = result
    lines = []
    for name, cells in rows.items():
        one = next(iter(cells.values()))
        values = [_value(cells[seed]) if seed in cells else "" for seed in seeds]
        lines.append([_words(name), *values, _goal(one), _notes(one)])
    return _table(
        [
            "figure",
            *("mean" if seed is None else f"seed {seed}" for seed in seeds),
            "goal",
            "notes",
        ],
        lines,
    )


def _plain(results: list[dict[str, Any]]) -> str:
    """One row per figure: those with a goal first, then the others, up to `PLAIN_ROWS` of them."""
    ordered = sorted(results, key=lambda result: result.get("goal") is None)
    lines, before = [], ""
    for result in ordered[:PLAIN_ROWS]:
        notes = _notes(result)
        again = "as above" if notes and notes == before else notes
        lines.append([_words(result["name"]), _value(result), _goal(result), again])
        before = notes
    left = (
        f"\n\n{len(ordered) - PLAIN_ROWS} more are in the JSON."
        if len(ordered) > PLAIN_ROWS
        else ""
    )
    return _table(["figure", "value", "goal", "notes"], lines) + left if lines else ""


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table without the columns that are empty."""
    used = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    lines = [[heads[place] for place in used], ["---"] * len(used)]
    lines += [[row[place] for place in used] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _words(name: str) -> str:
    """`supcon_4096` as "supcon, 4,096"."""
    return re.sub(
        r"(?<=\w) (\d{3,})(?= |$)", lambda found: f", {int(found[1]):,}", name.replace("_", " ")
    )


def _value(result: dict[str, Any]) -> str:
    unit = _unit(result)
    return f"{_bare(result)} {unit}" if unit in SHORT_UNITS else _bare(result)


def _bare(result: dict[str, Any]) -> str:
    """A value with its interval and without its unit."""
    value = _number(result["value"])
    if result.get("low") is None:
        return value
    return f"{value} [{_number(result['low'])}, {_number(result['high'])}]"


def _unit(result: dict[str, Any]) -> str:
    """The unit without the words about seeds, which a column says."""
    return re.sub(r";? ?mean over \d+ seeds$", "", result.get("unit") or "")


def _goal(result: dict[str, Any]) -> str:
    return "" if result.get("goal") is None else _number(result["goal"])


def _beside_goal(result: dict[str, Any]) -> str:
    return _bare(result) + (f" (goal {_goal(result)})" if _goal(result) else "")


def _notes(result: dict[str, Any]) -> str:
    """What stands beside a figure: a unit that is a sentence, and what it is compared with."""
    unit = _unit(result)
    notes = "; ".join(
        part for part in ("" if unit in SHORT_UNITS else unit, result.get("anchor") or "") if part
    )
    return textwrap.shorten(notes, NOTE_LENGTH, placeholder=" ...")


def draw() -> None:
    """Write every picture whose figures exist."""
    PICTURES.mkdir(exist_ok=True)
    for bench, drawn in DRAWN.items():
        path = RESULTS / f"{bench}.json"
        if path.exists():
            line = json.loads(path.read_text(encoding="utf-8"))
            drawn(line).savefig(PICTURES / f"{bench}.png", metadata={"Software": None})


def loss_ratios(line: dict[str, Any]) -> Any:
    """One row per loss: how many times faster and leaner than the peer, on a log axis, with the goals as bars."""
    from matplotlib.figure import Figure

    found = {result["name"]: result for result in line["results"]}
    parts = {name: re.fullmatch(r"(.+)_(\d+)_(time|memory)_ratio", name) for name in found}
    sizes: dict[str, list[int]] = {}
    for part in parts.values():
        if part and part[3] == "time":
            sizes.setdefault(part[1], []).append(int(part[2]))
    figure = Figure(figsize=(10, 0.45 * len(sizes) + 1.6), dpi=110, layout="constrained")
    for axes, kind, title in zip(
        figure.subplots(1, 2, sharey=True),
        ("time", "memory"),
        ("times faster", "times less memory"),
        strict=True,
    ):
        for height, (name, batches) in enumerate(reversed(sizes.items())):
            # Small batches need less than the 1 MB that counts at least, so their memory says
            # nothing.
            drawn = sorted(batches) if kind == "time" else [max(batches)]
            _mark(axes, height, [found.get(f"{name}_{size}_{kind}_ratio") for size in drawn])
            two = found.get(f"{name}_{max(batches)}_{kind}_ratio_2_threads")
            if two:
                axes.plot(two["value"], height, "o", mfc="white", mec="tab:blue", ms=8, zorder=3)
        axes.axvline(1, color="black", lw=0.8)
        axes.margins(x=0.12)
        axes.set(xscale="log", title=f"{title} than the peer")
        axes.set_yticks(range(len(sizes)), [_label(name, sizes[name]) for name in reversed(sizes)])
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    legend = [
        figure.axes[0].plot([], [], mark, **style, label=label)[0]
        for mark, style, label in (
            ("o", {"color": "tab:blue", "ms": 9}, "large batch, one thread"),
            ("o", {"mfc": "white", "mec": "tab:blue", "ms": 8}, "the same, two threads"),
            ("o", {"color": "tab:gray", "ms": 4}, "batches of 64 and 128"),
            ("|", {"color": "tab:red", "ms": 14, "mew": 2.5}, "goal"),
        )
    ]
    figure.legend(handles=legend, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _mark(axes: Any, height: int, batches: list[dict[str, Any] | None]) -> None:
    """The largest batch as a bar that ends in a dot, its goal, and the smaller batches as small dots."""
    *small, large = batches
    for one in small:
        if one:
            axes.plot(one["value"], height, "o", color="tab:gray", ms=4)
    if large:
        axes.plot(
            [1, large["value"]],
            [height, height],
            color="tab:blue",
            lw=5,
            alpha=0.35,
            solid_capstyle="butt",
        )
        axes.plot(large["value"], height, "o", color="tab:blue", ms=9)
        text = f"{large['value']:,.0f}" if large["value"] >= 100 else f"{large['value']:.1f}"
        axes.annotate(
            text,
            (large["value"], height),
            (0, 8),
            textcoords="offset points",
            fontsize=9,
            ha="center",
        )
        if large["goal"] is not None:
            axes.plot(large["goal"], height, "|", color="tab:red", ms=20, mew=2.5, zorder=4)


def _label(name: str, sizes: list[int]) -> str:
    own = name.removeprefix("sentence_transformers_")
    beside = " (sentence-transformers)" if own != name else ""
    return f"{own.replace('_', ' ')}, {max(sizes):,}{beside}"


DRAWN = {"losses": loss_ratios}
"""The picture of each benchmark that has one."""


def _pictures(bench: str) -> str:
    return f"![{bench}](figures/{bench}.png)" if bench in DRAWN else ""


def _number(value: float) -> str:
    value = value or 0.0  # not -0
    if abs(value) >= 10:
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return f"{value:.4g}" if value == int(value) or abs(value) < 1e-3 else f"{value:.4f}"


if __name__ == "__main__":
    draw()
    PAGE.write_text(figures(), encoding="utf-8")

"""Write docs/figures.md and its pictures from bench/results/*.json: `make docs`; a test sees that it is up to date."""

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("figures.md")
RESULTS = Path(__file__).parents[1] / "bench" / "results"
PICTURES = Path(__file__).with_name("figures")

HEAD = """# Figures

Made from the JSON lines in `bench/results/`, which the scripts in `bench/` printed; do not edit by hand. Brackets are
95 % intervals, the unit says over what (of times: single repeats). A goal that is not reached stays beside the figure.
Each line names its processor and its vector instructions; a line that names none was measured on an Intel processor
with AVX-512 and AMX. Ratios of speed hold on processors of that kind: products and convolutions gain more from AVX-512
and AMX than the loops between them, so other processors give other ratios.
"""


def figures() -> str:
    """Every committed result as Markdown tables, one a benchmark."""
    parts = [HEAD]
    for path in sorted(RESULTS.glob("*.json")):
        line = json.loads(path.read_text(encoding="utf-8"))
        parts.append(
            f"## {path.stem}\n\n`bench/{line['bench']}.py` at commit {line['commit']}, {line['machine']}, "
            f"{line['seconds']:.0f} s.\n\n{_pictures(line['bench'])}"
            "| figure | value | goal | seed | unit | beside it |\n|---|---|---|---|---|---|\n"
            + "\n".join(_row(result) for result in line["results"])
            + "\n"
        )
    return "\n".join(parts)


def draw() -> None:
    """Every picture of which there are figures."""
    PICTURES.mkdir(exist_ok=True)
    for bench, drawn in DRAWN.items():
        path = RESULTS / f"{bench}.json"
        if path.exists():
            line = json.loads(path.read_text(encoding="utf-8"))
            drawn(line).savefig(PICTURES / f"{bench}.png", metadata={"Software": None})


def loss_ratios(line: dict[str, Any]) -> Any:
    """A row a loss: how many times faster and leaner than the peer, on a log axis, with the goals as bars."""
    from matplotlib.figure import Figure

    found = {result["name"]: result for result in line["results"]}
    parts = {name: re.fullmatch(r"(.+)_(\d+)_(time|memory)_ratio", name) for name in found}
    sizes: dict[str, list[int]] = {}
    for part in parts.values():
        if part and part[3] == "time":
            sizes.setdefault(part[1], []).append(int(part[2]))
    figure = Figure(figsize=(10, 0.45 * len(sizes) + 1.6), dpi=110, layout="constrained")
    for axes, kind, title in zip(
        figure.subplots(1, 2, sharey=True), ("time", "memory"), ("times faster", "times less memory"), strict=True
    ):
        for height, (name, batches) in enumerate(reversed(sizes.items())):
            # Small batches need less than the 1 MB that counts at least, so their memory says nothing.
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
        axes.plot([1, large["value"]], [height, height], color="tab:blue", lw=5, alpha=0.35, solid_capstyle="butt")
        axes.plot(large["value"], height, "o", color="tab:blue", ms=9)
        text = f"{large['value']:,.0f}" if large["value"] >= 100 else f"{large['value']:.1f}"
        axes.annotate(text, (large["value"], height), (0, 8), textcoords="offset points", fontsize=9, ha="center")
        if large["goal"] is not None:
            axes.plot(large["goal"], height, "|", color="tab:red", ms=20, mew=2.5, zorder=4)


def _label(name: str, sizes: list[int]) -> str:
    own = name.removeprefix("sentence_transformers_")
    beside = " (sentence-transformers)" if own != name else ""
    return f"{own.replace('_', ' ')}, {max(sizes):,}{beside}"


DRAWN = {"losses": loss_ratios}
"""The picture of each benchmark that has one."""


def _pictures(bench: str) -> str:
    return f"![{bench}](figures/{bench}.png)\n\n" if bench in DRAWN else ""


def _row(result: dict[str, Any]) -> str:
    value = _number(result["value"])
    if result.get("low") is not None:
        value += f" [{_number(result['low'])}, {_number(result['high'])}]"
    goal = "" if result.get("goal") is None else _number(result["goal"])
    seed = "" if result.get("seed") is None else result["seed"]
    return f"| {result['name']} | {value} | {goal} | {seed} | {result.get('unit', '')} | {result.get('anchor', '')} |"


def _number(value: float) -> str:
    if abs(value) >= 10:
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return f"{value:.4g}" if value == int(value) or abs(value) < 1e-3 else f"{value:.4f}"


if __name__ == "__main__":
    draw()
    PAGE.write_text(figures(), encoding="utf-8")

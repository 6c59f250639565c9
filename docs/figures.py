"""Write docs/figures.md from bench/results/*.json: `make docs`; a test sees that it is up to date."""

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("figures.md")
RESULTS = Path(__file__).parents[1] / "bench" / "results"

HEAD = """# Figures

Made from the JSON lines in `bench/results/`, which the scripts in `bench/` printed; do not edit by hand. Brackets are
95 % intervals; the unit says over what. A goal that is not reached stays beside the figure.
"""


def figures() -> str:
    """Every committed result as Markdown tables, one a benchmark."""
    parts = [HEAD]
    for path in sorted(RESULTS.glob("*.json")):
        line = json.loads(path.read_text(encoding="utf-8"))
        parts.append(
            f"## {line['bench']}\n\n`bench/{line['bench']}.py` at commit {line['commit']}, {line['machine']}, "
            f"{line['seconds']:.0f} s.\n\n"
            "| figure | value | goal | seed | unit | beside it |\n|---|---|---|---|---|---|\n"
            + "\n".join(_row(result) for result in line["results"])
            + "\n"
        )
    return "\n".join(parts)


def _row(result: dict[str, Any]) -> str:
    value = _number(result["value"])
    if result.get("low") is not None:
        value += f" [{_number(result['low'])}, {_number(result['high'])}]"
    goal = "" if result.get("goal") is None else _number(result["goal"])
    seed = "" if result.get("seed") is None else result["seed"]
    return f"| {result['name']} | {value} | {goal} | {seed} | {result.get('unit', '')} | {result.get('anchor', '')} |"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


if __name__ == "__main__":
    PAGE.write_text(figures(), encoding="utf-8")

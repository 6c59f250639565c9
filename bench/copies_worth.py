"""What `dedup` says of its own rule: figures of bench/results/dedup_*.json, as the package carries them.

    python bench/copies_worth.py

Every family of changes and every kind of different pictures that was measured is there, the bad
ones too. A test sees that the package's copy is what this script makes of the committed results.
"""

import json
from pathlib import Path
from typing import Any

from attacks import FAMILIES

RESULTS = Path(__file__).parent / "results"
PARTS = ("pictures", "different", "real", "triples")
CARRIED = Path(__file__).parents[1] / "src" / "twofold" / "copies" / "worth.json"
NOTES = {
    "lfw_one_each": "the pair is one photograph under two names, Andrew Caldecott and Andrew "
    "Gilligan"
}
"""Wrong copies that were looked at, and what they are; said where exactly one was found."""


def main() -> None:
    """Write the package's copy."""
    CARRIED.write_text(json.dumps(worth_of(measured()), indent=1) + "\n", encoding="utf-8")


def measured() -> list[dict[str, Any]]:
    """The committed line of each part that was measured."""
    files = [RESULTS / f"dedup_{part}.json" for part in PARTS]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def worth_of(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Recall and precision by family, wrong copies by kind, triples; and how all of it was measured."""
    found = {result["name"]: result for line in lines for result in line["results"]}
    commits = ", ".join(dict.fromkeys(line["commit"] for line in lines))
    changes = {family: _change(found, family) for family in FAMILIES if f"{family}_recall" in found}
    kinds = [
        name.removeprefix("false_copies_") for name in found if name.startswith("false_copies_")
    ]
    first, third = found[f"{next(iter(changes))}_recall"], found["third_copy_missed"]
    kind = found[f"false_copies_{kinds[0]}"]
    return {
        "measured": f"bench/dedup.py at commit {commits}: {first['anchor']} (seed "
        f"{first['seed']}); "
        f"different pictures (seed {kind['seed']}); {third['anchor']} (seed {third['seed']})",
        "changes": changes,
        "different": {name: _kind(found, name) for name in kinds},
        "third_copies": {
            what: found[f"third_copy_{what}"]["value"] for what in ("missed", "doubted")
        },
    }


def _change(found: dict[str, Any], family: str) -> dict[str, float | None]:
    """Shares found at all and as copies; of what was called a copy the share that is one, None where nothing was."""
    recall, copies = found[f"{family}_recall"], found[f"{family}_copy_recall"]["value"]
    right = round(copies * int(recall["anchor"].split()[0]))
    called = right + found[f"{family}_wrong_copies"]["value"]
    return {
        "recall": round(recall["value"], 3),
        "copy_recall": round(copies, 3),
        "copy_precision": round(right / called, 3) if called else None,
    }


def _kind(found: dict[str, Any], kind: str) -> dict[str, Any]:
    copies, perhaps = found[f"false_copies_{kind}"], found[f"false_perhaps_{kind}"]
    told = {"copies": copies["value"], "perhaps": perhaps["value"], "of": copies["anchor"]}
    return told | ({"note": NOTES[kind]} if kind in NOTES and copies["value"] == 1 else {})


if __name__ == "__main__":
    main()

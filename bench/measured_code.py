"""Which code each benchmark measures, and a hash of it, so that figures of older code are known to be stale."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["MEASURED", "hashed", "measured_code"]

ROOT = Path(__file__).parents[1]

PICTURES = ("src/twofold/inputs", "src/twofold/nn", "src/twofold/twin.py", "src/twofold/embedding.py")
TRAINING = (*PICTURES, "src/twofold/losses", "src/twofold/train", "src/twofold/metrics")

COPIES = (
    "bench/attacks.py",
    "bench/copies_negatives.py",
    "bench/copies_pictures.py",
    "bench/copies_real.py",
    "bench/copies_reported.py",
    "src/twofold/copies",
    "src/twofold/apps/dedup.py",
    "src/twofold/apps/dedup_against.py",
)

MEASURED: dict[str, tuple[str, ...]] = {
    "alarms": ("src/twofold/train/alarms.py", "src/twofold/train/step.py"),
    "certification": ("bench/certification.py", "src/twofold/metrics"),
    "dedup": ("bench/dedup.py", *COPIES),
    "copies_histories": ("bench/copies_histories.py", "src/twofold/copies", "src/twofold/apps/dedup.py"),
    "coverage": ("bench/coverage.py", "src/twofold/metrics"),
    "distributed": ("bench/distributed.py", "src/twofold/train"),
    "doctor": ("bench/doctor.py", "src/twofold/apps/diagnosis.py", "src/twofold/apps/doctor.py", "src/twofold/copies"),
    "drift": ("bench/drift.py", "src/twofold/metrics/drift.py", "src/twofold/metrics/jackknife.py"),
    "durability": ("bench/durability.py", "src/twofold/store", "src/twofold/files.py"),
    "engines": ("bench/engines.py", "src/twofold/store"),
    "evaluation": ("bench/evaluation.py", "src/twofold/metrics", "src/twofold/apps/evaluate.py"),
    "faces": ("bench/faces.py", *PICTURES),
    "first_day": ("bench/first_day.py", *TRAINING),
    "groceries": ("bench/groceries.py", *TRAINING),
    "hostile": ("bench/hostile.py", "bench/hostile_cases.py", "src/twofold/inputs"),
    "losses": ("bench/losses.py", "src/twofold/losses", "src/twofold/distances.py"),
    "names": ("bench/names.py", "src/twofold/inputs/text.py", "src/twofold/nn/sequences.py", "src/twofold/recipes.py"),
    "omniglot": ("bench/omniglot.py", *TRAINING),
    "real_people": ("bench/real_people.py", "src/twofold/metrics"),
    "resume": ("bench/resume.py", "src/twofold/train"),
    "search": ("bench/search.py", "src/twofold/store"),
    "standings": ("bench/standings.py", "bench/populations.py", "bench/unit_vectors.py", "src/twofold/metrics"),
    "text": ("bench/text.py", *TRAINING),
    "training": ("bench/training.py", "src/twofold/train", "src/twofold/losses", "src/twofold/nn"),
}
"""Files and packages whose change may change a benchmark's figures. Of a name that is not here nothing is known."""


def measured_code(bench: str, *, root: Path = ROOT) -> dict[str, Any] | None:
    """The paths that a benchmark measures and their hash, as its last line records them; None: not known."""
    paths = MEASURED.get(bench)
    return None if paths is None else {"paths": list(paths), "sha256": hashed(paths, root=root)}


def hashed(paths: Iterable[str], *, root: Path = ROOT) -> str:
    """A hash of the Python lines in files and packages; blank lines and lines of comment do not count."""
    digest = hashlib.sha256()
    for name in sorted({*paths}):
        place = root / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(f"\n{path.relative_to(root).as_posix()}\n".encode())
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else ["gone"]
            kept = [line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
            digest.update("\n".join(kept).encode())
    return digest.hexdigest()

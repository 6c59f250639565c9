"""Is the gradient of several processes, and of a batch in pieces, the gradient of one process and one batch?

    python bench/distributed.py [--quick]

Every batch loss, every miner and every loss with proxies, on a network without batch statistics:
one process with the whole batch is the reference; two processes (torchrun, gloo) with half of it
each, and cached gradients in pieces of 16, must give its gradient and its logged loss. The errors
are relative to the gradient's length, the largest of all losses.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from last_line import print_last_line, row
from twofold import build, losses
from twofold.config import Recipe
from twofold.inputs.image import Image
from twofold.train.distributed import started
from twofold.train.objective import objective
from twofold.train.run import Run
from twofold.train.step import gradients
from twofold.twin import Twin

ITEMS, CLASSES, PIECE = 67, 17, 16
"""An odd batch, so that the processes' parts differ in size."""

MINERS = ("batch_hard", "semi_hard")
GOALS = {torch.float64: 1e-10, torch.float32: 1e-5}

Found = dict[str, tuple[float, Tensor]]


def main() -> None:
    """All settings, then the last line."""
    parser = argparse.ArgumentParser(
        description="Gradients of several processes and of cached pieces"
    )
    parser.add_argument("--quick", action="store_true", help="the same: it takes seconds")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        with started("cpu"):
            found = {dtype: measured(dtype) for dtype in GOALS}
        if int(os.environ["RANK"]) == 0:
            keep(found, options.child)
        return
    clock = time.monotonic()
    shared = in_processes(2)
    results = []
    for dtype, goal in GOALS.items():
        alone = measured(dtype)
        pieces = measured(dtype, micro_batch=PIECE)
        name = "" if dtype == torch.float64 else "_float32"
        for kind, found in (("", shared[dtype]), ("cached_", pieces)):
            gradient, loss = errors(alone, found)
            print(
                f"{kind or '2 processes '}{dtype}: gradient {gradient:.1e}, loss {loss:.1e}, "
                f"{len(found)} losses"
            )
            results += [
                row(
                    f"{kind}gradient_relative_error{name}",
                    gradient,
                    unit="of its length",
                    goal=goal,
                ),
                row(f"{kind}logged_loss_relative_error{name}", loss, unit="of the loss", goal=goal),
            ]
    print_last_line("distributed", clock, results)
    if wrong := [found["name"] for found in results if not found["value"] <= found["goal"]]:
        raise SystemExit(f"not the gradient of one process: {', '.join(wrong)}")


def in_processes(count: int) -> dict[torch.dtype, Found]:
    """`measured` in so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.safetensors"
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            f"--nproc-per-node={count}",
            "--standalone",
        ]
        done = subprocess.run(
            [*command, __file__, "--child", str(out)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{count} processes failed:\n{done.stderr}")
        kept = load_file(out)
    names = {key.removesuffix(".loss") for key in kept if key.endswith(".loss")}
    return {
        dtype: {
            name.removeprefix(f"{dtype}."): (float(kept[f"{name}.loss"]), kept[f"{name}.gradient"])
            for name in names
            if name.startswith(f"{dtype}.")
        }
        for dtype in GOALS
    }


def keep(found: dict[torch.dtype, Found], path: Path) -> None:
    """Leave what was measured to the process that asked."""
    tensors = {}
    for dtype, rows in found.items():
        for name, (value, gradient) in rows.items():
            tensors |= {f"{dtype}.{name}.loss": torch.tensor(value, dtype=torch.float64)}
            tensors |= {f"{dtype}.{name}.gradient": gradient}
    save_file(tensors, path)


def measured(dtype: torch.dtype, micro_batch: int | None = None) -> Found:
    """Logged loss and gradient of one step, for every loss and miner."""
    batch_losses = [
        name for name in losses.__all__ if not name.startswith("pair_") and name != "external"
    ]
    found = {name: one(dtype, {"loss": name, "micro_batch": micro_batch}) for name in batch_losses}
    for miner in MINERS:
        found[miner] = one(dtype, {"loss": "triplet", "miner": miner, "micro_batch": micro_batch})
    return found


def one(dtype: torch.dtype, settings: dict[str, Any]) -> tuple[float, Tensor]:
    """This process's part of a step."""
    recipe = Recipe.model_validate(
        {"comparison": comparison(settings["loss"]), "precision": "float32"} | settings
    )
    with build.seeded(0):
        twin = Twin(Image(size=16, channels=1), Net(dtype))
        twin.comparison = build.comparison.named(recipe.comparison.name, dim=twin.dim)
        aim = objective(recipe, twin.to(dtype), classes=CLASSES, loss=None)
        pictures = torch.randint(0, 256, (ITEMS, 1, 16, 16), dtype=torch.uint8)
    run = Run(twin, [module.to(dtype) for module in aim.modules], recipe, seed=0)
    sizes = [len(part) for part in np.array_split(np.arange(ITEMS), run.processes.count)]
    part = pictures.split(sizes)[run.processes.rank]
    value = gradients(run, part, torch.arange(ITEMS) % CLASSES, aim, sizes=sizes)
    parameters = [*twin.parameters(), *run.modules.parameters()]
    return value, torch.cat(
        [parameter.grad.flatten() for parameter in parameters if parameter.grad is not None]
    )


def comparison(loss: str) -> str:
    """A learned one for the loss that is made for it."""
    return "WeightedL1" if loss == "binary_cross_entropy" else "cosine"


class Net(nn.Module):
    """Two layers, no batch statistics."""

    dim = 32

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(256, 64), nn.Tanh(), nn.Linear(64, self.dim)
        )

    def forward(self, batch: Tensor) -> Tensor:
        return self.layers(batch.to(self.dtype))


def errors(expected: Found, found: Found) -> tuple[float, float]:
    """The largest relative errors of gradient and loss."""
    gradient = max(
        float((found[name][1] - g).norm() / g.norm()) for name, (_, g) in expected.items()
    )
    loss = max(abs(found[name][0] - value) / abs(value) for name, (value, _) in expected.items())
    return gradient, loss


if __name__ == "__main__":
    main()

"""The state of a training run at rest: one folder, safetensors + JSON, written whole or not at all."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from twofold.errors import DamagedBundle
from twofold.files import new_folder, sha256_file

__all__ = ["Checkpoints", "load", "optimiser_state", "restore_optimiser", "save", "under"]


@dataclass(frozen=True)
class Checkpoints:
    """Where a training run keeps its state and its log, and whether it goes on from there.

    Attributes:
        folder: gets `last/` (all that goes on), and `log.jsonl`, a line an epoch.
        resume: go on from `last/`; without it, what stands there is replaced.
    """

    folder: Path
    resume: bool = False

    @property
    def last(self) -> Path:
        """The state after the last whole epoch; it holds the best weights so far as well."""
        return self.folder / "last"

    @property
    def log(self) -> Path:
        """One JSON object an epoch."""
        return self.folder / "log.jsonl"


Tensors = dict[str, Tensor]
STATE, TENSORS = "state.json", "state.safetensors"


def save(folder: str | Path, tensors: Tensors, numbers: dict[str, Any]) -> None:
    """Write tensors and JSON-able numbers; the JSON holds the tensors' SHA-256."""
    with new_folder(folder, marker=STATE) as spare:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        safetensors.torch.save_file(contiguous, spare / TENSORS)
        state = {"format": 1, "sha256": sha256_file(spare / TENSORS), "numbers": numbers}
        (spare / STATE).write_text(json.dumps(state), encoding="utf-8")


def load(folder: str | Path) -> tuple[Tensors, dict[str, Any]]:
    """What `save` wrote.

    Raises:
        DamagedBundle: missing, or not as it was written.
    """
    path = Path(folder)
    try:
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        intact = sha256_file(path / TENSORS) == state["sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise DamagedBundle(f"the checkpoint {path} cannot be read ({error}): train again without --resume") from None
    if not intact:
        raise DamagedBundle(f"the checkpoint {path} is not as it was written (SHA-256): train again without --resume")
    return safetensors.torch.load_file(path / TENSORS), state["numbers"]


def under(prefix: str, tensors: Tensors) -> Tensors:
    """Those names that start with `prefix.`, without it."""
    return {
        name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")
    }


def optimiser_state(optimiser: torch.optim.Optimizer) -> Tensors:
    """The optimiser's tensors by flat names: `3.exp_avg` is that of parameter 3."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{name}": tensor for index, known in state.items() for name, tensor in known.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    """The reverse of `optimiser_state`."""
    state: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})

"""The state of a training run at rest: one folder, safetensors + JSON, written whole or not at all."""

import json
import platform
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from twofold import __version__
from twofold.errors import DamagedBundle
from twofold.files import new_folder, sha256_file
from twofold.provenance import Provenance
from twofold.strict_json import plain_object

__all__ = [
    "Checkpoints",
    "State",
    "drop",
    "keep",
    "load",
    "newest",
    "optimiser_state",
    "profile",
    "provenance",
    "restore_optimiser",
    "save",
    "under",
]


@dataclass(frozen=True)
class Checkpoints:
    """Where a training run keeps its state and its log, how often, and whether it continues from there.

    Attributes:
        folder: gets `step-N/` (all that goes on) for the last few states, and `log.jsonl`, one line
            per epoch.
        resume: go on from the newest state that is whole; without it, what stands there is
            replaced.
        seconds: between two states, beside the one after every epoch.
        keep: so many states stay.
        began: when the command started (`time.monotonic`), from when `max_seconds` counts. None:
            with the training.
        asked: asked after every step; True keeps the state and ends the training with
            `Interrupted`.
    """

    folder: Path
    resume: bool = False
    seconds: float = 300.0
    keep: int = 3
    began: float | None = None
    asked: Callable[[], int | bool] = lambda: False

    @property
    def log(self) -> Path:
        """One JSON object per epoch."""
        return self.folder / "log.jsonl"

    @property
    def states(self) -> list[Path]:
        """What was kept, oldest first."""
        return sorted(path for path in self.folder.glob("step-*") if (path / STATE).exists())


Tensors = dict[str, Tensor]
STATE, TENSORS = "state.json", "state.safetensors"


def save(folder: str | Path, tensors: Tensors, numbers: dict[str, Any]) -> None:
    """Write tensors and JSON-able numbers; the JSON holds the tensors' SHA-256."""
    with new_folder(folder, marker=STATE) as spare:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        safetensors.torch.save_file(contiguous, spare / TENSORS)
        state = {"format": 1, "sha256": sha256_file(spare / TENSORS), "numbers": numbers}
        (spare / STATE).write_text(json.dumps(state), encoding="utf-8")


def keep(where: Checkpoints, tensors: Tensors, numbers: dict[str, Any]) -> None:
    """Write the state of a run, then drop the oldest ones; a kill at any time leaves a whole one."""
    where.folder.mkdir(parents=True, exist_ok=True)
    save(where.folder / f"step-{numbers['step']:09d}", tensors, numbers)
    lines = "".join(json.dumps(line) + "\n" for line in numbers["history"])
    where.log.write_text(lines, encoding="utf-8")
    drop(where.states[: -where.keep])


def drop(states: Iterable[Path]) -> None:
    """Delete states."""
    for state in states:
        (state / STATE).unlink()  # first: what is half deleted must not count
        shutil.rmtree(state)


class State(NamedTuple):
    """What a training continues from.

    Attributes:
        damaged: a line about each newer state that is not what was written.
    """

    tensors: Tensors
    numbers: dict[str, Any]
    damaged: list[str]


def newest(where: Checkpoints) -> State:
    """The newest state that is as it was written.

    Raises:
        DamagedBundle: there is none.
    """
    damaged = []
    for state in reversed(where.states):
        try:
            return State(*load(state), damaged)
        except DamagedBundle as error:
            damaged.append(f"{error}; the state before it was taken")
    raise DamagedBundle(
        f"{where.folder} holds no state of a training to go on from: train without --resume"
    )


def load(folder: str | Path) -> tuple[Tensors, dict[str, Any]]:
    """What `save` wrote.

    Raises:
        DamagedBundle: missing, or not what was written.
    """
    path = Path(folder)
    try:
        state = plain_object((path / STATE).read_bytes())
        intact = sha256_file(path / TENSORS) == state["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedBundle(f"the checkpoint {path} cannot be read ({error})") from None
    if not intact:
        raise DamagedBundle(f"the checkpoint {path} is not what was written (SHA-256)")
    try:
        return safetensors.torch.load_file(path / TENSORS), dict(state["numbers"])
    except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise DamagedBundle(
            f"the checkpoint {path} is not one that this twofold wrote ({error})"
        ) from None


def provenance(tensors: Tensors) -> Provenance | None:
    """The split and the contents that a training began with; None in states of versions that did not keep them."""
    arrays = {name: tensor.numpy() for name, tensor in under("provenance", tensors).items()}
    return Provenance.from_arrays(arrays) if arrays else None


def profile() -> dict[str, Any]:
    """What the exact numbers of a run depend on beside its seed."""
    return {
        "twofold": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def under(prefix: str, tensors: Tensors) -> Tensors:
    """Those names that start with `prefix.`, without it."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def optimiser_state(optimiser: torch.optim.Optimizer) -> Tensors:
    """The optimiser's tensors by flat names: `3.exp_avg` is that of parameter 3."""
    state = optimiser.state_dict()["state"]
    return {
        f"{index}.{name}": tensor
        for index, known in state.items()
        for name, tensor in known.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    """The reverse of `optimiser_state`.

    Each tensor gets its parameter's order in memory: fused optimisers go through both as they lie
    there.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )

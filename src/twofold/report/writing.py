"""A report on disk: the page where it is asked for, and the model card beside the bundle's own files."""

from pathlib import Path

from twofold.files import write_atomically
from twofold.report.measured import Report
from twofold.report.measured_page import measured_page
from twofold.report.model_card import model_card

__all__ = ["CARD", "write_report"]

CARD = "MODEL_CARD.md"


def write_report(
    report: Report, page: str | Path, *, beside: str | Path | None = None
) -> tuple[Path, ...]:
    """Write the page and, in the folder `beside`, the model card; returns what was written.

    A bundle's folder takes a card: its manifest names the files that belong to the bundle, and
    saving the bundle again (a new calibration, say) leaves the card of the old one behind.

    Raises:
        CannotWrite: a folder is missing or read-only, or the disk is full.
    """
    written = [Path(page)]
    write_atomically(page, measured_page(report).encode("utf-8", "backslashreplace"))
    if beside is not None:
        written.append(Path(beside) / CARD)
        write_atomically(written[-1], model_card(report).encode("utf-8", "backslashreplace"))
    return tuple(written)

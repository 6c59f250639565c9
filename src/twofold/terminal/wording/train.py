"""A training in words."""

from pathlib import Path

from twofold.bundle import Bundle
from twofold.printable import printable
from twofold.terminal.wording.estimates import training_took

__all__ = ["trained"]


def trained(bundle: Bundle, out: Path) -> str:
    """What training came to."""
    known = bundle.training
    best = ", ".join(
        f"{name} {value:.4f}" for name, value in known["best"].items() if value is not None
    )
    aside = ", ".join(f"{count} {part}" for part, count in bundle.provenance.counts.items())
    judged = (
        ""
        if bundle.crossfit is None
        else f", all judged by cross-fitting in {bundle.crossfit.folds} folds"
    )
    return (
        training_took(known)
        + (f"; best on unseen identities: {best}" if best else "")
        + "".join(
            f"\nnote: {printable(note)}"
            for note in (*known.get("notes", ()), *known.get("named", ()))
        )
        + "".join(
            f"\nmay be one identity under two labels: {printable(a)} and {printable(b)} "
            f"(similarity {score:.3f})"
            for a, b, score in known.get("look_alikes", ())
        )
        + f"\nidentities: {aside}{judged}\nwritten to {out}, fingerprint {bundle.fingerprint[:12]}"
    )

"""evaluate of tracking: what the command does with a bundle of that kind."""

from pathlib import Path

from twofold.cli.options import YES, print_json, show

__all__ = ["evaluate_sequences", "holds_sequences"]


def holds_sequences(data: Path) -> bool:
    """Whether DATA is a folder of sequences with boxes, and not of items."""
    from twofold.data.sequences import found_in

    return found_in(data)


def evaluate_sequences(
    bundle: Path,
    data: Path,
    *,
    results: str | None,
    confidence: float,
    seed: int,
    device: str | None,
    json: bool,
) -> int:
    """`twofold evaluate` of a bundle of tracking."""
    from twofold.apps.evaluate_track import evaluate_track
    from twofold.cli.track import loaded
    from twofold.data.sequences import read_sequences
    from twofold.devices import device_of
    from twofold.terminal import bars, wording

    device_of(device)
    known, sequences = loaded(bundle), read_sequences(data)
    with bars.stages(quiet=json) as watch:
        found = evaluate_track(
            known,
            sequences,
            confidence=confidence,
            seed=seed,
            device=device,
            watch=watch,
            results=results,
        )
    if json:
        print_json(wording.track_evaluation_told(found))
        return YES
    following = f"result files: {results}/otb, {results}/got10k" if results else ""
    show(wording.track_evaluation(found), following)
    return YES

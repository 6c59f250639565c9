"""The command that looks through a long recording: spot."""

from dataclasses import asdict
from pathlib import Path

from twofold.cli.archive import Count, loaded
from twofold.cli.kinds import thing
from twofold.cli.options import NO, UNSURE, YES, Json, print_json, show

__all__ = ["spot"]


def spot(
    bundle: Path,
    recording: Path,
    examples: list[str],
    /,
    *,
    count: Count = 10,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Find where in RECORDING an example is heard. Exit code 0 heard, 1 not heard, 3 unsure.

    The recording may be hours long: it is read by blocks. Without a calibration there is no
    threshold, and the exit code is 0.

    Args:
        bundle: a bundle of sounds, such as one of the recipe speech.
        recording: a sound file.
        examples: sound files of what is looked for, one or more; short ones, such as single words.
        count: places to show, best first.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object.
    """
    from twofold.apps.spot import sounds_of
    from twofold.apps.spot import spot as look
    from twofold.terminal import bars, wording

    known = loaded(bundle, device, [])
    sounds_of(known)
    given = [thing(known, word) for word in examples]
    with bars.bar("seconds heard", quiet=json) as progress:
        place = thing(known, str(recording))
        found = look(known, place, given, count=count, progress=progress)
    print_json(asdict(found)) if json else show(wording.spotted(found, examples))
    decisions = {each.decision for each in found.places}
    if found.threshold is None or "same" in decisions:
        return YES
    return UNSURE if "unsure" in decisions else NO

"""What a training would promise, in words."""

from twofold.train.plan import Plan, Promise

__all__ = ["planned"]


def planned(found: Plan) -> str:
    """What a training would promise, and how long it would take."""
    how = (
        f"cross-fitting in {found.recipe.split.folds} folds"
        if found.crossfitted
        else "the part kept aside"
    )
    lines = [
        *found.notes,
        f"{found.identities} identities with two items; {found.judging} will calibrate ({how})",
        *map(_promised, found.promises),
        f"training: {found.steps} steps, about {_duration(found.seconds)} here",
    ]
    return "\n".join(lines)


def _promised(each: Promise) -> str:
    """One rate: what it takes, and what this data gives."""
    here = {
        "certified": "enough to try for a certificate",
        "estimate": "an estimate",
        None: "nothing can be said",
    }[each.standing]
    more = f"; --set {each.setting} keeps enough aside for a certificate" if each.setting else ""
    return (
        f"  false-accept rate {each.far:g}: an estimate takes {each.estimated} identities that "
        f"calibrate, a "
        f"certificate {each.certified} or more; with this data: {here}{more}"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"

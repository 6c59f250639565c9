"""A map of change in words."""

from twofold.maps.pairs import told
from twofold.plurals import counted
from twofold.printable import with_printable_data
from twofold.results import Change

__all__ = ["changes"]

LISTED = 10
"""Regions that are listed, the largest first."""

WORDS = {
    "mask": "mask",
    "probability": "probability",
    "polygons": "polygons",
    "page": "page to look at",
}


@with_printable_data
def changes(found: Change) -> str:
    """The map in a few lines, and a table of its largest regions."""
    lines = [
        f"{found.share:.2%} of {found.pixels:,} pixels changed (estimate): "
        f"{counted(found.regions, 'region')}, {_amount(found.area)} {found.area_unit}",
        f"threshold {found.threshold:.3f}; {found.method}",
        f"shift of AFTER: {told(found.shift)}{', shifted back' if found.aligned else ''}",
        *(f"! {note}" for note in found.notes),
    ]
    if found.largest:
        lines.append(f"{'':4}{'area':>12} {'pixels':>10} {'mean':>6}  centre x, y")
    lines += [
        f"{number:>3} {_amount(region.area):>12} {region.pixels:>10,} {region.probability:>6.2f}  "
        f"{found.place_of(region)}"
        for number, region in enumerate(found.largest[:LISTED], start=1)
    ]
    if found.regions > LISTED:
        more = "--polygons FILE.geojson holds all" if "polygons" not in found.paths else ""
        lines.append(f"    and {found.regions - LISTED:,} more{': ' + more if more else ''}")
    lines += [f"{WORDS[kind]}: {path}" for kind, path in found.paths.items()]
    return "\n".join(lines)


def _amount(area: float) -> str:
    return f"{area:,.0f}" if area >= 100 else f"{area:.3g}"

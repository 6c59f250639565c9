"""The commands, one thin typed function each, by their group in `--help`, and what reads their arguments."""

from collections.abc import Callable

from cyclopts import App, Group

from twofold import __version__
from twofold.cli.archive import embed, index, search
from twofold.cli.calibrate import calibrate
from twofold.cli.change import change
from twofold.cli.copies import dedup
from twofold.cli.deletion import expire, forget, purge, revoke
from twofold.cli.doctor import doctor
from twofold.cli.embedders import import_
from twofold.cli.gallery import enrol, identify, verify
from twofold.cli.models import train
from twofold.cli.options import EXIT_CODES
from twofold.cli.overview import demo, info, recipe
from twofold.cli.plan import plan
from twofold.cli.spot import spot
from twofold.cli.track import track
from twofold.cli.tune import tune
from twofold.cli.upkeep import audit, check, migrate, rekey
from twofold.cli.watch import evaluate, monitor

__all__ = ["NAMES", "app"]

app = App(
    name="twofold",
    version=__version__,
    help="Are these two the same? Twin networks with a stated error rate.",
    suppress_keyboard_interrupt=False,  # it has its own line and code here
    help_epilogue=(
        f"With every command: --max-pixels N reads pictures of up to N pixels (25 million unless "
        f"you say otherwise), "
        f"--encoder MODULE:FUNCTION --trust-code lets your own code make the encoder (in "
        f"training, and whenever "
        f"such a bundle is read), --label-field N takes the label of FASTA from the Nth field of "
        f"its headers, --label-from name --label-field N takes the label of files from the Nth "
        f"field of their names, --debug shows where an error arose.\n\nExit codes: {EXIT_CODES}."
    ),
)
GROUPS = {
    "Train and measure": (doctor, plan, recipe, tune, train, import_, calibrate, evaluate, monitor),
    "Verify and identify": (verify, identify, spot),
    "Enrol and forget": (enrol, expire, revoke, forget, purge),
    "Index and search": (index, search, dedup, embed),
    "Compare scenes": (change,),
    "Follow objects": (track,),
    "Maintain": (info, check, audit, rekey, migrate),
    "See it work": (demo,),
}


def called(command: Callable[..., int]) -> str:
    """The word for a command; `import` is Python's own."""
    return command.__name__.rstrip("_")


for place, (title, commands) in enumerate(GROUPS.items()):
    group = Group(title, sort_key=place)
    for number, command in enumerate(commands):
        app.command(command, name=called(command), group=group, sort_key=number)


NAMES = frozenset(called(command) for commands in GROUPS.values() for command in commands)

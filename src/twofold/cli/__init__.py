"""Every command, one thin typed function each. Nothing heavy is imported until a command needs it.

Exit codes: 0 yes, 1 no match, 2 wrong use or bad data (one line; --debug shows the traceback), 3 unsure,
143 a training that SIGTERM has ended, its state kept.
"""

import sys

import cyclopts
from cyclopts import App, Group

from twofold import __version__
from twofold.cli.archive import embed, index, search
from twofold.cli.copies import dedup
from twofold.cli.gallery import enrol, expire, forget, identify, purge, revoke, verify
from twofold.cli.models import calibrate, demo, doctor, info, train
from twofold.cli.options import INTERRUPTED, TERMINATED, WRONG, YES
from twofold.cli.upkeep import audit, check, migrate, rekey
from twofold.cli.watch import evaluate, monitor
from twofold.errors import Interrupted, TwofoldError

__all__ = ["app", "main"]

app = App(name="twofold", version=__version__, help="Are these two the same? Twin networks with a stated error rate.")
GROUPS = {
    "Learn, and know how well": (doctor, train, calibrate, evaluate, monitor),
    "Ask": (verify, identify, search),
    "A gallery": (enrol, expire, revoke, forget, purge),
    "Many things": (index, dedup, embed),
    "Upkeep": (check, audit, rekey, migrate, info),
    "See it": (demo,),
}
for place, (title, commands) in enumerate(GROUPS.items()):
    group = Group(title, sort_key=place)
    for number, command in enumerate(commands):
        app.command(command, group=group, sort_key=number)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    try:
        code = app([word for word in given if word != "--debug"], exit_on_error=False, result_action="return_value")
    except cyclopts.CycloptsError:
        sys.exit(WRONG)
    except TwofoldError as error:
        if debug:
            raise
        print(f"twofold: {error}", file=sys.stderr)
        sys.exit(TERMINATED if isinstance(error, Interrupted) else WRONG)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else YES)

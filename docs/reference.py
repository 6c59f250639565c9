"""Write docs/cli.md from the docstrings of the commands: `make docs`. A test checks that it is current."""

import re
import runpy
import sys
from pathlib import Path

from twofold.cli import app

PAGE = Path(__file__).with_name("cli.md")


def reference() -> str:
    """The commands with their arguments and options, as Markdown."""
    text = app.generate_docs(output_format="markdown").strip() + "\n"
    # cyclopts shows how Python was called (-m pytest); keep the `-m twofold` of torchrun
    return re.sub(r" -m (?!twofold )\w+", "", text)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    made = runpy.run_path(str(Path(__file__).with_name("figures.py")), run_name="figures")
    # a change of code makes figures stale
    made["PAGE"].write_text(made["figures"](), encoding="utf-8")
    sys.exit(0)

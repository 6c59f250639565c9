"""Write docs/cli.md from the docstrings of the commands: `make docs`. A test checks that it is current."""

import re
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
    sys.exit(0)

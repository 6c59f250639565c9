"""Write docs/cli.md from the commands' own docstrings: `make docs`; a test sees that it is up to date."""

import re
import sys
from pathlib import Path

from twofold.cli import app

PAGE = Path(__file__).with_name("cli.md")


def reference() -> str:
    """The commands with their arguments and options, as Markdown."""
    text = app.generate_docs(output_format="markdown").strip() + "\n"
    return re.sub(r" -m \w+", "", text)  # it takes over how Python itself was called


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    sys.exit(0)

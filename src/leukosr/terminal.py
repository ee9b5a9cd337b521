"""What people read in a terminal: printed as it is, whatever names and messages hold."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from leukosr.quoting import visible

BROKEN_PIPE = 141  # as the shell names a program that SIGPIPE ended: `leukosr compare … | head`


class Terminal(Console):
    """A console that takes nothing in a string for markup or emoji, and shows control characters as escapes.

    A file name may hold square brackets, and also sequences that move the cursor or hide what stands before them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string that is printed, and every cell of a table, comes by here."""
        return super().render_str(visible(text), **options)

    def on_broken_pipe(self) -> None:
        """Whoever read the output has enough of it."""
        discard_output()
        raise SystemExit(BROKEN_PIPE)


def tolerate_narrow_encodings() -> None:
    """Let signs that the encoding of the terminal or of a redirect lacks be replaced (ISO 8859-1, ASCII)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def print_raw(text: str) -> None:
    """Print what programs read, as JSON, without breaking lines."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()
        raise SystemExit(BROKEN_PIPE) from None


def discard_output() -> None:
    """Send what is still to be written to stdout nowhere: Python would complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)

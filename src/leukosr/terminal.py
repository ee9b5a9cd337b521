"""What people read in a terminal: printed as it is, whatever names and messages hold."""

from __future__ import annotations

import codecs
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from leukosr.quoting import MINUS, visible

BROKEN_PIPE = 141  # as the shell names a program that SIGPIPE ended: `leukosr compare … | head`


class Terminal(Console):
    """A console that takes nothing in a string for markup or emoji, and shows control characters as escapes.

    A file name may hold square brackets, and also sequences that move the cursor or hide what stands before them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)
        self._narrow = "width" in options

    @property
    def unbounded(self) -> bool:
        """Whether what is printed goes into a file or a pipe, which have no edge."""
        return not (self.is_terminal or self._narrow or "COLUMNS" in self._environ)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string that is printed, and every cell of a table, comes by here."""
        return super().render_str(visible(text), **options)

    def on_broken_pipe(self) -> None:
        """Whoever read the output has enough of it."""
        discard_output()
        raise SystemExit(BROKEN_PIPE)


def print_table(console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> None:
    """Print a table in the widest form that the console has room for; no form leaves anything out.

    Its full width, always in a file or a pipe; else with wrapped heads, no edges, and what is the same in every row
    said once above; else the rows that share their first cell as columns below it. The first `left` columns hold words,
    the others numbers. Heads are ours, so a line break in one is meant; what stands in rows comes from files.
    """
    whole = _table(heads, rows, left)
    if isinstance(console, Terminal) and console.unbounded:
        Terminal(file=console.file, width=_width(console, whole)).print(whole)
        return
    if _fits(console, whole):
        console.print(whole)
        return
    places = range(len(heads))
    same = [place for place in places[1:] if len(rows) > 1 and len({cells[place] for cells in rows}) == 1]
    kept = [place for place in places if place not in same]
    shorter = [[cells[place] for place in kept] for cells in rows]
    wrapped = [_wrapped(heads[place], [cells[place] for cells in rows]) for place in kept]
    if _fits(console, narrow := _table(wrapped, shorter, sum(place < left for place in kept), borders=False)):
        if same:
            console.print("in every row: " + "; ".join(f"{_line(heads[each])} {rows[0][each]}" for each in same))
        console.print(narrow)
        return
    for first in dict.fromkeys(cells[0] for cells in rows):
        block = Table.grid(padding=(0, 2, 0, 0))
        own = [cells[1:] for cells in rows if cells[0] == first]
        for head, *cells in zip(heads[1:], *own, strict=True):
            block.add_row(Text(head), *cells)
        console.print(first)
        console.print(Padding(block, (0, 0, 0, 2), expand=False))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int, *, borders: bool = True) -> Table:
    table = Table(show_edge=borders, padding=(0, 1) if borders else 0)
    for place, head in enumerate(heads):
        table.add_column(Text(head), justify="left" if place < left else "right", no_wrap=True)
    for cells in rows:
        table.add_row(*cells)
    return table


def _fits(console: Console, table: Table) -> bool:
    return _width(console, table) <= console.width


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(max_width=10_000), table).maximum


def _wrapped(head: str, cells: Sequence[str]) -> str:
    """A head broken at blanks to the width of its longest word or cell."""
    width = max(map(cell_len, [*head.split(), *cells]))
    return "\n".join(textwrap.wrap(_line(head), width, break_long_words=False, break_on_hyphens=False))


def _line(head: str) -> str:
    return " ".join(head.split())


def tolerate_narrow_encodings() -> None:
    """Let signs that the encoding of the terminal or of a redirect lacks be replaced (ISO 8859-1, ASCII).

    A minus becomes a hyphen, as a number without it would be another one; all else a question mark.
    """
    codecs.register_error("leukosr.replace", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="leukosr.replace")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacked = error.object[error.start : error.end]
    return "".join("-" if sign == MINUS else "?" for sign in lacked), error.end


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

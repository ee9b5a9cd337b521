"""CSV tables: one strict reader for those of users, and one convention for those written here.

Written tables follow one convention, so that no spreadsheet reads a name as a formula: text that begins with
`=`, `+`, `-`, `@`, a tab or a carriage return (after any number of apostrophes) gets an apostrophe before it, as OWASP
recommends, and every reader here removes that apostrophe. Numbers are written unchanged.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from leukosr.errors import LeukoError
from leukosr.quoting import absent, counted, listed, short

if TYPE_CHECKING:  # half a second that stages without tables do not need
    import pandas as pd

MOST_BYTES = 512 * 2**20
DELIMITERS = ",;\t"
INVISIBLE = "\ufeff\u200b\u2060"  # byte-order mark, zero-width space, word joiner: no blanks for str.strip
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MISTAKES = {  # the words of Python's csv module -> what was wrong with the file
    "unexpected end of data": "a double quote is not closed",
    """',' expected after '"'""": "text follows a closing double quote",
}
_MARKED = re.compile(r"'+[=+\-@\t\r]")
_CLEANABLE = re.compile(r"[^!#-&(-~\r\n]")  # a blank, a quote or beyond ASCII: without any, `_clean` changes no cell


class LackingColumns(LeukoError):
    """A table of a user's without columns that it needs; `named` are those that it has."""

    def __init__(self, message: str, named: Sequence[str]) -> None:
        super().__init__(message)
        self.named = named


def escape_cell(text: str) -> str:
    """Text as written to a cell: an apostrophe before what a spreadsheet would read as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_cell(cell: str) -> str:
    """The text that `escape_cell` was given."""
    return cell[1:] if _MARKED.match(cell) else cell


class _LineFeeds(io.TextIOBase):
    """A text file for `csv.writer`, which quotes a carriage return in a cell only where it also ends lines with one."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def write(self, line: str) -> int:
        """Called with a whole row."""
        return self.file.write(line.removesuffix("\r\n") + "\n")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file (UTF-8, comma, LF) with the text of its cells escaped."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(_LineFeeds(file), lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows([escape_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def write_frame(path: Path, table: pd.DataFrame, float_format: str | None = None) -> None:
    """Write a table as `write_table` does, without its index; rows are added where the file is there already."""
    words = table.select_dtypes(["object", "string"]).columns
    cells = {name: table[name].map(lambda cell: escape_cell(cell) if isinstance(cell, str) else cell) for name in words}
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        table.assign(**cells).to_csv(
            _LineFeeds(file), index=False, header=new, float_format=float_format, lineterminator="\r\n"
        )


def read_own_rows(path: Path) -> list[list[str]]:
    """The rows of a table that LeukoSR wrote, header first, with cells exactly as they were given to `write_table`.

    Raises FileNotFoundError where there is none, and LeukoError for a damaged one.
    """
    rows = [[unescape_cell(cell) for cell in cells] for _, cells in _rows(path, _decoded(path), ",", blanks=True)]
    for cells in rows:
        if len(cells) != len(rows[0]):
            raise LeukoError(
                f"{path} is damaged: it has {counted(len(rows[0]), 'column')} and a row of "
                f"{counted(len(cells), 'cell')}"
            )
    return rows


def read_own_table(path: Path) -> pd.DataFrame:
    """`read_own_rows` as a table of text, an empty cell as ""."""
    import pandas as pd

    header, *rows = read_own_rows(path) or [[]]
    return pd.DataFrame(rows, columns=header, dtype=str)


def read_table(path: Path, needed: Sequence[str], what: str, remedy: str = "") -> pd.DataFrame:
    """A user's table: all cells as text, an empty one as "", indexed by the line in which a row begins.

    UTF-8 with or without a byte-order mark and UTF-16 with one are read; commas, semicolons and tabs separate. Names
    and cells are stripped and in Unicode's composed form (NFC), columns without a name and rows without content are
    left out, short rows are filled up (Excel writes such), the apostrophe of `escape_cell` is removed. Raises
    LeukoError for a file that is missing, unreadable, of another encoding or too large, for a row with more cells than
    names, and for a missing or repeated column; `what` says what the file should be, `remedy` what helps
    where a column is missing.
    """
    import pandas as pd

    try:
        text = _decoded(path)
    except FileNotFoundError:
        raise absent(path, f"name {what}") from None
    first = next((line for line in io.StringIO(text, newline="") if line.strip(f" \r\n{DELIMITERS}")), "")
    delimiter = max(DELIMITERS, key=lambda sign: _fit(first, sign, needed))
    lines = list(_rows(path, text, delimiter))
    if _CLEANABLE.search(text):
        lines = [(line, [_clean(cell) for cell in cells]) for line, cells in lines]
    lines = [(line, cells) for line, cells in lines if any(cells)]
    if not lines:
        raise LeukoError(f"{path} is empty; it should be {what}, with the columns {', '.join(needed)}")
    header = lines[0][1]
    named = [name for name in header if name]
    missing = [name for name in needed if name not in named]
    if missing:
        word = "column" if len(missing) == 1 else "columns"
        raise LackingColumns(
            f"{path} lacks the {word} {', '.join(missing)} of {what}; it has {listed(named)}{remedy}", named
        )
    (name, times), *_ = Counter(named).most_common(1)
    if times > 1:
        raise LeukoError(f"{path} has the column {short(name)} {times} times: keep one of them")
    for line, cells in lines[1:]:
        if any(cells[len(header) :]):
            raise LeukoError(
                f"{path} line {line} has {counted(len(cells), 'cell')}, but {len(header)} columns have names: put a "
                f"cell that holds {delimiter!r} in double quotes"
            )
        cells.extend([""] * (len(header) - len(cells)))
    columns = {name: [cells[at] for _, cells in lines[1:]] for at, name in enumerate(header) if name}
    return pd.DataFrame(columns, index=pd.Index([line for line, _ in lines[1:]], name="line"), dtype=str)


def one_spelling(names: Iterable[str], what: str) -> None:
    """Raise LeukoError for a name with two spellings; the message begins with `what`."""
    spelt: dict[str, str] = {}
    for name in names:
        if (other := spelt.setdefault(spelling_key(name), name)) != name:
            raise LeukoError(f"{what} as {short(repr(other))} and {short(repr(name))}: write it in one way")


def spelling_key(name: str) -> str:
    """What the spellings of one name have in common: all but case, blanks and the `.0` of a whole number."""
    return " ".join(integral(name).casefold().split())


def integral(text: str) -> str:
    """A whole number as `7`, where pandas wrote `7.0` (it does so once a column has an empty cell); else the text."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def _decoded(path: Path) -> str:
    """The text of a file. Raises FileNotFoundError, and LeukoError that names what is wrong with it."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        inside = sorted(each.relative_to(path) for form in ("*.csv", "*/*.csv") for each in path.glob(form))
        raise LeukoError(
            f"{path} is a folder: name a CSV file in it, which has {listed([str(each) for each in inside], 4)}"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise LeukoError(f"{path!s} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(content) > MOST_BYTES:
        raise LeukoError(f"{path} is larger than {MOST_BYTES // 2**20} MB, which no table of this kind is")
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LeukoError(
            f"{path} is not {'UTF-16' if wide else 'UTF-8'} text (line {line}; it may be Latin-1 or Windows-1252): "
            "save it as CSV UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise LeukoError(
            f"{path} holds NUL characters (line {line}): it is damaged, not a table, or UTF-16 without a byte-order "
            "mark; save it as CSV UTF-8"
        )
    return text


def _rows(path: Path, text: str, delimiter: str, *, blanks: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold cells, each with its first line; with `blanks` those before a cell are kept."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=not blanks, strict=True)
    begins = 1
    try:
        for cells in reader:
            if cells:
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise LeukoError(
            f"{path} is not a CSV table (line {begins}: {_MISTAKES.get(str(error), error)}): name a table, or save it "
            "as CSV again"
        ) from None


def _fit(header: str, delimiter: str, needed: Sequence[str]) -> tuple[int, int]:
    """How well a delimiter explains the first line: the columns that are needed, then all columns."""
    names = [_clean(cell.strip().strip('"')) for cell in header.split(delimiter)]
    return len(set(needed) & set(names)), len(names)


def _clean(cell: str) -> str:
    if cell.isascii() and cell.isalnum():  # most of the millions of cells of a study have nothing to clean
        return cell
    return unescape_cell(unicodedata.normalize("NFC", cell.strip().strip(INVISIBLE).strip()))

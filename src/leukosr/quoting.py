"""Names, cells and paths that others wrote, as messages quote them: short, and without signs that move a cursor.

And the words around numbers, misspelt names and paths that do not exist.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from leukosr.errors import LeukoError

LONGEST = 60  # characters of one name
LIKE = 0.75  # of two files' names, from 0 to 1, below which one is not the other misspelt
MINUS = "−"  # the true minus sign, U+2212


def visible(text: str) -> str:
    """The text with control characters, half surrogates and marks of direction as escapes (`\\x1b`)."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def short(text: str, longest: int = LONGEST) -> str:
    """The visible text, cut where it is longer than anybody reads."""
    return visible(text if len(text) <= longest else f"{text[:longest]}…")


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names in a row, the first so many: `a, b, c and 4 more`; `none` where there is none."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(short, names[:most])) + more or "none"


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 file`, `2 files`; `plural` where it is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def decimal(value: float, digits: int, sign: str = "") -> str:
    """`1.2`, `−1.2`, with `sign` + also `+1.2`: a number as people read it. What is rounded to zero has no sign."""
    text = f"{value:{sign}z.{digits}f}"
    return text.removeprefix("+") if float(text) == 0 else text.replace("-", MINUS)


def meant(name: str, known: Iterable[str], before: str = "") -> str:
    """`; did you mean NAME?`, to end a message with: the known names most like this one, `before` set before each.

    Empty where none is like it. Capitals make no difference.
    """
    spelt = {each.casefold(): each for each in sorted(known)}
    found = difflib.get_close_matches(name.casefold(), spelt, n=2)
    close = " or ".join(before + short(spelt[each]) for each in found)
    return close and f"; did you mean {close}?"


def absent(path: Path, remedy: str) -> LeukoError:
    """`PATH does not exist: REMEDY; did you mean NAME?` for a path that somebody gave, by what lies beside it.

    What a study of this project is yet to make has the command for a remedy that makes it.
    """
    try:
        first = next((each for each in reversed((path, *path.parents)) if not each.exists()), path)
        others = [each for each in first.parent.iterdir() if each.name != first.name]  # a link that leads nowhere
        near = meant(first.name, [each.name for each in others if _like(first, each)])
    except OSError:  # a name that is too long, a file where a folder should be, or one that may not be listed
        first, near = path, ""
    command = _how_made(path)
    if command and first.parent.name in ("outputs", "reports"):  # the study is well spelt, it has not run
        near = ""
    return LeukoError(f"{path} does not exist: {command or remedy}{near}")


def _like(path: Path, other: Path) -> bool:
    """Whether one name may be the other misspelt: without their endings, which make any two images alike."""
    return difflib.SequenceMatcher(None, path.stem, other.stem).ratio() >= LIKE


def _how_made(path: Path) -> str:
    """The commands that make a file or folder below outputs/STUDY or reports/STUDY; empty for any other path."""
    full, here = Path(os.path.abspath(path)), Path.cwd()
    parts = full.relative_to(here).parts if full.is_relative_to(here) else ()
    if len(parts) < 2 or parts[0] not in ("outputs", "reports"):
        return ""
    study = parts[1]
    if not os.path.isfile(Path("conf/study", f"{study}.yaml")):  # False, too, for a name that is too long
        return ""
    if study == "demo":
        return "run `make repro`, or `make demo` where params.yaml holds another study"
    published = " (results/ holds tables of published studies)" if full.suffix == ".csv" else ""
    command = f"run `dvc exp run -S study={study}` with its budget (-S budget=NAME)"
    return f"{command}, or `dvc repro` where params.yaml holds that study{published}"


def require_folder(path: Path, remedy: str) -> Path:
    """A folder that somebody gave. Raises LeukoError where it is missing or something else."""
    if not os.path.exists(path):  # False, too, for a name that is too long
        raise absent(path, remedy)
    if not path.is_dir():
        raise LeukoError(f"{path} is not a folder: {remedy}")
    return path

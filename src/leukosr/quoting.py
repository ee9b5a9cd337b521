"""Names, cells and paths that others wrote, as messages quote them: short, and without signs that move a cursor."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 60  # characters of one name


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

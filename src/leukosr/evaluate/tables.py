"""CSV tables that people bring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from leukosr.errors import LeukoError


def read_table(path: Path, needed: Sequence[str], what: str) -> pd.DataFrame:
    """All cells of a CSV file as text, an empty one as "".

    Raises LeukoError for a file that is missing, unreadable or lacks a column that is `needed`; `what` says what the
    file should be.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise LeukoError(f"{path} does not exist; name {what}") from None
    except IsADirectoryError:
        raise LeukoError(f"{path} is a folder; name the CSV file in it, {what}") from None
    except (OSError, ValueError) as error:
        raise LeukoError(f"{path} cannot be read as a CSV file ({error})") from None
    missing = [column for column in needed if column not in table]
    if missing:
        raise LeukoError(f"{path} lacks the columns {', '.join(missing)} of {what}; it has {', '.join(table.columns)}")
    return table

"""URLs of databases and servers: making the tables of a new file once, and naming them without a password."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

SQLITE = "sqlite"
OPTUNA_DATABASE = "sqlite:///optuna.db"
OPTUNA_VARIABLE = "LEUKOSR_OPTUNA_STORAGE"
_IN_QUERY = re.compile(r"(?i)([?&](?:password|passwd|token|secret)=)[^&\s]*")


def storage_url(wanted: str) -> str:
    """Where trials are kept: the environment's LEUKOSR_OPTUNA_STORAGE, or what the parameters say."""
    return os.environ.get(OPTUNA_VARIABLE) or wanted


def making_tables(url: str, seconds: float = -1) -> AbstractContextManager[object]:
    """A lock beside the file of a SQLite URL, to hold while the database is opened for the first time.

    Processes that start at once would all create the tables, and all but one would fail. Other databases need no lock.
    Raises TimeoutError where others hold it for longer than `seconds`; negative waits for ever.
    """
    if not url.startswith(SQLITE):
        return nullcontext()
    from filelock import FileLock
    from sqlalchemy.engine import make_url

    file = make_url(url).database
    # FileLock would make a folder that is missing; whoever opens the database says so
    if not file or file == ":memory:" or not Path(file).parent.is_dir():
        return nullcontext()
    return FileLock(f"{file}.lock", timeout=seconds)


def without_password(url: str) -> str:
    """The URL as it may be shown: no password before the host, and none in the query."""
    url = without_password_in_query(url)
    head, at, tail = url.rpartition("@")
    scheme, slashes, user = head.partition("//")
    return f"{scheme}{slashes}{user.partition(':')[0]}{at}{tail}" if at else url


def without_password_in_query(text: str) -> str:
    """The text with passwords and tokens in the queries of URLs left out."""
    return _IN_QUERY.sub(r"\1…", text)


def error_line(error: BaseException, url: str) -> str:
    """An error of the database or server at a URL as one line of at most 200 characters, without the password."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].replace(url, without_password(url))[:200]

"""The report that is saved of an unforeseen error."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from leukosr.engine.databases import without_password_in_query
from leukosr.versions import installed_versions

FOLDER = Path(".leukosr/crashes")
_CREDENTIALS = re.compile(r"(\w://)[^/\s@]+@")


def save_report(error: BaseException) -> Path:
    """Write the command, the versions and the traceback; the environment and the values of variables are left out.

    Below the working directory, or in the system's temporary folder where that cannot be written. Raises OSError where
    neither can.
    """
    lines = [
        f"leukosr {' '.join(sys.argv[1:])}",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, {platform.platform()}",
        ", ".join(f"{name} {version}" for name, version in installed_versions().items()),
        "",
        "".join(traceback.format_exception(error)),
    ]
    content = without_credentials("\n".join(lines)).encode(errors="backslashreplace")
    name = f"leukosr-{datetime.now(UTC):%Y%m%d-%H%M%S}-"
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        file, path = tempfile.mkstemp(".txt", name, FOLDER)
    except OSError:
        file, path = tempfile.mkstemp(".txt", name)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
    return Path(path)


def without_credentials(text: str) -> str:
    """The text without the user names and passwords of URLs, e.g. those of a database or tracking server."""
    return _CREDENTIALS.sub(r"\1…@", without_password_in_query(text))

"""A project that was moved or copied: MLflow keeps the places of artifacts as absolute paths."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import make_url

from leukosr.engine.databases import SQLITE

ARTIFACTS = "mlruns"  # where MLflow puts them beside a database that names no other place
PLACES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "source"), ("model_versions", "storage_location"),
)  # fmt: skip


def follow_artifacts(uri: str) -> None:
    """Let a database in the working directory name the artifacts beside it, where it names those of another folder.

    Experiments without artifacts here keep their place, as does every other store.
    """
    file = Path(make_url(uri).database or "") if uri.startswith(SQLITE) else Path()
    if not file.is_file() or file.resolve().parent != Path.cwd():
        return
    with closing(sqlite3.connect(file, timeout=60)) as connection, connection:
        for (there,) in connection.execute("SELECT artifact_location FROM experiments").fetchall():
            head, folder, number = (there or "").rpartition(f"/{ARTIFACTS}/")
            here = Path.cwd() / ARTIFACTS / number
            if not folder or not head.startswith("/") or there == str(here) or not here.is_dir():
                continue
            for table, column in PLACES:
                connection.execute(
                    f"UPDATE {table} SET {column} = :here || substr({column}, length(:there) + 1) "
                    f"WHERE substr({column} || '/', 1, length(:there) + 1) = :there || '/'",
                    {"here": str(here), "there": there},
                )

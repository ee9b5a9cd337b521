"""Where the trials of sweeps are kept: a database or a journal, by one URL."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, ProgrammingError, SQLAlchemyError

from leukosr.engine.databases import (
    OPTUNA_DATABASE,
    OPTUNA_VARIABLE,
    SQLITE,
    error_line,
    making_tables,
    without_password,
)
from leukosr.errors import LeukoError

JOURNAL = "journal:"
ATTEMPTS = 3
WAIT_SECONDS = 1.0
BUSY_SECONDS = 60  # that a process waits for others that use the file

logging.getLogger("alembic").setLevel(logging.WARNING)


def open_storage(url: str, heartbeat_seconds: int) -> BaseStorage:
    """A database by its URL, or `journal:PATH`. Raises LeukoError where it cannot be reached."""
    try:
        if url.startswith(JOURNAL):
            return _journal(Path(url.removeprefix(JOURNAL)))
        for _ in range(ATTEMPTS):
            with suppress(IntegrityError, ProgrammingError):  # another machine made the tables at the same moment
                return _database(url, heartbeat_seconds)
            time.sleep(WAIT_SECONDS)
        return _database(url, heartbeat_seconds)
    except (SQLAlchemyError, ArgumentError, NoSuchModuleError, ImportError, OptunaError, OSError, ValueError) as error:
        raise LeukoError(
            f"the trials' storage {without_password(url)} cannot be opened ({error_line(error, url)}): "
            f"correct runtime.optuna_storage or {OPTUNA_VARIABLE}, e.g. {OPTUNA_DATABASE}, postgresql://user@host/name "
            f"or {JOURNAL}PATH"
        ) from None


def _journal(path: Path) -> JournalStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(path)))
    storage.get_all_studies()  # reads what is there, which opening does not
    return storage


def _database(url: str, heartbeat_seconds: int) -> RDBStorage:
    in_a_file = url.startswith(SQLITE)
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}} if in_a_file else {"pool_pre_ping": True}
    with making_tables(url, BUSY_SECONDS):
        storage = RDBStorage(
            url, engine_kwargs=options, heartbeat_interval=heartbeat_seconds, grace_period=3 * heartbeat_seconds
        )
    if in_a_file:
        # Optuna reads a trial's state and then changes it, with a lock that SQLite does not know: two processes would
        # take the same trial. Here a transaction locks the file from its first statement on.
        event.listen(storage.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return storage

"""Where the trials of sweeps are kept: a database or a journal, by one URL."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, ProgrammingError, SQLAlchemyError

from leukosr.errors import LeukoError

DEFAULT_STORAGE = "sqlite:///optuna.db"
ENVIRONMENT = "LEUKOSR_OPTUNA_STORAGE"
JOURNAL = "journal:"
ATTEMPTS = 3
WAIT_SECONDS = 1.0

logging.getLogger("alembic").setLevel(logging.WARNING)


def storage_url(wanted: str) -> str:
    """Where trials are kept: the environment's LEUKOSR_OPTUNA_STORAGE, or what the parameters say."""
    return os.environ.get(ENVIRONMENT) or wanted


def open_storage(url: str, heartbeat_seconds: int) -> BaseStorage:
    """A database by its URL, or `journal:PATH`. Raises LeukoError where it cannot be reached."""
    if url.startswith(JOURNAL):
        path = Path(url.removeprefix(JOURNAL))
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    try:
        for _ in range(ATTEMPTS):
            with suppress(IntegrityError, ProgrammingError):  # another process made the tables at the same moment
                return _database(url, options, heartbeat_seconds)
            time.sleep(WAIT_SECONDS)
        return _database(url, options, heartbeat_seconds)
    except (SQLAlchemyError, ArgumentError, NoSuchModuleError, ImportError, OptunaError, OSError) as error:
        first = str(error).strip().splitlines()[0][:200]
        raise LeukoError(
            f"the trials' storage {_shown(url)} cannot be opened ({first}): correct runtime.optuna_storage or "
            f"{ENVIRONMENT}, e.g. {DEFAULT_STORAGE}, postgresql://user@host/name or {JOURNAL}PATH"
        ) from None


def _database(url: str, options: dict[str, Any], heartbeat_seconds: int) -> RDBStorage:
    return RDBStorage(
        url, engine_kwargs=options, heartbeat_interval=heartbeat_seconds, grace_period=3 * heartbeat_seconds
    )


def _shown(url: str) -> str:
    """The URL without a password."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, user = head.partition("//")
    return f"{scheme}{slashes}{user.partition(':')[0]}{at}{tail}" if at else url

"""Where `optuna-dashboard` finds the trials of a study, as it reads the address."""

from __future__ import annotations

import sys
from pathlib import Path

from leukosr.config import load_params
from leukosr.engine.databases import storage_url
from leukosr.errors import LeukoError
from leukosr.tracking.trial_storage import JOURNAL


def trials_address(params: Path) -> str:
    """The storage that the environment or else the parameters name. Raises LeukoError for a file that is none."""
    named = storage_url("") or load_params(params).runtime.optuna_storage
    return named.removeprefix(JOURNAL)


if __name__ == "__main__":
    try:
        print(trials_address(Path("params.yaml")))
    except LeukoError as error:
        sys.exit(f"error: {error}")

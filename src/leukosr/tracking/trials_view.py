"""Where `optuna-dashboard` finds the trials of a study, as it reads the address."""

from __future__ import annotations

from pathlib import Path

from leukosr.config import load_params
from leukosr.engine.databases import storage_url
from leukosr.tracking.trial_storage import JOURNAL

if __name__ == "__main__":
    print(storage_url(load_params(Path("params.yaml")).runtime.optuna_storage).removeprefix(JOURNAL))

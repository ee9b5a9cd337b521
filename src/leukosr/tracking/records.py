"""What the records of all stages share: a stage logs its own as it runs, `leukosr sync` later from its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from leukosr.config import Params
from leukosr.layout import Layout

RESULTS = "results_digest"  # the tag of a run that holds all that its stage wrote
WEIGHTS = ("weights", "weights_sha256")  # keys of metrics.json that are parameters
SYNC = "Once it works again, `leukosr sync` logs it."


def results_digest(folders: Sequence[Path]) -> str:
    """A digest of the tables and measurements in folders; they name times, so no two trainings share one."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".csv", ".json")):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def rows_of(table: Path) -> list[dict[str, Any]]:
    """The rows of a table that a stage wrote, with its very numbers; empty cells are left out."""
    read = pd.read_csv(table, float_precision="round_trip")
    rows = read.to_dict("records")
    return [{str(name): value for name, value in row.items() if not pd.isna(value)} for row in rows]


def of_study(params: Params) -> dict[str, str]:
    """The parameters that say which study a run belongs to, so that runs of several can be filtered and grouped."""
    return {"study": params.study.name, "budget": params.budget.name}


def data_digest(layout: Layout) -> str:
    """The SHA-256 of the manifest and the roles."""
    return hashlib.sha256(layout.manifest.read_bytes() + layout.roles.read_bytes()).hexdigest()


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics.json that a stage wrote into a folder."""
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics

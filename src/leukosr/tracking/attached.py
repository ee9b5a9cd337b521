"""Stages under `mlflow run`: their results become artifacts of that run, never files that DVC tracks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leukosr.errors import LeukoError
from leukosr.terminal import Terminal
from leukosr.tracking.runs import failures

KEPT = Path(".leukosr/kept")


@contextmanager
def results_of_run(stage: str) -> Iterator[Path]:
    """A temporary folder for what a stage writes and logs inside; it is kept if MLflow did not take all of it.

    Raises LeukoError where that is not possible either.
    """
    before = failures()
    with tempfile.TemporaryDirectory(prefix="leukosr-") as temporary:
        written = Path(temporary) / stage
        yield written
        if failures() == before or not written.exists():
            return
        try:
            KEPT.mkdir(parents=True, exist_ok=True)
            kept = Path(tempfile.mkdtemp(prefix=f"{stage}-", dir=KEPT))
            shutil.copytree(written, kept, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            raise LeukoError(
                f"{stage}: its results are not kept: MLflow did not take them, and they cannot be copied to {KEPT} "
                f"({error}): make room or the folder writable, or unset MLFLOW_RUN_ID, then run again"
            ) from None
    Terminal(stderr=True).print(f"{stage}: MLflow did not take all results; they are kept in {kept}", soft_wrap=True)

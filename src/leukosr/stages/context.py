"""What every stage works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from leukosr.config import Params
from leukosr.engine.processes import ALONE, Processes
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.quoting import meant


@dataclass(frozen=True)
class Context:
    """The parameters of a study, where its files lie, and who works on it.

    console: the stage's closing line goes there, and only the first of several processes prints it.
    out: the folder to write into instead of where DVC keeps the stage's output.
    """

    params: Params
    layout: Layout
    console: Console
    out: Path | None = None
    processes: Processes = ALONE

    def check_arm(self, arm: str) -> None:
        """Raise LeukoError for an arm that the study does not make."""
        known = self.params.upscale
        if arm not in known:
            raise LeukoError(f"unknown arm '{arm}'; the arms of this study are {', '.join(known)}{meant(arm, known)}")

"""What the commands share: the two consoles, and options that several of them take."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from leukosr.terminal import Terminal

console = Terminal(soft_wrap=sys.stdout is None or not sys.stdout.isatty())
errors = Terminal(stderr=True, soft_wrap=True)

ParamsFile = Annotated[Path, typer.Option("--params", metavar="FILE", help="The composed parameters.")]
Arm = Annotated[str, typer.Option(help="The arm, by its name in params.upscale.")]
Out = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Write here instead of where DVC keeps this stage's output.")
]
PARAMS = Path("params.yaml")

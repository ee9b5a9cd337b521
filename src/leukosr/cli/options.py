"""What the commands share: the two consoles, and options that several of them take."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukosr.errors import LeukoError
from leukosr.quoting import absent, listed, meant
from leukosr.terminal import Terminal

if TYPE_CHECKING:
    from leukosr.evaluate.arms.two_way import Metric

console = Terminal(soft_wrap=sys.stdout is None or not sys.stdout.isatty())
errors = Terminal(stderr=True, soft_wrap=True)

ParamsFile = Annotated[Path, typer.Option("--params", metavar="FILE", help="The composed parameters.")]
Arm = Annotated[str, typer.Option(help="The arm, by its name in params.upscale.")]
Out = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Write here instead of where DVC keeps this stage's output.")
]
PARAMS = Path("params.yaml")
# of a stage that also works on any folder of images, which has no parameters
StageParams = Annotated[
    Path | None, typer.Option("--params", metavar="FILE", help=f"The composed parameters; default: {PARAMS}.")
]

# of commands that use trained networks on anyone's images
Precision = Annotated[str, typer.Option(help="fp32, bf16, or auto: bf16 where the hardware has it.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
MOST_ERRORS = 0.05
SHARE_OF_ERRORS = "Largest share of sure answers that may be wrong in validation"
MostErrors = Annotated[float, typer.Option(min=0.001, max=0.999, help=f"{SHARE_OF_ERRORS}.")]


def check_there(paths: Iterable[Path], remedy: str) -> None:
    """Raise LeukoError for a path that does not exist, before anything takes seconds to load."""
    for path in paths:
        if not os.path.exists(path):  # False, too, for a name that is too long
            raise absent(path, remedy)


def refuse_given(options: Mapping[str, object], owner: str, remedy: str) -> None:
    """Raise LeukoError for options that are given (not None) where nothing reads them: they belong to `owner`."""
    if given := [option for option, value in options.items() if value is not None]:
        raise LeukoError(f"{listed(given)} {'belongs' if len(given) == 1 else 'belong'} to {owner}: {remedy}")


def metric_named(primary: str) -> Metric:
    """The metric that --primary names; raises LeukoError where there is none."""
    from leukosr.evaluate.arms.two_way import METRICS

    if (metric := next((known for known in METRICS if known == primary), None)) is None:
        raise LeukoError(f"--primary is '{primary}', expected {' or '.join(METRICS)}{meant(primary, METRICS)}")
    return metric


def check_fraction(option: str, value: float) -> None:
    """Raise LeukoError for what is not between 0 and 1: people give points where a fraction is meant."""
    if not 0 <= value <= 1:
        hint = f"; did you mean {value / 100:g}, {value:g} points?" if 1 < value <= 100 else ", e.g. 0.02 for 2 points"
        raise LeukoError(f"{option} is {value:g}, expected a fraction between 0 and 1{hint}")


def check_margin(margin: float) -> None:
    """Raise LeukoError for a margin that is no fraction, or within which nothing or everything lies."""
    check_fraction("--margin", margin)
    if margin in (0, 1):
        raise LeukoError(f"--margin is {margin:g}, expected more than 0 and less than 1, e.g. 0.02")

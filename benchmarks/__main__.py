"""`python -m benchmarks`: measure, show, and write benchmarks/results.json and docs/benchmarks.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.measure import Options
from benchmarks.page import write_page
from benchmarks.runner import BENCHMARKS, SLOW, run_all
from leukosr.errors import LeukoError

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(BENCHMARKS)}; default: all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few rounds and images: shows that it works.")] = False,
    full: Annotated[bool, typer.Option("--full", help=f"With those that take long: {', '.join(SLOW)}.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="The results; default benchmarks/results.json, none if quick.")
    ] = None,
) -> None:
    """Measure this project against plain reference loops, each benchmark in a fresh process.

    Results of single names are merged into the file. The page is written where the file lies in benchmarks/.
    """
    if unknown := [name for name in names or () if name not in BENCHMARKS]:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(BENCHMARKS)}")
    chosen = [name for name in BENCHMARKS if (name in names if names else full or name not in SLOW)]
    target = out or (None if quick else HERE / "results.json")
    try:
        results = run_all(chosen, Options(quick), target)
    except LeukoError as error:
        sys.exit(f"error: {error}")
    if target is not None and target.resolve().parent == HERE:
        write_page(sorted(HERE.glob("results*.json")), PAGE)
        print(f"{target} with {len(results.rows)} rows; {PAGE}")


if __name__ == "__main__":
    app()

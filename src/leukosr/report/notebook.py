"""What the notebooks begin with."""

from __future__ import annotations

import os
from pathlib import Path

from leukosr.config import Params, load_params
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.report.results import StudyResults, load_results


def go_to_project() -> None:
    """Make the root of the project the working directory, wherever below it Jupyter was started.

    Raises LeukoError outside a project.
    """
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "params.yaml").is_file():
            os.chdir(folder)
            return
    raise LeukoError(f"{Path.cwd()} is not in a project of LeukoSR: start Jupyter in the folder that holds params.yaml")


def finished_demo() -> tuple[Params, StudyResults]:
    """The parameters and results of the demo, from the root of the project, where the working directory then is.

    Raises LeukoError where the demo has not been run, or params.yaml holds another study.
    """
    go_to_project()
    params = load_params()
    layout = Layout(params.study.name)
    if params.study.name != "demo" or not (layout.report / "index.html").exists():
        raise LeukoError(
            "this notebook needs the finished demo study: run `make repro` in the root of the project (or `make demo` "
            "when params.yaml holds another study), then run this cell again"
        )
    return params, load_results(layout, params, params.study.protocols[0])

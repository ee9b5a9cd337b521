"""A command for each stage of the pipeline."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from leukosr.cli.options import PARAMS, Arm, Out, ParamsFile, console
from leukosr.config import Params, load_params
from leukosr.engine.processes import ALONE, Processes, launcher_number
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.outputs import claimed


@contextmanager
def _stage(name: str, params_file: Path, out: Path | None = None) -> Iterator[tuple[Params, Layout, Path | None]]:
    """Load the parameters. Under `mlflow run` the stage writes into a temporary folder that becomes artifacts.

    So such a run never writes over files that DVC tracks.
    """
    params = _load(params_file)
    layout = Layout(params.study.name)
    if out is not None:
        with claimed(out, name.replace("_", "-"), layout):
            yield params, layout, out
        return
    if not os.environ.get("MLFLOW_RUN_ID"):
        yield params, layout, None
        return
    from leukosr import tracking
    from leukosr.tracking.attached import results_of_run

    with results_of_run(name) as target:
        yield params, layout, target
        if name not in ("train_sr", "classify", "sweep"):  # these log their own run
            with tracking.run(name, experiment=params.study.name, tags={"stage": name}) as tracked:
                tracked.folder(target)


@contextmanager
def _shards(params: Params) -> Iterator[Processes]:
    """The processes that a launcher started for a data stage; alone, nothing of torch is loaded."""
    if launcher_number("WORLD_SIZE", 1) == 1:
        yield ALONE
        return
    from leukosr.engine.distributed import launched

    with launched(params.runtime) as processes:
        yield processes


def _load(params_file: Path) -> Params:
    """The parameters. Among several processes the first alone says what is wrong with them."""
    try:
        return load_params(params_file)
    except LeukoError:
        if launcher_number("RANK", 0):
            sys.exit(1)
        raise


def synthesize(
    name: Annotated[str, typer.Option("--set", help="The set of params.synthesize to draw.")] = "demo",
    params: ParamsFile = PARAMS,
    out: Out = None,
) -> None:
    """Draw a synthetic set of blood smears."""
    from leukosr.stages import synthesize as stage

    with _stage("synthesize", params, out) as (settings, _, target):
        stage.run(settings, name, console, target)


def prepare(params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Check every image and write the manifest."""
    from leukosr.stages import prepare as stage

    with _stage("prepare", params, out) as (settings, layout, target), _shards(settings) as processes:
        stage.run(settings, console, target or layout.root, processes)


def provenance(
    folder: Annotated[
        Path | None, typer.Argument(help="Any folder of images, with or without class folders; else the study's.")
    ] = None,
    out: Out = None,
    search: Annotated[str, typer.Option("--set", help="The search of params.provenance to run.")] = "images",
    similarity: Annotated[float, typer.Option(min=0, max=1, help="Least correlation of what both images show.")] = 0.5,
    inliers: Annotated[int, typer.Option(min=4, help="Least number of features that agree.")] = 5,
    neighbours: Annotated[int, typer.Option(min=1, help="Images compared with each image per round.")] = 8,
    params: ParamsFile = PARAMS,
) -> None:
    """Find which images show the same source micrograph, whatever was done to them.

    Without FOLDER it is the stage of the study, whose settings are in params.yaml.
    """
    from leukosr.stages import provenance as stage

    if folder is None:
        with _stage("provenance", params, out) as (settings, layout, target):
            stage.run(settings, search, console, target or layout.provenance)
        return
    from leukosr.data.provenance.geometry import Limits

    if out is None:
        raise LeukoError("provenance: name the folder to write into with --out")
    limits = Limits(inliers=inliers, similarity=similarity)
    stage.run_folder(folder, out, console, limits, max_features=400, neighbours=neighbours)


def degrade(params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Make the low-resolution images."""
    from leukosr.stages import degrade as stage

    with _stage("degrade", params, out) as (settings, layout, target), _shards(settings) as processes:
        stage.run(settings, console, layout, target or layout.root, processes)


def train_sr(
    training: Annotated[str, typer.Option("--training", "--method", "--arm", help="A training of params.train_sr.")],
    params: ParamsFile = PARAMS,
    out: Out = None,
) -> None:
    """Train one super-resolution network."""
    from leukosr.engine.distributed import launched
    from leukosr.stages import train_sr as stage

    with _stage("train_sr", params, out) as (settings, layout, target), launched(settings.runtime) as processes:
        stage.run(settings, training, console, layout, target, processes)


def upscale(arm: Arm, params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Make the images of one arm."""
    from leukosr.stages import upscale as stage

    with _stage("upscale", params, out) as (settings, layout, target), _shards(settings) as processes:
        stage.run(settings, arm, console, layout, target, processes)


def quality(arm: Arm, params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Compare the images of one arm with the ground truth."""
    from leukosr.stages import quality as stage

    with _stage("quality", params, out) as (settings, layout, target), _shards(settings) as processes:
        stage.run(settings, arm, console, layout, target, processes)


def classify(
    experiment: Annotated[
        str, typer.Option("--experiment", "--arm", help="An experiment; that of an arm has its name by default.")
    ],
    seed: Annotated[int | None, typer.Option(help="One seed instead of those of the study; needs --out.")] = None,
    params: ParamsFile = PARAMS,
    out: Out = None,
) -> None:
    """Train and test the classifiers of one experiment."""
    from leukosr.engine.distributed import launched
    from leukosr.stages import classify as stage

    with _stage("classify", params, out) as (settings, layout, target), launched(settings.runtime) as processes:
        if seed is not None and target is None:
            raise LeukoError(
                "classify: --seed alone would replace the results of all seeds that DVC keeps: add --out FOLDER, "
                "or change study.seeds"
            )
        if seed is not None and not 0 <= seed < 2**53:
            raise LeukoError(f"classify: --seed is {seed}; seeds are whole numbers from 0 to 2**53 - 1")
        seeds = None if seed is None else [seed]
        stage.run(settings, experiment, console, layout, seeds=seeds, out=target, processes=processes)


def sweep(
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that make trials here; default: runtime.sweep_workers.")
    ] = None,
    joining: Annotated[
        str | None, typer.Option("--join", hidden=True, help="Only make trials of the sweep of this name.")
    ] = None,
    parent: Annotated[str | None, typer.Option(hidden=True, help="The MLflow run of the sweep that is joined.")] = None,
    take_over: Annotated[
        bool, typer.Option(help="Redo unfinished trials of other machines, whose processes have ended.")
    ] = False,
    params: ParamsFile = PARAMS,
    out: Out = None,
) -> None:
    """Train one thing many times: how far do runs lie apart, which randomness does it, or which settings are best?

    The same command on several machines shares the trials, where all name one storage (runtime.optuna_storage or
    LEUKOSR_OPTUNA_STORAGE).
    """
    from leukosr.stages import sweep as stage

    with _stage("sweep", params, out) as (settings, layout, target):
        if joining is not None:
            stage.join(settings, layout, joining, parent)
            return
        count = workers or settings.runtime.sweep_workers
        stage.run(settings, console, layout, target, count, params, take_over)


def report(params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Write the report page and print the comparison."""
    from leukosr.stages import report as stage

    with _stage("report", params, out) as (settings, layout, target):
        stage.run(settings, console, layout, target)

"""A command for each stage of the pipeline."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukosr.cli.options import PARAMS, Arm, Out, ParamsFile, StageParams, console, refuse_given
from leukosr.config import Params, Runtime, load_params
from leukosr.config.named_backbones import refuse_unknown_backbones
from leukosr.engine.processes import ALONE, Processes, launcher_number
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.outputs import claimed

if TYPE_CHECKING:
    from leukosr.stages.context import Context


# of a command that is a stage and also works on any FOLDER: what some of its options belong to, and what to do
OF_FOLDER = ("a FOLDER", "name the folder of images, as the stage of the study has its settings in the parameters")
OF_STUDY = ("the stage of a study", "leave out FOLDER to run the stage, or the option to work on FOLDER")
SIMILARITY, INLIERS, NEIGHBOURS = 0.5, 5, 8  # of a search in a FOLDER
Sharing = Callable[[Runtime], AbstractContextManager[Processes]]


def _alone(_: Runtime) -> AbstractContextManager[Processes]:
    return nullcontext(ALONE)


def _shards(runtime: Runtime) -> AbstractContextManager[Processes]:
    """The processes that a launcher started for a data stage; alone, nothing of torch is loaded."""
    return _alone(runtime) if launcher_number("WORLD_SIZE", 1) == 1 else _trainers(runtime)


def _trainers(runtime: Runtime) -> AbstractContextManager[Processes]:
    """The processes that train together: those that a launcher started, or that params.runtime asks for."""
    from leukosr.engine.distributed import launched

    return launched(runtime)


@contextmanager
def _stage(name: str, params_file: Path, out: Path | None = None, sharing: Sharing = _alone) -> Iterator[Context]:
    """What a stage works with; `sharing` starts or joins the processes that do it together.

    Under `mlflow run` the stage writes into a temporary folder that becomes artifacts, so such a run never writes over
    files that DVC tracks. Of several processes that a launcher started for a stage which is not shared, the first alone
    does it, and the others end at once.
    """
    from leukosr.stages.context import Context

    if sharing is _alone and launcher_number("WORLD_SIZE", 1) > 1 and launcher_number("RANK", 0):
        sys.exit()
    params = _load(params_file, trains_later=name not in ("quality", "report"))
    layout = Layout(params.study.name)
    with _target(name, params, layout, out) as target, sharing(params.runtime) as processes:
        yield Context(params, layout, console, target, processes)


@contextmanager
def _target(name: str, params: Params, layout: Layout, out: Path | None) -> Iterator[Path | None]:
    """The folder to write into where it is not the one that DVC keeps."""
    if out is not None:
        with claimed(out, name.replace("_", "-"), layout):
            yield out
        return
    if not os.environ.get("MLFLOW_RUN_ID"):
        yield None
        return
    from leukosr import tracking
    from leukosr.tracking.attached import results_of_run
    from leukosr.tracking.records import of_study

    with results_of_run(name) as target:
        yield target
        if name not in ("train_sr", "classify", "sweep"):  # these log their own run
            facts = of_study(params)
            with tracking.run(name, experiment=params.study.name, tags={"stage": name, **facts}) as tracked:
                tracked.parameters(facts)
                tracked.folder(target)


def _load(params_file: Path, *, trains_later: bool) -> Params:
    """The parameters; `trains_later`: hours of work may follow.

    Among several processes the first alone says what is wrong with them.
    """
    try:
        params = load_params(params_file)
        if trains_later:
            refuse_unknown_backbones(params)
        return params
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

    with _stage("synthesize", params, out) as context:
        stage.run(context, name)


def prepare(params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Check every image and write the manifest."""
    from leukosr.stages import prepare as stage

    with _stage("prepare", params, out, _shards) as context:
        stage.run(context)


def provenance(
    folder: Annotated[
        Path | None, typer.Argument(help="Any folder of images, with or without class folders; else the study's.")
    ] = None,
    out: Out = None,
    search: Annotated[
        str | None, typer.Option("--set", help="The search of params.provenance to run; default: images.")
    ] = None,
    similarity: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help=f"With FOLDER: least correlation of what both images show; default: {SIMILARITY}."
        ),
    ] = None,
    inliers: Annotated[
        int | None, typer.Option(min=4, help=f"With FOLDER: least number of features that agree; default: {INLIERS}.")
    ] = None,
    neighbours: Annotated[
        int | None,
        typer.Option(min=1, help=f"With FOLDER: images compared with each image per round; default: {NEIGHBOURS}."),
    ] = None,
    params: StageParams = None,
) -> None:
    """Find which images show the same source micrograph, whatever was done to them.

    Without FOLDER it is the stage of the study, whose settings are in params.yaml.
    """
    from leukosr.stages import provenance as stage

    if folder is None:
        refuse_given({"--similarity": similarity, "--inliers": inliers, "--neighbours": neighbours}, *OF_FOLDER)
        with _stage("provenance", params or PARAMS, out) as context:
            stage.run(context, search or "images")
        return
    from leukosr.data.provenance.geometry import Limits

    refuse_given({"--set": search, "--params": params}, *OF_STUDY)
    if out is None:
        raise LeukoError("name the folder to write into with --out")
    limits = Limits(inliers=inliers or INLIERS, similarity=SIMILARITY if similarity is None else similarity)
    stage.run_folder(folder, out, console, stage.Search(limits, neighbours=neighbours or NEIGHBOURS))


def degrade(params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Make the low-resolution images."""
    from leukosr.stages import degrade as stage

    with _stage("degrade", params, out, _shards) as context:
        stage.run(context)


def train_sr(
    training: Annotated[str, typer.Option("--training", "--method", "--arm", help="A training of params.train_sr.")],
    params: ParamsFile = PARAMS,
    out: Out = None,
) -> None:
    """Train one super-resolution network."""
    from leukosr.stages import train_sr as stage

    with _stage("train_sr", params, out, _trainers) as context:
        stage.run(context, training)


def upscale(arm: Arm, params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Make the images of one arm."""
    from leukosr.stages import upscale as stage

    with _stage("upscale", params, out, _shards) as context:
        stage.run(context, arm)


def extract(
    folder: Annotated[Path | None, typer.Argument(help="Any folder of images; else the study's.")] = None,
    out: Out = None,
    cells: Annotated[
        str | None, typer.Option("--cells", help="The cells of params.extract to cut out; default: cells.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Masks of FOLDER's images, at the same paths.")
    ] = None,
    params: StageParams = None,
) -> None:
    """Cut the cell out of every image.

    Without FOLDER it is the stage of the study, whose settings are in params.yaml. With FOLDER every extractor cuts,
    and where there are masks a table says how well its cells agree with the true nuclei.
    """
    from leukosr.stages import extract as stage

    if folder is None:
        refuse_given({"--masks": masks}, *OF_FOLDER)
        with _stage("extract", params or PARAMS, out) as context:
            stage.run(context, cells or "cells")
        return
    refuse_given({"--cells": cells, "--params": params}, *OF_STUDY)
    if out is None:
        raise LeukoError("name the folder to write into with --out")
    with claimed(out, "extract"):
        stage.run_folder(folder, masks, out, console)


def quality(arm: Arm, params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Compare the images of one arm with the ground truth."""
    from leukosr.stages import quality as stage

    with _stage("quality", params, out, _shards) as context:
        stage.run(context, arm)


def classify(
    experiment: Annotated[
        str, typer.Option("--experiment", "--arm", help="The experiment, which usually has the name of its arm.")
    ],
    seed: Annotated[int | None, typer.Option(help="One seed instead of those of the study; needs --out.")] = None,
    params: ParamsFile = PARAMS,
    out: Out = None,
) -> None:
    """Train and test the classifiers of one experiment."""
    from leukosr.stages import classify as stage

    with _stage("classify", params, out, _trainers) as context:
        if seed is not None and context.out is None:
            raise LeukoError(
                "--seed alone would replace the results of all seeds that DVC keeps: add --out FOLDER, "
                "or change study.seeds"
            )
        if seed is not None and not 0 <= seed < 2**53:
            raise LeukoError(f"--seed is {seed}; seeds are whole numbers from 0 to 2**53 - 1")
        stage.run(context, experiment, seeds=None if seed is None else [seed])


def sweep(
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that make trials here; default: runtime.sweep_workers.")
    ] = None,
    joining: Annotated[
        str | None, typer.Option("--join", hidden=True, help="Only make trials of the sweep of this name.")
    ] = None,
    parent: Annotated[str | None, typer.Option(hidden=True, help="The MLflow run of the sweep that is joined.")] = None,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Redo unfinished trials of other machines; only once their processes have ended."
        ),
    ] = False,
    params: ParamsFile = PARAMS,
    out: Out = None,
) -> None:
    """Train the same thing many times: how far apart are runs, what makes them differ, which settings are best?

    The same command on several machines shares the trials, where all name one storage (runtime.optuna_storage or
    LEUKOSR_OPTUNA_STORAGE).
    """
    from leukosr.stages import sweep as stage

    with _stage("sweep", params, out) as context:
        if joining is not None:
            stage.join(context, joining, parent)
            return
        stage.run(context, workers or context.params.runtime.sweep_workers, params, take_over)


def report(params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Write the report page and print the comparison."""
    from leukosr.stages import report as stage

    with _stage("report", params, out) as context:
        stage.run(context)

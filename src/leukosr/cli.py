"""The command line: one command a stage, thin. Parse, call the stage, exit code."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

# Before torch is imported: threads that wait for each other sleep. As they come, they spin, and beside another busy
# process each wait then lasts until the scheduler's next turn, which makes a training many times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from leukosr import __version__, cli_statistics
from leukosr.cli_verify import verify
from leukosr.config import Params, load_params
from leukosr.crash_report import save_report, without_credentials
from leukosr.engine.processes import ALONE, Processes, launcher_number
from leukosr.engine.stopping import INTERRUPTED, stopped_like_ctrl_c
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.outputs import claimed
from leukosr.terminal import BROKEN_PIPE, discard_output, tolerate_narrow_encodings

app = typer.Typer(
    name="leukosr", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
    help="Does super-resolution help white-blood-cell classification? One command a stage of the DVC pipeline.",
)  # fmt: skip
data_app = typer.Typer(no_args_is_help=True, help="Bring data sets in.")
app.add_typer(data_app, name="data")
for command in (cli_statistics.compare, cli_statistics.calibrate, cli_statistics.variance, verify):
    app.command()(command)

console, errors = cli_statistics.console, cli_statistics.errors

ParamsFile = Annotated[Path, typer.Option("--params", help="The composed parameters.")]
Arm = Annotated[str, typer.Option(help="The arm: raw, bicubic, srgan, real_esrgan or ground_truth.")]
Out = Annotated[Path | None, typer.Option(help="Write here instead of where DVC keeps this stage's output.")]
PARAMS = Path("params.yaml")
# no fault of LeukoSR, and not each one foreseen where it occurs
ENVIRONMENT_ERRORS = (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO, errno.EMFILE)


def main() -> None:
    """Run the command line.

    A user's mistake is one sentence and exit code 1, Ctrl-C is 130, SIGTERM 143, a terminal that closes 129, an output
    that nobody reads on is 141, and what nobody foresaw is one sentence with the path of a report, and 70.
    """
    tolerate_narrow_encodings()
    try:
        try:
            with stopped_like_ctrl_c():
                app(standalone_mode=True)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except LeukoError as error:
        _fail(str(error))
    except MemoryError:
        _fail("out of memory: lower the batch size or set a tile, then run again")
    except BrokenPipeError:
        discard_output()
        sys.exit(BROKEN_PIPE)
    except SystemExit as stop:
        if stop.code in INTERRUPTED:  # 130 is how Typer passes Ctrl-C on
            errors.print("interrupted; nothing half-written is left, the same command goes on where it can")
        raise
    except OSError as error:
        if error.errno not in ENVIRONMENT_ERRORS:
            _report(error)
        if error.filename is None:
            discard_output()
        _fail(f"{error.filename or 'the output'}: {error.strerror}; mend that and run again")
    except Exception as error:
        _report(error)


def _fail(sentence: str, code: int = 1) -> NoReturn:
    errors.print(Text("error:", "bold red"), sentence)
    sys.exit(code)


def _report(error: Exception) -> NoReturn:
    """Say in one sentence that LeukoSR failed, and where the rest stands."""
    first_line = without_credentials((str(error).strip().splitlines() or [""])[0][:200])
    try:
        saved = f"what to report stands in {save_report(error)}"
    except OSError as unsaved:
        saved = f"no report could be saved ({unsaved.strerror})"
    _fail(f"{type(error).__name__}: {first_line} - that is a fault of LeukoSR, which nobody foresaw; {saved}", 70)


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


@app.command()
def synthesize(
    name: Annotated[str, typer.Option("--set", help="The set of params.synthesize to draw.")] = "demo",
    params: ParamsFile = PARAMS,
    out: Out = None,
) -> None:
    """Draw a synthetic set of blood smears."""
    from leukosr.stages import synthesize as stage

    with _stage("synthesize", params, out) as (settings, _, target):
        stage.run(settings, name, console, target)


@app.command()
def prepare(params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Check every image and write the manifest."""
    from leukosr.stages import prepare as stage

    with _stage("prepare", params, out) as (settings, layout, target), _shards(settings) as processes:
        stage.run(settings, console, target or layout.root, processes)


@app.command()
def provenance(
    folder: Annotated[
        Path | None, typer.Argument(help="Any folder of images, with or without class folders; else the study's.")
    ] = None,
    out: Out = None,
    search: Annotated[str, typer.Option("--set", help="The search of params.provenance to run.")] = "images",
    similarity: Annotated[float, typer.Option(min=0, max=1, help="Least correlation of what both images show.")] = 0.5,
    inliers: Annotated[int, typer.Option(min=4, help="Least number of features that agree.")] = 5,
    neighbours: Annotated[int, typer.Option(min=1, help="Images that each one is compared with, a round.")] = 8,
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


@app.command()
def degrade(params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Make the low-resolution images."""
    from leukosr.stages import degrade as stage

    with _stage("degrade", params, out) as (settings, layout, target), _shards(settings) as processes:
        stage.run(settings, console, layout, target or layout.root, processes)


@app.command("train-sr")
def train_sr(
    method: Annotated[str, typer.Option("--method", "--arm", help="srgan or real_esrgan.")],
    params: ParamsFile = PARAMS,
    out: Out = None,
) -> None:
    """Train one super-resolution method."""
    from leukosr.engine.distributed import launched
    from leukosr.stages import train_sr as stage

    with _stage("train_sr", params, out) as (settings, layout, target), launched(settings.runtime) as processes:
        stage.run(settings, method, console, layout, target, processes)


@app.command()
def upscale(arm: Arm, params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Make the images of one arm."""
    from leukosr.stages import upscale as stage

    with _stage("upscale", params, out) as (settings, layout, target), _shards(settings) as processes:
        stage.run(settings, arm, console, layout, target, processes)


@app.command()
def quality(arm: Arm, params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Compare the images of one arm with the ground truth."""
    from leukosr.stages import quality as stage

    with _stage("quality", params, out) as (settings, layout, target), _shards(settings) as processes:
        stage.run(settings, arm, console, layout, target, processes)


@app.command()
def classify(
    arm: Arm,
    seed: Annotated[int | None, typer.Option(help="One seed instead of those of the study; needs --out.")] = None,
    params: ParamsFile = PARAMS,
    out: Out = None,
) -> None:
    """Train and test the classifiers of one arm."""
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
        stage.run(settings, arm, console, layout, seeds=seeds, out=target, processes=processes)


@app.command()
def sweep(
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that make trials here; default: runtime.sweep_workers.")
    ] = None,
    joining: Annotated[
        str | None, typer.Option("--join", hidden=True, help="Only make trials of the sweep of this name.")
    ] = None,
    parent: Annotated[str | None, typer.Option(hidden=True, help="The MLflow run of the sweep that is joined.")] = None,
    take_over: Annotated[
        bool, typer.Option(help="Make the trials anew that processes on other machines had under way: they are gone.")
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


@app.command()
def report(params: ParamsFile = PARAMS, out: Out = None) -> None:
    """Write the report page and print the comparison."""
    from leukosr.stages import report as stage

    with _stage("report", params, out) as (settings, layout, target):
        stage.run(settings, console, layout, target)


@app.command()
def show(params: ParamsFile = PARAMS) -> None:
    """Print the comparison of the study that params.yaml holds."""
    from leukosr.stages import report as stage

    settings = load_params(params)
    stage.show(settings, console, Layout(settings.study.name))


@app.command()
def which(params: ParamsFile = PARAMS) -> None:
    """Say which study and budget params.yaml holds, and whether its images are there."""
    from leukosr.data.catalogue import bringing

    settings = load_params(params)
    console.print(f"study {settings.study.name} ({settings.study.title}), budget {settings.budget.name}")
    drawn = {wanted.folder for wanted in settings.synthesize.values()}
    if settings.prepare.root not in drawn and not Path(settings.prepare.root).is_dir():
        raise LeukoError(
            f"the images of this study belong into {settings.prepare.root}, which does not exist: bring them with "
            f"`{bringing(settings.prepare.root)}`, or with `dvc checkout` where DVC has them"
        )


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    params: ParamsFile = PARAMS,
) -> None:
    """Say what this machine offers, what `auto` means on it, and what stands in the way of a study.

    The exit code is 0 whatever is found.
    """
    from leukosr.doctor import examine, show_diagnosis

    found = examine(params)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return
    show_diagnosis(found, console)


@app.command()
def sync(params: ParamsFile = PARAMS) -> None:
    """Log what finished stages hold to MLflow, where it was lost: a server that failed, a store that is gone."""
    from leukosr.tracking.sync import sync as log_later

    settings = load_params(params)
    found = log_later(settings, params, Layout(settings.study.name))
    for name in found.logged:
        console.print(f"logged: {name}")
    for stage in found.outdated:
        console.print(
            f"not logged: {stage}, as params.yaml or the manifest has changed since; `dvc repro` makes it anew"
        )
    if found.unfinished:
        console.print(f"no results yet: {', '.join(found.unfinished)}")
    left_out = len(found.outdated) + len(found.unfinished)
    console.print(f"sync: {len(found.logged)} logged, {len(found.held)} there already, {left_out} not to be logged")


@app.command()
def enhance(
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image or a folder of images.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The image (.png) or folder to write.")],
    weights: Annotated[Path, typer.Option(help="Generator weights: .safetensors of a study, or a published .pth.")],
    tile: Annotated[int, typer.Option(min=0, help="LR pixels a side of a tile; 0: whole images.")] = 256,
    overlap: Annotated[int, typer.Option(min=0, help="LR pixels that tiles share.")] = 64,
    precision: Annotated[str, typer.Option(help="fp32, bf16, or auto: bf16 where the hardware has it.")] = "fp32",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Super-resolve any image or folder of images. An image that cannot be read is named, and the exit code is 1."""
    from leukosr.superres.enhance import enhance_path

    done = enhance_path(source, target, weights, tile=tile, overlap=overlap, precision=precision, device_name=device)
    for sentence in done.left_out:
        errors.print(f"left out: {sentence}")
    for sentence in done.failed:
        errors.print(f"failed: {sentence}")
    count = f"{done.written} images -> {target}, {len(done.failed)} failed, {len(done.left_out)} files left out"
    console.print(f"enhance: {count}")
    if done.failed:
        raise typer.Exit(1)


@app.command()
def publish(
    name: Annotated[str, typer.Option(help="The folder below results/ to write.")],
    params: ParamsFile = PARAMS,
) -> None:
    """Copy what is to last of a finished study to results/NAME, which git keeps."""
    from leukosr.report.publish import publish_results

    settings = load_params(params)
    folder = publish_results(settings, params, Layout(settings.study.name), Path("results") / name)
    console.print(f"publish: {folder}; commit it with git")


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="The set to fetch: bccd.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder already on disk, instead of a download.")
    ] = None,
) -> None:
    """Bring BCCD to data/ and check it against the hash in data.dvc."""
    from leukosr.data.fetch import fetch

    count = fetch(name, source)
    console.print(f"data fetch {name}: {count} files in data/, hash as in data.dvc")


@data_app.command("add")
def data_add(
    name: Annotated[str, typer.Argument(help="The name below datasets/.")],
    path: Annotated[Path, typer.Argument(help="The folder of class folders, or with a split.csv.")],
    leave_out: Annotated[bool, typer.Option(help="Leave unusable images out instead of stopping.")] = False,
) -> None:
    """Check a folder of images, bring it to datasets/NAME and put it under DVC."""
    from leukosr.data.fetch import add

    count, left_out = add(name, path, leave_out=leave_out)
    for item in left_out:
        errors.print(f"left out: {item.path} {item.reason}")
    console.print(f"data add {name}: {count} images in datasets/{name}, {len(left_out)} left out")
    study = name.lower().replace("-", "_")  # what study.name allows
    console.print(f"next: write conf/study/{study}.yaml with prepare.root datasets/{name} (README, Your own images)")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        console.print(f"leukosr {__version__}")
        raise typer.Exit

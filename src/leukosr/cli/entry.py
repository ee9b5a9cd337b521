"""All commands, and how their errors are reported."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer
from rich.text import Text

# Before torch is imported: waiting threads sleep. By default they spin, and beside another busy process each wait then
# lasts until the scheduler's next turn, which makes a training many times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from leukosr import __version__
from leukosr.cli import browser, images, planning, project, stages, statistics, weights
from leukosr.cli.crash_report import save_report, without_credentials
from leukosr.cli.help_words import Command
from leukosr.cli.options import console, errors
from leukosr.cli.verify import verify
from leukosr.engine.stopping import INTERRUPTED, stopped_like_ctrl_c
from leukosr.errors import LeukoError
from leukosr.terminal import BROKEN_PIPE, discard_output, tolerate_narrow_encodings

app = typer.Typer(
    name="leukosr",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Does super-resolution help white-blood-cell classification? One command per stage of the DVC pipeline.",
)
data_app = typer.Typer(no_args_is_help=True, help="Bring data sets in.")
for command in (
    statistics.compare, statistics.calibrate, statistics.variance, planning.plan, verify,
    stages.synthesize, stages.prepare, stages.provenance, stages.degrade, stages.train_sr, stages.upscale,
    stages.extract, stages.quality, stages.classify, stages.sweep, stages.report,
    project.show, project.which, project.doctor, project.sync, images.enhance, images.predict, images.segment,
    browser.app,
    project.publish, project.rejudge, project.side_by_side, project.dose_response,
):  # fmt: skip
    app.command(cls=Command)(command)
app.add_typer(data_app, name="data")
data_app.command("fetch", cls=Command)(images.data_fetch)
data_app.command("add", cls=Command)(images.data_add)
data_app.command("tiles", cls=Command)(images.data_tiles)
data_app.command("shift", cls=Command)(images.data_shift)
weights_app = typer.Typer(no_args_is_help=True, help="Bring published weights, or your own, in.")
app.add_typer(weights_app, name="weights")
weights_app.command("list", cls=Command)(weights.weights_list)
weights_app.command("fetch", cls=Command)(weights.weights_fetch)
weights_app.command("add", cls=Command)(weights.weights_add)
export_app = typer.Typer(no_args_is_help=True, help="Write weights for other programs.")
app.add_typer(export_app, name="export")
export_app.command("onnx", cls=Command)(weights.export_onnx)

# not faults of LeukoSR, and not all foreseen where they occur
ENVIRONMENT_ERRORS = (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO, errno.EMFILE)
# modules that only an extra of pyproject.toml installs, and which one
EXTRAS = {
    "mlflow": "tracking",
    "sqlalchemy": "tracking",
    "filelock": "tracking",
    "psycopg": "sweep",
    "dvc": "pipeline",
    "dvc_data": "pipeline",
    "dvc_objects": "pipeline",
    "hydra": "pipeline",
    "omegaconf": "pipeline",
    "lightning_fabric": "distributed",
    "torchmetrics": "perceptual",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "starlette": "app",
    "uvicorn": "app",
}


def main() -> None:
    """Run the command line.

    Exit codes: 1 with one sentence for a user's mistake, 130 for Ctrl-C, 143 for SIGTERM, 129 for a terminal that
    closes, 141 for a broken pipe, and 70 with one sentence and the path of a report for an unforeseen error.
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
            errors.print("interrupted; nothing half-written is left, the same command resumes where it can")
        raise
    except OSError as error:
        if error.errno not in ENVIRONMENT_ERRORS:
            _report(error)
        if error.filename is None:
            discard_output()
        _fail(f"{error.filename or 'the output'}: {error.strerror}; fix that and run again")
    except Exception as error:
        _report(error)


def _fail(sentence: str, code: int = 1) -> NoReturn:
    errors.print(Text("error:", "bold red"), sentence)
    sys.exit(code)


def _report(error: Exception) -> NoReturn:
    """Say in one sentence which extra is missing, or that LeukoSR failed and where the report is."""
    module = str(error.name).partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if module in EXTRAS:
        _fail(f"this command needs {module}, which is not installed: run `pip install 'leukosr[{EXTRAS[module]}]'`")
    first_line = without_credentials((str(error).strip().splitlines() or [""])[0][:200])
    try:
        saved = f"please report it with the file {save_report(error)}"
    except OSError as unsaved:
        saved = f"no report could be saved ({unsaved.strerror})"
    _fail(f"{type(error).__name__}: {first_line} - this is a bug in LeukoSR; {saved}", 70)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", metavar="", help="Show the version.")] = False) -> None:
    if version:
        console.print(f"leukosr {__version__}")
        raise typer.Exit

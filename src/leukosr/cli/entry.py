"""All commands, and how their errors are reported."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer
from rich.text import Text

# Before torch is imported: waiting threads sleep. By default they spin, and beside another busy process each wait then
# lasts until the scheduler's next turn, which makes a training many times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from leukosr import __version__
from leukosr.cli import browser, images, planning, project, stages, statistics, weights
from leukosr.cli.command import Command, Group
from leukosr.cli.crash_report import save_report, without_credentials
from leukosr.cli.options import console, errors
from leukosr.cli.verify import verify
from leukosr.engine.stopping import INTERRUPTED, stopped_like_ctrl_c
from leukosr.errors import LeukoError
from leukosr.terminal import BROKEN_PIPE, discard_output, tolerate_narrow_encodings

app = typer.Typer(
    name="leukosr",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Does super-resolution help white-blood-cell classification? Studies, claims, and images of your own.",
)
# The commands by the panel of `leukosr --help` in which they stand, each with the arguments of its example.
COMMANDS: dict[str, dict[Callable[..., None], str]] = {
    "Start here": {
        project.doctor: "",
        project.which: "",
        project.show: "",
        browser.app: "--port 8000",
    },
    "Your images": {
        images.predict: "cells/ --model outputs/case1/classify/raw --explain maps",
        images.enhance: "cells/ enhanced/ --weights outputs/demo/sr/srgan/last.safetensors",
        images.segment: "cells/ --weights outputs/geometry_prior/sr/geometry_prior/seed-1/last.safetensors --out maps",
        stages.extract: "cells/ --out cropped",
    },
    "Claims": {
        statistics.compare: "real_esrgan.csv bicubic.csv raw.csv --margin 0.02",
        planning.plan: "real_esrgan.csv bicubic.csv --difference 0.02",
        statistics.variance: "trials.csv --metric macro_f1",
        statistics.calibrate: "--out calibration",
        project.publish: "--name case1-cpu",
        project.rejudge: "results/case1-leakage",
        project.side_by_side: "reports/geometry_prior reports/geometry_prior_x8 --out scales",
        project.dose_response: "results/pbc-dose-x2-n10 results/pbc-dose-x4-n10 --out results/pbc-dose",
        project.combine: "results/pbc-answer-probe results/pbc-answer-published --study pbc_answer_probe --out out",
        project.forest: "results/pbc-answer-probe results/pbc-answer-published --out forest",
    },
    "Pipeline": {
        stages.synthesize: "--set demo",
        stages.prepare: "",
        stages.provenance: "micrographs/ --out sources",
        stages.degrade: "",
        stages.train_sr: "--training srgan",
        stages.upscale: "--arm srgan",
        stages.quality: "--arm srgan",
        stages.classify: "--experiment srgan --seed 3 --out seed-3",
        stages.sweep: "--workers 2",
        stages.report: "",
        verify: "",
        project.sync: "",
    },
}
GROUPS: dict[str, tuple[str, dict[Callable[..., None], str]]] = {
    "data": (
        "Import data sets.",
        {
            images.data_fetch: "bccd",
            images.data_add: "mine /path/to/folder --study",
            images.data_study: "mine",
            images.data_tiles: "slides/ --out tiles --height 456 --width 700",
            images.data_shift: "datasets/pbc_parts other_laboratory/ --out shifted",
        },
    ),
    "weights": (
        "Import published weights, or your own.",
        {
            weights.weights_list: "",
            weights.weights_fetch: "realesrgan_x4plus",
            weights.weights_add: "mine generator.pth",
        },
    ),
    "export": (
        "Write weights for other programs.",
        {weights.export_onnx: "outputs/demo/sr/srgan/last.safetensors srgan.onnx"},
    ),
}
for panel, commands in COMMANDS.items():
    for command, arguments in commands.items():
        name = command.__name__.replace("_", "-")
        epilog = f"Example: leukosr {name} {arguments}".rstrip()
        app.command(name, cls=Command, rich_help_panel=panel, epilog=epilog)(command)
for group, (about, commands) in GROUPS.items():
    below = typer.Typer(cls=Group, no_args_is_help=True, help=about)
    app.add_typer(below, name=group, rich_help_panel="Your images")
    for command, arguments in commands.items():
        name = command.__name__.removeprefix(f"{group}_")
        epilog = f"Example: leukosr {group} {name} {arguments}".rstrip()
        below.command(name, cls=Command, epilog=epilog)(command)

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
NO_MEMORY = ("not enough memory", "out of memory", "allocate memory")  # as torch says it, on a CPU or a GPU
OUT_OF_MEMORY = "out of memory: lower the batch size or set a tile, then run again"


def main() -> None:
    """Run the command line.

    Exit codes: 1 with one sentence for a user's mistake, 130 for Ctrl-C, 143 for SIGTERM, 129 for a terminal that
    closes, 141 for a broken pipe, and 70 with one sentence and the path of a report for an unforeseen error.
    """
    tolerate_narrow_encodings()
    try:
        try:
            with stopped_like_ctrl_c():
                app(prog_name="leukosr", standalone_mode=True)  # however it is started, also in a shell that completes
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except LeukoError as error:
        _fail(str(error))
    except MemoryError:
        _fail(OUT_OF_MEMORY)
    except BrokenPipeError:
        discard_output()
        sys.exit(BROKEN_PIPE)
    except SystemExit as stop:
        if stop.code in INTERRUPTED:  # 130 is how Typer passes Ctrl-C on
            errors.print("interrupted; nothing half-written is left, and the same command resumes where it can")
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
    if isinstance(error, RuntimeError | OSError) and any(words in str(error).lower() for words in NO_MEMORY):
        _fail(OUT_OF_MEMORY)
    first_line = without_credentials((str(error).strip().splitlines() or [""])[0][:200])
    try:
        saved = f"please report it with the file {save_report(error)}"
    except OSError as unsaved:
        saved = f"no report could be saved ({unsaved.strerror})"
    _fail(f"{type(error).__name__}: {first_line} - this is a bug in LeukoSR; {saved}", 70)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        console.print(f"leukosr {__version__}")
        raise typer.Exit

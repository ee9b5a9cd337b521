"""A study of drawn cells of 64 x 64, made in a second."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import yaml
from rich.console import Console

from leukosr.config import Params
from leukosr.layout import Layout
from leukosr.stages import degrade, prepare, synthesize, upscale
from leukosr.stages.context import Context

CELLS = (
    "study=demo", "budget=smoke",
    "synthesize.demo.folder=set", "synthesize.demo.height=64", "synthesize.demo.width=64",
    "synthesize.demo.train_sources=2", "synthesize.demo.test_sources=2", "synthesize.demo.views=2",
    "prepare.root=set", "image.height=64", "image.width=64",
    "budget.per_class.sr_train=2", "budget.per_class.sr_val=1", "budget.per_class.classifier=4",
    "budget.classify.epochs=2", "budget.classify.batch=8", "runtime.device=cpu", "runtime.workers=1",
    "runtime.log_models=false",
)  # fmt: skip
SMALL = (*CELLS, "arms=[raw,bicubic]", "study.seeds=[1, 2]")  # ready to classify
LAYOUT = Layout("demo")
QUIET = Console(file=io.StringIO())


def make_study(folder: Path, params: Params) -> None:
    """Write params.yaml and the images of the arm `raw` to a folder."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False))
    with contextlib.chdir(folder):
        context = Context(params, LAYOUT, QUIET)
        synthesize.run(context, "demo")
        prepare.run(context)
        degrade.run(context)
        upscale.run(context, "raw")

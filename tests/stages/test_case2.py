"""Case study 2 whole, on drawn cells in the folders, sizes and files of its published set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from leukosr.config import Params
from leukosr.layout import Layout
from leukosr.stages import report, synthesize
from leukosr.stages.context import Context

from .conftest import run_arms


def drawn_set(params: Params, folder: Path, quiet: Console) -> None:
    """Train/CLASS/*.jpg and Test-A/CLASS/*.jpg of 575x575, as Raabin-WBC has them."""
    synthesize.run(Context(params, Layout("demo"), quiet), "demo")
    for part, name in (("TRAIN", "Train"), ("TEST", "Test-A")):
        for path in sorted(Path("drawn", part).rglob("*.*")):
            to = folder / name / path.parent.name / f"{path.stem}.jpg"
            to.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).save(to, quality=95)


@pytest.mark.slow
@pytest.mark.usefixtures("small_resnet", "mlflow_store")
def test_it_runs_from_the_folder_to_the_report(compose_params: Callable[..., Params], quiet: Console) -> None:
    drawn = compose_params(
        "study=demo", "budget=smoke", "synthesize.demo.folder=drawn", "synthesize.demo.height=575",
        "synthesize.demo.width=575", "synthesize.demo.train_sources=3", "synthesize.demo.test_sources=1",
        "synthesize.demo.views=2",
    )  # fmt: skip
    drawn_set(drawn, Path("datasets/raabin"), quiet)
    few = (f"budget.per_class.{name}={count}" for name, count in (("sr_train", 2), ("sr_val", 1), ("classifier", 2)))
    no_vgg = (f"train_sr.{name}.losses.perceptual=0.0" for name in ("srgan", "real_esrgan"))
    params = compose_params(
        "study=case2", "budget=smoke", "study.seeds=[1]", "runtime.device=cpu", "runtime.workers=1",
        "runtime.log_models=false", "report.grid_cells=2", *few, *no_vgg,
    )  # fmt: skip
    context = Context(params, layout := Layout("case2"), quiet)
    run_arms(context)
    report.run(context)

    low = sorted(layout.lr.rglob("*.jpg"))
    assert low and {Image.open(path).size for path in low} == {(144, 144)}
    for arm in ("bicubic", "srgan", "real_esrgan"):
        made = sorted(layout.arm(arm).rglob("*.jpg"))
        assert made and {Image.open(path).size for path in made} == {(576, 576)}
    summary = json.loads((layout.report / "summary.json").read_text())
    page = (layout.report / "index.html").read_text()
    assert summary and "12.51" in page and "87.59" in page, "the printed figures stand beside ours"

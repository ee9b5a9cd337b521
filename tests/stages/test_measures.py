"""A study that classifies nothing: images without classes, SR and image quality, a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from leukosr.config import Params, parse_params
from leukosr.data.manifest import read_manifest, with_role
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.stages import classify, degrade, prepare, quality, report, sweep, train_sr, upscale
from leukosr.stages.context import Context

from .conftest import TINY

PATIENTS = 10


@pytest.fixture
def params(compose_params: Callable[..., Params], tmp_path: Path) -> Params:
    """Four tiles of each of ten patients, directly below the root; a split by patient, who stands in the name."""
    (tmp_path / "set").mkdir()
    random = np.random.default_rng(0)
    for name in (f"SOB-{patient:02d}-{tile}.png" for patient in range(PATIENTS) for tile in range(4)):
        Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "set" / name)
    small = [
        each
        for each in TINY
        if not each.startswith(("study=", "arms=", "prepare.root", "train_sr.real_esrgan", "budget.per_class"))
    ]
    return compose_params(
        *small, "study=demo_sr", "arms=[bicubic,srgan]", "prepare.root=set", "prepare.train=null", "prepare.test=null",
        "study.protocol=patient_disjoint", "prepare.source_pattern='-(\\d+)-'", "budget.per_class.classifier=null",
        "budget.per_class.sr_train=null", "budget.per_class.sr_val=2",
    )  # fmt: skip


def test_a_study_may_train_nothing(params: Params, tmp_path: Path, mlflow_store: str, quiet: Console) -> None:
    raw = params.model_dump(mode="json", by_alias=True) | {"train_sr": {}}
    raw["upscale"] = {"bicubic": raw["upscale"]["bicubic"]}
    raw["compared"], raw["report"]["looks"] = ["bicubic"], {}
    params = parse_params(raw, "params.yaml")
    context = Context(params, Layout(params.study.name), quiet)
    prepare.run(context)
    degrade.run(context)
    upscale.run(context, "bicubic")
    quality.run(context, "bicubic")
    with quiet.capture() as said:
        sweep.run(context)
    assert "trains nothing" in said.get()
    assert list(context.layout.sweep.iterdir()) == []
    report.run(context)
    assert "PSNR" in (context.layout.report / "index.html").read_text()


def test_sr_is_trained_compared_and_reported_without_classes(
    params: Params, tmp_path: Path, mlflow_store: str, quiet: Console
) -> None:
    layout = Layout(params.study.name)
    context = Context(params, layout, quiet)
    prepare.run(context)
    rows = read_manifest(layout.manifest)
    assert {row.label for row in rows} == {""} and len({row.source for row in rows}) == PATIENTS
    tested = {row.id for row in with_role(rows, "patient_disjoint", "sr_test")}
    assert len(tested) == 4 and len(with_role(rows, "patient_disjoint", "sr_train")) == 32
    degrade.run(context)
    train_sr.run(context, "srgan")
    for arm in params.arms:
        upscale.run(context, arm)
        quality.run(context, arm)
        table = pd.read_csv(layout.quality(arm) / "per_image.csv", keep_default_na=False)
        assert set(table["image"]) == tested and set(table["role"]) == {"sr_test"} and set(table["class"]) == {""}
    console = Console(width=200)
    with console.capture() as said:
        report.run(Context(params, layout, console))
    assert "PSNR, dB" in said.get() and "accuracy" not in said.get()
    assert "0 of 4 test images" in said.get()  # by patients
    page = (layout.report / "index.html").read_text()
    assert "2 versions (arms) of the same 4 images" in page
    assert "Means over 4 images of 1 source, too few for intervals" in page and "4 images one by one" in page
    assert "accuracy" not in page and "Confusion" not in page
    assert {path.stem for path in (layout.report / "figures").iterdir()} == {
        "quality", "classes", "grid", "sr_srgan", "samples_srgan",
    }  # fmt: skip
    with pytest.raises(LeukoError, match=r"study.measures names no classification"):
        classify.run(context, "bicubic")

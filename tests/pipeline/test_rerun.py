"""What runs again after a change, and what does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ARMS, TINY, Clone, draw_cells, stages_run, tiny

pytestmark = pytest.mark.pipeline

MINE = """# @package _global_
defaults:
  - /degrade: bicubic
  - /arms: [bicubic]
  - _self_
study: {name: mine, title: My own cells}
prepare: {root: datasets/mine}
"""


TRAININGS = ("train_sr@srgan", "train_sr@real_esrgan")


def every(stage: str, *more: str) -> set[str]:
    return {f"{stage}@{arm}" for arm in ARMS} | set(more)


@pytest.mark.parametrize(
    ("changes", "touched"),
    [
        ({"classify.raw.classifier.epochs": 2}, {"classify@raw", "sweep", "report"}),
        (
            {"quality.channels": "luminance"},
            every("quality", *TRAININGS, "sweep", "report"),
        ),
        ({"train_sr.srgan.losses.image": 2.0}, {"train_sr@srgan", "sweep", "report"}),
        ({"upscale.real_esrgan.weights": "best"}, {"upscale@real_esrgan", "report"}),
        ({"degrade.jpeg_quality": 90}, {"degrade", *TRAININGS, "sweep", "report"}),
        (  # weights tell in their headers whether they have seen drawn images alone
            {"synthesize.demo.views": 3},
            every("classify", "synthesize@demo", *TRAININGS, "report"),
        ),
        ({"study.comparisons": [["srgan", "raw"]]}, {"report"}),
        ({"report.crop": 0.5}, {"report"}),
        ({"report.looks.srgan.colour": "#112233"}, {"report"}),
        ({"runtime.workers": 2, "runtime.checkpoint_seconds": 9}, set()),
    ],
)
def test_a_parameter_touches_only_the_stages_that_read_it_and_the_page_that_prints_it(
    finished: Clone, tmp_path: Path, changes: Mapping[str, Any], touched: set[str]
) -> None:
    params = finished.root / "params.yaml"
    before = params.read_bytes()
    try:
        finished.edit_params(changes)
        assert finished.changed_stages() == touched
    finally:
        params.write_bytes(before)


@pytest.mark.slow
def test_a_changed_comparison_trains_nothing(clone: Clone) -> None:
    output = clone.run("dvc", "exp", "run", *tiny(["srgan"]), "-S", "arms=[srgan]")
    assert stages_run(output) == {"sweep", "report"}  # the sweep takes the first arm
    assert "Stage 'train_sr@srgan' didn't change, skipping" in output


@pytest.mark.slow
def test_another_study_on_own_images_and_back_runs_nothing_of_the_first_again(clone: Clone, tmp_path: Path) -> None:
    folder = tmp_path / "my own images"
    draw_cells(folder)
    assert "24 images in datasets/mine" in clone.run("leukosr", "data", "add", "mine", str(folder))
    (clone.root / "conf/study/mine.yaml").write_text(f"{MINE}image: {{height: 64, width: 64, scale: 4}}\n")
    chosen = [
        "-S",
        "study=mine",
        "-S",
        "budget.classify.epochs=1",
        "-S",
        "study.seeds=[1]",
        "-S",
        "report.grid_cells=1",
    ]
    output = clone.run("dvc", "exp", "run", *chosen, "-S", "runtime.log_models=false")
    stages = {"prepare", "degrade", "upscale@bicubic", "quality@bicubic", "classify@bicubic", "sweep", "report"}
    assert stages_run(output) == stages
    assert tuple(json.loads((clone.root / "reports/mine/summary.json").read_text())) == ("bicubic",)
    assert clone.changed_stages() == set()

    back = clone.run("dvc", "exp", "run", *TINY)
    assert stages_run(back) == set()
    assert "is cached - skipping run" in back
    assert (clone.root / "reports/demo/index.html").is_file()
    assert clone.changed_stages() == set()


@pytest.mark.slow
def test_a_forced_run_elsewhere_makes_the_same_bytes(finished: Clone, clone: Clone) -> None:
    output = clone.run("dvc", "repro", "--force", "quality@raw", "quality@bicubic")
    stages = {"synthesize@demo", "prepare", "degrade"}
    stages |= {f"{stage}@{arm}" for stage in ("upscale", "quality") for arm in ("raw", "bicubic")}
    assert stages_run(output) == stages
    first, again = (yaml.safe_load((place.root / "dvc.lock").read_text())["stages"] for place in (finished, clone))
    for stage in stages:
        assert again[stage]["outs"] == first[stage]["outs"], stage

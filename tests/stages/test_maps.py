"""Trainings and arms whose networks need masks, on the drawn smears, which have them."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from leukosr.config import Params
from leukosr.data.manifest import arm_rows, read_manifest, write_manifest
from leukosr.errors import LeukoError
from leukosr.images.masks import read_hr_mask
from leukosr.images.reading import read_rgb
from leukosr.layout import Layout
from leukosr.stages import degrade, prepare, quality, synthesize, train_sr, upscale
from leukosr.stages.context import Context
from leukosr.stages.image_comparison import Compared
from leukosr.stages.masks import masks_for
from leukosr.superres.upscaler import upscale_batch
from leukosr.superres.weights import load_generator

from .conftest import TINY, Study

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
TRAININGS = ("geometry_prior", "sftgan", "oracle_prior_shuffled")
SIZES = {
    "generator.features": 4,
    "generator.blocks": 1,
    "patch": 32,
    "batch": 2,
    "stages.0.iterations": 2,
    "validate_every": 2,
}


@pytest.fixture(scope="module")
def study(
    compose_params: Callable[..., Params], mlflow_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Study:
    """A study of image quality with a prior, a network that takes it, and networks that take the true maps."""
    folder, printed = tmp_path_factory.mktemp("maps"), io.StringIO()
    tiny = [f"train_sr.{name}.{key}={value}" for name in TRAININGS for key, value in SIZES.items()]
    tiny += [f"train_sr.{name}.generator.prior_features=2" for name in TRAININGS[:2]]
    params = compose_params(
        *(each for each in TINY if not each.startswith(("study=", "arms=", "train_sr", "sweep", "budget.sweep"))),
        "study=demo_sr", f"arms=[bicubic,{','.join(TRAININGS)}]", "study.sr_seeds=[1, 2]",
        "image.enlarging=pillow_bicubic", "budget.per_class.sr_val=2", *tiny,
        "train_sr.sftgan.discriminator.features=2", "train_sr.sftgan.losses.perceptual=0.0",
    )  # fmt: skip
    shutil.copyfile(mlflow_template, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        context = Context(params, Layout("demo_sr"), Console(file=printed, width=200))
        synthesize.run(context, "demo")
        prepare.run(context)
        degrade.run(context)
        for name in TRAININGS:
            train_sr.run(context, name)
        for arm in params.arms:
            upscale.run(context, arm)
            quality.run(context, arm)
    return Study(params, folder, printed.getvalue())


@pytest.fixture
def inside_maps(study: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(study.folder)
    return study


def test_the_loss_of_a_map_is_logged_and_that_of_no_map_is_not(inside_maps: Study) -> None:
    folder = inside_maps.layout.sr("geometry_prior") / "seed-1"
    assert (pd.read_csv(folder / "history.csv")["loss_map"] > 0).all()
    assert "loss_map" not in pd.read_csv(inside_maps.layout.sr("oracle_prior_shuffled") / "seed-1" / "history.csv")


def test_sftgan_takes_the_prior_of_its_own_sr_seed_and_says_which(inside_maps: Study) -> None:
    sr = inside_maps.layout.sr
    for seed in ("seed-1", "seed-2"):
        prior = sr("geometry_prior") / seed / "last.safetensors"
        wanted = load_generator(prior).model.prior.state_dict()  # type: ignore[union-attr]
        found = load_generator(sr("sftgan") / seed / "last.safetensors").model.prior.state_dict()  # type: ignore[union-attr]
        assert all((tensor == wanted[name]).all() for name, tensor in found.items())
        assert json.loads((sr("sftgan") / seed / "metrics.json").read_text())["weights"] == str(prior)


def test_shuffled_masks_are_those_of_other_images_each_used_once(inside_maps: Study) -> None:
    params = inside_maps.params
    rows = arm_rows(read_manifest(inside_maps.layout.manifest), params.study)
    own, other = (masks_for(rows, params, shuffled_by) for shuffled_by in (None, params.study.seed))
    assert np.array_equal(own[0], read_hr_mask(Path("set") / rows[0].mask, (64, 64), params.image))
    taken = [row.id for row in other.keys]
    assert sorted(taken) == sorted(row.id for row in rows)
    assert all(mine != row.id for mine, row in zip(taken, rows, strict=True))
    assert taken == [row.id for row in masks_for(rows, params, params.study.seed).keys]


def test_a_test_image_is_enlarged_with_the_mask_that_the_training_says(inside_maps: Study) -> None:
    layout, params, arm = inside_maps.layout, inside_maps.params, "oracle_prior_shuffled"
    rows = arm_rows(read_manifest(layout.manifest), params.study)
    loaded = load_generator(layout.sr(arm) / "seed-1" / "last.safetensors")
    assert loaded.masks_by == params.study.seed
    lr = read_rgb(layout.lr / f"{rows[0].id}.png")
    how = params.train_sr[arm].model_copy(update={"precision": "fp32"})
    own, other = (masks_for(rows, params, shuffled_by)[0] for shuffled_by in (None, params.study.seed))
    made = read_rgb(layout.arm(arm) / "seed-1" / f"{rows[0].id}.png").astype(int)
    by_own, by_other = (upscale_batch(loaded.model, [lr], how, CPU, masks=[mask])[0] for mask in (own, other))
    assert np.abs(made - by_other).mean() < np.abs(made - by_own).mean()  # not equal: the arm may be computed in bf16


def test_masks_are_shuffled_as_the_weights_say_whatever_seed_the_study_has_now(
    inside_maps: Study, quiet: Console, tmp_path: Path
) -> None:
    params, arm = inside_maps.params, "oracle_prior_shuffled"
    later = params.model_copy(update={"study": params.study.model_copy(update={"seed": params.study.seed + 1})})
    upscale.run(Context(later, inside_maps.layout, quiet, tmp_path / "arm"), arm)
    before = inside_maps.layout.arm(arm)
    files = [path.relative_to(before) for path in before.rglob("*.png")]
    assert files and all((tmp_path / "arm" / file).read_bytes() == (before / file).read_bytes() for file in files)


def test_an_image_without_a_mask_stops_what_needs_one_and_is_named(
    inside_maps: Study, quiet: Console, tmp_path: Path
) -> None:
    manifest = inside_maps.layout.manifest
    rows = read_manifest(manifest)
    lacking = arm_rows(rows, inside_maps.params.study)[0]
    layout = Layout("demo_sr", tmp_path)
    shutil.copytree(inside_maps.layout.root, layout.root)
    write_manifest(layout.manifest, [replace(row, mask="") if row.id == lacking.id else row for row in rows])
    with pytest.raises(LeukoError, match=r"001.* has no mask: add set/masks/"):
        upscale.run(Context(inside_maps.params, layout, quiet), "oracle_prior_shuffled")


def test_quality_says_what_its_input_was_worth_and_what_did_not_train(inside_maps: Study) -> None:
    quality_of = {
        arm: json.loads((inside_maps.layout.quality(arm) / "metrics.json").read_text())
        for arm in inside_maps.params.arms
    }
    assert "did_not_train" not in quality_of["bicubic"]
    for arm in TRAININGS:
        assert quality_of[arm]["input_psnr"] == pytest.approx(quality_of["bicubic"]["psnr"])
        assert quality_of[arm]["did_not_train"] is False


def test_a_network_that_gives_its_input_back_did_not_train(inside_maps: Study, quiet: Console, tmp_path: Path) -> None:
    layout, arm = Layout("demo_sr", tmp_path), "oracle_prior_shuffled"
    shutil.copytree(inside_maps.layout.root, layout.root)
    shutil.copytree(layout.arm("bicubic"), layout.arm(arm) / "seed-2", dirs_exist_ok=True)
    quality.run(Context(inside_maps.params, layout, quiet), arm)
    found = json.loads((layout.quality(arm) / "metrics.json").read_text())
    assert found["did_not_train"] is True
    assert {seed: each["did_not_train"] for seed, each in found["per_sr_seed"].items()} == {"1": False, "2": True}


def test_a_network_whose_gains_and_losses_cancel_out_did_train() -> None:
    before = [20.0, 30.0]
    made = [Compared(before[0] + 1, 0.5, 1.0, 1.0, input_psnr=before[0])]
    made.append(Compared(before[1] - 1, 0.5, 1.0, 1.0, input_psnr=before[1]))
    assert not quality._idle(made)
    assert quality._idle([replace(each, psnr=(each.input_psnr or 0) + 0.005) for each in made])

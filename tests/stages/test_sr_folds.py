"""SR in folds of patients: a network per fold, which makes the images that it has not seen."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from rich.console import Console

from leukosr.config import ByTraining, Params, parse_params
from leukosr.data.manifest import Row, read_manifest
from leukosr.data.sr_folds import seen_from
from leukosr.engine.device import choose_device
from leukosr.errors import LeukoError
from leukosr.images.reading import read_rgb
from leukosr.layout import Layout, image_file
from leukosr.stages import degrade, prepare, quality, report, sweep, train_sr, upscale
from leukosr.stages.context import Context
from leukosr.superres.upscaler import upscale_batch
from leukosr.superres.weights import load_generator
from leukosr.tracking.sync import sync

from .conftest import TINY

FOLDS = ("fold_1", "fold_2", "fold_3", "fold_4")
OTHERS = ("study=", "arms=", "synthesize.", "prepare.root", "train_sr.real_esrgan", "image.")
SMALL = (
    *(each for each in TINY if not each.startswith(OTHERS)), "study=histopathology_he",
    "arms=[bicubic,bicubic_colour,srgan]", "degrade=bicubic", "sweep.learning_rates=[0.001]",
    "prepare.root=set", "image.height=64", "image.width=64", "budget.per_class.classifier=null",
)  # fmt: skip


@pytest.fixture
def params(compose_params: Callable[..., Params], tmp_path: Path) -> Params:
    """Three tiles of each of eight patients, named as `leukosr data tiles` names them."""
    (tmp_path / "set").mkdir()
    random = np.random.default_rng(0)
    for patient in range(8):
        for tile in range(3):
            pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / f"TCGA-A7-A{patient:03d}-01Z-00-DX1_y0000_x{tile:04d}.png")
    return compose_params(*SMALL)


def prepared(params: Params, console: Console) -> tuple[Context, list[Row]]:
    context = Context(params, Layout(params.study.name), console)
    prepare.run(context)
    return context, read_manifest(context.layout.manifest)


def test_each_fold_holds_two_patients_and_sr_trains_on_the_others(
    params: Params, tmp_path: Path, mlflow_store: str, quiet: Console
) -> None:
    _, rows = prepared(params, quiet)
    patients = defaultdict(set)
    for row in rows:
        patients[row.role("patient_disjoint")].add(row.source)
    assert sorted(patients) == list(FOLDS) and all(len(each) == 2 for each in patients.values())
    assert len(set.union(*patients.values())) == 8
    for fold in FOLDS:
        seen = seen_from(fold, rows, params.study)
        roles = defaultdict(list)
        for row in seen:
            roles[row.role("patient_disjoint")].append(row.source)
        assert set(roles["sr_test"]) == patients[fold] and len(roles["sr_test"]) == 6
        assert sorted(roles["sr_val"]) == sorted(set.union(*patients.values()) - patients[fold])
        assert len(roles["sr_train"]) == 12 and set(roles["sr_train"]) == set(roles["sr_val"])


@pytest.mark.slow
def test_every_image_is_made_by_the_network_that_saw_no_image_of_its_patient(
    params: Params, tmp_path: Path, mlflow_store: str, quiet: Console
) -> None:
    context, rows = prepared(params, quiet)
    layout = context.layout
    degrade.run(context)
    train_sr.run(context, "srgan")
    metrics = json.loads((layout.sr("srgan") / "metrics.json").read_text())
    assert metrics["folds"] == list(FOLDS) and (metrics["n_train"], metrics["n_val"]) == (12, 6)
    device, settings = choose_device("cpu"), params.upscale["srgan"].model_copy(update={"precision": "fp32"})
    assert isinstance(settings, ByTraining)
    upscale.run(
        Context(params.model_copy(update={"upscale": {**params.upscale, "srgan": settings}}), layout, quiet), "srgan"
    )
    for row in rows:
        weights = layout.sr("srgan") / row.role("patient_disjoint") / "last.safetensors"
        network = load_generator(weights, device).model
        with torch.inference_mode():
            low = read_rgb(image_file(layout.lr, row.id))
            expected = upscale_batch(network, [low], settings, device)[0]
        made = read_rgb(image_file(layout.arm("srgan"), row.id))
        assert np.abs(made.astype(int) - expected).max() <= 1
    for arm in params.arms:
        if arm != "srgan":
            upscale.run(context, arm)
        quality.run(context, arm)
        assert len(pd.read_csv(layout.quality(arm) / "per_image.csv")) == 24
    fitted = json.loads((layout.arm("bicubic_colour") / "metrics.json").read_text())["colour_map"]
    assert sorted(fitted) == list(FOLDS) and fitted["fold_1"] != fitted["fold_2"]

    sweep.run(context)
    report.run(context)
    page = (layout.report / "index.html").read_text()
    assert "Means over 24 images of 8 sources" in page and "were trained once for each of 4 folds" in page
    assert "Differences from bicubic on the same images" in page and "mean MSE 47.78, mean PSNR 31.68 dB" in page
    assert "0 of 24 test images" in page and "10 images one by one" in page and "accuracy" not in page
    Path("params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json", by_alias=True)))
    assert not sync(params, Path("params.yaml"), layout).logged  # four networks and the sweep are known already


@pytest.mark.parametrize("arm", ["srgan", "bicubic_colour"])
@pytest.mark.parametrize(
    ("protocol", "what"),
    [
        ("patient_disjoint", "a classifier would train on images by what was fitted to its test images"),
        ("[patient_disjoint,paper]", "leaves no network for the images that other protocols test"),
    ],
)
def test_classifiers_see_no_image_by_what_was_fitted_in_folds(
    compose_raw: Callable[..., dict], arm: str, protocol: str, what: str
) -> None:
    folds = ("study=demo", f"study.protocol={protocol}", "prepare.source_disjoint.folds=3")
    with pytest.raises(LeukoError, match=what):
        parse_params(compose_raw(*folds, f"arms=[bicubic,{arm}]"), "params.yaml")
    parse_params(compose_raw(*folds, "arms=[bicubic]"), "params.yaml")


def test_folds_and_sr_seeds_exclude_each_other(compose_raw: Callable[..., dict]) -> None:
    with pytest.raises(LeukoError, match=r"study\.sr_seeds asks for several networks, too"):
        parse_params(compose_raw(*SMALL, "study.sr_seeds=[1,2]"), "params.yaml")


def test_more_folds_than_patients_is_named(params: Params, tmp_path: Path, mlflow_store: str, quiet: Console) -> None:
    fractions = params.prepare.source_disjoint.model_copy(update={"folds": 9})
    settings = params.prepare.model_copy(update={"source_disjoint": fractions})
    context = Context(params.model_copy(update={"prepare": settings}), Layout(params.study.name), quiet)
    with pytest.raises(LeukoError, match=r"8 patients, too few for 9 folds: set prepare.source_disjoint.folds to 8"):
        prepare.run(context)

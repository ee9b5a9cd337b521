"""A study with masks: crops, predicted maps, float images, differences of PSNR, a page without classifiers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from rich.console import Console

from leukosr.config import Params
from leukosr.data.manifest import compared_rows, read_manifest
from leukosr.errors import LeukoError
from leukosr.evaluate.image_quality import luminance
from leukosr.images.masks import CYTOPLASM, NUCLEUS, VALUES, read_mask
from leukosr.images.reading import read_rgb
from leukosr.layout import Layout
from leukosr.report.quality_blocks import quality_blocks
from leukosr.report.results import StudyResults, load_results
from leukosr.report.sections import _parts
from leukosr.report.side_by_side import write_side_by_side
from leukosr.stages import degrade, prepare, quality, report, train_sr, upscale
from leukosr.stages.context import Context
from leukosr.superres.weights import LoadedGenerator, load_generator

IMAGES, SEEDS = 20, (1, 2)


def draw_set(folder: Path, seed: int = 0) -> None:
    """Cells of 72 x 80 pixels with their masks, and one smaller image."""
    (folder / "masks").mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(IMAGES + 1):
        height, width = (72, 80) if number else (40, 48)
        mask = np.zeros((height, width), np.uint8)
        middle = (width // 2 + int(random.integers(-6, 7)), height // 2)
        cv2.circle(mask, middle, height // 3, CYTOPLASM, -1)
        cv2.circle(mask, middle, height // 6, NUCLEUS, -1)
        colours = np.zeros((256, 3), np.uint8)
        colours[[0, CYTOPLASM, NUCLEUS]] = [(230, 210, 215), (170, 160, 210), (90, 50, 140)]
        noise = random.normal(0, 3, (height, width, 3))
        image = np.clip(cv2.GaussianBlur(colours[mask], (0, 0), 1) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{number:02d}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:02d}.png")


@pytest.fixture(scope="module")
def finished(
    compose_params: Callable[..., Params],
    mlflow_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    session_undrawn: Callable[[pytest.MonkeyPatch], None],
) -> Context:
    folder = tmp_path_factory.mktemp("prior")
    sizes = {
        "generator.features": 4,
        "generator.blocks": 1,
        "generator.prior_features": 2,
        "stages.0.iterations": 4,
        "validate_every": 4,
        "patch": 32,
    }
    params = compose_params(
        "study=geometry_prior_seeds", "budget=smoke", "arms=[bicubic,geometry_prior,ground_truth]",
        "study.comparisons=[[geometry_prior,bicubic]]", f"study.sr_seeds={list(SEEDS)}", "prepare.root=set",
        "image.height=64", "image.width=64", "prepare.least_size=[64,64]", "budget.per_class.sr_train=8",
        "budget.per_class.classifier=null", "runtime.device=cpu", "runtime.workers=1", "runtime.log_models=false",
        *(f"train_sr.geometry_prior.{key}={value}" for key, value in sizes.items()),
    )  # fmt: skip
    shutil.copyfile(mlflow_template, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        session_undrawn(patch)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        draw_set(folder / "set")
        context = Context(params, Layout(params.study.name), Console(width=200, quiet=True))
        prepare.run(context)
        degrade.run(context)
        train_sr.run(context, "geometry_prior")
        for arm in params.arms:
            upscale.run(context, arm)
            quality.run(context, arm)
        report.run(context)
    here = Layout(params.study.name, folder / "outputs", folder / "reports")
    return Context(params, here, context.console)


def test_images_that_are_smaller_than_the_crop_are_listed(finished: Context) -> None:
    assert len(read_manifest(finished.layout.manifest)) == IMAGES
    listed = finished.layout.rejected.read_text()
    assert "00.png,is 40x48, smaller than prepare.least_size 64x64 (height x width)" in listed.replace('"', "")


def test_psnr_is_that_of_the_unrounded_luminance(finished: Context) -> None:
    table = pd.read_csv(finished.layout.quality("bicubic") / "per_image.csv", dtype={"image": str})
    image, psnr = table["image"][0], table["psnr"][0]
    original = read_rgb(finished.layout.outputs.parent / "set" / f"{image}.png")[4:68, 8:72]
    low = read_rgb(finished.layout.lr / f"{image}.png").astype(np.float32)
    planes = [np.asarray(Image.fromarray(low[..., c]).resize((64, 64), Image.Resampling.BICUBIC)) for c in range(3)]
    error = luminance(np.stack(planes, -1)) - luminance(original)
    assert psnr == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)), abs=1e-4)
    rounded = luminance(read_rgb(finished.layout.arm("bicubic") / f"{image}.png")) - luminance(original)
    assert psnr != pytest.approx(10 * np.log10(255**2 / np.mean(rounded**2)), abs=1e-4)


def test_maps_are_masks_at_hr_size_and_their_dice_is_measured(finished: Context) -> None:
    table = pd.read_csv(finished.layout.quality("geometry_prior") / "per_image.csv", dtype={"image": str})
    assert set(table["sr_seed"]) == set(SEEDS)
    row = table.iloc[-1]
    network = finished.layout.arm("geometry_prior") / f"seed-{row['sr_seed']}"
    predicted = read_mask(network / "maps" / f"{row['image']}.png", (64, 64))
    true = read_mask(finished.layout.outputs.parent / "set/masks" / f"{row['image']}.png", (72, 80))[4:68, 8:72]
    for name, value in (("dice_nucleus", NUCLEUS), ("dice_cytoplasm", CYTOPLASM)):
        both = ((predicted == value) & (true == value)).sum()
        expected = 2 * both / ((predicted == value).sum() + (true == value).sum())
        assert row[name] == pytest.approx(expected)
    assert "dice_nucleus" not in pd.read_csv(finished.layout.quality("bicubic") / "per_image.csv")


def test_the_page_compares_arms_and_names_no_classifier(finished: Context) -> None:
    page = (finished.layout.report / "index.html").read_text()
    said = (
        "Differences of PSNR", "Predicted maps", "luminance (Y of BT.601, 16 to 235)", "not rounded to 8 bits",
        "published, other data", "36.68", "the first of each source by name",
    )  # fmt: skip
    for words in said:
        assert words in page
    for words in ("accuracy", "macro F1", "Confusion", "classifier"):
        assert words not in page.split('id="reproduce"')[0]


def test_reports_of_two_scales_stand_side_by_side(finished: Context, tmp_path: Path) -> None:
    other = tmp_path / "geometry_prior_x8"
    shutil.copytree(finished.layout.report, other)
    page = write_side_by_side(tmp_path / "both", [finished.layout.report, other])
    table = pd.read_csv(tmp_path / "both/comparison.csv")
    assert table.groupby("report")["arm"].agg(list).tolist() == 2 * [list(finished.params.arms)]
    text = page.read_text()
    assert text.count("Masks and predicted maps") == 4 and "geometry_prior_x8, PSNR, dB" in text
    assert text.count("36.68") == 2
    with pytest.raises(LeukoError, match="two reports or more of different names"):
        write_side_by_side(tmp_path / "one", [other])
    with pytest.raises(LeukoError, match=r"holds no comparison\.csv"):
        write_side_by_side(tmp_path / "none", [other, tmp_path])


def test_an_unrounded_image_that_is_gone_is_named(finished: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.layout.outputs.parent)
    lost = next(finished.layout.arm("bicubic").glob("*.npy"))
    content = lost.read_bytes()
    lost.write_bytes(content[:100])
    try:
        with pytest.raises(LeukoError, match=r"\.npy cannot be read .*dvc repro --force --single-item upscale@bicubic"):
            quality.run(Context(finished.params, Layout(finished.params.study.name), finished.console), "bicubic")
    finally:
        lost.write_bytes(content)


def test_maps_hold_the_values_of_masks_alone(finished: Context) -> None:
    maps = list(finished.layout.arm("geometry_prior").glob("seed-*/maps/*.png"))
    assert len(maps) == 2 * len(SEEDS)
    assert all(set(np.unique(np.asarray(Image.open(path)))) <= set(VALUES) for path in maps)


def test_the_weights_of_a_network_are_read_once(
    finished: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path, device: torch.device) -> LoadedGenerator:
        read.append(path)
        return load_generator(path, device)

    monkeypatch.setattr("leukosr.stages.by_network.load_generator", counted)
    monkeypatch.chdir(finished.layout.outputs.parent)
    context = Context(finished.params, Layout(finished.params.study.name), finished.console, tmp_path / "arm")
    upscale.run(context, "geometry_prior")
    assert len(set(read)) == len(read) == len(SEEDS)
    made, before = (list(each.rglob("*.p*")) for each in (tmp_path / "arm", finished.layout.arm("geometry_prior")))
    assert len(made) == len(before) > 0


def test_the_dice_of_a_map_without_a_loss_is_said_to_mean_nothing(
    finished: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.layout.outputs.parent)
    params = finished.params
    free = params.train_sr["geometry_prior"].model_copy(update={"map_loss": 0.0})
    shown: list[list[str]] = []
    monkeypatch.setattr("leukosr.report.quality_blocks.image_rows", lambda _, rows, names, *__: shown.append(names))
    for settings, meant in ((params.train_sr["geometry_prior"], True), (free, False)):
        changed = params.model_copy(update={"train_sr": {"geometry_prior": settings}})
        results = load_results(finished.layout, changed, "random_80_10_10")
        (block,) = [each for each in quality_blocks(tmp_path, changed, results, "") if each.title == "Predicted maps"]
        ((name, *_),) = block.tables[0].rows
        assert (name == "geometry prior") is meant and ("means nothing" in " ".join(block.sentences)) is not meant
        assert ("maps" in block.pictures) is meant
    assert shown == [["HR", "LR, 16×16", "mask", "geometry prior"]]


@pytest.mark.parametrize(("trained", "tested"), [("dataset_1", "dataset_2"), ("dataset_2", "dataset_1")])
def test_one_set_trains_and_the_other_is_only_tested(
    compose_params: Callable[..., Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: str, tested: str
) -> None:
    params = compose_params(
        "study=geometry_prior_transfer", "budget=cpu", "prepare.root=sets", "prepare.least_size=[64,64]",
        f"prepare.train={trained}", f"prepare.test={tested}", "runtime.workers=1",
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("dataset_1", "dataset_2")):
        draw_set(tmp_path / name, seed)
        for kind in (Path(name), Path("masks", name)):
            (tmp_path / "sets" / kind).mkdir(parents=True)
        for file in tmp_path.glob(f"{name}/**/*.png"):  # as `leukosr data add` lays out a set of two folders
            masks = ("masks",) if file.parent.name == "masks" else ()
            file.rename(tmp_path.joinpath("sets", *masks, name, file.name))
    context = Context(params, Layout(params.study.name), Console(quiet=True))
    prepare.run(context)
    rows = read_manifest(context.layout.manifest)
    roles = {each: {row.role("official") for row in rows if row.id.startswith(each)} for each in (trained, tested)}
    assert roles == {trained: {"sr_train", "sr_val"}, tested: {"sr_test"}}
    assert len(rows) == 2 * IMAGES and all(row.mask == f"masks/{row.id}.png" for row in rows)
    assert {row.id for row in compared_rows(rows, params.study)} == {
        row.id for row in rows if row.id.startswith(tested)
    }
    results = StudyResults(
        params.study.name, "official", context.layout, rows, pd.DataFrame(), arms={}, experiments={}, trainings={}
    )
    assert _parts(params, results) == f", all from {tested}, while SR trained on {trained} alone"

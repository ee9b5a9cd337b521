"""Arms of every kind, size and format stand side by side in one study."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from leukosr.config import ByFile, Generated, Params, Recoloured, parse_params
from leukosr.data.manifest import Row, read_manifest, seen_by_classifiers, with_role
from leukosr.errors import LeukoError
from leukosr.evaluate.image_quality import compare_images
from leukosr.images.colour_map import fit_colour_map, with_colour_map
from leukosr.images.filters import unsharp
from leukosr.images.reading import read_rgb
from leukosr.images.resampling import resize
from leukosr.layout import Layout, image_file
from leukosr.report.verdicts import study_pairs
from leukosr.stages import classify, degrade, prepare, quality, report, synthesize, train_sr, upscale
from leukosr.stages.context import Context
from leukosr.superres import GENERATORS
from leukosr.superres.upscaler import upscale_batch
from leukosr.superres.weights import load_generator, save_generator

from .conftest import TINY, Study

BY_NETWORK = {"tile": 0, "overlap": 8, "batch": 4, "precision": "fp32", "channels_last": True}
OWN_WEIGHTS = {"reads": "outputs/demo/sr/srgan", "from": "low", "by": "training", "training": "srgan", **BY_NETWORK}
LOW = {"reads": "outputs/demo/lr", "from": "low"}
ARMS: dict[str, dict[str, Any]] = {
    "seen": {**LOW, "by": "nothing"},
    "small": {"reads": "set", "from": "original", "by": "kernel", "kernel": "area", "size": [32, 32]},
    "larger_first": {
        "reads": "set",
        "from": "original",
        "by": "kernel",
        "kernel": "opencv_bicubic",
        "scale": 2,
        "size": [32, 32],
    },
    "srgan_last": {**OWN_WEIGHTS, "weights": "last"},
    "srgan_best": {**OWN_WEIGHTS, "weights": "best"},
    "srgan_restored": {**OWN_WEIGHTS, "weights": "last", "without_new_pixels": True},
    "x4": {**LOW, "reads": "x4.safetensors", "by": "file", "network": "srgan", "scale": 4, **BY_NETWORK},
    "x8": {**LOW, "reads": "x8.safetensors", "by": "file", **BY_NETWORK},
    "x8_full": {**LOW, "reads": "x8.safetensors", "by": "file", "size": [128, 128], **BY_NETWORK},
    "sharpened": {"reads": "set", "from": "original", "by": "filter", "filter": "unsharp", "amount": 0.5},
    "recoloured": {**LOW, "by": "colour_map", "kernel": "opencv_bicubic"},
    "enhanced": {"reads": "x4.safetensors", "from": "original", "by": "file", "file": {"jpeg": 60}, **BY_NETWORK},
    "jpeg": {"reads": "set", "from": "original", "by": "nothing", "file": {"jpeg": 30}},
    "truth": {"reads": "set", "from": "original", "by": "nothing"},
}


def compose(compose_raw: Callable[..., Any], arms: dict[str, dict[str, Any]]) -> Params:
    """The tiny study with these arms, its classifiers trained for one seed."""
    tiny = [each for each in TINY if not each.startswith(("arms", "train_sr.real_esrgan"))]
    raw = compose_raw(*tiny, "arms=[srgan]", "study.seeds=[1]", "budget.classify.epochs=1")
    of_srgan = raw["classify"]["srgan"]
    experiments = {arm: {**of_srgan, "reads": f"outputs/demo/arms/{arm}", "train": [arm], "test": arm} for arm in arms}
    raw["report"]["looks"] = {"truth": {"title": "the originals"}} if "truth" in arms else {}
    raw["sweep"]["arm"] = next(iter(arms))
    return parse_params({**raw, "upscale": arms, "compared": list(arms), "classify": experiments}, "params.yaml")


@pytest.fixture(scope="session")
def mixed(
    compose_raw: Callable[..., Any],
    mlflow_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    session_small_resnet: Callable[[pytest.MonkeyPatch], None],
) -> Study:
    """A finished study of all these arms."""
    folder, params = tmp_path_factory.mktemp("mixed"), compose(compose_raw, ARMS)
    shutil.copyfile(mlflow_template, folder / "mlflow.db")
    said = io.StringIO()
    console, layout = Console(file=said, width=200), Layout("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        session_small_resnet(patch)
        for scale in (4, 8):
            save_foreign(Path(f"x{scale}.safetensors"), scale)
        context = Context(params, layout, console)
        synthesize.run(context, "demo")
        prepare.run(context)
        degrade.run(context)
        train_sr.run(context, "srgan")
        for arm in params.arms:
            upscale.run(context, arm)
            quality.run(context, arm)
            classify.run(context, arm)
        report.run(context)
    return Study(params, folder, said.getvalue())


def save_foreign(path: Path, scale: int) -> None:
    torch.manual_seed(scale)
    arguments = {"features": 4, "blocks": 1}
    save_generator(path, GENERATORS["srgan"](scale=scale, **arguments), "srgan", scale, arguments)


def images(study: Study, arm: str) -> dict[str, np.ndarray]:
    rows = seen_by_classifiers(read_manifest(study.outputs / "manifest.csv"), ("paper",))
    return {row.id: read_rgb(image_file(study.outputs / "arms" / arm, row.id)) for row in rows}


def originals(study: Study) -> dict[str, np.ndarray]:
    return images(study, "truth")


def trained_rows(study: Study) -> list[Row]:
    return with_role(read_manifest(study.outputs / "manifest.csv"), "paper", "sr_train")


def metrics(study: Study, arm: str, stage: str = "quality") -> dict[str, Any]:
    return json.loads((study.outputs / stage / arm / "metrics.json").read_text())


SIDES = {"seen": 16, "small": 32, "larger_first": 32, "x8_full": 128}


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_has_its_images_in_its_size_and_format_and_a_quality(arm: str, mixed: Study) -> None:
    shown = images(mixed, arm)
    assert {image.shape for image in shown.values()} == {(SIDES.get(arm, 64), SIDES.get(arm, 64), 3)}
    suffix = ".jpg" if arm in ("jpeg", "enhanced") else ".png"
    files = [path for path in (mixed.outputs / "arms" / arm).rglob("*") if path.is_file() and path.suffix != ".json"]
    assert len(files) == len(shown) and {path.suffix for path in files} == {suffix}
    found = metrics(mixed, arm)
    assert found["n"] == len(shown)
    assert (found["psnr"] is None, found["ssim"] == 1.0) == ((True, True) if arm == "truth" else (False, False))


def test_two_weight_sets_of_one_training_and_two_scales_give_different_arms(mixed: Study) -> None:
    lr = images(mixed, "seen")
    for arm, weights in {
        "srgan_last": mixed.outputs / "sr" / "srgan" / "last.safetensors",
        "srgan_best": mixed.outputs / "sr" / "srgan" / "best.safetensors",
        "x4": mixed.folder / "x4.safetensors",
        "x8_full": mixed.folder / "x8.safetensors",
    }.items():
        model = load_generator(weights).model
        for name, image in images(mixed, arm).items():
            settings = mixed.params.upscale[arm]
            assert isinstance(settings, Generated)
            (alone,) = upscale_batch(model, [lr[name]], settings, torch.device("cpu"))
            # the stage makes several in a batch, where some processors round a pixel differently
            assert np.abs(image.astype(int) - alone).max() <= 1
    for name, image in images(mixed, "x8").items():
        assert np.array_equal(image, resize(images(mixed, "x8_full")[name], (64, 64), "area"))


def test_without_new_pixels_a_networks_images_are_shrunk_to_low_resolution_and_enlarged_by_the_bicubic_kernel(
    mixed: Study,
) -> None:
    restored, last = images(mixed, "srgan_restored"), images(mixed, "srgan_last")
    assert mixed.params.image.enlarging == "opencv_bicubic"
    for name, image in last.items():
        assert np.array_equal(restored[name], resize(resize(image, (16, 16), "area"), (64, 64), "opencv_bicubic"))
    assert any(not np.array_equal(restored[name], image) for name, image in last.items())


def test_what_is_made_of_originals_is_made_of_them(mixed: Study) -> None:
    truth, sharpened, small = originals(mixed), images(mixed, "sharpened"), images(mixed, "small")
    for name, image in truth.items():
        assert np.array_equal(image, read_rgb(mixed.folder / "set" / f"{name}.jpg"))
        assert np.array_equal(sharpened[name], unsharp(image, sigma=1.0, amount=0.5))
        assert np.array_equal(small[name], resize(image, (32, 32), "area"))
        larger = resize(image, (128, 128), "opencv_bicubic")
        assert np.array_equal(images(mixed, "larger_first")[name], resize(larger, (32, 32), "area"))


def test_the_colour_map_is_fitted_on_the_images_that_sr_trains_on(mixed: Study) -> None:
    lr = {row.id: read_rgb(mixed.outputs / "lr" / f"{row.id}.png") for row in trained_rows(mixed)}
    pairs = [
        (resize(lr[row.id], (64, 64), "opencv_bicubic"), read_rgb(mixed.folder / "set" / row.path))
        for row in trained_rows(mixed)
    ]
    colours = fit_colour_map(pairs)
    assert np.array_equal(colours, metrics(mixed, "recoloured", "arms")["colour_map"])
    for name, image in images(mixed, "recoloured").items():
        enlarged = resize(images(mixed, "seen")[name], (64, 64), "opencv_bicubic")
        assert np.array_equal(image, with_colour_map(enlarged, colours))


def test_quality_enlarges_small_images_bilinearly_and_shrinks_large_ones(mixed: Study) -> None:
    for arm, kernel in (("seen", "bilinear"), ("small", "bilinear"), ("x8_full", "area")):
        compared = [
            compare_images(resize(image, (64, 64), kernel), originals(mixed)[name], 3)  # type: ignore[arg-type]
            for name, image in images(mixed, arm).items()
        ]
        assert metrics(mixed, arm)["psnr"] == pytest.approx(np.mean([each.psnr for each in compared]))
        assert metrics(mixed, arm)["ssim"] == pytest.approx(np.mean([each.ssim for each in compared]))


def test_generated_arms_are_compared_with_the_others_of_low_resolution_images(
    mixed: Study, compose_params: Callable[..., Params]
) -> None:
    generated = ("srgan_last", "srgan_best", "srgan_restored", "x4", "x8", "x8_full", "enhanced")
    assert study_pairs(mixed.params) == [(arm, plain) for arm in generated for plain in ("seen", "recoloured")]
    assert study_pairs(compose_params("study=demo")) == [
        ("srgan", "raw"), ("srgan", "bicubic"), ("real_esrgan", "raw"), ("real_esrgan", "bicubic"),
    ]  # fmt: skip


def test_the_report_shows_every_arm_by_its_title_and_the_training_once(mixed: Study) -> None:
    page = (mixed.folder / "reports" / "demo" / "index.html").read_text()
    for label in ("the originals", "x8 full", "srgan best"):
        assert f'<th scope="row">{label}</th>' in page
    assert '<td class="n">last, best</td>' in page
    assert page.count(": losses and validation scores.") == 1


@pytest.fixture
def changed(mixed: Study, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Params]:
    """The parameters with other settings of one arm; the working directory is the study's."""
    monkeypatch.chdir(mixed.folder)

    def change(arm: str, **settings: Any) -> Params:
        other = mixed.params.upscale[arm].model_copy(update=settings)
        return mixed.params.model_copy(update={"upscale": {**mixed.params.upscale, arm: other}})

    return change


@pytest.mark.parametrize(
    ("arm", "settings", "message"),
    [
        ("x8", {"scale": 4}, r"x8\.safetensors holds srgan x8, expected x4: correct upscale\.x8\.network and"),
        ("x4", {"network": "real_esrgan"}, r"holds srgan x4, expected real_esrgan x4: correct upscale\.x4"),
        ("x4", {"reads": "gone.pth"}, r"gone\.pth"),
    ],
)
def test_weights_of_another_scale_or_network_are_refused_in_one_sentence(
    changed: Callable[..., Params], quiet: Console, tmp_path: Path, arm: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(LeukoError, match=message):
        upscale.run(Context(changed(arm, **settings), Layout("demo"), quiet, tmp_path / "arm"), arm)
    assert not (tmp_path / "arm").exists()


def test_an_arm_by_published_weights_says_which_file_made_it(
    changed: Callable[..., Params], quiet: Console, tmp_path: Path
) -> None:
    digest = hashlib.sha256(Path("x4.safetensors").read_bytes()).hexdigest()
    Path("pretrained").mkdir(exist_ok=True)
    shutil.copyfile("x4.safetensors", "pretrained/mine.safetensors")
    params = changed("x4", weights="pretrained/mine", reads="pretrained/mine.safetensors")
    upscale.run(Context(params, Layout("demo"), quiet, tmp_path / "arm"), "x4")
    said = json.loads((tmp_path / "arm/metrics.json").read_text())
    assert (said["weights"], said["weights_sha256"]) == ("pretrained/mine", digest)


def test_the_arm_of_the_published_network_watches_its_file(compose_params: Callable[..., Params]) -> None:
    demo = ("study=demo", "budget=smoke", "arms=[bicubic,realesrgan_x4plus]")
    arm = compose_params(*demo).upscale["realesrgan_x4plus"]
    assert isinstance(arm, ByFile) and (arm.network, arm.scale) == ("real_esrgan", 4)
    assert (arm.weights, arm.reads) == ("pretrained/realesrgan_x4plus", "pretrained/realesrgan_x4plus.safetensors")
    with pytest.raises(LeukoError, match=r"reads is x4\.pth, it must be pretrained/realesrgan_x4plus\.safetensors"):
        compose_params(*demo, "upscale.realesrgan_x4plus.reads=x4.pth")


def test_low_resolution_images_of_another_size_are_refused(
    mixed: Study, changed: Callable[..., Params], quiet: Console, tmp_path: Path
) -> None:
    params = changed("seen")
    params = params.model_copy(update={"image": params.image.model_copy(update={"scale": 8})})
    with pytest.raises(LeukoError, match=r"is 16x16 \(height x width\), not 8x8: .*degrade"):
        upscale.run(Context(params, Layout("demo"), quiet, tmp_path / "arm"), "seen")


def test_an_arm_of_originals_that_shows_something_else_is_refused(
    mixed: Study, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mixed.folder)
    layout = replace(Layout("demo"), outputs=tmp_path)
    (tmp_path / "demo" / "arms").mkdir(parents=True)
    for name in ("manifest.csv", "roles.csv"):
        (tmp_path / "demo" / name).symlink_to(mixed.outputs / name)
    (tmp_path / "demo" / "lr").symlink_to(mixed.outputs / "lr")
    (tmp_path / "demo" / "arms" / "truth").symlink_to(mixed.outputs / "arms" / "sharpened")
    with pytest.raises(LeukoError, match=r"differs from set/.*upscale@truth"):
        quality.run(Context(mixed.params, layout, quiet), "truth")


def test_a_colour_map_is_not_fitted_on_images_that_another_protocol_tests(
    compose_params: Callable[..., Params],
) -> None:
    params = compose_params("arms=[raw,bicubic_colour]", "study.protocol=both")
    context = Context(params, Layout("demo"), Console())
    rows = [Row("a", "a.png", "x", "s", 9, 9, {"source_disjoint": "sr_train", "paper": "classifier_test"})]
    settings = params.upscale["bicubic_colour"]
    assert isinstance(settings, Recoloured)
    with pytest.raises(LeukoError, match="SR would train on 1 image under source_disjoint"):
        upscale._colour_map(context, settings, rows)

"""The reference loops compute what ours computes, so that their times can be compared."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.superres.tiny import changed

from benchmarks import capstone, inference, lite0, quality, resnet50, second_order, stepping
from benchmarks.images import published_params, read_resized
from benchmarks.measure import Options
from benchmarks.real_esrgan_step import PlainRealESRGAN
from benchmarks.srgan_step import PlainSRGAN
from leukosr.classify.backbones import ClassifierNetwork
from leukosr.config import Params, TrainSR
from leukosr.data.pairs import Pairs
from leukosr.degradation import SecondOrder, SecondOrderSettings
from leukosr.engine.resume import Resume
from leukosr.engine.seeding import stream_seed
from leukosr.evaluate.image_quality import compare_images
from leukosr.images.reading import read_rgb, write_png
from leukosr.images.store import ImageStore
from leukosr.superres import GENERATORS
from leukosr.superres.losses import usm_sharpen
from leukosr.superres.methods.real_esrgan import LAYERS
from leukosr.superres.vgg import VGGFeatures, VGGName

CPU = torch.device("cpu")


def test_capstone_images_are_equal_byte_for_byte(files: list[Path], params: Params, tmp_path: Path) -> None:
    threads = cv2.getNumThreads()
    capstone.plain(files, tmp_path / "reference")
    capstone.ours(files, tmp_path / "ours", params, workers=1)
    cv2.setNumThreads(threads)
    for file in files:
        one, other = (read_rgb(tmp_path / side / f"{file.stem}.png") for side in ("reference", "ours"))
        assert one.shape == (60, 80, 3)
        assert np.array_equal(one, other)


def test_psnr_and_ssim_are_equal_to_a_millionth(params: Params, tmp_path: Path) -> None:
    pairs = quality.make_pairs(tmp_path, 4)
    found = quality.ours(pairs, params, workers=1)
    assert quality.largest_difference(quality.plain(pairs, params.quality.ssim_window), found) <= quality.TOLERANCE


@pytest.mark.parametrize("method", ["srgan", "real_esrgan"])
def test_inference_gives_the_same_images_up_to_rounding_and_bf16_nearly_so(
    method: str, files: list[Path], params: Params
) -> None:
    torch.manual_seed(0)
    network = GENERATORS[method](features=8, blocks=1)
    how = inference.settings_of(params, method)
    reference, ours = inference.build_pair(network, how, CPU)
    images = read_resized(files[:3], (12, 16))
    expected = np.stack(inference.plain(reference, images, CPU))
    exact = np.stack(inference.ours(ours, images, how.model_copy(update={"precision": "fp32"}), CPU))
    assert np.abs(expected.astype(int) - exact).max() <= 1
    rounded = inference.ours(ours, images, how.model_copy(update={"precision": "bf16"}), CPU)
    assert all((compare_images(a, b, 3).psnr or 99) > 40 for a, b in zip(rounded, expected, strict=True))


def test_dense_sharpening_equals_ours(files: list[Path]) -> None:
    images = torch.from_numpy(np.stack([read_rgb(file) for file in files[:2]])).permute(0, 3, 1, 2) / 255
    images = images[..., :64, :64].contiguous()
    sharp = second_order.dense_sharpen(images)
    assert (sharp - images).abs().max() > 0.01
    torch.testing.assert_close(sharp, usm_sharpen(images), atol=1e-5, rtol=0)


def test_filtering_each_image_equals_opencv(files: list[Path]) -> None:
    rng = np.random.default_rng(0)
    images = [read_rgb(file)[:40, :48].astype(np.float32) / 255 for file in files[:3]]
    degrade = SecondOrder(SecondOrderSettings())
    kernels = [degrade.draw(rng).first.kernel for _ in images]
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    filtered = second_order._filter_each(batch, [*kernels[:2], None]).permute(0, 2, 3, 1).numpy()
    for image, kernel, found in zip(images, kernels[:2], filtered, strict=False):
        assert kernel is not None
        expected = cv2.filter2D(image, -1, kernel.matrix(), borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(filtered[2], images[2])


def test_second_order_gives_low_resolution_images_of_like_brightness(files: list[Path], tmp_path: Path) -> None:
    made = [tmp_path / f"{i}.png" for i in range(4)]
    for file, image in zip(made, read_resized(files[:4], (256, 256)), strict=True):
        write_png(file, image)
    threads = torch.get_num_threads(), cv2.getNumThreads()
    ours = np.stack([second_order.degrade_one((file, i)) for i, file in enumerate(made)])
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])
    reference = second_order._plain_files(made, CPU, np.random.default_rng(0))
    assert ours.shape == (4, 64, 64, 3)
    assert reference.shape == (4, 3, 64, 64)
    assert float(reference.min()) >= 0 and float(reference.max()) <= 1
    assert float(reference.mean()) == pytest.approx(ours.mean() / 255, abs=0.05)
    assert second_order.ours(made, 5, workers=1) == 5


def tiny(settings: TrainSR, method: str) -> TrainSR:
    narrow = {"features": 4, "blocks": 1} | ({"growth": 2} if method == "real_esrgan" else {})
    small = {"generator": narrow, "discriminator": {"features": 2}, "patch": 64, "batch": 2, "precision": "fp32"}
    return stepping.gan_settings(changed(settings, **small), 1)


@pytest.mark.parametrize(("method", "plain"), [("srgan", PlainSRGAN), ("real_esrgan", PlainRealESRGAN)])
def test_first_training_step_has_the_losses_of_ours(
    method: str, plain: type, files: list[Path], params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny(params.train_sr[method], method)
    hr = [read_rgb(file) for file in files]
    lr = read_resized(files, (60, 80))
    pairs = Pairs(ImageStore(range(8), lr.__getitem__), ImageStore(range(8), hr.__getitem__), 4)
    training = stepping.start(method, settings, pairs, CPU)
    reference = plain(training)
    published: dict[str, tuple[VGGName, list[str]]] = {
        "srgan": ("vgg16", ["pool5"]),
        "real_esrgan": ("vgg19", [*LAYERS]),
    }
    network, layers = published[method]
    drawn = VGGFeatures(network, layers, "none", seed=stream_seed(0, "sr_init", "vgg"))  # as our training draws it
    reference.vgg.load_state_dict(drawn.state_dict())
    expected = reference(*stepping.batch_of(pairs, settings, method, CPU))
    training.run(Resume("none", float("inf"), tmp_path), lambda *_: None)
    [row] = training.progress.history
    assert row["loss_discriminator"] == pytest.approx(expected["discriminator"], rel=1e-4)
    assert row["loss_generator"] == pytest.approx(expected["generator"], rel=1e-4)


def test_compared_steps_alternate_and_their_work_is_counted(
    files: list[Path], params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping, "image_set", lambda folder, count: files * (count // len(files)))
    settings = tiny(params.train_sr["srgan"], "srgan")
    found, work = stepping.compare_steps("srgan", settings, PlainSRGAN, 2, CPU)
    assert len(found.ours) == len(found.reference) == 2
    assert work.flops > 1e6
    assert work.bytes > 1e6


def test_inference_row_has_its_goal_and_its_work(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = published_params("train_sr.srgan.generator.features=4", "train_sr.srgan.generator.blocks=1")
    row = inference._speed(("srgan", (12, 16), 4.0, 2, 4), files, narrow, Options(quick=True))
    assert (row.name, row.unit, row.goal, row.rounds) == ("srgan x4 inference at 12x16", "images/s", "ratio >= 4.0", 2)
    assert row.work is not None
    # 9 x 9 convolutions from and to 3 channels, and four 3 x 3 ones at LR size, two before pixel shuffles
    assert row.work.flops == 2 * 12 * 16 * (81 * 3 * 4 * 17 + 9 * 16 * 3 + 9 * 64 * 5)


@pytest.mark.usefixtures("small_resnet")
def test_classifier_row_is_that_of_whole_epochs(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resnet50, "image_set", lambda folder, count: files * (count // len(files)))
    [row] = resnet50.run(Options(quick=True))
    assert (row.unit, row.rounds, row.goal) == ("images/s", 2, "ratio >= 4")
    assert row.ours > 0


def test_lite0_trains_from_the_images_that_resnet50_has(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    small = [file.with_name(f"{file.stem}-small.png") for file in files]
    for file, image in zip(small, read_resized(files, (32, 32)), strict=True):
        write_png(file, image)
    monkeypatch.setattr(resnet50, "image_set", lambda folder, count: small * (count // len(small)))
    [row] = lite0.run(Options(quick=True))
    assert (row.unit, row.rounds, row.work) == ("images/s", 2, None)
    assert row.ours > 0 and row.note.endswith("in fp32 on a CPU; 16 images")


@pytest.mark.usefixtures("small_resnet")
def test_first_epoch_of_one_batch_has_the_loss_of_ours(files: list[Path], params: Params, tmp_path: Path) -> None:
    settings = params.classifier.model_copy(update={"precision": "fp32", "epochs": 1, "batch": len(files)})
    labels = resnet50.labels_of(files)
    training = resnet50.build(settings, files, labels, CPU)
    torch.manual_seed(0)
    network = ClassifierNetwork(settings, 2)
    network.load_state_dict(training.model.state_dict())
    expected = resnet50.PlainTraining(network, files, list(labels), settings, CPU).epoch()
    training.run(Resume("none", float("inf"), tmp_path), lambda *_: None)
    assert training.history.rows[0]["loss"] == pytest.approx(expected, rel=1e-5)

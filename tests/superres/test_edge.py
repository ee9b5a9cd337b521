"""The edge of networks that see something else than RGB images of LR size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from leukosr.config import Precision, TrainSR
from leukosr.engine.resume import Resume
from leukosr.errors import LeukoError
from leukosr.evaluate.image_quality import luminance
from leukosr.images.resampling import resize
from leukosr.superres.edge import input_of, output_of, target_of
from leukosr.superres.networks import Contract, Generator
from leukosr.superres.trainer import SRTraining
from leukosr.superres.upscaler import upscale_batch

from .tiny import smooth_pairs, tiny

CPU = torch.device("cpu")


class Identity(Generator):
    """Gives what it sees, enlarged where that has not been done."""

    def __init__(self, scale: int = 4, **contract: Any) -> None:
        super().__init__()
        self.scale, self.contract = scale, Contract((scale,), **contract)

    def forward(self, x: Tensor) -> Tensor:
        return x if self.contract.enlarged else F.interpolate(x, scale_factor=self.scale, mode="nearest")


def image(height: int = 12, width: int = 16, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def batch(*images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


class How:
    precision: Precision = "fp32"
    channels_last = True


def test_a_luminance_network_sees_y_of_bt601() -> None:
    (seen,) = input_of(Identity(channels="luminance"), batch(image()))
    assert seen.shape == (1, 1, 12, 16)
    np.testing.assert_allclose(seen[0, 0].numpy() * 255, luminance(image()), atol=1e-3)
    assert torch.equal(target_of(Identity(channels="luminance"), batch(image())), seen)


def test_an_enlarged_input_is_that_of_pillows_bicubic() -> None:
    (seen,) = input_of(Identity(enlarged=True), batch(image()))
    expected = resize(image().astype(np.float32) / 255, (48, 64), "pillow_bicubic")
    np.testing.assert_allclose(seen[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_the_output_of_a_luminance_network_has_its_y_and_the_enlarged_chroma() -> None:
    network = Identity(channels="luminance", enlarged=True)
    made = upscale_batch(network, [image()], How(), CPU)[0]
    expected = resize(image().astype(np.float32), (48, 64), "pillow_bicubic")
    # Y and chroma both enlarged by bicubic: RGB enlarged by bicubic
    assert np.abs(made.astype(int) - np.clip(expected, 0, 255).round()).max() <= 1


def test_the_luminance_of_the_file_is_what_the_network_gave() -> None:
    network, rgb = Identity(channels="luminance"), batch(image())
    given = network(*input_of(network, rgb))
    back = target_of(network, output_of(network, given, rgb))
    torch.testing.assert_close(back, given, atol=1e-5, rtol=0)


def test_images_of_an_rgb_network_pass_unchanged() -> None:
    network, rgb = Identity(), batch(image())
    assert input_of(network, rgb)[0] is rgb
    assert target_of(network, rgb) is rgb
    given = network(rgb)
    assert output_of(network, given, rgb) is given


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        ({"size": (16, 16)}, r"takes LR images of \(16, 16\), not of \(12, 16\)"),
        ({"multiple_of": 8}, r"multiples of 8, not \(12, 16\)"),
        ({"masks": 3}, "needs a mask for each image"),
    ],
)
def test_an_image_that_the_network_cannot_take_is_refused(contract: dict[str, Any], said: str) -> None:
    with pytest.raises(LeukoError, match=said):
        upscale_batch(Identity(**contract), [image()], How(), CPU)


@pytest.mark.parametrize("contract", [{"size": (12, 16)}, {"multiple_of": 4}])
def test_an_image_that_the_network_can_take_passes(contract: dict[str, Any]) -> None:
    assert upscale_batch(Identity(**contract), [image()], How(), CPU)[0].shape == (48, 64, 3)


def test_a_luminance_network_trains(published: Callable[[str], TrainSR], tmp_path: Path) -> None:
    settings = tiny(published("vdsr"), iterations=30)
    training = SRTraining(
        "one", settings, smooth_pairs(3), smooth_pairs(1, seed=9), ssim_window=3, channels="luminance", seed=0,
        device=CPU,
    )  # fmt: skip
    training.run(Resume("work", 1e9, tmp_path), lambda iteration, row: None)
    history = training.progress.history
    assert history[-1]["loss_image"] < history[0]["loss_image"]
    assert history[-1]["val_psnr"] > history[0]["val_psnr"]
    assert upscale_batch(training.result, [training.val.lr[0]], settings, CPU)[0].shape == training.val.hr[0].shape

"""PSNR, SSIM and MSE against the ground truth, by scikit-image's definitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from skimage.metrics import structural_similarity

# ITU-R BT.601 luma of full-range RGB with an offset, as MATLAB's rgb2ycbcr and the SR literature use it
LUMA = np.array([65.481, 128.553, 24.966]) / 255


@dataclass(frozen=True)
class ImageQuality:
    """PSNR in dB (None for equal images: it is unbounded there), SSIM in [-1, 1], MSE in grey levels squared."""

    psnr: float | None
    ssim: float
    mse: float


def compare_images(
    image: np.ndarray, truth: np.ndarray, ssim_window: int, channels: Literal["rgb", "luminance"] = "rgb"
) -> ImageQuality:
    """Compare two uint8 images of one size, H x W x 3.

    MSE is the mean over pixels and channels (the formula printed in the histopathology report divides by 3
    instead of the number of pixels, a slip). SSIM is the mean over channels with a uniform window of
    `ssim_window` pixels. `luminance` compares Y of BT.601 instead of RGB. Raises ValueError for two sizes.
    """
    if image.shape != truth.shape:
        raise ValueError(f"images of different sizes cannot be compared: {image.shape} and {truth.shape}")
    left: np.ndarray = image if channels == "rgb" else luminance(image)
    right: np.ndarray = truth if channels == "rgb" else luminance(truth)
    mse = float(np.mean((left.astype(np.float64) - right.astype(np.float64)) ** 2))
    ssim = structural_similarity(
        left, right, win_size=ssim_window, data_range=255, channel_axis=-1 if left.ndim == 3 else None
    )
    return ImageQuality(None if mse == 0 else float(10 * np.log10(255**2 / mse)), float(ssim), mse)


def luminance(image: np.ndarray) -> np.ndarray:
    """Y of BT.601 in [16, 235], float64 H x W, from uint8 RGB."""
    return image.astype(np.float64) @ LUMA + 16.0

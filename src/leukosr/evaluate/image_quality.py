"""PSNR, SSIM and MSE against the ground truth, by scikit-image's definitions and equal to its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from leukosr.images.colour import RGB_TO_YCBCR
from leukosr.images.resampling import brought_to

# twice the square of a window's sum has to fit into 32 bits
LARGEST_EXACT_WINDOW = 11
# compared at once: the intermediate arrays of so many grey levels stay in a core's cache
STRIP = 60_000
# dB between the PSNR of an image by a network and of its enlarged input, mean over images: one that changes less did
# not train
AS_ITS_INPUT = 0.01


@dataclass(frozen=True)
class ImageQuality:
    """PSNR in dB (None for equal images: it is unbounded there), SSIM in [-1, 1], MSE in grey levels squared."""

    psnr: float | None
    ssim: float
    mse: float


def compare_images(
    image: np.ndarray, truth: np.ndarray, ssim_window: int, channels: Literal["rgb", "luminance"] = "rgb"
) -> ImageQuality:
    """Compare two images of one size, H x W x 3 in grey levels, the truth uint8, the other uint8 or float32.

    A float image is compared as it is, neither rounded nor cut to 0..255. MSE is the mean over pixels and channels
    (the formula printed in the histopathology report divides by 3 instead of the number of pixels, a slip). SSIM is the
    mean over channels with a uniform window of `ssim_window` pixels. `luminance` compares Y of BT.601 instead of RGB.
    Raises ValueError for two sizes.
    """
    if image.shape != truth.shape:
        raise ValueError(f"images of different sizes cannot be compared: {image.shape} and {truth.shape}")
    left: np.ndarray = image if channels == "rgb" else luminance(image)
    right: np.ndarray = truth.astype(image.dtype) if channels == "rgb" else luminance(truth)
    mse = cv2.norm(cv2.absdiff(left, right), cv2.NORM_L2SQR) / left.size
    psnr = None if mse == 0 else float(10 * np.log10(255**2 / mse))
    return ImageQuality(psnr, structural_similarity(left, right, ssim_window), mse)


def consistency(image: np.ndarray, low: np.ndarray) -> float:
    """How far an image, shrunk by area means, lies from the low-resolution image `low`: RMSE in grey levels.

    Both are uint8, H x W x 3. Super-resolution that keeps what was measured gives little; the originals give what the
    degradation itself does beside shrinking (its blur, noise and compression).
    """
    shrunk = brought_to(image, (low.shape[0], low.shape[1]), "bilinear")
    return float((cv2.norm(cv2.absdiff(shrunk, low), cv2.NORM_L2SQR) / low.size) ** 0.5)


def dice(predicted: np.ndarray, true: np.ndarray) -> float | None:
    """Dice's coefficient of two boolean masks of one size, 2|A & B| / (|A| + |B|); None where both are empty."""
    pixels = np.count_nonzero(predicted) + np.count_nonzero(true)
    return float(2 * np.count_nonzero(predicted & true) / pixels) if pixels else None


def structural_similarity(left: np.ndarray, right: np.ndarray, window: int) -> float:
    """Mean SSIM (Wang et al. 2004) of two images with grey levels 0 to 255, H x W or H x W x C.

    The definition of scikit-image's function of that name: uniform window, sample covariance, K1 0.01, K2 0.03,
    borders of half a window left out, mean over channels. Sums over the windows of uint8 images are exact
    integers, which makes it several times faster. Raises ValueError for a window that is even or larger than the image.
    """
    if window % 2 == 0:
        raise ValueError(f"a window of {window} pixels has no middle: take an odd number")
    if window > min(left.shape[:2]):
        raise ValueError(f"a window of {window} pixels does not fit into an image of {left.shape[0]}x{left.shape[1]}")
    if left.dtype != np.uint8 or window > LARGEST_EXACT_WINDOW:
        left, right = left.astype(np.float64), right.astype(np.float64)
    inside = left.shape[0] - window + 1
    rows = max(window, STRIP * left.shape[0] // left.size)
    total = 0.0
    for top in range(0, inside, rows):
        strip = slice(top, min(top + rows, inside) + window - 1)
        total += _sum_of_similarities(left[strip], right[strip], window)
    return float(total / (left.size // left.shape[0] // left.shape[1] * inside * (left.shape[1] - window + 1)))


def _sum_of_similarities(left: np.ndarray, right: np.ndarray, window: int) -> float:
    real = np.float32 if left.dtype == np.uint8 else np.float64
    count = window**2
    x, y = _window_sum(left, window), _window_sum(right, window)
    xy = _window_sum(_product(left, right), window)
    xx_yy = _window_sum(_product(left, left), window) + _window_sum(_product(right, right), window)
    product, squares = x * y, x * x + y * y
    c1, c2 = real((0.01 * 255 * count) ** 2), real((0.03 * 255) ** 2 * count * (count - 1))
    means = (np.multiply(product, 2, dtype=real) + c1) / (squares.astype(real) + c1)
    covariance, variances = count * xy - product, count * xx_yy - squares
    contrast = (np.multiply(covariance, 2, dtype=real) + c2) / (variances.astype(real) + c2)
    return float((means * contrast).sum(dtype=np.float64))


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return cv2.multiply(left, right, dtype=cv2.CV_16U if left.dtype == np.uint8 else cv2.CV_64F)


def _window_sum(image: np.ndarray, window: int) -> np.ndarray:
    """Sum of the window around each pixel, where the window lies inside the image."""
    edge, (height, width) = window // 2, image.shape[:2]
    depth = cv2.CV_64F if image.dtype == np.float64 else cv2.CV_32S
    total = cv2.boxFilter(image, depth, (window, window), normalize=False)
    return total[edge : height - edge, edge : width - edge]


def luminance(image: np.ndarray) -> np.ndarray:
    """Y of BT.601, float64 H x W, in [16, 235] for RGB of 0 to 255."""
    return np.asarray(image.astype(np.float64) @ RGB_TO_YCBCR[0] + 16.0)

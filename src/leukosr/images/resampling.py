"""Resampling with the kernel named, because libraries that all say "bicubic" do different things."""

from collections.abc import Callable
from typing import Any, Literal, cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from leukosr.errors import LeukoError

Kernel = Literal["opencv_bicubic", "pillow_bicubic", "bilinear", "area"]


def resize(image: npt.NDArray[Any], size: tuple[int, int], kernel: Kernel) -> npt.NDArray[Any]:
    """Resample an RGB image to `size` with one of the `RESAMPLING` kernels.

    - `opencv_bicubic`: cubic convolution, a = -0.75, on 4x4 pixels whatever the factor: shrinking aliases.
    - `pillow_bicubic`: a = -0.5, the kernel widened by the factor when shrinking (antialiased), as in
      MATLAB's imresize and in torchvision with `antialias=True`.
    - `bilinear`: 2x2 pixels, no antialiasing.
    - `area`: when shrinking, means over the area of each new pixel.

    image: uint8 or float32, (H, W, 3). size: (height, width), both at least 1. Returns the same dtype,
    (height, width, 3), C-contiguous; uint8 is rounded and saturated, float32 is left unclipped, so bicubic
    may overshoot the input's range. Raises LeukoError for another dtype or shape, size or kernel.
    """
    if kernel not in RESAMPLING:
        raise LeukoError(f"the resampling kernel is {kernel!r}, expected one of {', '.join(RESAMPLING)}")
    if image.dtype not in (np.uint8, np.float32) or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise LeukoError(
            "resampling takes a uint8 or float32 image of shape (height, width, 3), "
            f"found {image.dtype} {image.shape}: convert it first"
        )
    if len(size) != 2 or min(size) < 1:
        raise LeukoError(f"the size to resample to is {size}, expected (height, width) of at least 1 each")
    return RESAMPLING[kernel](image, size)


def brought_to(image: npt.NDArray[Any], size: tuple[int, int], enlarging: Kernel) -> npt.NDArray[Any]:
    """The image at `size` (height, width): unchanged if it has that size, by area means where no side grows."""
    if image.shape[:2] == size:
        return image
    shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    return resize(image, size, "area" if shrinks else enlarging)


def shrink_into(image: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """The image shrunk by area means, its shape kept, until it fits into `size` (height, width); or as it is."""
    height, width = image.shape[:2]
    factor = min(size[0] / height, size[1] / width)
    if factor >= 1:
        return image
    return resize(image, (max(1, round(height * factor)), max(1, round(width * factor))), "area")


def _opencv(interpolation: int) -> Callable[[npt.NDArray[Any], tuple[int, int]], npt.NDArray[Any]]:
    def resample(image: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
        return cast(npt.NDArray[Any], cv2.resize(image, size[::-1], interpolation=interpolation))

    return resample


def _pillow_bicubic(image: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    if image.dtype == np.uint8:
        return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    # Pillow holds float pixels in one-channel images only.
    planes = (Image.fromarray(np.ascontiguousarray(image[..., channel])) for channel in range(3))
    resized = [np.asarray(plane.resize(size[::-1], Image.Resampling.BICUBIC)) for plane in planes]
    return np.stack(resized, axis=-1)


RESAMPLING: dict[str, Callable[[npt.NDArray[Any], tuple[int, int]], npt.NDArray[Any]]] = {
    "opencv_bicubic": _opencv(cv2.INTER_CUBIC),
    "pillow_bicubic": _pillow_bicubic,
    "bilinear": _opencv(cv2.INTER_LINEAR),
    "area": _opencv(cv2.INTER_AREA),
}

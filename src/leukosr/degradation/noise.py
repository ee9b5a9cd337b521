"""Noise models: the case studies' two, and Real-ESRGAN's Gaussian and Poisson (arXiv 2107.10833, sec. 3)."""

import math
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from leukosr.degradation.checks import Image8

ImageF = npt.NDArray[np.float32]


def add_wrapped_noise(image: Image8, sigma: float, rng: np.random.Generator) -> Image8:
    """Add N(0, sigma) noise cast to unsigned 8 bits, with saturation: what the case studies ran.

    The cast turns a draw of -1 into 255, so nearly every pixel whose draw is negative goes to white.

    image: uint8, any shape; sigma in grey levels of 0..255. Returns uint8 of the same shape.
    """
    # A cast of a negative float to unsigned is undefined in C and differs between platforms: wrap by hand.
    wrapped = np.trunc(rng.normal(0.0, sigma, image.shape)).astype(np.int64) & 255
    return cast(Image8, cv2.add(image, wrapped.astype(np.uint8)))


def add_signed_noise(image: Image8, sigma: float, rng: np.random.Generator) -> Image8:
    """Add N(0, sigma) noise, round and clip to 0..255: what the case studies meant.

    image: uint8, any shape; sigma in grey levels of 0..255. Returns uint8 of the same shape.
    """
    return np.clip(np.rint(image + rng.normal(0.0, sigma, image.shape)), 0, 255).astype(np.uint8)


def add_gaussian_noise(image: ImageF, sigma: float, gray: bool, rng: np.random.Generator) -> ImageF:
    """Add N(0, sigma / 255) noise, the same in the three channels if `gray`, and clip to [0, 1].

    image: float32 in [0, 1], (H, W, 3); sigma in grey levels of 0..255. Returns float32, same shape.
    """
    height, width, channels = image.shape
    noise = rng.standard_normal((height, width, 1 if gray else channels), dtype=np.float32)
    noise *= np.float32(sigma / 255)
    return _clip(image + noise)


def add_poisson_noise(image: ImageF, strength: float, gray: bool, rng: np.random.Generator) -> ImageF:
    """Add `strength` times the shot noise of an image of as many photons as it has levels, clip to [0, 1].

    The image (its luma if `gray`) is rounded to 8 bits; with n distinct values in it, full scale counts
    2 ** ceil(log2(n)) photons, and the noise is Poisson(photons) / full scale - value.

    image: float32 in [0, 1], (H, W, 3). Returns float32, same shape.
    """
    signal = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] if gray else image
    levels = cv2.convertScaleAbs(np.maximum(signal, 0), alpha=255).reshape(signal.shape)
    distinct = np.count_nonzero(np.bincount(levels.ravel(), minlength=256))
    full_scale = 2.0 ** math.ceil(math.log2(distinct))
    value = np.arange(256) / 255
    photons = rng.poisson((value * full_scale)[levels])
    noise = photons.astype(np.float32) / np.float32(full_scale) - value.astype(np.float32)[levels]
    noise *= np.float32(strength)
    return _clip(image + noise)


def _clip(image: ImageF) -> ImageF:
    return np.clip(image, 0, 1, out=image)

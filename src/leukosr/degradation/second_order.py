"""Real-ESRGAN's second-order degradation (Wang et al. 2021, arXiv 2107.10833, section 3 and figure 2)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, cast

import cv2
import numpy as np
from pydantic import Field

from leukosr.degradation.checks import Image8, OfImage, low_resolution_size, require_integer, require_probability
from leukosr.degradation.jpeg import jpeg
from leukosr.degradation.kernels import BlurKernel, Sinc
from leukosr.degradation.noise import ImageF, add_gaussian_noise, add_poisson_noise
from leukosr.degradation.rounds import (
    KERNEL_SIZES,
    Noise,
    ResizeMix,
    ResizeMode,
    Round,
    RoundDraw,
    draw_mode,
    draw_round,
    draw_sinc,
    require_sizes,
)

FIRST_ROUND = Round(
    blur_probability=1.0,
    sigma=(0.2, 3.0),
    resize=ResizeMix(up=0.2, down=0.7, keep=0.1),
    resize_scale=(0.15, 1.5),
    gaussian_sigma=(1.0, 30.0),
    poisson_scale=(0.05, 3.0),
)
SECOND_ROUND = Round(
    blur_probability=0.8,
    sigma=(0.2, 1.5),
    resize=ResizeMix(up=0.3, down=0.4, keep=0.3),
    resize_scale=(0.3, 1.2),
    gaussian_sigma=(1.0, 25.0),
    poisson_scale=(0.05, 2.5),
)

_INTERPOLATION = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


@dataclass(frozen=True)
class SecondOrderSettings:
    """Ranges and probabilities; the defaults are those of the published training."""

    scale: OfImage[int] = 4
    first: Round = FIRST_ROUND
    second: Round = SECOND_ROUND
    final_sinc_probability: Annotated[float, Field(description="probability of a sinc filter after the two rounds")] = (
        0.8
    )
    final_kernel_sizes: Annotated[tuple[int, ...], Field(description="sides of that filter in pixels, odd")] = (
        KERNEL_SIZES
    )
    sinc_before_jpeg_probability: Annotated[
        float, Field(description="probability that the end is resize, sinc, JPEG; otherwise it is JPEG, resize, sinc")
    ] = 0.5

    def __post_init__(self) -> None:
        """Refuse values that the degradation cannot run with LeukoError."""
        require_integer(self.scale, "scale", 2, 16)
        require_probability(self.final_sinc_probability, "final_sinc_probability")
        require_probability(self.sinc_before_jpeg_probability, "sinc_before_jpeg_probability")
        require_sizes(self.final_kernel_sizes, "final_kernel_sizes")


@dataclass(frozen=True)
class Recipe:
    """Everything drawn for one image except the noise fields. `sinc` is None without a final filter."""

    first: RoundDraw
    second: RoundDraw
    sinc: Sinc | None
    final_mode: ResizeMode
    sinc_before_jpeg: bool


@dataclass(frozen=True)
class SecondOrder:
    """Two rounds of blur, resize, noise and JPEG; the last JPEG trades places with the resize to LR and sinc.

    The published training sharpens the HR image before; that belongs to the loss and is not done here. Its
    JPEG works on float tensors; here it is the real codec on 8 bits, with whole-number qualities.
    """

    Settings: ClassVar[type[SecondOrderSettings]] = SecondOrderSettings
    settings: SecondOrderSettings

    def __call__(self, hr: Image8, rng: np.random.Generator) -> Image8:
        """Make an LR image of `hr` with freshly drawn operations.

        hr: uint8 RGB, (H, W, 3). Returns uint8 RGB, (H / scale, W / scale, 3), rounded up. Raises LeukoError for
        another dtype or shape.
        """
        low_resolution_size(hr, self.settings.scale)
        return self.apply(self.draw(rng), hr, rng)

    def draw(self, rng: np.random.Generator) -> Recipe:
        """Draw the operations of one image."""
        s = self.settings
        return Recipe(
            first=draw_round(s.first, rng),
            second=draw_round(s.second, rng),
            sinc=draw_sinc(s.final_kernel_sizes, rng) if rng.random() < s.final_sinc_probability else None,
            final_mode=draw_mode(rng),
            sinc_before_jpeg=bool(rng.random() < s.sinc_before_jpeg_probability),
        )

    def apply(self, recipe: Recipe, hr: Image8, rng: np.random.Generator) -> Image8:
        """Degrade `hr` by `recipe`; `rng` draws the noise fields. Shapes and errors as in a call."""
        lr_size = low_resolution_size(hr, self.settings.scale)
        image = _to_float(hr)
        image = _blur_resize_noise(image, hr.shape[:2], recipe.first, rng)
        image = _jpeg(image, recipe.first.jpeg_quality)
        # The second round's factor is relative to the LR size, not to what the first round left.
        image = _blur_resize_noise(image, lr_size, recipe.second, rng)
        quality = recipe.second.jpeg_quality
        if recipe.sinc_before_jpeg:
            return jpeg(_to_8_bits(_shrink_and_ring(image, lr_size, recipe)), quality)
        return _to_8_bits(_shrink_and_ring(_jpeg(image, quality), lr_size, recipe))


def _blur_resize_noise(image: ImageF, base: tuple[int, ...], draw: RoundDraw, rng: np.random.Generator) -> ImageF:
    size = (max(1, int(base[0] * draw.resizing.factor)), max(1, int(base[1] * draw.resizing.factor)))
    image = _resize(_blur(image, draw.kernel), size, draw.resizing.mode)
    return _add_noise(image, draw.noise, rng)


def _shrink_and_ring(image: ImageF, lr_size: tuple[int, int], recipe: Recipe) -> ImageF:
    return _blur(_resize(image, lr_size, recipe.final_mode), recipe.sinc)


def _blur(image: ImageF, kernel: BlurKernel | None) -> ImageF:
    if kernel is None:
        return image
    return cast(ImageF, cv2.filter2D(image, -1, kernel.matrix(), borderType=cv2.BORDER_REFLECT_101))


def _resize(image: ImageF, size: tuple[int, int], mode: ResizeMode) -> ImageF:
    return cast(ImageF, cv2.resize(image, size[::-1], interpolation=_INTERPOLATION[mode]))


def _add_noise(image: ImageF, noise: Noise, rng: np.random.Generator) -> ImageF:
    add = add_gaussian_noise if noise.kind == "gaussian" else add_poisson_noise
    return add(image, noise.strength, noise.gray, rng)


def _jpeg(image: ImageF, quality: int) -> ImageF:
    return _to_float(jpeg(_to_8_bits(image), quality))


def _to_float(image: Image8) -> ImageF:
    return np.divide(image, 255, dtype=np.float32)


def _to_8_bits(image: ImageF) -> Image8:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)

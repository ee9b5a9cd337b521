"""One round of Real-ESRGAN's degradation: the ranges it is drawn from, and one draw.

Drawing is separate from applying, so that draws can be inspected without an image.
"""

import math
from dataclasses import astuple, dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from leukosr.degradation.checks import require, require_integer, require_mix, require_probability, require_range
from leukosr.degradation.kernels import BlurKernel, Gaussian, GeneralisedGaussian, Plateau, Sinc

ResizeMode = Literal["area", "bilinear", "bicubic"]
RESIZE_MODES: tuple[ResizeMode, ...] = ("area", "bilinear", "bicubic")
Range = tuple[float, float]

KERNEL_SIZES = (7, 9, 11, 13, 15, 17, 19, 21)  # as published, of both rounds and of the filter after them
# Lowest cutoff of a sinc kernel, in radians per pixel: a large kernel can hold a lower frequency.
SMALL_SINC_CUTOFF, LARGE_SINC_CUTOFF, LARGE_SINC_SIZE = math.pi / 3, math.pi / 5, 13


@dataclass(frozen=True)
class KernelMix:
    """Probabilities of the blur kernels, adding up to 1."""

    isotropic: Annotated[float, Field(description="share of the isotropic Gaussian among the kernels")] = 0.45
    anisotropic: Annotated[float, Field(description="share of the anisotropic Gaussian among the kernels")] = 0.25
    generalised_isotropic: Annotated[
        float, Field(description="share of the isotropic generalised Gaussian among the kernels")
    ] = 0.12
    generalised_anisotropic: Annotated[
        float, Field(description="share of the anisotropic generalised Gaussian among the kernels")
    ] = 0.03
    plateau_isotropic: Annotated[float, Field(description="share of the isotropic plateau among the kernels")] = 0.12
    plateau_anisotropic: Annotated[float, Field(description="share of the anisotropic plateau among the kernels")] = (
        0.03
    )

    def __post_init__(self) -> None:
        """Refuse values that are not probabilities adding up to 1 with LeukoError."""
        require_mix(astuple(self), "kernels")


@dataclass(frozen=True)
class ResizeMix:
    """Probabilities of enlarging, shrinking and keeping the size, adding up to 1."""

    up: Annotated[float, Field(description="probability of enlarging")]
    down: Annotated[float, Field(description="probability of shrinking")]
    keep: Annotated[float, Field(description="probability of keeping the size")]

    def __post_init__(self) -> None:
        """Refuse values that are not probabilities adding up to 1 with LeukoError."""
        require_mix(astuple(self), "resize")


@dataclass(frozen=True)
class Round:
    """What one round is drawn from; ranges are (from, to)."""

    blur_probability: Annotated[float, Field(description="probability of a blur")]
    sigma: Annotated[Range, Field(description="range of the sd of the blur in pixels")]
    resize: ResizeMix
    resize_scale: Annotated[Range, Field(description="range of the change of size")]
    gaussian_sigma: Annotated[Range, Field(description="range of the sd of Gaussian noise in grey levels")]
    poisson_scale: Annotated[Range, Field(description="range of the factor of shot noise")]
    kernel_sizes: Annotated[tuple[int, ...], Field(description="sides of the kernels in pixels, odd")] = KERNEL_SIZES
    kernels: KernelMix = field(default_factory=KernelMix)
    sinc_probability: Annotated[
        float, Field(description="probability of a sinc kernel in the place of one of `kernels`")
    ] = 0.1
    generalised_beta: Annotated[Range, Field(description="range of the shape of generalised Gaussians")] = (0.5, 4.0)
    plateau_beta: Annotated[Range, Field(description="range of the shape of plateau kernels")] = (1.0, 2.0)
    gaussian_probability: Annotated[
        float, Field(description="probability of Gaussian noise; otherwise it is shot noise")
    ] = 0.5
    gray_probability: Annotated[
        float, Field(description="probability of noise that is equal in the three channels")
    ] = 0.4
    jpeg_quality: Annotated[tuple[int, int], Field(description="range of the quality of the JPEG compression")] = (
        30,
        95,
    )

    def __post_init__(self) -> None:
        """Refuse values that cannot be drawn from with LeukoError."""
        for name in ("blur_probability", "sinc_probability", "gaussian_probability", "gray_probability"):
            require_probability(getattr(self, name), name)
        require_range(self.sigma, "sigma", 0.01)
        require_range(self.resize_scale, "resize_scale", 0.01, 8, contains=1)
        require_range(self.generalised_beta, "generalised_beta", 0.01, contains=1)
        require_range(self.plateau_beta, "plateau_beta", 0.01, contains=1)
        require_range(self.gaussian_sigma, "gaussian_sigma", 0)
        require_range(self.poisson_scale, "poisson_scale", 0)
        require_range(self.jpeg_quality, "jpeg_quality", 1, 100)
        for quality in self.jpeg_quality:
            require_integer(quality, "jpeg_quality", 1, 100)
        require_sizes(self.kernel_sizes, "kernel_sizes")


@dataclass(frozen=True)
class Resizing:
    """A drawn change of size: the factor and how to interpolate."""

    factor: float
    mode: ResizeMode


@dataclass(frozen=True)
class Noise:
    """Drawn noise: `strength` is sigma in grey levels (Gaussian) or the shot noise's factor (Poisson)."""

    kind: Literal["gaussian", "poisson"]
    strength: float
    gray: bool


@dataclass(frozen=True)
class RoundDraw:
    """What one image gets in one round; `kernel` is None for no blur."""

    kernel: BlurKernel | None
    resizing: Resizing
    noise: Noise
    jpeg_quality: int


def draw_round(round_: Round, rng: np.random.Generator) -> RoundDraw:
    """Draw one round's operations and their strengths."""
    return RoundDraw(
        kernel=draw_kernel(round_, rng) if rng.random() < round_.blur_probability else None,
        resizing=_draw_resizing(round_, rng),
        noise=_draw_noise(round_, rng),
        jpeg_quality=int(rng.integers(round_.jpeg_quality[0], round_.jpeg_quality[1], endpoint=True)),
    )


def draw_kernel(round_: Round, rng: np.random.Generator) -> BlurKernel:
    """Draw a blur kernel: sigmas and rotation uniform, the shape beta below or above 1 with even odds."""
    size = int(rng.choice(round_.kernel_sizes))
    if rng.random() < round_.sinc_probability:
        lowest = SMALL_SINC_CUTOFF if size < LARGE_SINC_SIZE else LARGE_SINC_CUTOFF
        return Sinc(size, rng.uniform(lowest, math.pi))
    kind = int(rng.choice(6, p=astuple(round_.kernels)))
    family, anisotropic = divmod(kind, 2)  # KernelMix lists each family as isotropic, anisotropic
    sigma_x = rng.uniform(*round_.sigma)
    sigma_y = rng.uniform(*round_.sigma) if anisotropic else sigma_x
    rotation = rng.uniform(-math.pi, math.pi) if anisotropic else 0.0
    if family == 0:
        return Gaussian(size, sigma_x, sigma_y, rotation)
    if family == 1:
        beta = _draw_beta(round_.generalised_beta, rng)
        return GeneralisedGaussian(size, sigma_x, sigma_y, rotation, beta)
    return Plateau(size, sigma_x, sigma_y, rotation, _draw_beta(round_.plateau_beta, rng))


def draw_sinc(sizes: tuple[int, ...], rng: np.random.Generator) -> Sinc:
    """Draw the final sinc filter: a size, and a cutoff from pi / 3 to pi whatever the size."""
    return Sinc(int(rng.choice(sizes)), rng.uniform(SMALL_SINC_CUTOFF, math.pi))


def draw_mode(rng: np.random.Generator) -> ResizeMode:
    """Draw how to interpolate, each mode being as likely."""
    return RESIZE_MODES[rng.integers(len(RESIZE_MODES))]


def require_sizes(sizes: tuple[int, ...], name: str) -> None:
    """Raise LeukoError unless `sizes` are odd integers from 3 to 99, at least one of them."""
    valid = len(sizes) > 0 and all(isinstance(s, int) and 3 <= s <= 99 and s % 2 == 1 for s in sizes)
    require(valid, name, sizes, "one or more odd integers from 3 to 99")


def _draw_beta(bounds: Range, rng: np.random.Generator) -> float:
    # As in the published training: with plateau's (1, 2) the lower half is the single point 1.
    low, high = (bounds[0], 1.0) if rng.random() < 0.5 else (1.0, bounds[1])
    return float(rng.uniform(low, high))


def _draw_resizing(round_: Round, rng: np.random.Generator) -> Resizing:
    direction = ("up", "down", "keep")[rng.choice(3, p=astuple(round_.resize))]
    low, high = round_.resize_scale
    bounds = {"up": (1.0, high), "down": (low, 1.0), "keep": (1.0, 1.0)}[direction]
    return Resizing(float(rng.uniform(*bounds)), draw_mode(rng))


def _draw_noise(round_: Round, rng: np.random.Generator) -> Noise:
    gaussian = rng.random() < round_.gaussian_probability
    strength = float(rng.uniform(*(round_.gaussian_sigma if gaussian else round_.poisson_scale)))
    gray = bool(rng.random() < round_.gray_probability)
    return Noise("gaussian" if gaussian else "poisson", strength, gray)

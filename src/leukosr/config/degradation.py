"""How low-resolution images are made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from leukosr.config.fields import NonNegative, Probability, Section


class _Degradation(Section):
    """on_the_fly: SR trains on LR images drawn afresh for every sample; all else sees the files of lr/."""

    on_the_fly: bool


class CapstoneDegradation(_Degradation):
    """The case studies' degradation (000_…)."""

    method: Literal["capstone"]
    noise: Literal["wrapped", "gaussian"]
    noise_sigma: NonNegative
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    blur_before: Annotated[int, Field(ge=1)]
    blur_after: Annotated[int, Field(ge=1)]


class BicubicDegradation(_Degradation):
    """Plain bicubic down-sampling."""

    method: Literal["bicubic"]


Range = tuple[NonNegative, NonNegative]
KernelSizes = Annotated[list[Annotated[int, Field(ge=3)]], Field(min_length=1)]


class KernelMix(Section):
    """Probabilities of the blur kernels."""

    isotropic: Probability
    anisotropic: Probability
    generalised_isotropic: Probability
    generalised_anisotropic: Probability
    plateau_isotropic: Probability
    plateau_anisotropic: Probability


class ResizeMix(Section):
    """Probabilities of enlarging, shrinking and keeping the size."""

    up: Probability
    down: Probability
    keep: Probability


class DegradationRound(Section):
    """One round of the second-order degradation; the fields are those of `leukosr.degradation.rounds.Round`."""

    blur_probability: Probability
    sigma: Range
    resize: ResizeMix
    resize_scale: Range
    gaussian_sigma: Range
    poisson_scale: Range
    kernel_sizes: KernelSizes
    kernels: KernelMix
    sinc_probability: Probability
    generalised_beta: Range
    plateau_beta: Range
    gaussian_probability: Probability
    gray_probability: Probability
    jpeg_quality: tuple[Annotated[int, Field(ge=1, le=100)], Annotated[int, Field(ge=1, le=100)]]


class SecondOrderDegradation(_Degradation):
    """Real-ESRGAN's second-order degradation (arXiv 2107.10833, section 3)."""

    method: Literal["second_order"]
    first: DegradationRound
    second: DegradationRound
    final_sinc_probability: Probability
    final_kernel_sizes: KernelSizes
    sinc_before_jpeg_probability: Probability


Degrade = Annotated[CapstoneDegradation | BicubicDegradation | SecondOrderDegradation, Field(discriminator="method")]

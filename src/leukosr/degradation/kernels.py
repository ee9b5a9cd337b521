"""The blur kernels of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833, sections 3.2 and 3.5).

Each kernel is a small frozen description; `matrix()` gives it as float32 (size, size), summing to 1. The
first three share the quadratic form q(x) = x^T S^-1 x, with S the covariance of semi-axes `sigma_x` and
`sigma_y` turned by `rotation` radians; they are isotropic when the two are equal.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leukosr.degradation.checks import require

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Gaussian:
    """exp(-q / 2) (paper, eq. 2). `size` is odd, the sigmas are in pixels and positive."""

    size: int
    sigma_x: float
    sigma_y: float
    rotation: float = 0.0

    def __post_init__(self) -> None:
        """Refuse an even size and a sigma that is not positive with LeukoError."""
        _require_odd(self.size)
        for name in ("sigma_x", "sigma_y"):
            require(0 < getattr(self, name) < math.inf, name, getattr(self, name), "a positive number")

    def matrix(self) -> Matrix:
        """The kernel as float32 (size, size), sum 1."""
        return _normalised(np.exp(-0.5 * self._quadratic_form()))

    def _quadratic_form(self) -> npt.NDArray[np.float64]:
        y, x = _offsets(self.size)
        cos, sin = math.cos(self.rotation), math.sin(self.rotation)
        along, across = cos * x + sin * y, cos * y - sin * x
        return (along / self.sigma_x) ** 2 + (across / self.sigma_y) ** 2


@dataclass(frozen=True)
class GeneralisedGaussian(Gaussian):
    """exp(-q^beta / 2): peaked for beta < 1, flat-topped for beta > 1, the Gaussian for beta = 1."""

    beta: float = 1.0

    def matrix(self) -> Matrix:
        """The kernel as float32 (size, size), sum 1."""
        return _normalised(np.exp(-0.5 * self._quadratic_form() ** self.beta))


@dataclass(frozen=True)
class Plateau(Gaussian):
    """1 / (1 + q^beta): a plateau with slowly falling flanks."""

    beta: float = 1.0

    def matrix(self) -> Matrix:
        """The kernel as float32 (size, size), sum 1."""
        return _normalised(1 / (1 + self._quadratic_form() ** self.beta))


@dataclass(frozen=True)
class Sinc:
    """Circular low-pass, cutoff * J1(cutoff * r) / (2 pi r) (paper, eq. 6): its side lobes make ringing.

    `size` is odd, `cutoff` is in radians per pixel, in (0, pi].
    """

    size: int
    cutoff: float

    def __post_init__(self) -> None:
        """Refuse an even size and a cutoff outside (0, pi] with LeukoError."""
        _require_odd(self.size)
        require(0 < self.cutoff <= math.pi, "cutoff", self.cutoff, "a number above 0 and at most pi")

    def matrix(self) -> Matrix:
        """The kernel as float32 (size, size), sum 1; some weights are negative."""
        # Here, not above: only this kernel needs SciPy.
        from scipy.special import j1

        y, x = _offsets(self.size)
        radius = np.hypot(x, y)
        centre = self.size // 2
        radius[centre, centre] = 1  # any value but 0; the limit for r -> 0 is put in below
        kernel = self.cutoff * j1(self.cutoff * radius) / (2 * np.pi * radius)
        kernel[centre, centre] = self.cutoff**2 / (4 * np.pi)
        return _normalised(kernel)


BlurKernel = Gaussian | Sinc


def _require_odd(size: int) -> None:
    require(size >= 1 and size % 2 == 1, "kernel size", size, "a positive odd integer")


def _offsets(size: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    axis = np.arange(size, dtype=np.float64) - size // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def _normalised(kernel: npt.NDArray[np.float64]) -> Matrix:
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)

"""What every degradation requires of its input image and of its settings."""

import math
from collections.abc import Sequence
from typing import Annotated, TypeVar

import numpy as np
import numpy.typing as npt

from leukosr.errors import LeukoError
from leukosr.images.resampling import RESAMPLING

Image8 = npt.NDArray[np.uint8]
T = TypeVar("T")
OF_IMAGE = "a key of the section image"
OfImage = Annotated[T, OF_IMAGE]  # a setting that params.yaml states in `image`; the others are in `degrade`


def low_resolution_size(hr: Image8, scale: int) -> tuple[int, int]:
    """(height, width) of the LR image that belongs to `hr`: HR / `scale`, rounded up: the second case study made 144
    of 575 pixels, as LR of 576.

    Raises LeukoError if `hr` is not uint8 (H, W, 3) or has no pixels.
    """
    if not isinstance(hr, np.ndarray) or hr.dtype != np.uint8 or hr.ndim != 3 or hr.shape[2] != 3 or not hr.size:
        found = f"{hr.dtype} {hr.shape}" if isinstance(hr, np.ndarray) else type(hr).__name__
        raise LeukoError(
            f"A degradation takes a uint8 RGB image of shape (height, width, 3), found {found}; convert it first."
        )
    return -(-hr.shape[0] // scale), -(-hr.shape[1] // scale)


def require(holds: bool, name: str, found: object, expected: str) -> None:
    """Raise LeukoError naming the setting, the value found and what was expected, unless it `holds`."""
    if not holds:
        raise LeukoError(
            f"The degradation setting {name} is {found!r}, expected {expected}; correct {name} in the study."
        )


def require_integer(value: int, name: str, low: int, high: int) -> None:
    """Raise LeukoError unless `value` is an int (not a bool) in [low, high]."""
    valid = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and low <= value <= high
    require(valid, name, value, f"an integer from {low} to {high}")


def require_probability(value: float, name: str) -> None:
    """Raise LeukoError unless `value` is a number in [0, 1]."""
    require(_is_number(value) and 0 <= value <= 1, name, value, "a probability from 0 to 1")


def require_mix(values: Sequence[float], name: str) -> None:
    """Raise LeukoError unless `values` are probabilities that add up to 1."""
    for value in values:
        require_probability(value, name)
    require(math.isclose(sum(values), 1, abs_tol=1e-6), name, values, "probabilities that add up to 1")


def require_range(
    values: Sequence[float], name: str, low: float, high: float = math.inf, contains: float | None = None
) -> None:
    """Raise LeukoError unless `values` is (from, to), low <= from <= to <= high, with `contains` inside."""
    pair = isinstance(values, Sequence) and len(values) == 2 and all(map(_is_number, values))
    valid = pair and low <= values[0] <= values[1] <= high
    bound = f"at least {low}" if high == math.inf else f"from {low} to {high}"
    require(valid, name, values, f"an ascending pair of numbers {bound}")
    if contains is not None:
        require(values[0] <= contains <= values[1], name, values, f"a range that contains {contains:g}")


def require_kernel(kernel: str) -> None:
    """Raise LeukoError unless `kernel` is the name of a resampling kernel."""
    require(kernel in RESAMPLING, "kernel", kernel, f"one of {', '.join(RESAMPLING)}")


def require_non_negative(value: float, name: str) -> None:
    """Raise LeukoError unless `value` is a finite number that is not negative."""
    require(_is_number(value) and value >= 0, name, value, "a finite number not below 0")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

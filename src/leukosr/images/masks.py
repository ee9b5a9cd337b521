"""Masks of cells: grey PNGs that say what each pixel of an image shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukosr.errors import LeukoError
from leukosr.images.decoding import Unusable, opened, stored_mode
from leukosr.images.reading import fit_to
from leukosr.images.settings import Image as Settings

REST, CYTOPLASM, NUCLEUS = 0, 128, 255  # the values of a mask
VALUES = (REST, CYTOPLASM, NUCLEUS)


def read_mask(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The mask of an image of `size` (height, width): uint8, height x width, each pixel one of `VALUES`.

    Raises LeukoError for a file that is missing, damaged, not a PNG (JPEG blurs the borders), not 8-bit grey, of
    another size, or that holds other values.
    """
    try:
        if path.suffix.lower() != ".png":
            raise Unusable("is not a PNG, and lossy formats blur the borders of a mask; save the original mask as PNG")
        with opened(path) as (image, _):
            if (mode := stored_mode(image)) != "L":
                raise Unusable(f"has mode {mode}, not 8-bit grey; write {_legend()} instead of colours")
            if (image.height, image.width) != size:
                raise Unusable(f"is {image.height}x{image.width}, its image {size[0]}x{size[1]}; make them one size")
            mask = np.asarray(Image.Image.convert(image, "L"))
        _check_values(mask)
    except Unusable as error:
        if not path.exists():
            raise LeukoError(f"the mask {path} does not exist: add it, or take a network that needs no masks") from None
        raise LeukoError(f"the mask {path} {error}") from None
    return mask


def read_hr_mask(path: Path, size: tuple[int, int], image: Settings) -> NDArray[np.uint8]:
    """The mask of an original of `size`, cut or resized to the study's HR size as `read_hr` does the original.

    Resized by the nearest pixel, so that no other values appear. Raises LeukoError as `read_mask`.
    """
    mask = read_mask(path, size)
    if image.crop is not None:
        mask = fit_mask(mask, *image.crop, "center_crop")
        mask = fit_mask(mask, *(image.degraded_at or (image.height, image.width)), "resize")
    if image.degraded_at is not None:
        mask = fit_mask(mask, *image.degraded_at, image.fit)
        return fit_mask(mask, image.height, image.width, "resize")
    return fit_mask(mask, image.height, image.width, image.fit)


def fit_mask(mask: NDArray[np.uint8], height: int, width: int, fit: str) -> NDArray[np.uint8]:
    """Bring a mask to height x width as `images.reading.fit_to` does its image; resized by the nearest pixel."""
    if fit == "center_crop":
        return fit_to(mask, height, width, fit, "area")
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def write_mask(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write a mask, uint8 height x width, as a grey PNG; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path, format="PNG")


def _check_values(mask: NDArray[np.uint8]) -> None:
    other = sorted(set(np.unique(mask).tolist()) - set(VALUES))
    if not other:
        return
    if set(other) <= {1, 2}:
        raise Unusable(f"holds the class numbers {other}; write {_legend()}")
    share = float(np.isin(mask, VALUES).mean())
    cause = "it has been a JPEG or was resampled" if share > 0.5 else "it means something else"
    raise Unusable(f"holds {len(other)} other values, such as {other[0]} ({cause}); write {_legend()}")


def _legend() -> str:
    return f"{REST} for the rest, {CYTOPLASM} for cytoplasm, {NUCLEUS} for the nucleus"

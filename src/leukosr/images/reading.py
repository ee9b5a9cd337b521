"""Checking, reading and writing single image files."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL.ImageFile import ImageFile

from leukosr.errors import LeukoError
from leukosr.images.decoding import (
    FORMATS,
    MAX_PIXELS,
    SUFFIXES,
    Unusable,
    decode,
    format_of,
    opened,
    stored_mode,
    whole,
)
from leukosr.images.resampling import Kernel, brought_to, resize
from leukosr.images.settings import Image
from leukosr.quoting import absent

MIN_SIDE = 32


@dataclass(frozen=True)
class ImageFacts:
    """The size of an upright image and the SHA-256 of its file, or the `reason` why it cannot be used."""

    width: int
    height: int
    digest: str
    reason: str | None


def inspect_image(path: Path, max_pixels: int, least: tuple[int, int] | None = None) -> ImageFacts:
    """Decode one file fully; bad content gives a reason, never an error. `least`: the smallest (height, width)."""
    try:
        with opened(path) as (image, file):
            _refuse_for_studies(image, max_pixels)
            content = whole(file)
            height, width = decode(image, content).shape[:2]
        if least is not None and (height < least[0] or width < least[1]):
            raise Unusable(
                f"is {height}x{width}, smaller than prepare.least_size {least[0]}x{least[1]} (height x width)"
            )
    except Unusable as error:
        return ImageFacts(0, 0, "", str(error))
    return ImageFacts(width, height, hashlib.sha256(content).hexdigest(), None)


def _refuse_for_studies(image: ImageFile, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise Unusable(f"has {height}x{width} pixels, more than prepare.max_pixels {max_pixels} allows")
    _refuse_other_mode(image)
    if min(width, height) < MIN_SIDE:
        raise Unusable(f"is {height}x{width}, smaller than {MIN_SIDE} pixels on a side")


def _refuse_other_mode(image: ImageFile) -> None:
    if (mode := stored_mode(image)) != "RGB":
        raise Unusable(f"has mode {mode}; convert it to 8-bit RGB")
    _refuse_transparent(image)


def _refuse_transparent(image: ImageFile) -> None:
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise Unusable("has transparent pixels, whose colour is unknown; save it without transparency")


def read_rgb(path: Path) -> np.ndarray:
    """Read one 8-bit RGB image, upright, as uint8, height x width x 3. Raises LeukoError that names a bad file."""
    with _naming(path), opened(path) as (image, file):
        _refuse_other_mode(image)
        return decode(image, whole(file))


def read_rgb_of(path: Path, size: tuple[int, int], remedy: str) -> np.ndarray:
    """As `read_rgb`; an image of another size (height, width) is a LeukoError that ends in `remedy`."""
    image = read_rgb(path)
    if image.shape[:2] != size:
        height, width = image.shape[:2]
        raise LeukoError(f"{path} is {height}x{width} (height x width), not {size[0]}x{size[1]}: {remedy}")
    return image


def read_as_rgb(path: Path, most_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read any 8-bit image as uint8 RGB, upright: grey, palette and CMYK are converted, an opaque alpha is dropped.

    Raises LeukoError that names a bad file, one with transparent pixels, of more than 8 bits per channel or of more
    than `most_pixels`.
    """
    with _naming(path), opened(path) as (image, file):
        if (width := image.width) * (height := image.height) > most_pixels:
            raise Unusable(f"has {height}x{width} pixels, more than the {most_pixels:,} that are taken here")
        mode = stored_mode(image)
        if mode in ("I", "F") or ";16" in mode:
            raise Unusable(f"has more than 8 bits per channel (mode {mode}); scale and convert it to 8 bits")
        _refuse_transparent(image)
        return decode(image, whole(file))


def read_bytes(content: bytes, most_pixels: int = MAX_PIXELS, name: str | None = None) -> np.ndarray:
    """As `read_as_rgb`, from the bytes of a file of any of its formats, or, by its `name`, of the one that it says."""
    own = FORMATS.get(format_of(content[:16]), ()) if name is None else SUFFIXES & {Path(name).suffix.lower()}
    suffix = next(iter(own), "")
    with tempfile.TemporaryDirectory() as folder:  # what decodes untrusted bytes reads files
        path = Path(folder) / f"image{suffix}"
        path.write_bytes(content)
        try:
            return read_as_rgb(path, most_pixels)
        except LeukoError as error:
            raise LeukoError(str(error).replace(str(path), "the image")) from None


def read_hr(path: Path, image: Image) -> np.ndarray:
    """One original as uint8 RGB, image.height x image.width x 3. Raises LeukoError that names the file."""
    return as_hr(read_to_degrade(path, image), image)


def as_hr(rgb: np.ndarray, image: Image) -> np.ndarray:
    """The HR image, image.height x image.width x 3, of an original at the size that its LR image is made from."""
    return rgb if image.degraded_at is None else resize(rgb, (image.height, image.width), image.enlarging)


def read_to_degrade(path: Path, image: Image) -> np.ndarray:
    """One original as uint8 RGB at the size that its LR image is made from: `degraded_at`, or else the HR size."""
    return to_degrade(read_rgb(path), image)


def to_degrade(rgb: np.ndarray, image: Image) -> np.ndarray:
    """An original of any size, uint8 RGB, at the size that its LR image is made from."""
    height, width = image.degraded_at or (image.height, image.width)
    if image.crop is not None:
        rgb = brought_to(fit_to(rgb, *image.crop, "center_crop", image.kernel), (height, width), image.kernel)
    return fit_to(rgb, height, width, image.fit, image.kernel)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn the reason why a file cannot be used into a LeukoError that names it."""
    try:
        yield
    except Unusable as error:
        if path.is_symlink() and not path.exists():
            raise LeukoError(f"{path} is a link to a file that does not exist") from None
        if not path.exists():
            raise absent(path, "put it back, or take its name out of what lists it") from None
        raise LeukoError(f"{path} {error}") from None


def fit_to(image: np.ndarray, height: int, width: int, fit: str, kernel: Kernel) -> np.ndarray:
    """Bring an image to height x width: `center_crop` cuts the middle out, `resize` resamples with `kernel`.

    An image of that size is returned unchanged.
    """
    if image.shape[:2] == (height, width):
        return image
    if fit == "center_crop":
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        if top < 0 or left < 0:
            raise LeukoError(
                f"an image of {image.shape[0]}x{image.shape[1]} (height x width) is smaller than the crop "
                f"{height}x{width}: lower image.height and image.width, or image.crop, or set image.fit to resize"
            )
        return image[top : top + height, left : left + width]
    return resize(image, (height, width), kernel)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write uint8 RGB losslessly; the folder is made. OpenCV's encoder is about twice as fast as Pillow's, as small."""
    _write(path, ".png", image, [])


def png_bytes(image: np.ndarray) -> bytes:
    """What `write_png` writes."""
    return _encoded(".png", image, [])


def write_jpeg(path: Path, image: np.ndarray, quality: int) -> None:
    """Write uint8 RGB as JPEG of a quality from 1 to 100, with 4:2:0 chroma; the folder is made."""
    _write(path, ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def _write(path: Path, kind: str, image: np.ndarray, options: list[int]) -> None:
    content = _encoded(kind, image, options)
    try:
        path.write_bytes(content)
    except FileNotFoundError:  # rare, so not checked for every image
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _encoded(kind: str, image: np.ndarray, options: list[int]) -> bytes:
    return cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def large_enough(image: np.ndarray, name: str) -> np.ndarray:
    """The image. Raises LeukoError that calls it `name` where networks cannot take so few pixels."""
    if min(image.shape[:2]) < 2:
        raise LeukoError(f"{name} is {image.shape[0]}x{image.shape[1]}; networks need at least 2 pixels a side")
    return image

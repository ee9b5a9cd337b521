"""Checking and reading single image files."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from leukosr.degradation.resample import Kernel, resize
from leukosr.errors import LeukoError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
MIN_SIDE = 32


@dataclass(frozen=True)
class ImageFacts:
    """What a look at one file found; `reason` is None for a good image."""

    width: int
    height: int
    digest: str
    reason: str | None


def inspect_image(path: Path, max_pixels: int) -> ImageFacts:
    """Decode one file fully and say what it is or why it cannot be used; never raises on bad content."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return ImageFacts(0, 0, "", f"cannot be read ({error.strerror})")
    digest = hashlib.sha256(content).hexdigest()
    if not content:
        return ImageFacts(0, 0, digest, "is empty (0 bytes)")
    try:
        # Pillow only warns above its own limit; the header alone is read here, so our limit decides first
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                reason = _refusal(image, max_pixels)
                if reason is None:
                    image.load()
    except UnidentifiedImageError:
        return ImageFacts(0, 0, digest, f"is not an image, whatever its suffix {path.suffix} says")
    except Image.DecompressionBombError:
        return ImageFacts(0, 0, digest, f"has more pixels than prepare.max_pixels {max_pixels} allows")
    except (OSError, SyntaxError, ValueError) as error:
        return ImageFacts(0, 0, digest, f"is corrupt or truncated ({error})")
    return ImageFacts(width, height, digest, reason)


def _refusal(image: Image.Image, max_pixels: int) -> str | None:
    width, height = image.size
    if width * height > max_pixels:
        return f"has {width}x{height} pixels, more than prepare.max_pixels {max_pixels} allows"
    if (mode := _other_mode(image)) is not None:
        return f"has mode {mode}; convert it to 8-bit RGB"
    if min(width, height) < MIN_SIDE:
        return f"is {width}x{height}, smaller than {MIN_SIDE} pixels on a side"
    return None


def _other_mode(image: Image.Image) -> str | None:
    """The mode of an image that is not 8-bit RGB. Pillow calls 16-bit RGB files RGB too and drops the low bits."""
    tiles = getattr(image, "tile", ())  # how the file stores its pixels; only files have it
    deep = any(";16" in str(tile.args) for tile in tiles)
    if image.mode != "RGB":
        return image.mode
    return "RGB;16" if deep else None


def read_rgb(path: Path) -> np.ndarray:
    """Read one image as uint8 RGB, height x width x 3. Raises LeukoError that names an unreadable file.

    The pixels are those that Pillow gives; OpenCV decodes whole JPEG and PNG files faster.
    """
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            if (mode := _other_mode(image)) is not None:
                raise LeukoError(f"{path} has mode {mode}; convert it to 8-bit RGB")
            fast = _decoded(content) if image.format in _LAST_BYTES else None
            return np.asarray(image) if fast is None else fast
    except FileNotFoundError:
        raise LeukoError(f"{path} does not exist; the stage that makes it has to run first") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise LeukoError(f"{path} cannot be read as an image ({error}); replace or remove it") from None


_LAST_BYTES = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


def _decoded(content: bytes) -> np.ndarray | None:
    """OpenCV's decoding, or None where it fails or the file is cut: OpenCV fills the rest of such a JPEG with grey."""
    if not content.endswith(tuple(_LAST_BYTES.values())):
        return None
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def read_as_rgb(path: Path) -> np.ndarray:
    """Read any 8-bit image as uint8 RGB, upright: grey, palette and CMYK are converted, transparency is dropped.

    Raises LeukoError that names an unreadable file, and one of more than 8 bits a channel.
    """
    try:
        with Image.open(path) as image:
            if (_other_mode(image) or "") in ("I", "F", "RGB;16") or image.mode.startswith("I;"):
                raise LeukoError(f"{path} has more than 8 bits a channel; convert it to 8 bits, scaled as it should be")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise LeukoError(f"{path} cannot be read as an image ({error}); replace or remove it") from None


def fit_to(image: np.ndarray, height: int, width: int, fit: str, kernel: Kernel) -> np.ndarray:
    """Bring an image to height x width: `center_crop` cuts the middle out, `resize` resamples with `kernel`.

    An image that has the size already comes back unchanged.
    """
    if image.shape[:2] == (height, width):
        return image
    if fit == "center_crop":
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        if top < 0 or left < 0:
            raise LeukoError(
                f"an image of {image.shape[0]}x{image.shape[1]} (height x width) is smaller than the crop "
                f"{height}x{width}: lower image.height and image.width, or set image.fit to resize"
            )
        return image[top : top + height, left : left + width]
    return resize(image, (height, width), kernel)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write uint8 RGB losslessly; the folder is made. OpenCV's encoder is about twice as fast as Pillow's, as small."""
    content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    try:
        path.write_bytes(content)
    except FileNotFoundError:  # rarely, so not asked for every image
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

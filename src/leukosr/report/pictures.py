"""Pictures as data URIs, so that a page needs nothing beside it."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukosr.images.reading import read_as_rgb

PAGE_WIDTH = 1400  # pixels; wider pictures are reduced for the page
SMALL = 12_000  # bytes up to which an image is kept without loss


def data_uri(path: Path, photo: bool) -> str:
    """A picture as a data URI: charts as PNG, photographs as JPEG, which is several times smaller."""
    reduced = Image.fromarray(read_as_rgb(path))
    if reduced.width <= PAGE_WIDTH and not photo:
        return _encoded("png", path.read_bytes())
    if reduced.width > PAGE_WIDTH:
        height = round(reduced.height * PAGE_WIDTH / reduced.width)
        reduced = reduced.resize((PAGE_WIDTH, height), Image.Resampling.LANCZOS)
    return _encoded("jpeg", _jpeg(reduced, 86))


def image_uri(image: NDArray[np.uint8]) -> str:
    """A micrograph (uint8 RGB HWC) as a data URI, pixel for pixel: a small one as PNG, else a JPEG of quality 90."""
    picture, buffer = Image.fromarray(image), io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    if len(buffer.getvalue()) <= SMALL:
        return _encoded("png", buffer.getvalue())
    return _encoded("jpeg", _jpeg(picture, 90))


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _encoded(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"

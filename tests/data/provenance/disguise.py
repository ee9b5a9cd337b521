"""Views of an image as augmentation pipelines make them, from mild to strong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from leukosr.data.synthetic.smears import CLASSES, draw_source


@dataclass(frozen=True)
class Strength:
    """Largest changes: shift and crop as parts of the side, shear, zoom and gain as factors; least JPEG quality."""

    shift: float
    shear: float
    zoom: float
    crop: float
    gain: float
    quality: int


STRENGTHS = {
    "mild": Strength(0.05, 0.05, 1.1, 0.0, 1.1, 85),
    "medium": Strength(0.1, 0.12, 1.25, 0.1, 1.3, 60),
    "strong": Strength(0.18, 0.2, 1.5, 0.25, 1.5, 35),
}


def field(number: int, size: tuple[int, int] = (240, 320)) -> np.ndarray:
    """One synthetic micrograph, uint8 RGB."""
    return draw_source(CLASSES[number % len(CLASSES)], size, np.random.default_rng([number, 77])).image


def disguised(image: np.ndarray, strength: Strength, rng: np.random.Generator) -> np.ndarray:
    """Turned by any angle, flipped or not, shifted, sheared, scaled, filled with black or mirrored, cropped, lit."""
    height, width = image.shape[:2]
    turn, shear = rng.uniform(0, 2 * np.pi), rng.uniform(-strength.shear, strength.shear)
    zoom = strength.zoom ** rng.uniform(-1, 1)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = rotation @ np.array([[rng.choice((-1.0, 1.0)), shear], [0.0, 1.0]]) * zoom
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = middle - linear @ middle + rng.uniform(-strength.shift, strength.shift, 2) * min(height, width)
    border = rng.choice((cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT))
    moved = cv2.warpAffine(image, np.column_stack([linear, offset]), (width, height), borderMode=int(border))
    top, left = (int(rng.uniform(0, strength.crop) * side) for side in (height, width))
    bottom, right = (side - int(rng.uniform(0, strength.crop) * side / 2) for side in (height, width))
    bright = moved[top:bottom, left:right] * strength.gain ** rng.uniform(-1, 1)
    return np.clip(bright, 0, 255).astype(np.uint8)


def write_jpeg(path: Path, image: np.ndarray, quality: int) -> None:
    """Write uint8 RGB as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ok = cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok


def write_views(folder: Path, sources: Iterable[int], views: int, strength: Strength) -> list[Path]:
    """`views` disguises of each of the fields `sources`, as <source>_<view>.jpg."""
    files = []
    for number in sources:
        image = field(number)
        for view in range(views):
            rng = np.random.default_rng([number, view, 5])
            files.append(folder / f"{number:04d}_{view}.jpg")
            write_jpeg(files[-1], disguised(image, strength, rng), int(rng.integers(strength.quality, 96)))
    return files


def pairwise(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Precision and recall over all pairs of images."""
    together, same = found[:, None] == found[None, :], true[:, None] == true[None, :]
    upper = np.triu(np.ones(together.shape, bool), 1)
    both = (together & same & upper).sum()
    return float(both / max((together & upper).sum(), 1)), float(both / max((same & upper).sum(), 1))

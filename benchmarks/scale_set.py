"""A set of small drawn images, as large as one likes: stained cells, each in four views."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from leukosr.files import new_folder
from leukosr.tables import write_table

SIDE = 32
VIEWS = 4
PER_FOLDER = 1000  # images: file systems and people open such folders quickly


def draw_set(folder: Path, count: int) -> None:
    """Write `count` PNGs of SIDE x SIDE below `folder`, and sources.csv: which of them show one cell.

    A cell depends on its number alone, so a smaller set is the beginning of a larger one.
    """
    rows = []
    with new_folder(folder) as draft:
        for number in range(count):
            source, view = divmod(number, VIEWS)
            if view == 0:
                rng = np.random.default_rng(source)
                cell = draw_cell(rng)
            path = Path(f"{number // PER_FOLDER:04d}", f"{source:06d}_{view}.png")
            (draft / path.parent).mkdir(exist_ok=True)
            cv2.imwrite(str(draft / path), turned(cell, view, rng))
            rows.append((path.as_posix(), f"{source:06d}"))
        write_table(draft / "sources.csv", ("path", "source"), rows)


def draw_cell(rng: np.random.Generator) -> np.ndarray:
    """A dark cell with a mottled nucleus on a pale field: float32 BGR, (SIDE, SIDE, 3), in grey levels."""
    pale, dark = rng.uniform((200, 190, 210), (225, 215, 240)), rng.uniform((120, 40, 70), (170, 90, 130))
    mottled = np.sum([_noise(rng, cells) * sd for cells, sd in ((4, 14), (9, 16), (16, 12))], axis=0)
    y, x = np.mgrid[:SIDE, :SIDE] - rng.uniform(0.35, 0.65, 2)[:, None, None] * SIDE
    angle = np.arctan2(y, x)
    radius = rng.uniform(7, 11) * (1 + sum(rng.normal(0, 0.12) * np.cos(k * angle + rng.uniform(0, 6)) for k in (2, 3)))
    inside = np.clip(radius - np.hypot(x, y) + 0.5, 0, 1)[..., None]
    return np.asarray(pale + inside * (dark - pale) + mottled[..., None], np.float32)


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise of sd 1 with about so many hills along a side."""
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def turned(cell: np.ndarray, view: int, rng: np.random.Generator) -> np.ndarray:
    """A view of a cell, uint8: turned by quarters, the odd ones mirrored, each with noise of its own."""
    seen = np.rot90(cell[:, ::-1] if view % 2 else cell, view)
    return np.clip(np.rint(seen + rng.normal(0, 1.5, seen.shape)), 0, 255).astype(np.uint8)

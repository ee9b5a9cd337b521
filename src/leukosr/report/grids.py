"""Grids of images: the arms side by side, HR/LR pairs, samples of SR training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from leukosr.errors import LeukoError
from leukosr.images.reading import read_as_rgb
from leukosr.layout import Layout, image_file
from leukosr.report.style import Look, new_figure, size_text

RGB = NDArray[np.uint8]

LETTERS = 12.5  # of a title, to an inch
CELL_PIXELS = 360  # more than a cell of the grid shows; larger images are reduced to it first


@dataclass(frozen=True)
class View:
    """One image of the grid: reduced to what a cell shows, its zoomed crop, and where the crop lies.

    `box` is (left, top, width, height) as fractions of the image; `size` is the (height, width) of the file.
    """

    whole: RGB
    crop: RGB
    box: tuple[float, float, float, float]
    size: tuple[int, int]


@dataclass(frozen=True)
class GridCell:
    """One micrograph as every arm shows it; `captions` may add a short text under an arm's crop."""

    label: str
    views: Mapping[str, View]
    captions: Mapping[str, str]


def read_cell(
    layout: Layout,
    image: str,
    arms: Sequence[str],
    *,
    crop: float,
    label: str,
    captions: Mapping[str, str],
    guide: str | None = None,
    versions: Mapping[str, str] | None = None,
) -> GridCell:
    """Read the image of every arm and cut the same crop out of each.

    The crop's side is the fraction `crop` of the image's; it lies where the stain is deepest (the nucleus) in the arm
    `guide`, or else in the last one, and on pixel borders of the smallest image. `versions` says which of an arm's
    images are read, where there are several SR seeds. Raises LeukoError when an arm's image is missing or unreadable.
    """
    read = {arm: arm for arm in arms} | dict(versions or {})
    images = {arm: read_arm(image_file(layout.arm(read[arm]), image), arm) for arm in arms}
    smallest = min(images.values(), key=lambda pixels: pixels.shape[0])
    box = nucleus_box(images[guide or arms[-1]], smallest.shape[:2], crop)
    views = {
        arm: View(reduced(pixels), reduced(cut(pixels, box)), box, (pixels.shape[0], pixels.shape[1]))
        for arm, pixels in images.items()
    }
    return GridCell(label, views, captions)


def arm_grid(path: Path, cells: Sequence[GridCell], looks: Mapping[str, Look], note: str) -> None:
    """All arms of the same cells: one row per cell, below it the marked crop, enlarged.

    Images smaller than their place are enlarged by nearest neighbour, so that pixels show.
    """
    arms = list(cells[0].views)
    height, width = cells[0].views[arms[-1]].whole.shape[:2]
    side = min(2.0, 10.0 / len(arms))
    tall = side * height / width
    titles = {arm: wrap(looks[arm].label, int(side * LETTERS), break_long_words=False) for arm in arms}
    lines = max(map(len, titles.values()))
    left, head, gap, between = 0.42, 0.29 + 0.17 * lines, 0.04, 0.3
    block = 2 * tall + gap + between
    with new_figure(
        path, left + len(arms) * (side + gap), head + len(cells) * block, note, dpi=130, photo=True
    ) as figure:
        figure.set_layout_engine("none")
        for row, cell in enumerate(cells):
            for column, arm in enumerate(arms):
                view, x, y = cell.views[arm], left + column * (side + gap), head + row * block
                above = _panel(figure, x, y, side, tall)
                below = _panel(figure, x, y + tall + gap, side, tall)
                _show(above, view.whole)
                _show(below, view.crop, looks[arm].colour)
                _mark(above, view, looks[arm].colour)
                below.set_xlabel(cell.captions.get(arm, ""), fontsize=8.5, labelpad=2)
                if row == 0:
                    title = "\n".join((*titles[arm], size_text(*view.size)))
                    above.set_title(title, fontsize=10, loc="center", pad=4)
                if column == 0:
                    above.set_ylabel(cell.label, fontsize=9)
                    below.set_ylabel("zoomed", fontsize=8.5, color="#555555")


def degradation_grid(path: Path, high: Sequence[RGB], low: Sequence[RGB], labels: Sequence[str], note: str) -> None:
    """Pairs of HR (above) and LR images (below, enlarged by nearest neighbour), one column per pair.

    Images are uint8 RGB HWC; `labels` name the columns. Raises ValueError when the lengths differ.
    """
    sizes = [f"{name}, {size_text(*image.shape[:2])}" for name, image in (("HR", high[0]), ("LR", low[0]))]
    image_rows(path, [high, low], sizes, labels, note)


def sample_grid(
    path: Path,
    low: Sequence[RGB],
    super_resolved: Sequence[RGB],
    high: Sequence[RGB],
    note: str,
    labels: Sequence[str] = (),
) -> None:
    """Validation samples of SR training: rows LR (nearest neighbour), SR, HR; one column per image.

    Images are uint8 RGB HWC. Raises ValueError when the lengths differ.
    """
    image_rows(path, [low, super_resolved, high], ["LR", "SR", "HR"], labels or [""] * len(low), note)


def image_rows(
    path: Path, rows: Sequence[Sequence[RGB]], names: Sequence[str], labels: Sequence[str], note: str
) -> None:
    """Rows of uint8 RGB images under the labels of their columns. Raises ValueError when the lengths differ."""
    count = len(labels)
    if any(len(row) != count for row in rows):
        raise ValueError(f"rows of {[len(row) for row in rows]} images under {count} labels")
    ratio = rows[-1][0].shape[0] / rows[-1][0].shape[1]
    side = min(2.2, 10.0 / count)
    tall, left, gap = side * ratio, 0.3, 0.04
    head = 0.28 if any(labels) else gap
    with new_figure(
        path, left + count * (side + gap), head + len(rows) * (tall + gap), note, dpi=130, photo=True
    ) as figure:
        figure.set_layout_engine("none")
        for row, (images, name) in enumerate(zip(rows, names, strict=True)):
            for column, (image, label) in enumerate(zip(images, labels, strict=True)):
                panel = _panel(figure, left + column * (side + gap), head + row * (tall + gap), side, tall)
                _show(panel, reduced(image))
                if column == 0:
                    panel.set_ylabel(name, fontsize=9)
                if row == 0:
                    panel.set_title(label, fontsize=9, loc="center", pad=4)


def _panel(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes at (x, y) inches from the upper left corner."""
    across, down = figure.get_size_inches()
    return figure.add_axes((x / across, 1 - (y + height) / down, width / across, height / down))


def _show(panel: Axes, image: RGB, edge: str | None = None) -> None:
    panel.imshow(image, interpolation="nearest", extent=(0, 1, 1, 0), aspect=image.shape[0] / image.shape[1])
    panel.set_xticks([])
    panel.set_yticks([])
    for spine in panel.spines.values():
        spine.set_visible(edge is not None)
        spine.set_edgecolor(edge or "none")
        spine.set_linewidth(1.6)


def _mark(panel: Axes, view: View, colour: str) -> None:
    left, top, width, height = view.box
    # a white line under the coloured one stays visible on any stain
    for line, stroke in (("white", 2.4), (colour, 1.2)):
        panel.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=line, linewidth=stroke))


def read_arm(path: Path, arm: str) -> RGB:
    """An image of an arm. Raises LeukoError, which names the command that makes it again."""
    try:
        return read_as_rgb(path)
    except LeukoError as error:
        raise LeukoError(f"{error}: make it again with `dvc repro upscale@{arm}`") from None


def reduced(image: RGB, longest: int = CELL_PIXELS) -> RGB:
    """`image` with its longer side at most `longest` (area averaging); smaller images stay as they are."""
    height, width = image.shape[:2]
    share = longest / max(height, width)
    if share >= 1:
        return image
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def cut(image: RGB, box: tuple[float, float, float, float]) -> RGB:
    """The part of an image in `box`: (left, top, width, height) as fractions of it."""
    height, width = image.shape[:2]
    left, top, wide, tall = (round(part * side) for part, side in zip(box, (width, height) * 2, strict=True))
    return np.ascontiguousarray(image[top : top + tall, left : left + wide])


def nucleus_box(guide: RGB, grid: tuple[int, int], crop: float) -> tuple[float, float, float, float]:
    """The window with the most purple, on a grid of (height, width) pixels, as fractions of the image.

    Romanowsky stains make nuclei purple: red and blue far above green.
    """
    height, width = grid
    small = np.asarray(Image.fromarray(guide).resize((width, height), Image.Resampling.BOX)).astype(float)
    purple = (small[..., 0] + small[..., 2]) / 2 - small[..., 1]
    # squared: a nucleus is far more purple than a red cell
    deep = np.clip(purple - np.percentile(purple, 85), 0, None) ** 2
    tall, wide = max(1, round(height * crop)), max(1, round(width * crop))
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = deep.cumsum(0).cumsum(1)
    inside = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    top, left = (int(place) for place in np.unravel_index(inside.argmax(), inside.shape))
    for _ in range(3):  # many windows hold the whole nucleus: move to the one around its centre of mass
        window = deep[top : top + tall, left : left + wide]
        mass = max(float(window.sum()), 1e-9)
        down = float((window.sum(1) * (np.arange(tall) + 0.5)).sum()) / mass - tall / 2
        across = float((window.sum(0) * (np.arange(wide) + 0.5)).sum()) / mass - wide / 2
        top = min(max(round(top + down), 0), height - tall)
        left = min(max(round(left + across), 0), width - wide)
    return left / width, top / height, wide / width, tall / height

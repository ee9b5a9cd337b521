"""The `demo` data set: synthetic Giemsa/Wright-stained blood smears.

Every source is one imaginary micrograph with exactly one leukocyte; its views are augmentations of it in the manner of
BCCD (rotation, shift, shear, flip, black fill), so the set has the same trap as BCCD: a random split puts images of one
source into several parts. Masks of nucleus and cytoplasm are exact, and nothing is downloaded.
"""

import csv
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from leukosr.data.synthetic.cells import LEUKOCYTES, draw_leukocyte
from leukosr.data.synthetic.field import illumination, lay_platelets, paste_box, red_cells
from leukosr.data.synthetic.settings import SMALLEST_SIDE, SyntheticSet
from leukosr.data.synthetic.stain import draw_stain
from leukosr.errors import LeukoError
from leukosr.files import new_folder
from leukosr.images.masks import CYTOPLASM, NUCLEUS

CLASSES = tuple(LEUKOCYTES)

_SUPERSAMPLING = 3
_SHORT_SIDE = 36.0  # µm of blood along the shorter side of an image
_REACH = 12.0  # µm from a leukocyte's centre that any part of it can reach
# Full-resolution chroma: a granule is a few pixels wide and recognised by its colour.
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Smear:
    """One image (H, W, 3) uint8 RGB with the masks (H, W) bool of its leukocyte's nucleus and cytoplasm.

    The masks do not overlap; together they are the cell.
    """

    image: Pixels
    nucleus: Mask
    cytoplasm: Mask


def draw_source(cell_class: str, size: tuple[int, int], rng: np.random.Generator) -> Smear:
    """Draw one micrograph with one leukocyte of `cell_class` in its middle region, away from every border.

    `size` is (height, width); all randomness comes from `rng`. The smear is drawn as optical density at
    three times the size, lit, blurred as by the lens, and area-averaged. Raises LeukoError for a class
    that is not in `CLASSES` or a side below 64.
    """
    if cell_class not in LEUKOCYTES:
        raise LeukoError(f"unknown class {cell_class!r}; choose one of {', '.join(CLASSES)}")
    if min(size) < SMALLEST_SIDE:
        raise LeukoError(
            f"synthetic smears: size is {size[0]}x{size[1]} (height x width); each side must be at least "
            f"{SMALLEST_SIDE} pixels for a nucleus to show."
        )
    fine = (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)
    scale = min(fine) / _SHORT_SIDE * rng.uniform(0.9, 1.08)
    stain = draw_stain(rng)
    cell = draw_leukocyte(cell_class, _REACH, scale, stain, rng)
    row, col = (round(side / 2 + rng.uniform(-3.0, 3.0) * scale) for side in fine)
    radius = float(np.sqrt((cell.cell > 0.5).sum() / np.pi) / scale)

    density = red_cells(fine, scale, (row, col, radius), rng)[..., None] * stain.red_cell
    lay_platelets(density, scale, (row, col, radius), stain, rng)
    box = paste_box(fine, row, col, cell.cell.shape[0] // 2)
    assert box is not None
    canvas, patch = box
    # The leukocyte pushes its neighbours aside instead of lying on them.
    density[canvas] = density[canvas] * (1 - cell.cell[patch])[..., None] + cell.density[patch]
    image = _photograph(density, stain.background, size, scale, rng)
    inside = [_reduced(fine, canvas, cover[patch], size) for cover in (cell.cell, cell.nucleus)]
    nucleus = inside[1] & inside[0]
    return Smear(image, nucleus, inside[0] & ~nucleus)


def augment_view(smear: Smear, rng: np.random.Generator) -> Smear:
    """One view of a source: any rotation, shift, shear and flip, with black where nothing was photographed.

    The masks are moved by the same map (nearest neighbour), the image bilinearly. The size stays.
    """
    height, width = smear.nucleus.shape
    turn, shear = rng.uniform(0, 2 * np.pi), rng.uniform(-0.12, 0.12)
    mirror = rng.choice((-1.0, 1.0))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = rotation @ np.array([[mirror, shear], [0.0, 1.0]]) * rng.uniform(0.95, 1.05)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = middle - linear @ middle + rng.uniform(-0.06, 0.06, 2) * min(height, width)
    matrix = np.column_stack([linear, offset])

    def moved(pixels: Pixels, interpolation: int) -> Pixels:
        return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), flags=interpolation), np.uint8)

    nucleus, cytoplasm = (
        moved(mask.astype(np.uint8), cv2.INTER_NEAREST) > 0 for mask in (smear.nucleus, smear.cytoplasm)
    )
    return Smear(moved(smear.image, cv2.INTER_LINEAR), nucleus, cytoplasm)


def write_demo(folder: Path, settings: SyntheticSet, progress: Callable[[int, int], None] | None = None) -> int:
    """Draw the whole data set into `folder` and return the number of images.

    Writes `TRAIN/<class>/003_1.jpg` (source 3, view 1; view 0 is the source as photographed), the same under
    `TEST/`, `masks/<split>/<class>/003_1.png` (255 nucleus, 128 cytoplasm, 0 the rest) and `sources.csv`
    (`path,source,class,view`, paths relative to `folder` with forward slashes). TRAIN and TEST share no
    source. A source depends only on seed, class, split and its index, so files are byte for byte the same for
    one seed and the same installed libraries. `progress(done, total)` is called after each image. The folder
    appears only when it is complete. Raises LeukoError if it exists and is not an empty folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LeukoError(
            f"{folder}: expected no such folder, or an empty one, to draw the demo data set into; "
            "found something there. Remove it or choose another folder."
        )
    total = len(CLASSES) * (settings.train_sources + settings.test_sources) * settings.views
    with new_folder(folder) as draft, (draft / "sources.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("path", "source", "class", "view"))
        for done, (path, source, cell_class, view, smear) in enumerate(_demo_views(settings), start=1):
            _write(draft, path, smear)
            table.writerow((path, source, cell_class, view))
            if progress is not None:
                progress(done, total)
    return total


def _photograph(
    density: NDArray[np.float32],
    background: NDArray[np.float32],
    size: tuple[int, int],
    scale: float,
    rng: np.random.Generator,
) -> Pixels:
    """The camera's uint8 RGB image of a drawn film: light, focus, pixels, sharpening and a little noise."""
    light = illumination(density.shape[:2], rng)[..., None] * background * np.exp(-density)
    # Focus differs between fields: from the lens's own limit to clearly out of focus.
    focus = rng.choice((0.08, 0.12, 0.18, 0.28), p=(0.35, 0.3, 0.2, 0.15))  # µm
    blurred = cv2.GaussianBlur(light, (0, 0), scale * focus)
    image = np.asarray(cv2.resize(blurred, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.float32)
    sharpened = image + rng.uniform(0, 0.5) * (image - cv2.GaussianBlur(image, (0, 0), 1.2))
    noisy = sharpened + rng.normal(0, rng.uniform(0.002, 0.006), image.shape)
    return np.clip(np.rint(noisy * 255), 0, 255).astype(np.uint8)


def _reduced(
    fine: tuple[int, int], canvas: tuple[slice, slice], cover: NDArray[np.float32], size: tuple[int, int]
) -> Mask:
    """A mask at image size: the pixels at least half covered by a part drawn on the fine canvas."""
    field = np.zeros(fine, np.float32)
    field[canvas] = cover
    return np.asarray(cv2.resize(field, (size[1], size[0]), interpolation=cv2.INTER_AREA) >= 0.5)


def _generator(*key: str | int) -> np.random.Generator:
    """A generator that depends on nothing but its key, whatever was drawn before."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest, "big")))


def _demo_views(settings: SyntheticSet) -> Iterator[tuple[str, str, str, int, Smear]]:
    """Yield (path, source, class, view, smear) for every image, in the order of sources.csv."""
    for split, count in (("TRAIN", settings.train_sources), ("TEST", settings.test_sources)):
        for cell_class in CLASSES:
            for index in range(count):
                key = (settings.seed, cell_class, split, index)
                source = draw_source(cell_class, (settings.height, settings.width), _generator(*key))
                for view in range(settings.views):
                    smear = source if view == 0 else augment_view(source, _generator(*key, "view", view))
                    path = f"{split}/{cell_class}/{index:03d}_{view}.jpg"
                    yield path, f"{cell_class}-{split.lower()}-{index:03d}", cell_class, view, smear


def _write(folder: Path, path: str, smear: Smear) -> None:
    """Write one image and its mask below `folder`."""
    mask = smear.nucleus * np.uint8(NUCLEUS) + smear.cytoplasm * np.uint8(CYTOPLASM)
    for file, pixels, options in (
        (folder / path, cv2.cvtColor(smear.image, cv2.COLOR_RGB2BGR), _JPEG),
        ((folder / "masks" / path).with_suffix(".png"), mask, ()),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Encoding in memory and writing the bytes ourselves reports a full disk; imwrite hides it.
        written, encoded = cv2.imencode(file.suffix, pixels, options)
        assert written
        file.write_bytes(encoded.tobytes())

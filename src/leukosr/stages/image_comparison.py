"""Comparing one image of an arm with its original."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leukosr.config import Arm, ByTraining, Image, Quality
from leukosr.data.manifest import Item
from leukosr.data.mask_files import mask_file
from leukosr.errors import LeukoError
from leukosr.evaluate.image_quality import ImageQuality, compare_images, consistency, dice
from leukosr.images.masks import CYTOPLASM, NUCLEUS, read_hr_mask, read_mask
from leukosr.images.reading import read_hr, read_rgb_of
from leukosr.images.resampling import brought_to, resize
from leukosr.layout import MAPS, image_file, new_image_file, stage_again


@dataclass(frozen=True)
class Comparison:
    """What is compared: an image of an arm, its original and its LR image; picklable, so that any worker can do it."""

    arm: str
    row: Item
    root: Path
    images: Path
    low: Path
    settings: Arm
    image: Image
    quality: Quality

    @property
    def made(self) -> Path:
        """The image of the arm."""
        return image_file(self.images, self.row.id)

    @property
    def original(self) -> Path:
        """The file of the original."""
        return self.root / self.row.path

    @property
    def predicted(self) -> Path:
        """The map that the arm's network predicted."""
        return image_file(self.images / MAPS, self.row.id)


@dataclass(frozen=True)
class Compared(ImageQuality):
    """Quality against the original, how far the image is from what was measured, and Dice of a predicted map.

    input_psnr: PSNR of the LR image enlarged by bicubic, which is what a network starts from.
    """

    consistency: float
    dice_nucleus: float | None = None
    dice_cytoplasm: float | None = None
    input_psnr: float | None = None
    lpips: float | None = None


def compare(task: Comparison) -> Compared:
    """Make one comparison. Raises LeukoError for an image that cannot be read or is not of its arm's size."""
    again, image = stage_again(f"upscale@{task.arm}"), task.image
    truth, made = read_hr(task.original, image), read_rgb_of(task.made, task.settings.shape(image), again)
    low = read_rgb_of(task.low, image.lr_size, stage_again("degrade"))
    near = consistency(made, low)
    if task.settings.shows_originals(image):
        if not np.array_equal(made, truth):
            raise LeukoError(f"{task.made} differs from {task.original}: {again}")
        return Compared(psnr=None, ssim=1.0, mse=0.0, consistency=near)
    if task.settings.file == "npy":
        made = _unrounded(new_image_file(task.images, task.row.id, ".npy"), made.shape, again)
    # enlarged bilinearly for the comparison, as the case studies' script does
    shown = brought_to(made, (truth.shape[0], truth.shape[1]), "bilinear")
    found = compare_images(shown, truth, task.quality.ssim_window, task.quality.channels)
    return Compared(found.psnr, found.ssim, found.mse, near, *_dice(task), _input_psnr(task, low, truth))


def _input_psnr(task: Comparison, low: np.ndarray, truth: np.ndarray) -> float | None:
    """PSNR of the enlarged LR image, rounded where the arm's images are; None where no training made these of it."""
    if not isinstance(task.settings, ByTraining) or task.settings.made_from != "low":
        return None
    kind = np.float32 if task.settings.file == "npy" else np.uint8
    enlarged = resize(low.astype(kind), (truth.shape[0], truth.shape[1]), "pillow_bicubic")
    return compare_images(enlarged, truth, task.quality.ssim_window, task.quality.channels).psnr


def _unrounded(path: Path, shape: tuple[int, ...], again: str) -> np.ndarray:
    """The float32 image beside a PNG of an arm."""
    try:
        image: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LeukoError(f"{path} cannot be read ({error}): {again}") from None
    if image.shape != shape or image.dtype != np.float32 or not np.isfinite(image).all():
        raise LeukoError(f"{path} holds {image.dtype} {image.shape}, expected finite float32 {shape}: {again}")
    return image


def _dice(task: Comparison) -> tuple[float | None, float | None]:
    """Dice of the predicted map, nucleus and cytoplasm; None without a mask or a map of the original's size."""
    if not (task.row.mask and task.settings.made_from == "low" and (task.images / MAPS).is_dir()):
        return None, None
    size = task.row.height, task.row.width
    true = read_hr_mask(mask_file(task.root, task.row), size, task.image)
    predicted = read_mask(task.predicted, (true.shape[0], true.shape[1]))
    return dice(predicted == NUCLEUS, true == NUCLEUS), dice(predicted == CYTOPLASM, true == CYTOPLASM)

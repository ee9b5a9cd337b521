"""Compare the images of one arm with the ground truth."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from leukosr.config import Arm, ByTraining, Image, Quality
from leukosr.data.manifest import Item, compared_rows, read_manifest
from leukosr.data.mask_files import mask_file
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.evaluate.image_quality import AS_ITS_INPUT, ImageQuality, compare_images, consistency, dice
from leukosr.files import new_folder, write_json
from leukosr.images.masks import CYTOPLASM, NUCLEUS, read_hr_mask, read_mask
from leukosr.images.reading import read_hr, read_rgb_of
from leukosr.images.resampling import brought_to, resize
from leukosr.layout import (
    BRING_BACK,
    MAPS,
    image_file,
    new_image_file,
    of_network,
    require,
    require_all,
    stage_again,
)
from leukosr.stages.context import Context
from leukosr.tables import write_table


@dataclass(frozen=True)
class _Task:
    """One comparison; picklable, so that any worker can do it."""

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
        return image_file(self.images, self.row.id)

    @property
    def original(self) -> Path:
        return self.root / self.row.path

    @property
    def predicted(self) -> Path:
        """The map that the arm's network predicted."""
        return image_file(self.images / MAPS, self.row.id)


@dataclass(frozen=True)
class _Compared(ImageQuality):
    """Quality against the original, how far the image is from what was measured, and Dice of a predicted map.

    input_psnr: PSNR of the LR image enlarged by bicubic, which is what a network starts from.
    """

    consistency: float
    dice_nucleus: float | None = None
    dice_cytoplasm: float | None = None
    input_psnr: float | None = None
    lpips: float | None = None


LPIPS = "lpips"
DICE = ("dice_nucleus", "dice_cytoplasm")
FIGURES = tuple(each.name for each in fields(_Compared) if each.name not in (*DICE, "input_psnr", LPIPS))


def run(context: Context, arm: str) -> None:
    """Write per_image.csv and metrics.json (means and sds over images; undefined is null).

    An arm whose network predicts maps also gets their Dice by part of the cell, and one by a training says whether one
    of its networks did not train.
    Of an arm with several SR seeds per_image.csv has a row per seed and image; an image then counts with its mean, and
    per_sr_seed holds the means of each network, and whether it did not train.
    Several processes each compare the images that they own.
    """
    params, layout, processes = context.params, context.layout, context.processes
    if "image_quality" not in params.study.measures:
        raise LeukoError("quality: study.measures names no image_quality, so this study compares no images")
    if arm not in params.upscale:
        raise LeukoError(f"quality: unknown arm '{arm}'; the arms of this study are {', '.join(params.upscale)}")
    rows = compared_rows(read_manifest(layout.manifest), params.study)
    images, low = require(layout.arm(arm), f"upscale@{arm}"), require(layout.lr, "degrade")
    networks = params.networks_of(arm)
    folders = {network: layout.arm(of_network(arm, network)) for network in networks}
    own = [(network, row) for network in networks for row in rows if processes.owns(row.id)]
    root, settings = Path(params.prepare.root), params.upscale[arm]
    tasks = [
        _Task(arm, row, root, folders[network], image_file(low, row.id), settings, params.image, params.quality)
        for network, row in own
    ]
    require_all([task.made for task in tasks], stage_again(f"upscale@{arm}"))
    require_all([task.low for task in tasks], stage_again("degrade"))
    require_all([task.original for task in tasks], BRING_BACK)
    workers = count_workers(params.runtime.workers)
    compared = list(track(ordered_map(_compare, tasks, workers), len(tasks), f"quality {arm}"))
    compared = _with_lpips(context, arm, tasks, compared)
    keys = [(network, row.id) for network, row in own]
    quality_of = dict(processes.gather(list(zip(keys, compared, strict=True))))
    if not processes.first:
        return
    target = context.out or layout.quality(arm)
    metrics: dict[str, Any] = {"n": len(rows), "precision": _computed_in(images)}
    maps = DICE if any(each.dice_nucleus is not None for each in quality_of.values()) else ()
    figures = (*FIGURES, *maps, *(() if params.quality.perceptual is None else (LPIPS,)))
    for name in figures:
        by_network = [[getattr(quality_of[network, row.id], name) for row in rows] for network in networks]
        metrics |= _summary(name, [_mean(each) for each in zip(*by_network, strict=True)])
        if networks != (None,):
            own_means = metrics.setdefault("per_sr_seed", {str(network): {} for network in networks})
            for network, values in zip(networks, by_network, strict=True):
                own_means[str(network)][name] = _mean(values)
    if isinstance(params.upscale[arm], ByTraining):
        idle = {network: _idle([quality_of[network, row.id] for row in rows]) for network in networks}
        metrics["input_psnr"] = _mean(quality_of[networks[0], row.id].input_psnr for row in rows)
        metrics["did_not_train"] = any(idle.values())
        for network in networks if "per_sr_seed" in metrics else ():
            metrics["per_sr_seed"][str(network)]["did_not_train"] = idle[network]
    nested = () if networks == (None,) else ("sr_seed",)
    with new_folder(target) as folder:
        cells = (
            (
                row.id,
                row.label,
                row.role(params.study.protocols[0]),
                *((network,) if nested else ()),
                *(getattr(quality_of[network, row.id], name) for name in figures),
            )
            for network in networks
            for row in rows
        )
        write_table(folder / "per_image.csv", ("image", "class", "role", *nested, *figures), cells)
        write_json(folder / "metrics.json", metrics)
    shown = "–" if metrics["psnr"] is None else f"{metrics['psnr']:.2f}"
    context.console.print(f"quality {arm}: PSNR {shown} dB, SSIM {metrics['ssim']:.4f}, n {metrics['n']} -> {target}")


def _with_lpips(context: Context, arm: str, tasks: list[_Task], compared: list[_Compared]) -> list[_Compared]:
    """The same with LPIPS, where the study asks for it: in this process, on its device."""
    network = context.params.quality.perceptual
    if network is None:
        return compared
    from leukosr.engine.device import choose_device
    from leukosr.evaluate.perceptual import perceptual_distance

    distance = perceptual_distance(network, choose_device(context.params.runtime.device))
    again = stage_again(f"upscale@{arm}")
    pairs = (
        (read_rgb_of(task.made, task.settings.shape(task.image), again), read_hr(task.original, task.image))
        for task in tasks
    )
    shown = track(zip(pairs, compared, strict=True), len(tasks), f"LPIPS {arm}")
    return [
        replace(found, lpips=distance(brought_to(made, (truth.shape[0], truth.shape[1]), "bilinear"), truth))
        for (made, truth), found in shown
    ]


def _compare(task: _Task) -> _Compared:
    again, image = stage_again(f"upscale@{task.arm}"), task.image
    truth, made = read_hr(task.original, image), read_rgb_of(task.made, task.settings.shape(image), again)
    low = read_rgb_of(task.low, image.lr_size, stage_again("degrade"))
    near = consistency(made, low)
    if task.settings.shows_originals(image):
        if not np.array_equal(made, truth):
            raise LeukoError(f"{task.made} differs from {task.original}: {again}")
        return _Compared(psnr=None, ssim=1.0, mse=0.0, consistency=near)
    if task.settings.file == "npy":
        made = _unrounded(new_image_file(task.images, task.row.id, ".npy"), made.shape, again)
    # enlarged bilinearly for the comparison, as the case studies' script does
    shown = brought_to(made, (truth.shape[0], truth.shape[1]), "bilinear")
    found = compare_images(shown, truth, task.quality.ssim_window, task.quality.channels)
    return _Compared(found.psnr, found.ssim, found.mse, near, *_dice(task), _input_psnr(task, low, truth))


def _input_psnr(task: _Task, low: np.ndarray, truth: np.ndarray) -> float | None:
    """PSNR of the enlarged LR image, rounded where the arm's images are; None where no training made these of it."""
    if not isinstance(task.settings, ByTraining) or task.settings.made_from != "low":
        return None
    kind = np.float32 if task.settings.file == "npy" else np.uint8
    enlarged = resize(low.astype(kind), (truth.shape[0], truth.shape[1]), "pillow_bicubic")
    return compare_images(enlarged, truth, task.quality.ssim_window, task.quality.channels).psnr


def _idle(compared: list[_Compared]) -> bool:
    """Whether a network gave back what went in: image by image, since gains and losses may cancel out in a mean."""
    known = [(each.psnr, each.input_psnr) for each in compared]
    apart = [abs(made - before) for made, before in known if made is not None and before is not None]
    return bool(apart) and float(np.mean(apart)) < AS_ITS_INPUT


def _unrounded(path: Path, shape: tuple[int, ...], again: str) -> np.ndarray:
    """The float32 image beside a PNG of an arm."""
    try:
        image: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LeukoError(f"{path} cannot be read ({error}): {again}") from None
    if image.shape != shape or image.dtype != np.float32 or not np.isfinite(image).all():
        raise LeukoError(f"{path} holds {image.dtype} {image.shape}, expected finite float32 {shape}: {again}")
    return image


def _dice(task: _Task) -> tuple[float | None, float | None]:
    """Dice of the predicted map, nucleus and cytoplasm; None without a mask or a map of the original's size."""
    if not (task.row.mask and task.settings.made_from == "low" and (task.images / MAPS).is_dir()):
        return None, None
    size = task.row.height, task.row.width
    true = read_hr_mask(mask_file(task.root, task.row), size, task.image)
    predicted = read_mask(task.predicted, (true.shape[0], true.shape[1]))
    return dice(predicted == NUCLEUS, true == NUCLEUS), dice(predicted == CYTOPLASM, true == CYTOPLASM)


def _computed_in(images: Path) -> str | None:
    """The precision in which an arm's images were computed; None where no network made them."""
    record = images / "metrics.json"
    return json.loads(record.read_text(encoding="utf-8"))["precision"] if record.is_file() else None


def _summary(name: str, values: list[float | None]) -> dict[str, float | None]:
    """Mean and sample sd over the images where the figure is defined."""
    defined = [value for value in values if value is not None]
    sd = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
    return {name: _mean(values), f"{name}_sd": sd}


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of the figures that are defined."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None

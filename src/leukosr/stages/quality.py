"""Compare the images of one arm with the ground truth."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from leukosr.config import Image, Quality
from leukosr.data.manifest import compared_rows, read_manifest
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.evaluate.image_quality import ImageQuality, compare_images, consistency
from leukosr.files import new_folder, write_json
from leukosr.images.reading import read_hr, read_rgb_of
from leukosr.images.resampling import brought_to
from leukosr.layout import BRING_BACK, image_file, of_network, require, require_all, stage_again
from leukosr.stages.context import Context
from leukosr.tables import write_table


@dataclass(frozen=True)
class _Task:
    """One comparison; picklable, so that any worker can do it."""

    arm: str
    made: Path
    low: Path
    original: Path
    size: tuple[int, int]
    shows_originals: bool
    image: Image
    quality: Quality


@dataclass(frozen=True)
class _Compared(ImageQuality):
    """Quality against the original, and how far the image is from what was measured."""

    consistency: float


FIGURES = tuple(each.name for each in fields(_Compared))


def run(context: Context, arm: str) -> None:
    """Write per_image.csv and metrics.json (means and sds over images; undefined is null).

    Of an arm with several SR seeds per_image.csv has a row per seed and image; an image then counts with its mean, and
    per_sr_seed holds the means of each network.
    Several processes each compare the images that they own.
    """
    params, layout, processes = context.params, context.layout, context.processes
    if "image_quality" not in params.study.measures:
        raise LeukoError("quality: study.measures names no image_quality, so this study compares no images")
    if arm not in params.upscale:
        raise LeukoError(f"quality: unknown arm '{arm}'; upscale has {', '.join(params.upscale) or 'none'}")
    rows = compared_rows(read_manifest(layout.manifest), params.study)
    images, low = require(layout.arm(arm), f"upscale@{arm}"), require(layout.lr, "degrade")
    root, image = Path(params.prepare.root), params.image
    size, shows_originals = params.upscale[arm].shape(image), params.upscale[arm].shows_originals(image)
    networks = params.networks_of(arm)
    own = [(network, row) for network in networks for row in rows if processes.owns(row.id)]
    tasks = [
        _Task(
            arm, image_file(layout.arm(of_network(arm, network)), row.id), image_file(low, row.id), root / row.path,
            size, shows_originals, image, params.quality,
        )
        for network, row in own
    ]  # fmt: skip
    require_all([task.made for task in tasks], stage_again(f"upscale@{arm}"))
    require_all([task.low for task in tasks], stage_again("degrade"))
    require_all([task.original for task in tasks], BRING_BACK)
    workers = count_workers(params.runtime.workers)
    compared = list(track(ordered_map(_compare, tasks, workers), len(tasks), f"quality {arm}"))
    keys = [(network, row.id) for network, row in own]
    quality_of = dict(processes.gather(list(zip(keys, compared, strict=True))))
    if not processes.first:
        return
    target = context.out or layout.quality(arm)
    metrics: dict[str, Any] = {"n": len(rows), "precision": _computed_in(images)}
    for name in FIGURES:
        by_network = [[getattr(quality_of[network, row.id], name) for row in rows] for network in networks]
        metrics |= _summary(name, [_mean(each) for each in zip(*by_network, strict=True)])
        if networks != (None,):
            own_means = metrics.setdefault("per_sr_seed", {str(network): {} for network in networks})
            for network, values in zip(networks, by_network, strict=True):
                own_means[str(network)][name] = _mean(values)
    nested = () if networks == (None,) else ("sr_seed",)
    with new_folder(target) as folder:
        cells = (
            (row.id, row.label, row.role(params.study.protocols[0]), *((network,) if nested else ()),
             *(getattr(quality_of[network, row.id], name) for name in FIGURES))
            for network in networks
            for row in rows
        )  # fmt: skip
        write_table(folder / "per_image.csv", ("image", "class", "role", *nested, *FIGURES), cells)
        write_json(folder / "metrics.json", metrics)
    shown = "–" if metrics["psnr"] is None else f"{metrics['psnr']:.2f}"
    context.console.print(f"quality {arm}: PSNR {shown} dB, SSIM {metrics['ssim']:.4f}, n {metrics['n']} -> {target}")


def _compare(task: _Task) -> _Compared:
    again = stage_again(f"upscale@{task.arm}")
    truth, made = read_hr(task.original, task.image), read_rgb_of(task.made, task.size, again)
    divisor = task.image.scale
    low = read_rgb_of(task.low, (task.image.height // divisor, task.image.width // divisor), stage_again("degrade"))
    if task.shows_originals:
        if not np.array_equal(made, truth):
            raise LeukoError(f"{task.made} differs from {task.original}: {again}")
        found = ImageQuality(psnr=None, ssim=1.0, mse=0.0)
    else:
        # enlarged bilinearly for the comparison, as the case studies' script does
        shown = brought_to(made, (truth.shape[0], truth.shape[1]), "bilinear")
        found = compare_images(shown, truth, task.quality.ssim_window, task.quality.channels)
    return _Compared(found.psnr, found.ssim, found.mse, consistency(made, low))


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

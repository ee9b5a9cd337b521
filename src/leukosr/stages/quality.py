"""Compare the images of one arm with the ground truth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from leukosr.config import ByTraining
from leukosr.data.manifest import compared_rows, read_manifest
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.evaluate.image_quality import AS_ITS_INPUT
from leukosr.files import new_folder, write_json
from leukosr.images.reading import read_hr, read_rgb_of
from leukosr.images.resampling import brought_to
from leukosr.layout import RESTORE, image_file, of_network, require, require_all, stage_again
from leukosr.quoting import decimal
from leukosr.stages.context import Context
from leukosr.stages.image_comparison import Compared, Comparison, compare
from leukosr.tables import write_table

LPIPS = "lpips"
DICE = ("dice_nucleus", "dice_cytoplasm")
FIGURES = tuple(each.name for each in fields(Compared) if each.name not in (*DICE, "input_psnr", LPIPS))


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
        raise LeukoError("study.measures names no image_quality, so this study compares no images")
    context.check_arm(arm)
    rows = compared_rows(read_manifest(layout.manifest), params.study)
    images, low = require(layout.arm(arm), f"upscale@{arm}"), require(layout.lr, "degrade")
    networks = params.networks_of(arm)
    folders = {network: layout.arm(of_network(arm, network)) for network in networks}
    own = [(network, row) for network in networks for row in rows if processes.owns(row.id)]
    root, settings = Path(params.prepare.root), params.upscale[arm]
    tasks = [
        Comparison(arm, row, root, folders[network], image_file(low, row.id), settings, params.image, params.quality)
        for network, row in own
    ]
    require_all([task.made for task in tasks], stage_again(f"upscale@{arm}"))
    require_all([task.low for task in tasks], stage_again("degrade"))
    require_all([task.original for task in tasks], RESTORE)
    workers = count_workers(params.runtime.workers)
    compared = list(track(ordered_map(compare, tasks, workers), len(tasks), f"quality {arm}"))
    compared = _with_lpips(context, arm, tasks, compared)
    keys = [(network, row.id) for network, row in own]
    quality_of = dict(processes.gather(list(zip(keys, compared, strict=True))))
    if not processes.first:
        return
    target = context.out or layout.quality(arm)
    maps = DICE if any(each.dice_nucleus is not None for each in quality_of.values()) else ()
    figures = (*FIGURES, *maps, *(() if params.quality.perceptual is None else (LPIPS,)))
    found = {network: [quality_of[network, row.id] for row in rows] for network in networks}
    metrics = {"n": len(rows), "precision": _computed_in(images), **_metrics(found, figures)}
    if isinstance(settings, ByTraining):
        _note_training(metrics, found)
    nested = () if networks == (None,) else ("sr_seed",)
    with new_folder(target) as folder:
        cells = (
            (
                row.id,
                row.label,
                row.role(params.study.protocols[0]),
                *((network,) if nested else ()),
                *(getattr(each, name) for name in figures),
            )
            for network in networks
            for row, each in zip(rows, found[network], strict=True)
        )
        write_table(folder / "per_image.csv", ("image", "class", "role", *nested, *figures), cells)
        write_json(folder / "metrics.json", metrics)
    shown = "–" if metrics["psnr"] is None else decimal(metrics["psnr"], 2)
    ssim = decimal(metrics["ssim"], 4)
    context.console.print(f"quality {arm}: PSNR {shown} dB, SSIM {ssim}, n {metrics['n']} -> {target}")


def _metrics(found: Mapping[int | None, Sequence[Compared]], figures: Sequence[str]) -> dict[str, Any]:
    """Means and sds over images of what was found by SR seed; of several seeds also the means of each network."""
    metrics: dict[str, Any] = {}
    for name in figures:
        values = {network: [getattr(each, name) for each in compared] for network, compared in found.items()}
        metrics |= _summary(name, [_mean(each) for each in zip(*values.values(), strict=True)])
        if tuple(found) != (None,):
            own_means = metrics.setdefault("per_sr_seed", {str(network): {} for network in found})
            for network, own in values.items():
                own_means[str(network)][name] = _mean(own)
    return metrics


def _note_training(metrics: dict[str, Any], found: Mapping[int | None, Sequence[Compared]]) -> None:
    """Add what the networks of a training started from, and whether one of them did not train."""
    idle = {network: _idle(compared) for network, compared in found.items()}
    metrics["input_psnr"] = _mean(each.input_psnr for each in next(iter(found.values())))
    metrics["did_not_train"] = any(idle.values())
    for network in idle if "per_sr_seed" in metrics else ():
        metrics["per_sr_seed"][str(network)]["did_not_train"] = idle[network]


def _with_lpips(context: Context, arm: str, tasks: list[Comparison], compared: list[Compared]) -> list[Compared]:
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


def _idle(compared: Sequence[Compared]) -> bool:
    """Whether a network gave back what went in: image by image, since gains and losses may cancel out in a mean."""
    known = [(each.psnr, each.input_psnr) for each in compared]
    apart = [abs(made - before) for made, before in known if made is not None and before is not None]
    return bool(apart) and float(np.mean(apart)) < AS_ITS_INPUT


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

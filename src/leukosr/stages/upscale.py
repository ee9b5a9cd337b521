"""Make the images of one arm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console

from leukosr.config import Params, UpscaleLearned, UpscalePlain
from leukosr.data.hr import read_hr
from leukosr.data.manifest import Row, arm_rows, read_manifest
from leukosr.engine.processes import ALONE, Processes, shared_folder
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import write_json
from leukosr.images.reading import read_rgb, write_png
from leukosr.images.resampling import resize
from leukosr.layout import BRING_BACK, Layout, image_file, require, require_all, stage_again


def run(
    params: Params, arm: str, console: Console, layout: Layout, out: Path | None = None, processes: Processes = ALONE
) -> None:
    """Write arms/<arm>/<id>.png for every image that a classifier sees or SR is tested on: uint8 RGB, raw at LR size.

    A learned arm also says in metrics.json how its images were computed. Several processes each make the images that
    they own.
    """
    if arm not in params.upscale:
        raise LeukoError(f"upscale: unknown arm '{arm}'; the arms of this study are {', '.join(params.arms)}")
    rows = arm_rows(read_manifest(layout.manifest), params.study)
    target = out or layout.arm(arm)
    own = [row for row in rows if processes.owns(row.id)]
    settings = params.upscale[arm]
    if isinstance(settings, UpscaleLearned):
        settings = _with_precision(params, settings, processes)
    with shared_folder(target, processes) as folder:
        images = track(_images(params, arm, settings, own, layout), len(own), f"upscale {arm}")
        for row, image in zip(own, images, strict=True):
            write_png(image_file(folder, row.id), image)
        if isinstance(settings, UpscaleLearned) and processes.first:
            write_json(folder / "metrics.json", {"n": len(rows), "precision": settings.precision})
    if processes.first:
        how = f" in {settings.precision}" if isinstance(settings, UpscaleLearned) else ""
        console.print(f"upscale {arm}: {len(rows)} images{how} -> {target}")


def _with_precision(params: Params, settings: UpscaleLearned, processes: Processes) -> UpscaleLearned:
    from leukosr.engine.device import choose_device
    from leukosr.engine.precision import with_precision

    return with_precision(settings, choose_device(params.runtime.device), processes)


def _images(
    params: Params, arm: str, settings: UpscalePlain | UpscaleLearned, rows: list[Row], layout: Layout
) -> Iterator[np.ndarray]:
    image = params.image
    size = (image.height, image.width)
    if arm == "ground_truth":
        for original in require_all([Path(params.prepare.root) / row.path for row in rows], BRING_BACK):
            yield read_hr(original, image)
        return
    files = [image_file(require(layout.lr, "degrade"), row.id) for row in rows]
    lr = (read_rgb(file) for file in require_all(files, stage_again("degrade")))
    if isinstance(settings, UpscaleLearned):
        yield from _learned(params, arm, settings, lr, layout)
    elif arm == "bicubic":
        yield from (resize(content, size, image.kernel) for content in lr)
    else:
        yield from lr


def _learned(
    params: Params, arm: str, settings: UpscaleLearned, lr: Iterator[np.ndarray], layout: Layout
) -> Iterator[np.ndarray]:
    from leukosr.engine.device import choose_device, place
    from leukosr.superres.upscaler import upscale_images
    from leukosr.superres.weights import load_generator

    weights = require(layout.sr(arm) / f"{settings.weights}.safetensors", f"train_sr@{arm}")
    device = choose_device(params.runtime.device)
    loaded = load_generator(weights, device)
    if loaded.method != arm or loaded.scale != params.image.scale:
        raise LeukoError(
            f"{weights} holds {loaded.method} x{loaded.scale}, expected {arm} x{params.image.scale}: "
            f"run `dvc repro train_sr@{arm}`"
        )
    model = place(loaded.model, device, settings.channels_last)
    return upscale_images(
        model, lr, loaded.scale, settings, device,
        batch=settings.batch, tile=settings.tile, overlap=settings.overlap,
    )  # fmt: skip

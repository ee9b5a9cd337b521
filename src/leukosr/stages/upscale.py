"""Make the images of one arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from leukosr.config import Arm, ByFile, ByTraining, Filtered, Generated, Jpeg, Params, Resampled
from leukosr.data.manifest import Row, arm_rows, read_manifest
from leukosr.engine.processes import ALONE, Processes, shared_folder
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import write_json
from leukosr.images.filters import FILTERS
from leukosr.images.reading import read_hr, read_rgb_of, write_jpeg, write_png
from leukosr.images.resampling import brought_to, resize
from leukosr.layout import BRING_BACK, Layout, image_file, new_image_file, require, require_all, stage_again


def run(
    params: Params, arm: str, console: Console, layout: Layout, out: Path | None = None, processes: Processes = ALONE
) -> None:
    """Write arms/<arm>/<id>.png, or .jpg, for every image that a classifier sees or SR is tested on: uint8 RGB.

    An arm that a network makes also says in metrics.json how it was computed. Several processes each make the images
    that they own.
    """
    if arm not in params.upscale:
        raise LeukoError(f"upscale: unknown arm '{arm}'; the arms of this study are {', '.join(params.arms)}")
    rows = arm_rows(read_manifest(layout.manifest), params.study)
    target = out or layout.arm(arm)
    own = [row for row in rows if processes.owns(row.id)]
    settings: Arm = params.upscale[arm]
    if isinstance(settings, Generated):
        settings = _with_precision(params, settings, processes)
    with shared_folder(target, processes) as folder:
        images = track(_images(params, arm, settings, own, layout), len(own), f"upscale {arm}")
        for row, image in zip(own, images, strict=True):
            _write(folder, row.id, image, settings)
        if isinstance(settings, Generated) and processes.first:
            write_json(folder / "metrics.json", {"n": len(rows), "precision": settings.precision})
    if processes.first:
        how = f" in {settings.precision}" if isinstance(settings, Generated) else ""
        console.print(f"upscale {arm}: {len(rows)} images{how} -> {target}")


def _with_precision(params: Params, settings: Generated, processes: Processes) -> Generated:
    from leukosr.engine.device import choose_device
    from leukosr.engine.precision import resolve_precision

    return resolve_precision(settings, choose_device(params.runtime.device), processes)


def _write(folder: Path, image_id: str, image: np.ndarray, settings: Arm) -> None:
    if isinstance(settings.file, Jpeg):
        write_jpeg(new_image_file(folder, image_id, ".jpg"), image, settings.file.jpeg)
    else:
        write_png(new_image_file(folder, image_id), image)


def _images(params: Params, arm: str, settings: Arm, rows: list[Row], layout: Layout) -> Iterator[np.ndarray]:
    given, size = _given(params, settings, rows, layout), settings.shape(params.image)
    if isinstance(settings, Generated):
        made = _generated(params, arm, settings, given, layout)
    elif isinstance(settings, Resampled):
        made = (resize(image, size, settings.kernel) for image in given)
    elif isinstance(settings, Filtered):
        made = (FILTERS[settings.filter](image, **settings.arguments) for image in given)
    else:
        made = given
    yield from (brought_to(image, size, params.image.kernel) for image in made)


def _given(params: Params, settings: Arm, rows: list[Row], layout: Layout) -> Iterator[np.ndarray]:
    """The images that the arm is made from."""
    if settings.made_from == "original":
        for original in require_all([Path(params.prepare.root) / row.path for row in rows], BRING_BACK):
            yield read_hr(original, params.image)
        return
    again = stage_again("degrade")
    for file in require_all([image_file(require(layout.lr, "degrade"), row.id) for row in rows], again):
        yield read_rgb_of(file, settings.given_shape(params.image), again)


def _generated(
    params: Params, arm: str, settings: Generated, given: Iterator[np.ndarray], layout: Layout
) -> Iterator[np.ndarray]:
    from leukosr.engine.device import choose_device, place
    from leukosr.superres.upscaler import upscale_images
    from leukosr.superres.weights import load_generator

    wanted = _wanted(params, arm, settings, layout)
    device = choose_device(params.runtime.device)
    loaded = load_generator(wanted.weights, device)
    wanted.check(loaded.architecture, loaded.scale)
    model = place(loaded.model, device, settings.channels_last)
    return upscale_images(
        model, given, loaded.scale, settings, device,
        batch=settings.batch, tile=settings.tile, overlap=settings.overlap,
    )  # fmt: skip


@dataclass(frozen=True)
class _Wanted:
    """A weight file and what it must hold; None is anything."""

    weights: Path
    network: str | None
    scale: int | None
    remedy: str

    def check(self, network: str, scale: int) -> None:
        """Refuse weights of another network or scale."""
        if self.network in (None, network) and self.scale in (None, scale):
            return
        expected = " ".join([*([self.network] if self.network else []), *([f"x{self.scale}"] if self.scale else [])])
        raise LeukoError(f"{self.weights} holds {network} x{scale}, expected {expected}: {self.remedy}")


def _wanted(params: Params, arm: str, settings: Generated, layout: Layout) -> _Wanted:
    if isinstance(settings, ByTraining):
        stage = f"train_sr@{settings.training}"
        weights = require(layout.sr(settings.training) / f"{settings.weights}.safetensors", stage)
        architecture = params.train_sr[settings.training].architecture
        return _Wanted(weights, architecture, params.image.scale, f"run `dvc repro {stage}`")
    assert isinstance(settings, ByFile)
    remedy = f"correct upscale.{arm}.network and upscale.{arm}.scale, or name other weights in upscale.{arm}.reads"
    return _Wanted(Path(settings.reads), settings.network, settings.scale, remedy)

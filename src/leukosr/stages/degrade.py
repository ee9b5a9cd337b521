"""Make the low-resolution images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2

from leukosr.config import Image, Jpeg, Params
from leukosr.data.manifest import Row, read_manifest, used_rows
from leukosr.degradation import DEGRADATIONS, image_rng
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.processes import shared_folder
from leukosr.engine.progress import track
from leukosr.engine.seeding import stream_seed
from leukosr.images.reading import read_hr, read_rgb, read_to_degrade
from leukosr.layout import RESTORE, image_file, require_all
from leukosr.stages.context import Context
from leukosr.stages.image_files import write_image

SHOWN = 6


@dataclass(frozen=True)
class _Task:
    """One image to degrade; picklable, so that any worker can do it."""

    source: Path
    folder: Path
    file: Literal["png"] | Jpeg
    image_id: str
    image: Image
    method: str
    settings: Any
    seed: int


def run(context: Context) -> None:
    """Write lr/<id>.png, or .jpg, for every image with a role in training or testing, and a sample grid.

    Several processes each make the images that they own.
    """
    params, processes = context.params, context.processes
    out = context.out or context.layout.root
    rows = used_rows(read_manifest(context.layout.manifest), params.study)
    require_all([Path(params.prepare.root) / row.path for row in rows if processes.owns(row.id)], RESTORE)
    settings = degradation_settings(params)
    workers = count_workers(params.runtime.workers)
    with shared_folder(out / "lr", processes) as folder:
        tasks = [_task(row, params, settings, folder) for row in rows if processes.owns(row.id)]
        for _ in track(ordered_map(_degrade, tasks, workers), len(tasks), "degrading"):
            pass
    if not processes.first:
        return
    _draw_grid(rows, params, out)
    if small := sum(params.image.enlarges(row.height, row.width) for row in rows):
        context.console.print(
            f"degrade: {small} of {len(rows)} images are smaller than the HR size of {params.image.height}x"
            f"{params.image.width} and are enlarged to it first, which adds no detail"
        )
    height, width = params.image.lr_size
    words = {name: value for name, value in params.degrade if isinstance(value, str)}  # kinds, as of noise
    how = ", ".join([words.pop("method"), *(f"{name} {words[name]}" for name in words if name != "file")])
    context.console.print(f"degrade: {len(rows)} images of {height}x{width} ({how}) -> {out / 'lr'}")


def degradation_settings(params: Params) -> Any:
    """The degradation's own settings object from params.degrade and params.image."""
    of_image = {name: getattr(params.image, name) for name in params.degrade.of_image}
    return params.degrade.build(**of_image)


def _task(row: Row, params: Params, settings: Any, folder: Path) -> _Task:
    return _Task(
        source=Path(params.prepare.root) / row.path,
        folder=folder,
        file=params.degrade.file,
        image_id=row.id,
        image=params.image,
        method=params.degrade.method,
        settings=settings,
        seed=stream_seed(params.study.seed, "degrade"),
    )


def _degrade(task: _Task) -> None:
    cv2.setNumThreads(1)  # the workers are the parallelism
    hr = read_to_degrade(task.source, task.image)
    degradation = DEGRADATIONS[task.method](task.settings)
    write_image(task.folder, task.image_id, degradation(hr, image_rng(task.seed, task.image_id)), task.file)


def _draw_grid(rows: list[Row], params: Params, out: Path) -> None:
    """HR and LR of the first image of each class."""
    from leukosr.report.grids import degradation_grid  # here, as every worker imports this module
    from leukosr.report.style import budget_note

    firsts = list({row.label: row for row in reversed(rows)}.values())[::-1][:SHOWN]
    hr = [read_hr(Path(params.prepare.root) / row.path, params.image) for row in firsts]
    lr = [read_rgb(image_file(out / "lr", row.id)) for row in firsts]
    labels = [row.label for row in firsts]
    degradation_grid(out / "degradation.png", hr, lr, labels, budget_note(params.budget))

"""What a teacher makes of the LR images that a student trains on: made once, kept on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from leukosr.data.pairs import Pairs
from leukosr.engine.device import place
from leukosr.engine.processes import Processes
from leukosr.engine.progress import track
from leukosr.engine.resume import Resume, work_digest
from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.images.reading import read_rgb, write_png
from leukosr.images.store import ImageStore
from leukosr.superres.networks import Generator
from leukosr.superres.upscaler import Computing, upscale_images
from leukosr.superres.weights import load_generator

BATCH = 16  # images that the teacher enlarges together


def taught(
    train: Pairs,
    weights: Path,
    how: Computing,
    cache: Path,
    device: torch.device,
    processes: Processes,
    *,
    beside: bool,
    only_class: str | None,
) -> ImageStore[int]:
    """The teacher's image of each LR image of `train`, uint8 H x W x 3; `beside`: the original as channels 3 to 5.

    only_class: the one class that the student trains on; None where there are several.
    Files below `cache` keep them, by the teacher, the number format and the LR image, so a cut training and other
    students of the same teacher find them there. Raises LeukoError for a teacher of another scale, for one that was
    trained on one class alone, which is not the student's, and where LR images are drawn afresh for every sample: each
    would need the teacher again.
    """
    if train.degrade is not None:
        raise LeukoError("a teacher enlarges each LR image once: set degrade.on_the_fly to false to distil")
    teacher = _teacher(weights, train.scale, only_class, device)
    work = ["teacher", how.precision, device.type]
    folder = Resume(work_digest(work, [weights]), float("inf"), cache).folder
    files = [folder / f"{_digest(train.lr[i])}.png" for i in range(len(train))]
    everything = range(len(files))
    for own in (everything[processes.share(len(files))], everything):  # the second time what is left on another disk
        if missing := [i for i in own if not files[i].exists()]:
            model = place(teacher, device, how.channels_last)
            made = upscale_images(model, (train.lr[i] for i in missing), train.scale, how, device, batch=BATCH)
            shown = track(made, len(missing), f"teacher {weights.stem}")
            for index, image in zip(missing, shown, strict=True):
                with new_file(files[index]) as temporary:
                    write_png(temporary, image)
        processes.wait()

    def read(index: int) -> np.ndarray:
        image = read_rgb(files[index])
        return np.concatenate((image, train.hr[index]), axis=2) if beside else image

    return ImageStore(everything, read)


def _digest(image: np.ndarray) -> str:
    return hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()[:32]


def _teacher(weights: Path, scale: int, only_class: str | None, device: torch.device) -> Generator:
    loaded = load_generator(weights, device)
    if loaded.scale != scale:
        raise LeukoError(f"{weights}, the teacher, enlarges by {loaded.scale}, the study by {scale}: choose another")
    if loaded.only_class and loaded.only_class != only_class:
        raise LeukoError(
            f"{weights}, the teacher, was trained on the class {loaded.only_class} alone, so that its images tell the "
            f"label: choose one of all classes, or set class to {loaded.only_class} in the student's training, too"
        )
    return loaded.model

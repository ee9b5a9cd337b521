"""What the benchmarks of both GAN trainings share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from benchmarks.counting import count_work
from benchmarks.images import image_set, read_resized
from benchmarks.measure import Comparison, Work, compare_within
from leukosr.config import TrainSR
from leukosr.data.pairs import Pairs, PatchSampler
from leukosr.engine.resume import Resume
from leukosr.images.reading import read_rgb
from leukosr.images.store import ImageStore
from leukosr.superres.trainer import SRTraining

SCALE, IMAGES, WARM_UP = 4, 16, 2


class PlainStep(Protocol):
    """One step of a reference loop on contiguous float batches."""

    def __call__(self, lr: Tensor, hr: Tensor) -> dict[str, float]:
        """Train on one batch; its losses."""
        ...


def gan_settings(settings: TrainSR, iterations: int) -> TrainSR:
    """The same training with its GAN stage alone, never validated before its end."""
    stage = settings.stages[-1].model_copy(update={"iterations": iterations})
    return settings.model_copy(update={"stages": [stage], "validate_every": iterations + 1})


def start(method: str, settings: TrainSR, pairs: Pairs, device: torch.device) -> SRTraining:
    """Our training, without validation images."""
    nothing: ImageStore[Path] = ImageStore([], read_rgb)
    return SRTraining(method, settings, pairs, Pairs(nothing, nothing, SCALE), ssim_window=3, seed=0, device=device)


def batch_of(pairs: Pairs, settings: TrainSR, method: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """The first batch of our training, as a plain loop would have it: float, contiguous, on the device."""
    lr, hr = PatchSampler(pairs, settings.patch, settings.batch, settings.flips, 0, method)(0)
    made = [torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2).contiguous().float() / 255 for x in (lr, hr)]
    return made[0].to(device), made[1].to(device)


def read_pairs(folder: Path, count: int = IMAGES) -> Pairs:
    """Images in memory and the same at a quarter of the sides."""
    files = image_set(folder, count)
    hr = [read_rgb(file) for file in files]
    lr = read_resized(files, (hr[0].shape[0] // SCALE, hr[0].shape[1] // SCALE))
    return Pairs(ImageStore(range(count), lr.__getitem__), ImageStore(range(count), hr.__getitem__), SCALE)


def compare_steps(
    method: str, settings: TrainSR, build: Callable[[SRTraining], PlainStep], rounds: int, device: torch.device
) -> tuple[Comparison, Work]:
    """Our GAN steps in turns with those that `build` makes from the same initial networks; the work of one of ours.

    The reference is given one batch that is ready, so it never waits for its input.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pairs = read_pairs(folder / "set")
        training = start(method, gan_settings(settings, WARM_UP + rounds), pairs, device)
        reference = build(training)
        lr, hr = batch_of(pairs, settings, method, device)

        def train(report: Callable[..., None]) -> None:
            training.run(Resume("none", float("inf"), folder), report)

        found = compare_within(train, lambda: reference(lr, hr), warm_up=WARM_UP)
        once = start(method, gan_settings(settings, 1), pairs, device)
        work = count_work(lambda: once.run(Resume("none", float("inf"), folder), lambda *_: None), settings.precision)
    return found, work

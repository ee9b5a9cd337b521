"""One training of SR as something to do again and again, with other seeds and learning rates."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from leukosr.data.pairs import Pairs
from leukosr.engine.device import choose_device
from leukosr.engine.resume import Resume
from leukosr.engine.seeding import StreamRoots
from leukosr.engine.settings import Runtime
from leukosr.errors import LeukoError
from leukosr.evaluate.settings import Quality
from leukosr.superres.methods.method import TrainSR
from leukosr.superres.trainer import SRTraining


class SRSubject:
    """The images are decoded once, whatever the number of trainings. All scores are those of validation images."""

    def __init__(
        self, name: str, settings: TrainSR, train: Pairs, val: Pairs, *, quality: Quality, runtime: Runtime
    ) -> None:
        self.name, self.settings, self.train, self.val = name, settings, train, val
        self.quality, self.runtime = quality, runtime
        self.device = choose_device(runtime.device)
        self._folder = tempfile.TemporaryDirectory()  # a trial that is cut begins anew, a teacher's images serve all

    def measure(self, learning_rate: float, roots: StreamRoots) -> dict[str, float]:
        """Train to the end; PSNR (dB) and SSIM of the last validation."""
        settings = at_learning_rate(self.settings, learning_rate)
        training = SRTraining(
            self.name,
            settings,
            self.train,
            self.val,
            ssim_window=self.quality.ssim_window,
            channels=self.quality.channels,
            seed=roots,
            device=self.device,
            compiling=self.runtime.compile,
        )
        training.run(Resume("trial", float("inf"), Path(self._folder.name)), lambda *_: None)
        last = training.progress.history[-1]
        if last["val_psnr"] is None:
            raise LeukoError(
                f"train_sr.{self.name}: its output equals the original in all {len(self.val)} validation images, so "
                "PSNR cannot rank learning rates: validate on images with structure"
            )
        return {"psnr": float(last["val_psnr"]), "ssim": float(last["val_ssim"])}

    def tune(self, drawn: Mapping[str, float], roots: StreamRoots) -> dict[str, float]:
        """As `measure`: these scores are validation scores anyway."""
        return self.measure(drawn["learning_rate"], roots)


def at_learning_rate(settings: TrainSR, rate: float) -> TrainSR:
    """The settings with `rate` in the first stage, and the other stages' in the same proportion to it."""
    factor = rate / settings.stages[0].learning_rate
    stages = [s.model_copy(update={"learning_rate": min(1.0, s.learning_rate * factor)}) for s in settings.stages]
    return settings.model_copy(update={"stages": stages})

"""The training loop of every method: aligned LR/HR patches, one or several stages, with or without a discriminator."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from leukosr.data.pairs import Pairs, PatchSampler
from leukosr.engine.averaging import average_of
from leukosr.engine.batch_norm import check_synchronised
from leukosr.engine.device import Compiling, compiled, place, to_batch
from leukosr.engine.prefetch import prefetched
from leukosr.engine.processes import ALONE, Processes
from leukosr.engine.resume import Resume, cleared_if_diverged
from leukosr.engine.seeding import Root, stream_seed
from leukosr.engine.weights import finite
from leukosr.errors import Diverged, LeukoError
from leukosr.evaluate.image_quality import compare_images
from leukosr.superres.methods.method import TrainSR, TrainStage
from leukosr.superres.networks import Generator
from leukosr.superres.progress import Progress
from leukosr.superres.step import Networks, Step
from leukosr.superres.upscaler import upscale_batch
from leukosr.superres.weights import init_from


class SRTraining:
    """One training: networks, optimisers, progress; `run` trains to the end.

    The same settings, data, seed and machine give the same weights, even when it is cut and resumed.
    """

    def __init__(
        self,
        name: str,
        settings: TrainSR,
        train: Pairs,
        val: Pairs,
        *,
        ssim_window: int,
        channels: Literal["rgb", "luminance"] = "rgb",
        seed: Root,
        device: torch.device,
        compiling: Compiling = "never",
        processes: Processes = ALONE,
    ) -> None:
        """Build everything; `name` keys the random streams, validation scores `channels`."""
        processes.check_batch(f"train_sr.{name}.batch", settings.batch)
        if not len(train):
            raise LeukoError(f"train_sr.{name}: no image has the role sr_train: raise prepare.per_class.sr_train")
        self.name, self.settings, self.train, self.val = name, settings, train, val
        self.ssim_window, self.seed, self.device, self.processes = ssim_window, seed, device, processes
        self.channels: Literal["rgb", "luminance"] = channels
        self.compiling: Compiling = compiling
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(seed, "sr_init", name))
            self.generator: Generator = settings.build_generator(train.scale)
            self.discriminator = settings.build_discriminator()
        if settings.start_file is not None:
            init_from(self.generator, settings.start_file)
        for network in (self.generator, self.discriminator):
            if network is not None:
                place(processes.synchronised(network), device, settings.channels_last)
                if processes.count > 1:
                    check_synchronised(network, f"train_sr.{name}", "set runtime.devices to 1")
        self.networks = Networks(self.generator, self.discriminator)
        self.averaged = self._average()
        self.progress = Progress()
        self.stage = settings.stages[0]
        self._enter(self.stage)

    @property
    def iterations(self) -> int:
        """Iterations of all stages together."""
        return sum(stage.iterations for stage in self.settings.stages)

    @property
    def patch(self) -> int | None:
        """Side of the HR patches: that of the settings, or the largest that fits into the first image; None: whole."""
        if self.settings.patch is None:
            return None
        scale = self.train.scale
        return min(self.settings.patch, *(side * scale for side in self.train.lr[0].shape[:2]))

    @property
    def result(self) -> Generator:
        """The network that is judged and kept: the moving average where there is one."""
        return cast(Generator, self.averaged.module) if self.averaged is not None else self.generator

    def run(self, resume: Resume, report: Callable[[int, dict[str, Any] | None], None]) -> None:
        """Train to the end. `report(iteration, row)` hears of every iteration; `row` after a validation.

        Continues from `resume` where that has a state: `report` then first hears of the validations before the cut.
        Raises Diverged where loss, weights or output are not finite; `resume` is then empty.
        """
        with cleared_if_diverged([resume]):
            self._run(resume, report)

    def _run(self, resume: Resume, report: Callable[[int, dict[str, Any] | None], None]) -> None:
        self._restore(self.processes.from_first(resume.load("sr") if self.processes.first else None))
        for known in self.progress.history:
            report(known["iteration"], known)
        self.networks.generate = self._fast(self.generator)
        self.networks.discriminate = self._fast(self.discriminator) if self.discriminator is not None else None
        targets = self.settings.targets(self.train, resume.root, self.device, self.processes)
        pairs = replace(self.train, hr=targets)
        sampler = PatchSampler(pairs, self.patch, self.settings.batch, self.settings.flips, self.seed, self.name)
        started = time.perf_counter() - self.progress.seconds
        for lr, hr in prefetched(sampler, range(self.progress.iteration, self.iterations)):
            self._change_stage()
            losses = self._step(self._batch(lr), self._batch(hr))
            self.progress.iteration += 1
            self.progress.seconds = time.perf_counter() - started
            for name, value in losses.items():
                self.progress.losses.setdefault(name, []).append(value)
            row = None
            if self.progress.iteration % self.settings.validate_every == 0 or self._stage_ends():
                if not finite(self.result):  # the last step's weights are in no loss
                    raise self._diverged("weights are", self.progress.iteration)
                if self.processes.first:
                    row = self._validate({name: float(np.mean(v)) for name, v in self.progress.losses.items()})
                self.progress.losses.clear()
            if self.processes.first and resume.due():
                resume.save("sr", self._state())
            report(self.progress.iteration, row)

    def keep(self, resume: Resume) -> None:
        """Save what was trained, so that a resumed attempt does not train it again."""
        if self.processes.first:
            resume.save("sr", self._state())

    def _fast(self, network: nn.Module) -> nn.Module:
        return compiled(self.processes.parallel(network), self.device, self.compiling, self.iterations)

    def _batch(self, images: np.ndarray) -> Tensor:
        own = images[self.processes.share(len(images))]
        return to_batch(np.ascontiguousarray(own), self.device, self.settings.channels_last)

    def _average(self) -> AveragedModel | None:
        if not self.settings.ema:
            return None
        return average_of(self.generator, self.settings.ema)

    def _enter(self, stage: TrainStage) -> None:
        """Start a stage: its objective and new optimisers."""
        self.stage = stage
        self.step = Step(
            self.networks,
            self.settings,
            stage,
            seed=stream_seed(self.seed, "sr_init", "vgg"),
            device=self.device,
            processes=self.processes,
        )

    def _stage_start(self) -> int:
        before = self.settings.stages[: self.settings.stages.index(self.stage)]
        return sum(stage.iterations for stage in before)

    def _stage_ends(self) -> bool:
        return self.progress.iteration == self._stage_start() + self.stage.iterations

    def _change_stage(self) -> None:
        """At the end of a stage continue with the next one, from the averaged weights, as published."""
        if not self._stage_ends():
            return
        self.generator.load_state_dict(self.result.state_dict())
        self.averaged = self._average()
        self._enter(self.settings.stages[self.settings.stages.index(self.stage) + 1])

    def _step(self, lr: Tensor, hr: Tensor) -> dict[str, float]:
        done = self.progress.iteration
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):  # for dropout
            torch.manual_seed(stream_seed(self.seed, "order", "dropout", self.name, done, self.processes.rank))
            losses = self.step(lr, hr, self.stage.rate_at(done - self._stage_start()))
        if not np.isfinite(losses["loss_generator"]):
            raise self._diverged("the loss is", done + 1)
        if self.averaged is not None:
            self.averaged.update_parameters(self.generator)
        return losses

    def _diverged(self, what: str, iteration: int) -> Diverged:
        other = "" if self.settings.precision == "fp32" else ", or set precision to fp32"
        return Diverged(
            f"train_sr.{self.name}: {what} not finite at iteration {iteration}: lower the learning rate of its "
            f"stage{other}"
        )

    def _validate(self, losses: Mapping[str, float]) -> dict[str, Any]:
        made = (self.upscaled(number) for number in range(len(self.val)))
        quality = [
            compare_images(image, hr, self.ssim_window, self.channels)
            for image, hr in zip(made, _all(self.val.hr), strict=True)
        ]
        known = [q.psnr for q in quality if q.psnr is not None]  # undefined of an image that equals its original
        row = {
            "iteration": self.progress.iteration,
            "stage": self.stage.name,
            "learning_rate": self.step.optimizers["generator"].param_groups[0]["lr"],
            **losses,
            "val_psnr": float(np.mean(known)) if known else None,
            "val_ssim": float(np.mean([q.ssim for q in quality])) if quality else None,
            "seconds": round(self.progress.seconds, 3),
        }
        self.progress.validated(row, self.result)
        return row

    def upscaled(self, number: int) -> np.ndarray:
        """What the network that is kept makes of a validation image."""
        masks = None if self.val.masks is None else [self.val.masks[number]]
        return upscale_batch(self.result, [self.val.lr[number]], self.settings, self.device, masks)[0]

    def _state(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict() if self.discriminator is not None else None,
            "averaged": self.averaged.state_dict() if self.averaged is not None else None,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.step.optimizers.items()},
            "stage": self.settings.stages.index(self.stage),
            "progress": vars(self.progress),
        }

    def _restore(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        self._enter(self.settings.stages[state["stage"]])
        self.generator.load_state_dict(state["generator"])
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["discriminator"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        for name, optimizer in self.step.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.progress = Progress(**state["progress"])


def _all(images: Any) -> list[np.ndarray]:
    return [images[i] for i in range(len(images))]

"""One iteration of an SR training: the steps of the generator and of the discriminator, in their objective's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from leukosr.engine.device import autocast
from leukosr.engine.processes import Processes
from leukosr.superres.edge import seen_and_target
from leukosr.superres.methods.method import TrainSR, TrainStage
from leukosr.superres.networks import Generator
from leukosr.superres.optimizers import descend, optimizer_of


@dataclass
class Networks:
    """The networks of a training.

    generate, discriminate: the same, compiled or over several processes, whose backward passes reach the weights; the
    discriminator in the generator's step is called as it is.
    """

    generator: Generator
    discriminator: nn.Module | None
    generate: nn.Module = field(init=False)
    discriminate: nn.Module | None = field(init=False)

    def __post_init__(self) -> None:
        """As they are, until a training begins."""
        self.generate, self.discriminate = self.generator, self.discriminator


class Step:
    """What an iteration of one stage does: the stage's objective, and optimisers that start with it."""

    def __init__(
        self,
        networks: Networks,
        settings: TrainSR,
        stage: TrainStage,
        *,
        seed: int,
        device: torch.device,
        processes: Processes,
    ) -> None:
        """Build objective and optimisers; `seed` draws networks that only measure."""
        self.networks, self.settings, self.stage = networks, settings, stage
        self.device, self.processes = device, processes
        self.objective = settings.objective(stage, seed, device)
        trained = {"generator": networks.generator, "discriminator": networks.discriminator}
        self.optimizers = {
            name: optimizer_of(network, stage) for name, network in trained.items() if network is not None
        }

    def __call__(self, lr: Tensor, hr: Tensor, rate: float) -> dict[str, float]:
        """Train on a batch at a learning rate; the losses by name, means over all processes."""
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        generator = self.networks.generator.train()
        seen, target = seen_and_target(generator, lr, hr, self.settings.needs_masks)
        losses = self._discriminator_turns(seen, target)
        with autocast(self.device, self.settings.precision):
            generated = self.networks.generate(*seen)
        generated = generated.float()
        trained, first = self.objective.trains_discriminator, self.objective.discriminator_first
        if trained and first:
            losses |= self._discriminator_step(target, generated.detach())
        losses |= self._generator_step(generated, target, trained or self.objective.discriminator_turns is not None)
        if trained and not first:
            losses |= self._discriminator_step(target, generated.detach())
        return losses

    def _generator_step(self, generated: Tensor, target: Tensor, adversarial: bool) -> dict[str, float]:
        judge = self.networks.discriminator if adversarial else None
        if judge is not None:
            judge.requires_grad_(False).train(self.objective.judges_in_training)
        with autocast(self.device, self.settings.precision):
            scores = self.objective.scores(judge, generated, target) if judge is not None else None
            parts = self.objective.generator(generated, target, scores)
            total = torch.stack(list(parts.values())).sum()
        self._descend("generator", total)
        if judge is not None:
            judge.requires_grad_(True).train()
        values = {f"loss_{name}": float(part.detach()) for name, part in {"generator": total, **parts}.items()}
        return self.processes.mean(values)

    def _discriminator_step(self, target: Tensor, generated: Tensor) -> dict[str, float]:
        assert self.networks.discriminate is not None
        if self.objective.teach is not None:
            with autocast(self.device, self.settings.precision):
                loss = self.objective.teach(self.networks.discriminate, target, generated)
        else:
            assert self.objective.discriminator is not None
            with autocast(self.device, self.settings.precision):
                real, fake = self.networks.discriminate(target), self.networks.discriminate(generated)
            loss = self.objective.discriminator(real.float(), fake.float())
        self._descend("discriminator", loss)
        return self.processes.mean({"loss_discriminator": float(loss.detach())})

    def _discriminator_turns(self, seen: Sequence[Tensor], target: Tensor) -> dict[str, float]:
        """A step on generated images and one on real ones, where the objective asks for these turns."""
        if self.objective.discriminator_turns is None:
            return {}
        assert self.networks.discriminate is not None
        with torch.no_grad(), autocast(self.device, self.settings.precision):
            generated = self.networks.generator.eval()(*seen).float()
        self.networks.generator.train()
        total = 0.0
        for images, loss_of in zip((generated, target), self.objective.discriminator_turns, strict=True):
            with autocast(self.device, self.settings.precision):
                scores = self.networks.discriminate(images)
            loss = loss_of(scores.float())
            self._descend("discriminator", loss)
            total += float(loss.detach())
        return self.processes.mean({"loss_discriminator": total})

    def _descend(self, network: str, loss: Tensor) -> None:
        descend(self.optimizers[network], loss, self.stage.clip)

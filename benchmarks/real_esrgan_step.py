"""A training step of Real-ESRGAN's GAN stage at the published widths."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.images import published_params
from benchmarks.measure import Options, Row
from benchmarks.second_order import dense_sharpen
from benchmarks.stepping import compare_steps
from leukosr.engine.device import choose_device
from leukosr.superres.methods.real_esrgan import LAYERS, RealESRGAN
from leukosr.superres.trainer import SRTraining
from leukosr.superres.vgg import VGGFeatures

PATCH, BATCH, GOAL = 128, 4, 4
EMA = 0.999


def run(options: Options) -> list[Row]:
    """One row: seconds a step."""
    overrides = [f"train_sr.real_esrgan.patch={PATCH}", f"train_sr.real_esrgan.batch={BATCH}"]
    settings = published_params(*overrides).train_sr["real_esrgan"]
    found, work = compare_steps("real_esrgan", settings, PlainRealESRGAN, options.rounds, choose_device("auto"))
    name = f"Real-ESRGAN GAN training step, patch {PATCH}, batch {BATCH}"
    row = found.row("real_esrgan_step", name, "s", f"ratio >= {GOAL}", note=settings.precision, work=work)
    return [row]


class PlainRealESRGAN:
    """The published loop: dense sharpening, generator step, then two backward passes of the discriminator."""

    def __init__(self, training: SRTraining) -> None:
        """Start from the networks of a training of ours that has not begun."""
        settings, device = training.settings, training.device
        assert isinstance(settings, RealESRGAN) and training.discriminator is not None
        self.generator = settings.build_generator(training.train.scale)
        self.discriminator = settings.build_discriminator()
        self.generator.load_state_dict(training.generator.state_dict())
        self.discriminator.load_state_dict(training.discriminator.state_dict())
        self.generator.to(device).train()
        self.discriminator.to(device).train()
        self.average = copy.deepcopy(self.generator)
        self.vgg = VGGFeatures("vgg19", LAYERS, settings.perceptual_weights).to(device)
        stage = settings.stages[-1]
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=stage.learning_rate, betas=stage.betas)
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=stage.learning_rate, betas=stage.betas)

    def __call__(self, lr: Tensor, hr: Tensor) -> dict[str, float]:
        """Train on one batch; the losses before it."""
        sharp = dense_sharpen(hr)
        self.discriminator.requires_grad_(False)
        self.optimizer_g.zero_grad()
        generated = self.generator(lr)
        logits = self.discriminator(generated)
        loss_g = F.l1_loss(generated, sharp) + self._perceptual(generated, sharp)
        loss_g = loss_g + 0.1 * F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        loss_g.backward()
        self.optimizer_g.step()

        self.discriminator.requires_grad_(True)
        self.optimizer_d.zero_grad()
        real = self.discriminator(hr)
        loss_real = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        loss_real.backward()
        fake = self.discriminator(generated.detach().clone())
        loss_fake = F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        loss_fake.backward()
        self.optimizer_d.step()
        self._update_average()
        return {"generator": loss_g.item(), "discriminator": loss_real.item() + loss_fake.item()}

    def _perceptual(self, generated: Tensor, target: Tensor) -> Tensor:
        reached, goal = self.vgg(generated), self.vgg(target.detach())
        parts = [weight * F.l1_loss(reached[name], goal[name]) for name, weight in LAYERS.items()]
        return torch.stack(parts).sum()

    @torch.no_grad()
    def _update_average(self) -> None:
        for mean, new in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.mul_(EMA).add_(new, alpha=1 - EMA)

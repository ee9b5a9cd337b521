"""A training step of SRGAN at the published widths."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.images import published_params
from benchmarks.measure import Options, Row
from benchmarks.stepping import compare_steps
from leukosr.engine.device import choose_device
from leukosr.superres.methods.srgan import SRGAN
from leukosr.superres.trainer import SRTraining
from leukosr.superres.vgg import VGGFeatures

PATCH, BATCH, GOAL = 128, 8, 5


def run(options: Options) -> list[Row]:
    """One row: seconds a step."""
    settings = published_params(f"train_sr.srgan.patch={PATCH}", f"train_sr.srgan.batch={BATCH}").train_sr["srgan"]
    found, work = compare_steps("srgan", settings, PlainSRGAN, options.rounds, choose_device("auto"))
    name = f"SRGAN training step, patch {PATCH}, batch {BATCH}"
    note = f"{settings.precision}; the published loop runs the networks once more for a printed score"
    return [found.row("srgan_step", name, "s", f"ratio >= {GOAL}", note=note, work=work)]


class PlainSRGAN:
    """The published loop as it stands.

    The discriminator's loss flows back through the generator, whose gradients are then thrown away; generator and
    discriminator run again for the generator's loss, because the discriminator's weights have changed under the
    first graph; and once more, only for the score that is printed.
    """

    def __init__(self, training: SRTraining) -> None:
        """Start from the networks of a training of ours that has not begun."""
        settings, device = training.settings, training.device
        assert isinstance(settings, SRGAN) and training.discriminator is not None
        self.generator = settings.build_generator(training.train.scale)
        self.discriminator = settings.build_discriminator()
        self.generator.load_state_dict(training.generator.state_dict())
        self.discriminator.load_state_dict(training.discriminator.state_dict())
        self.generator.to(device).train()
        self.discriminator.to(device).train()
        self.vgg = VGGFeatures("vgg16", ["pool5"], settings.perceptual_weights, normalise=False).to(device)
        self.optimizer_g = torch.optim.Adam(self.generator.parameters())
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters())

    def __call__(self, lr: Tensor, hr: Tensor) -> dict[str, float]:
        """Train on one batch; its losses."""
        generated = self.generator(lr)
        self.discriminator.zero_grad()
        loss_d = 1 - self.discriminator(hr).mean() + self.discriminator(generated).mean()
        loss_d.backward(retain_graph=True)
        self.optimizer_d.step()

        self.generator.zero_grad()
        generated = self.generator(lr)
        score = self.discriminator(generated).mean()
        loss_g = self._generator_loss(score, generated, hr)
        loss_g.backward()
        generated = self.generator(lr)
        score = self.discriminator(generated).mean()
        self.optimizer_g.step()
        return {"generator": loss_g.item(), "discriminator": loss_d.item(), "score": score.item()}

    def _generator_loss(self, score: Tensor, generated: Tensor, hr: Tensor) -> Tensor:
        perceptual = F.mse_loss(self.vgg(generated)["pool5"], self.vgg(hr)["pool5"])
        vertical = (generated[..., 1:, :] - generated[..., :-1, :]).pow(2).mean()
        horizontal = (generated[..., :, 1:] - generated[..., :, :-1]).pow(2).mean()
        image = F.mse_loss(generated, hr)
        return image + 0.001 * (1 - score) + 0.006 * perceptual + 2e-8 * 2 * (vertical + horizontal)

"""SRGAN as Ferdousi et al. 2024 (001) trained it: VGG19 features and a small adversarial part, one image per step."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from leukosr.superres.methods.method import Objective, TrainGAN, TrainStage, Width
from leukosr.superres.methods.srgan import ResNetSize

if TYPE_CHECKING:
    import torch


class FixedWidth(Width):
    """The size of a discriminator that takes images of one size."""

    side: int = Field(
        ge=32,
        multiple_of=16,
        description="side of the images that the discriminator takes, in pixels; equal to `patch`",
    )


class SRGANKeras(TrainGAN):
    """SRGAN as Ferdousi et al. 2024 (001) trained it."""

    architecture: ClassVar[str] = "srgan_keras"

    method: Literal["srgan_keras"]
    generator: ResNetSize
    discriminator: FixedWidth

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """perceptual: MSE of VGG19's block3_conv4 after its ReLU, 2,325,568 parameters deep; image: MSE of the pixels,
        of weight 0 as published; adversarial: cross-entropy of the generated images' scores against "real".

        Images go into the VGG in [0, 1] without its preprocessing, as in the notebook (cells 21 to 26). Keras' weights
        are made for 0 … 255, torchvision's for standardised images, so these features are larger than the notebook's.
        """
        from torch.nn.functional import mse_loss

        from leukosr.superres.losses import cross_entropy

        against_real, against_generated = partial(cross_entropy, real=True), partial(cross_entropy, real=False)
        generator = self.weighted(
            {
                "image": lambda generated, target, _: mse_loss(generated, target),
                "perceptual": self.perceptual("vgg19", {"relu3_4": 1.0}, mse_loss, seed, device, normalise=False),
                "adversarial": lambda _, __, scores: against_real(scores),
            }
        )
        return Objective(generator, discriminator_turns=(against_generated, against_real))

    @model_validator(mode="after")
    def _patch_fits_the_discriminator(self) -> SRGANKeras:
        if self.patch != self.discriminator.side:
            raise ValueError(
                f"patch = {self.patch}: the discriminator takes images of {self.discriminator.side} pixels a side "
                "alone; set patch and discriminator.side to one number"
            )
        return self

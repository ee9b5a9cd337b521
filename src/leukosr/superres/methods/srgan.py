"""SRGAN as the two case studies trained it: image MSE, adversarial, VGG16 perception and total variation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from leukosr.settings import NonNegative, PositiveInt, Section
from leukosr.superres.methods.method import LossWeights, Objective, TrainGAN, TrainStage

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ResNetSize(Section):
    """The size of SRGAN's generator."""

    features: PositiveInt = Field(description="width of the layers")
    blocks: PositiveInt = Field(description="residual blocks")


class SRGANLosses(LossWeights):
    """With the weight of the total variation."""

    total_variation: NonNegative = Field(description="weight of the total variation")


class SRGAN(TrainGAN):
    """SRGAN (Ledig et al., CVPR 2017) as the case studies trained it."""

    architecture: ClassVar[str] = "srgan"

    method: Literal["srgan"]
    generator: ResNetSize
    losses: SRGANLosses

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: mean squared error; adversarial: mean of 1 - D(G); perceptual: MSE of VGG16 `features[:31]`.

        Images go into the VGG in [0, 1], as in the case studies' code. The discriminator minimises 1 - D(HR) + D(G) and
        steps before the generator, as in their script.
        """
        from torch.nn.functional import mse_loss

        from leukosr.superres.losses import total_variation

        generator = self.weighted(
            {
                "image": lambda generated, target, _: mse_loss(generated, target),
                "adversarial": lambda _, __, scores: (1 - scores).mean(),
                "perceptual": self.perceptual("vgg16", {"pool5": 1.0}, mse_loss, seed, device, normalise=False),
                "total_variation": lambda generated, _, __: total_variation(generated),
            }
        )

        def discriminator(real: Tensor, generated: Tensor) -> Tensor:
            return 1 - real.mean() + generated.mean()

        return Objective(generator, discriminator, discriminator_first=True)

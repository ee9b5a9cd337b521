"""SRGAN as the two case studies trained it: image MSE, adversarial, VGG16 perception and total variation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from leukosr.settings import NonNegative, PositiveInt, Section
from leukosr.superres.methods.method import LossWeights, Objective, TrainGAN, TrainStage

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ResNetSize(Section):
    """The size of SRGAN's generator."""

    features: PositiveInt
    blocks: PositiveInt


class SRGANLosses(LossWeights):
    """With the weight of the total variation."""

    total_variation: NonNegative


class SRGAN(TrainGAN):
    """Settings and objective."""

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

        from leukosr.superres.losses import perceptual_distance, total_variation

        weights = self.losses
        distance = perceptual_distance(
            "vgg16", {"pool5": 1.0}, mse_loss, self.perceptual_weights, seed, device, normalise=False
        ) if weights.perceptual else None  # fmt: skip

        def generator(generated: Tensor, target: Tensor, scores: Tensor) -> dict[str, Tensor]:
            parts = {}
            if weights.image:
                parts["image"] = weights.image * mse_loss(generated, target)
            if weights.adversarial:
                parts["adversarial"] = weights.adversarial * (1 - scores).mean()
            if distance is not None:
                parts["perceptual"] = weights.perceptual * distance(generated, target)
            if weights.total_variation:
                parts["total_variation"] = weights.total_variation * total_variation(generated)
            return parts

        def discriminator(real: Tensor, generated: Tensor) -> Tensor:
            return 1 - real.mean() + generated.mean()

        return Objective(generator, discriminator, discriminator_first=True)

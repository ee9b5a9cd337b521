"""SRGAN (Ledig et al., CVPR 2017) and SFTGAN (Wang et al., CVPR 2018) on luminance: pixels, VGG19, discriminator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from leukosr.settings import PositiveInt
from leukosr.superres.methods.method import Objective, TrainGAN, TrainStage
from leukosr.superres.methods.srgan import ResNetSize

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from leukosr.superres.networks import Generator


class VGGGAN(TrainGAN):
    """The objective that both have."""

    layer: ClassVar[str] = "conv5_4"

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: mean squared error; perceptual: that of a layer of VGG19; adversarial: mean of -log D(G).

        The discriminator minimises -log D(HR) - log(1 - D(G)) and steps after the generator. Neither paper's last stage
        has the error of pixels; their networks start from one that was trained by it. D is the sigmoid of what the
        discriminator gives, so that a score far from the truth keeps its gradient.
        """
        from torch.nn.functional import mse_loss

        from leukosr.superres.losses import cross_entropy

        generator = self.weighted(
            {
                "image": lambda generated, target, _: mse_loss(generated, target),
                "perceptual": self.perceptual("vgg19", {self.layer: 1.0}, mse_loss, seed, device),
                "adversarial": lambda _, __, scores: cross_entropy(scores, real=True),
            }
        )

        def discriminator(real: Tensor, generated: Tensor) -> Tensor:
            return cross_entropy(real, real=True) + cross_entropy(generated, real=False)

        return Objective(generator, discriminator)


class LuminanceSize(ResNetSize):
    """The size of a network that takes luminance."""

    channels: Literal[1] = Field(description="channels of the images: luminance")


class SRGANLuminance(VGGGAN):
    """SRGAN with its paper's 16 blocks and losses, on luminance; `srgan` is that of two case studies."""

    architecture: ClassVar[str] = "srresnet"
    layer: ClassVar[str] = "relu5_4"  # section 2.2.1: after the activation

    method: Literal["srgan_luminance"]
    generator: LuminanceSize


class SFTGANSize(LuminanceSize):
    """The same for a network that takes a map."""

    conditions: Literal[3] = Field(description="classes of the map")


class SFTGAN(VGGGAN):
    """SFTGAN on luminance with the true map."""

    architecture: ClassVar[str] = "sftgan"

    method: Literal["sftgan"]
    generator: SFTGANSize

    @property
    def needs_masks(self) -> bool:
        """The network takes them."""
        return True


class SFTGANPriorSize(ResNetSize):
    """The size of SRResNet around a U-Net."""

    prior_features: PositiveInt = Field(description="width of the first layer of the U-Net that predicts the map")


class SFTGANPrior(VGGGAN):
    """SFTGAN on luminance with the map that a trained geometry prior predicts; the prior is not trained further."""

    architecture: ClassVar[str] = "sftgan_prior"
    watched_key: ClassVar[str] = "prior"

    method: Literal["sftgan_prior"]
    start: None = Field(description="null: the network starts from random weights, its prior from `prior`")
    generator: SFTGANPriorSize
    prior: str = Field(description="weights of a geometry_prior of the study's scale, or the folder of such a training")

    def build_generator(self, scale: int) -> Generator:
        """The network around the trained prior. Raises LeukoError for weights of something else."""
        from leukosr.superres.prior import put_prior_into

        network = super().build_generator(scale)
        put_prior_into(network, Path(self.reads))
        return network

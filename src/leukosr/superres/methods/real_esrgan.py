"""Real-ESRGAN (arXiv 2107.10833): Real-ESRNet with L1 alone, then L1, VGG19 perception and a GAN against a U-Net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from leukosr.settings import PositiveInt, Section
from leukosr.superres.methods.method import Objective, TrainGAN, TrainSR, TrainStage

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LAYERS = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}  # section 4.1


class RRDBSize(Section):
    """The size of Real-ESRGAN's generator."""

    features: PositiveInt = Field(description="width of the layers")
    blocks: PositiveInt = Field(description="residual-in-residual dense blocks")
    growth: PositiveInt = Field(description="channels that each layer of a dense block adds")


class RealESRGANStage(TrainStage):
    """A stage of Real-ESRGAN."""

    loss: Literal["l1", "gan"] = Field(
        description="L1 alone (Real-ESRNet), or the whole loss against the discriminator"
    )


class RealESRGAN(TrainGAN):
    """Real-ESRGAN (Wang et al., ICCVW 2021): L1 alone, then with a U-Net as the discriminator."""

    architecture: ClassVar[str] = "real_esrgan"

    method: Literal["real_esrgan"]
    generator: RRDBSize
    stages: Annotated[Sequence[RealESRGANStage], Field(min_length=1)]
    sharpen_target: bool = Field(description="whether L1 and the perceptual loss compare with USM-sharpened originals")

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: mean absolute error; perceptual: L1 of VGG19 features; adversarial: cross-entropy against "real".

        The discriminator minimises the cross-entropy of its logits, real against 1 plus generated against 0, and steps
        after the generator.
        """
        from torch.nn.functional import l1_loss

        from leukosr.superres.losses import cross_entropy, usm_sharpen

        gan = isinstance(stage, RealESRGANStage) and stage.loss == "gan"
        weighted = self.weighted(
            {
                "image": lambda generated, target, _: l1_loss(generated, target),
                "perceptual": self.perceptual("vgg19", LAYERS, l1_loss, seed, device) if gan else None,
                "adversarial": (lambda _, __, scores: cross_entropy(scores, real=True)) if gan else None,
            }
        )

        def generator(generated: Tensor, target: Tensor, scores: Tensor | None) -> dict[str, Tensor]:
            return weighted(generated, usm_sharpen(target) if self.sharpen_target else target, scores)

        def discriminator(real: Tensor, generated: Tensor) -> Tensor:
            return cross_entropy(real, real=True) + cross_entropy(generated, real=False)

        return Objective(generator, discriminator if gan else None)


class Denoise(TrainSR):
    """A control for Real-ESRNet: the same layers, loss and targets, but at LR size; bicubic enlarges the result."""

    architecture: ClassVar[str] = "denoiser"
    adds_pixels: ClassVar[bool] = False

    method: Literal["denoise"]
    generator: RRDBSize
    sharpen_target: bool = Field(description="whether L1 compares with USM-sharpened originals")

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: mean absolute error."""
        from torch.nn.functional import l1_loss

        from leukosr.superres.losses import usm_sharpen

        def generator(generated: Tensor, target: Tensor, scores: None) -> dict[str, Tensor]:
            return {"image": l1_loss(generated, usm_sharpen(target) if self.sharpen_target else target)}

        return Objective(generator)

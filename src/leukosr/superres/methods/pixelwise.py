"""Methods that minimise the squared error of pixels alone: SRCNN, VDSR, SRResNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from leukosr.settings import PositiveInt, Section
from leukosr.superres.methods.method import Objective, TrainSR, TrainStage

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Pixelwise(TrainSR):
    """Training by the squared error."""

    sum_of_image: bool = Field(
        default=False,
        description="whether the error is summed over an image and halved, as VDSR's learning rate expects",
    )

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: squared error."""
        from torch.nn.functional import mse_loss

        def generator(generated: Tensor, target: Tensor, scores: None) -> dict[str, Tensor]:
            error = mse_loss(generated, target)
            return {"image": error * (generated[0].numel() / 2) if self.sum_of_image else error}

        return Objective(generator)


class SRCNNSize(Section):
    """The width of SRCNN's first layer."""

    features: PositiveInt = Field(description="width of the first layer")


class SRCNN(Pixelwise):
    """SRCNN (Dong et al., TPAMI 2016)."""

    architecture: ClassVar[str] = "srcnn"

    method: Literal["srcnn"]
    generator: SRCNNSize


class VDSRSize(Section):
    """The size of VDSR."""

    features: PositiveInt = Field(description="width of the layers")
    convolutions: PositiveInt = Field(description="number of layers between the first and the last")


class VDSR(Pixelwise):
    """VDSR (Kim et al., CVPR 2016)."""

    architecture: ClassVar[str] = "vdsr"

    method: Literal["vdsr"]
    generator: VDSRSize


class SRResNetSize(Section):
    """The size of SRResNet."""

    features: PositiveInt = Field(description="width of the layers")
    blocks: PositiveInt = Field(description="residual blocks")
    channels: Literal[1, 3] = Field(description="channels of the images: luminance (1) or RGB (3)")


class SRResNet(Pixelwise):
    """SRResNet (Ledig et al., CVPR 2017, section 3.2)."""

    architecture: ClassVar[str] = "srresnet"

    method: Literal["srresnet"]
    generator: SRResNetSize

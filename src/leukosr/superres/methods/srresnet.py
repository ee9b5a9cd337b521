"""SRResNet (Ledig et al., CVPR 2017, sections 2.2 and 3.2): SRGAN's generator, trained with the pixels' MSE alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from leukosr.superres.methods.method import Objective, TrainSR, TrainStage
from leukosr.superres.methods.srgan import ResNetSize

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class SRResNet(TrainSR):
    """Settings and objective."""

    architecture: ClassVar[str] = "srgan"

    method: Literal["srresnet"]
    generator: ResNetSize

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: mean squared error."""
        from torch.nn.functional import mse_loss

        def generator(generated: Tensor, target: Tensor, scores: None) -> dict[str, Tensor]:
            return {"image": mse_loss(generated, target)}

        return Objective(generator)

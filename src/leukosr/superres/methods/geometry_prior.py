"""The geometry prior: a network that predicts a map of nucleus, cytoplasm and rest, and enlarges with its help.

Beside it the same without a map, and with a given one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from leukosr.settings import NonNegative, PositiveInt, Section
from leukosr.superres.methods.method import Objective, TrainSR, TrainStage

if TYPE_CHECKING:
    import torch
    from torch import Tensor


Epsilon = Annotated[float, Field(gt=0)]


class PriorSRSize(Section):
    """The size of the SR part."""

    features: PositiveInt = Field(description="width of the layers")
    blocks: PositiveInt = Field(description="residual blocks")
    residual: Literal[0, 1] = Field(description="1: the enlarged input is added to the output")


class SRPart(TrainSR):
    """Training of the SR part alone."""

    generator: PriorSRSize
    epsilon: Epsilon = Field(description="epsilon of the Charbonnier loss, in a range of 1")

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: mean Charbonnier error."""
        from leukosr.superres.losses import charbonnier

        def generator(generated: Tensor, target: Tensor, scores: None) -> dict[str, Tensor]:
            return {"image": charbonnier(generated, target, self.epsilon)}

        return Objective(generator)


class NonePrior(SRPart):
    """The geometry prior's SR part without a map."""

    architecture: ClassVar[str] = "none_prior"

    method: Literal["none_prior"]


class GeometryPriorSize(PriorSRSize):
    """The same with a U-Net that predicts the map."""

    prior_features: PositiveInt = Field(description="width of the first layer of the U-Net that predicts the map")


class GeometryPrior(TrainSR):
    """A U-Net predicts nucleus, cytoplasm and rest, and the SR part enlarges with their help, end to end."""

    architecture: ClassVar[str] = "geometry_prior"

    method: Literal["geometry_prior"]
    generator: GeometryPriorSize
    epsilon: Epsilon = Field(description="epsilon of the Charbonnier loss, in a range of 1")
    map_loss: NonNegative = Field(
        description="weight of the loss of the map; 0: the network uses its map as it likes, and needs no masks"
    )

    @property
    def needs_masks(self) -> bool:
        """The map is compared with the mask."""
        return self.map_loss > 0

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: mean Charbonnier error; map: mean binary cross-entropy of each of its channels with the mask's."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        from leukosr.superres.losses import charbonnier

        def generator(generated: Tensor, target: Tensor, scores: None) -> dict[str, Tensor]:
            parts = {"image": charbonnier(generated[:, :1], target[:, :1], self.epsilon)}
            if self.map_loss:
                parts["map"] = self.map_loss * binary_cross_entropy_with_logits(generated[:, 1:], target[:, 1:])
            return parts

        return Objective(generator)


class OraclePrior(SRPart):
    """The geometry prior's SR part with the true map: what a perfect prior would reach."""

    architecture: ClassVar[str] = "oracle_prior"

    method: Literal["oracle_prior"]
    masks: Literal["own", "shuffled"] = Field(
        description="map of the image itself, or of another image, in training and after it"
    )

    @property
    def needs_masks(self) -> bool:
        """The network takes them."""
        return True

    @property
    def shuffles_masks(self) -> bool:
        """Whether images get the masks of others."""
        return self.masks == "shuffled"

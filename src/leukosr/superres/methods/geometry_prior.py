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
    """The size of the SR part; residual: 1 adds the enlarged input to the output."""

    features: PositiveInt
    blocks: PositiveInt
    residual: Literal[0, 1]


class SRPart(TrainSR):
    """Training of the SR part alone. epsilon: of the Charbonnier loss, in a range of 1."""

    generator: PriorSRSize
    epsilon: Epsilon

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: mean Charbonnier error."""
        from leukosr.superres.losses import charbonnier

        def generator(generated: Tensor, target: Tensor, scores: None) -> dict[str, Tensor]:
            return {"image": charbonnier(generated, target, self.epsilon)}

        return Objective(generator)


class NonePrior(SRPart):
    """Without a map."""

    architecture: ClassVar[str] = "none_prior"

    method: Literal["none_prior"]


class GeometryPriorSize(PriorSRSize):
    """With the width of the first layer of the U-Net that predicts the map."""

    prior_features: PositiveInt


class GeometryPrior(TrainSR):
    """Settings and objective, end to end. epsilon: of the Charbonnier loss, in a range of 1.

    map_loss: weight of the map's loss; with 0 the same network is free to use its map as it likes, and needs no masks.
    """

    architecture: ClassVar[str] = "geometry_prior"

    method: Literal["geometry_prior"]
    generator: GeometryPriorSize
    epsilon: Epsilon
    map_loss: NonNegative

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
    """With the map of the mask that comes with the image: what a perfect prior would reach.

    masks: the image's own, or `shuffled`, those of other images, in training and after it.
    """

    architecture: ClassVar[str] = "oracle_prior"

    method: Literal["oracle_prior"]
    masks: Literal["own", "shuffled"]

    @property
    def needs_masks(self) -> bool:
        """The network takes them."""
        return True

    @property
    def shuffles_masks(self) -> bool:
        """Whether images get the masks of others."""
        return self.masks == "shuffled"

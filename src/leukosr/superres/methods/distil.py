"""Distillation (for super-resolution: Gao et al., ACCV 2018): a compact network learns its teacher's images by L1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from leukosr.settings import PositiveInt, Section
from leukosr.superres.methods.method import Objective, TrainSR, TrainStage

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from leukosr.data.pairs import Pairs
    from leukosr.engine.processes import Processes
    from leukosr.images.store import ImageStore


class CompactSize(Section):
    """The size of the compact network."""

    features: PositiveInt = Field(description="width of the layers")
    convolutions: PositiveInt = Field(description="number of layers between the first and the last")


class Distil(TrainSR):
    """A compact network that learns to make a teacher's images by L1."""

    architecture: ClassVar[str] = "compact"
    watched_key: ClassVar[str] = "teacher"

    method: Literal["distil"]
    start: None = Field(description="null: a student starts from random weights")
    generator: CompactSize
    teacher: str = Field(description="weights of a generator of the study's scale: a file, or pretrained/NAME")
    originals: float = Field(
        ge=0,
        lt=1,
        description="share of the loss that compares with the originals; the rest compares with the teacher's images",
    )

    def targets(self, train: Pairs, cache: Path, device: torch.device, processes: Processes) -> ImageStore[int]:
        """The teacher's images, uint8 H x W x 3; where originals count, too, these follow as channels 3 to 5."""
        from leukosr.superres.teacher import taught

        return taught(
            train,
            Path(self.reads),
            self,
            cache,
            device,
            processes,
            beside=self.originals > 0,
            only_class=self.only_class,
        )

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: mean absolute error against the teacher's images; originals: that against the originals."""
        from torch.nn.functional import l1_loss

        def generator(generated: Tensor, target: Tensor, scores: None) -> dict[str, Tensor]:
            parts = {"image": (1 - self.originals) * l1_loss(generated, target[:, :3])}
            if self.originals:
                parts["originals"] = self.originals * l1_loss(generated, target[:, 3:])
            return parts

        return Objective(generator)

"""SR4IR (Kim et al., CVPR 2024): SR restores what a classifier sees, which in turn learns from SR's images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from leukosr.errors import LeukoError
from leukosr.settings import Backbone, NonNegative, Section
from leukosr.superres.methods.method import Objective, TrainSR, TrainStage
from leukosr.superres.methods.real_esrgan import RRDBSize

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from leukosr.data.pairs import Pairs
    from leukosr.engine.processes import Processes
    from leukosr.images.store import ImageStore


class TaskStage(TrainStage):
    """A stage of SR4IR; the paper has the two in which the classifier learns, too."""

    loss: Literal["pixels", "l1", "task"] = Field(
        description="pixels: L1, the classifier rests; l1: L1 while it learns, to warm up; task: also its features"
    )


class TaskLosses(Section):
    """Weights of the parts of both losses."""

    image: NonNegative = Field(description="weight of the difference of pixels")
    features: NonNegative = Field(description="weight of the difference of features")
    classes: NonNegative = Field(description="weight of each of the three cross-entropies of the classifier")


class TaskDriven(TrainSR):
    """SR4IR (Kim et al., CVPR 2024): SR restores what a classifier sees that learns beside it.

    Images are whole: the class of a cell is not that of its patches. Both networks take the optimiser of the stage; the
    paper trains the classifier by SGD at 0.03.
    """

    architecture: ClassVar[str] = "real_esrgan"
    watched_key: ClassVar[str] = "classifier_weights"

    method: Literal["task_driven"]
    start: None = Field(description="null: the generator starts from random weights")
    patch: None = Field(description="null: whole images, as patches do not show a class")
    generator: RRDBSize
    stages: Annotated[Sequence[TaskStage], Field(min_length=1)]
    losses: TaskLosses
    classes: int = Field(ge=2, description="classes of the classifier, at least as many as the set has")
    backbone: Backbone = Field(
        description="backbone of the classifier that drives SR; it is not one of those tested, but SR may suit theirs"
    )
    normalisation: Literal["imagenet", "efficientnet_lite"] = Field(
        description="scale of the pixels that the backbone gets"
    )
    classifier_weights: Annotated[str, Field(pattern=r"^pretrained/[A-Za-z0-9_-]+$")] | None = Field(
        description="what it starts from: pretrained/NAME; null: random weights"
    )

    def build_discriminator(self) -> nn.Module:
        """The classifier. Raises LeukoError for weights that are missing or of another network."""
        from leukosr.classify.settings import Architecture
        from leukosr.superres.networks.task import TaskClassifier

        shape = Architecture(backbone=self.backbone, normalisation=self.normalisation)
        return TaskClassifier(shape, self.classes, self.classifier_weights or "none")

    def targets(self, train: Pairs, cache: Path, device: torch.device, processes: Processes) -> ImageStore[int]:
        """The originals; their fourth channel is the number of the class.

        Raises LeukoError for images without a class, or of more classes than the classifier has.
        """
        import numpy as np

        from leukosr.images.store import ImageStore

        labels = train.labels
        if labels is None or max(labels) >= self.classes:
            found = "none" if labels is None else str(max(labels) + 1)
            raise LeukoError(f"method task_driven: the images have {found} classes, and `classes` is {self.classes}")

        def with_class(number: int) -> np.ndarray:
            image = train.hr[number]
            return np.dstack((image, np.full(image.shape[:2], labels[number], np.uint8)))

        return ImageStore(range(len(train)), with_class)

    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """image: mean absolute error; features: that of the classifier's last feature map, in evaluation mode.

        The classifier then minimises the cross-entropy of generated images, of the originals and of their mixtures, but
        in a stage of pixels alone.
        """
        import torch
        from torch.nn.functional import cross_entropy, l1_loss

        assert isinstance(stage, TaskStage)
        weights, driven = self.losses, stage.loss == "task"

        def judge(classifier: Any, generated: Tensor, target: Tensor) -> tuple[Tensor, Tensor] | None:
            if not driven:
                return None
            with torch.no_grad():
                goal = classifier.features(target[:, :3])
            return classifier.features(generated), goal

        def generator(generated: Tensor, target: Tensor, seen: tuple[Tensor, Tensor] | None) -> dict[str, Tensor]:
            parts = {"image": weights.image * l1_loss(generated, target[:, :3])}
            return parts if seen is None else parts | {"features": weights.features * l1_loss(*seen)}

        def teach(classifier: nn.Module, target: Tensor, generated: Tensor) -> Tensor:
            labels = (target[:, 3, 0, 0] * 255).round().long().repeat(3)
            return 3 * weights.classes * cross_entropy(classifier(target[:, :3], generated).float(), labels)

        return Objective(generator, judge=judge, teach=None if stage.loss == "pixels" else teach)

"""What every method shares: the settings of a training, its stages, and what an objective is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from leukosr.settings import LearningRate, NonNegative, PositiveInt, Precision, PretrainedWeights, Section, Seed

if TYPE_CHECKING:  # settings are read without torch
    import torch
    from torch import Tensor, nn

    from leukosr.data.pairs import Pairs
    from leukosr.engine.processes import Processes
    from leukosr.images.store import ImageStore
    from leukosr.superres.networks import Generator
    from leukosr.superres.vgg import VGGName

    # a part of a generator's loss, from generated images, their targets and the discriminator's scores of the generated
    Part = Callable[[Tensor, Tensor, Tensor], Tensor]


class TrainStage(Section):
    """One stretch of a training with one optimiser."""

    name: str = Field(pattern=r"^[a-z_]+$", description="name of the stage in tables and figures")
    iterations: PositiveInt = Field(description="steps of the optimiser")
    learning_rate: LearningRate = Field(description="learning rate at the start of the stage")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        description="betas of Adam; SGD takes the first as its momentum"
    )
    epsilon: float = Field(default=1e-8, gt=0, lt=1, description="epsilon of Adam")
    milestones: list[PositiveInt] = Field(description="iterations at which the learning rate is multiplied by `gamma`")
    gamma: float = Field(gt=0, le=1, description="what the learning rate is multiplied by")
    every: PositiveInt | None = Field(
        default=None,
        description="iterations after which the learning rate is multiplied by `gamma`, again and again; null: never",
    )
    optimizer: Literal["adam", "sgd"] = Field(default="adam", description="optimiser")
    weight_decay: NonNegative = Field(default=0.0, description="weight decay of the optimiser")
    clip: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="largest norm of all gradients together; null: any"
    )

    def rate_at(self, iteration: int) -> float:
        """The learning rate after so many iterations of the stage."""
        passed = sum(iteration >= milestone for milestone in self.milestones)
        return self.learning_rate * self.gamma ** (passed + (iteration // self.every if self.every else 0))


@dataclass(frozen=True)
class Objective:
    """What one stage minimises.

    generator: from generated images, their targets and the discriminator's scores of the generated ones (None without
    a discriminator) the weighted parts of the loss by name. discriminator: its loss from its scores of real and of
    generated images; None where the stage trains none. discriminator_first: it steps before the generator.
    discriminator_turns: instead of `discriminator`, the losses by which it steps twice before the generator, each
    from its own scores: of generated images, which the generator makes in evaluation mode, then of real ones. Its
    scores for the generator are then those of evaluation mode, too.
    judge: what the generator's loss gets instead of scores, from the discriminator in evaluation mode, generated
    images and targets. teach: instead of `discriminator`, its loss from itself, targets and generated images.
    """

    generator: Callable[..., Mapping[str, Tensor]]
    discriminator: Callable[[Tensor, Tensor], Tensor] | None = None
    discriminator_first: bool = False
    discriminator_turns: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]] | None = None
    judge: Callable[[nn.Module, Tensor, Tensor], Any] | None = None
    teach: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None

    @property
    def trains_discriminator(self) -> bool:
        """Whether it steps once beside the generator."""
        return self.discriminator is not None or self.teach is not None

    @property
    def judges_in_training(self) -> bool:
        """Whether the discriminator that scores for the generator is in training mode."""
        return self.discriminator_turns is None and self.judge is None

    def scores(self, discriminator: nn.Module, generated: Tensor, target: Tensor) -> Any:
        """What the generator's loss gets: the discriminator's scores of generated images, or what `judge` says."""
        return discriminator(generated).float() if self.judge is None else self.judge(discriminator, generated, target)


class TrainSR(Section):
    """One training; a method adds its own settings, names its generator and gives its objective."""

    model_config = ConfigDict(serialize_by_alias=True)
    architecture: ClassVar[str]  # of the generator, in GENERATORS
    adds_pixels: ClassVar[bool] = True  # False: a control, which restores at LR size and is not SR
    watched_key: ClassVar[str] = "start"  # the setting that names the weights which DVC is to watch

    method: str
    start: str | None = Field(description="weights to fine-tune from: a file, or pretrained/NAME; null: random ones")
    reads: str = Field(
        description="internal: file of the weights, which DVC watches; without any, an input of the stage"
    )
    only_class: Annotated[str | None, Field(alias="class", description="train on the images of one class; null: all")]
    seed: Seed | None = Field(description="root seed of the training; null: `study.seed`")
    generator: Section
    patch: Annotated[int, Field(ge=32)] | None = Field(
        description="side of the HR patches in pixels; null: whole images"
    )
    batch: PositiveInt = Field(description="patches per step, over all devices")
    stages: Annotated[Sequence[TrainStage], Field(min_length=1)]
    ema: float = Field(ge=0, lt=1, description="decay of the moving average of the generator; 0: none")
    flips: bool | Literal["horizontal"] = Field(
        description="true: patches are mirrored, and turned by quarters; horizontal: mirrored alone"
    )
    validate_every: PositiveInt = Field(description="iterations between two validations")
    precision: Precision = Field(description="as `classifier.precision`")
    channels_last: bool = Field(description="as `classifier.channels_last`")
    sizes: Annotated[
        dict[str, Any],
        Field(
            default={}, exclude=True, description="of the column of the budget; the other keys take their values here"
        ),
    ]

    @property
    def watched(self) -> str | None:
        """The weights that the training reads, as its setting `watched_key` names them; `reads` is their file."""
        named: str | None = getattr(self, self.watched_key)
        return named

    @property
    def needs_masks(self) -> bool:
        """Whether a mask must come with each image: for the network's input, or for the loss of a map that it gives."""
        return False

    @property
    def shuffles_masks(self) -> bool:
        """Whether images get the masks of other images, in training and after it."""
        return False

    @property
    def start_file(self) -> Path | None:
        """The weights to fine-tune from; None starts from random ones."""
        return None if self.start is None else Path(self.reads)

    def targets(self, train: Pairs, cache: Path, device: torch.device, processes: Processes) -> ImageStore[Any]:
        """What generated images are compared with, by the number of the pair: the originals, unless overridden.

        Where the method needs masks, they follow as the fourth channel.
        `cache` is a folder for what takes long to make and outlasts a cut training.
        """
        return train.hr_with_masks() if self.needs_masks else train.hr

    @abstractmethod
    def objective(self, stage: TrainStage, seed: int, device: torch.device) -> Objective:
        """What a stage minimises; `seed` draws networks that only measure and have no weights of their own."""

    def build_generator(self, scale: int) -> Generator:
        """The generator, its weights drawn from torch's global state."""
        from leukosr.superres import GENERATORS

        return GENERATORS[self.architecture](scale=scale, **self.generator.model_dump())

    def build_discriminator(self) -> nn.Module | None:
        """The discriminator; None for a method that has none."""
        return None

    @model_validator(mode="after")
    def _distinct_stages(self) -> TrainSR:
        if len({stage.name for stage in self.stages}) != len(self.stages):
            raise ValueError("the names of the stages must differ from each other")
        return self


class Width(Section):
    """The size of a discriminator: the width of its first layer."""

    features: PositiveInt = Field(description="width of the first layer")


class LossWeights(Section):
    """Weights of the parts of a GAN's generator loss; a part of weight 0 is neither computed nor logged."""

    image: NonNegative = Field(description="weight of the difference of pixels")
    adversarial: NonNegative = Field(description="weight of the adversarial loss")
    perceptual: NonNegative = Field(description="weight of the perceptual loss")

    @model_validator(mode="after")
    def _something_is_minimised(self) -> Self:
        weights = self.model_dump()
        if not any(weights.values()):
            raise ValueError(f"{', '.join(weights)} are all 0, so nothing would be learned: give one a weight above 0")
        return self


class TrainGAN(TrainSR):
    """A training against the discriminator of the same architecture, with a perceptual loss."""

    discriminator: Width
    losses: LossWeights
    perceptual_weights: PretrainedWeights = Field(
        description="weights of the VGG of the perceptual loss; none: random ones"
    )

    def build_discriminator(self) -> nn.Module:
        """The discriminator, its weights drawn from torch's global state."""
        from leukosr.superres import DISCRIMINATORS

        return DISCRIMINATORS[self.architecture](**self.discriminator.model_dump())

    def perceptual(
        self,
        network: VGGName,
        layers: Mapping[str, float],
        distance: Callable[[Tensor, Tensor], Tensor],
        seed: int,
        device: torch.device,
        *,
        normalise: bool = True,
    ) -> Part | None:
        """The part `perceptual`, by `losses.perceptual_distance`; None, and no VGG, where it has no weight."""
        from leukosr.superres.losses import perceptual_distance

        if not self.losses.perceptual:
            return None
        weights = self.perceptual_weights
        measure = perceptual_distance(network, layers, distance, weights, seed, device, normalise=normalise)
        return lambda generated, target, _: measure(generated, target)

    def weighted(self, parts: Mapping[str, Part | None]) -> Callable[..., dict[str, Tensor]]:
        """The generator's loss: the parts that have a weight in `losses`, in their order, each times its weight."""
        weights = self.losses.model_dump()

        def generator(generated: Tensor, target: Tensor, scores: Tensor) -> dict[str, Tensor]:
            return {
                name: weights[name] * part(generated, target, scores)
                for name, part in parts.items()
                if part is not None and weights[name]
            }

        return generator

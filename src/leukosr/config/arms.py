"""Arms: how the images of each version of a study are made. The key `by` tells the kinds apart."""

from __future__ import annotations

from abc import abstractmethod
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, Union, get_type_hints

import numpy.typing as npt
from pydantic import ConfigDict, Field, create_model, model_validator

from leukosr.images.extraction import AnyExtractor
from leukosr.images.file_format import ArmFormat, FileFormat
from leukosr.images.filters import FILTERS, Filter
from leukosr.images.resampling import Kernel, brought_to, resize
from leukosr.images.settings import Image
from leukosr.layout import weight_file
from leukosr.settings import Count, Name, PositiveInt, Precision, Section, Side
from leukosr.superres.tiles import LEAST


class Arm(Section):
    """What every arm says."""

    model_config = ConfigDict(serialize_by_alias=True)

    reads: str = Field(
        description="internal, but for `by: file`: path that DVC watches, beside the manifest, the originals and lr/"
    )
    made_from: Literal["low", "original"] = Field(
        alias="from", description="images that the arm is made of: LR images or originals"
    )
    size: tuple[Side, Side] | None = Field(
        default=None,
        description="[height, width] that the images are resized to at the end; null: as the kind of arm makes them",
    )
    file: ArmFormat = Field(default="png", description="format of the images; npy also keeps the unrounded values")

    keeps_size: ClassVar[bool] = False  # whether the images keep the size of those that they are made from

    def given_shape(self, image: Image) -> tuple[int, int]:
        """Height and width of the images that the arm is made from."""
        return image.lr_size if self.made_from == "low" else (image.height, image.width)

    def shape(self, image: Image) -> tuple[int, int]:
        """Height and width of the arm's images: `size`, else the size given or the high-resolution one, by kind."""
        return self.size or (self.given_shape(image) if self.keeps_size else (image.height, image.width))

    def shows_originals(self, image: Image) -> bool:  # noqa: ARG002 - for the arms that look at it
        """Whether the images are the high-resolution originals, pixel for pixel."""
        return False


class Untouched(Arm):
    """Images as they are, low or original."""

    keeps_size = True

    by: Literal["nothing"]

    def shows_originals(self, image: Image) -> bool:
        """Whether nothing is lost on the way: the size is kept and the file format lossless."""
        unchanged = self.shape(image) == (image.height, image.width) and self.file == "png"
        return self.made_from == "original" and unchanged


class Resampled(Arm):
    """Images resampled by a kernel, to `size` or else to the high-resolution size."""

    by: Literal["kernel"]
    kernel: Kernel = Field(description="resampling kernel")
    scale: PositiveInt | None = Field(
        default=None,
        exclude_if=lambda scale: scale is None,
        description="enlarge so many times first, as a network would; null: at once",
    )


class Recoloured(Arm):
    """Images enlarged by a kernel to the high-resolution size, with a colour map fitted on the pairs SR trains on."""

    made_from: Literal["low"] = Field(alias="from", description="images that the arm is made of: LR images")
    by: Literal["colour_map"]
    kernel: Kernel = Field(description="kernel that enlarges")


class Filtered(Arm):
    """Images after a filter, whose settings are the keys beside these."""

    keeps_size = True

    by: Literal["filter"]
    filter: str

    @property
    def arguments(self) -> dict[str, Any]:
        """What the filter's function takes beside the image."""
        return {name: getattr(self, name) for name in type(self).model_fields if name not in Filtered.model_fields}


class Generated(Arm):
    """Images that a network made, resampled to `size` or else to the high-resolution size if they have another."""

    tile: Count = Field(
        description="largest side of the tiles that large images are computed in, in input pixels, 4 or more; 0: whole "
        "images"
    )
    overlap: Count = Field(description="input pixels that neighbouring tiles share")
    batch: PositiveInt = Field(description="images per pass")
    precision: Precision = Field(description="as `classifier.precision`")
    channels_last: bool = Field(description="as `classifier.channels_last`")
    without_new_pixels: bool = Field(
        default=False,
        exclude_if=lambda without: not without,
        description="shrink the network's images to LR size by area means and enlarge these by `image.enlarging`: what "
        "it restored, without the pixels it added",
    )

    @model_validator(mode="after")
    def _tiles_advance(self) -> Self:
        if self.tile and self.tile - self.overlap < 2:
            raise ValueError(f"overlap {self.overlap} must be smaller than tile {self.tile} by 2 pixels or more")
        if 0 < self.tile < LEAST:
            raise ValueError(f"tile is {self.tile}: give 0, for whole images, or {LEAST} or more")
        return self

    def finished(self, made: npt.NDArray[Any], image: Image) -> npt.NDArray[Any]:
        """The arm's image of one that its network made: (height, width, 3), of the same dtype."""
        if self.without_new_pixels:
            return resize(brought_to(made, image.lr_size, image.kernel), self.shape(image), image.enlarging)
        return brought_to(made, self.shape(image), image.kernel)


class Trained(Generated):
    """Images by the last or the best weights of the study's own trainings."""

    weights: Literal["last", "best"] = Field(
        description="weights of the training: last, or of the best validation PSNR"
    )

    @property
    @abstractmethod
    def used_trainings(self) -> tuple[str, ...]:
        """The trainings whose networks make the images."""


class ByTraining(Trained):
    """Images by one training."""

    by: Literal["training"]
    training: str = Field(description="training of `train_sr` whose network makes the images")

    @property
    def used_trainings(self) -> tuple[str, ...]:
        """The one."""
        return (self.training,)


class ByClass(Trained):
    """Images of each class by a network that was trained on that class alone: never images that are tested."""

    by: Literal["class_trainings"]
    trainings: dict[str, str] = Field(
        min_length=1, description="class -> training of that class alone, by its name in `train_sr`"
    )

    @property
    def used_trainings(self) -> tuple[str, ...]:
        """One of each class."""
        return tuple(self.trainings.values())

    def of_class(self, label: str) -> ByTraining:
        """The arm that makes the images of one class."""
        shared = self.model_dump(exclude={"by", "trainings"})
        return ByTraining.model_validate({**shared, "by": "training", "training": self.trainings[label]})


class ByFile(Generated):
    """Images by anyone's weights: the file that `reads` names."""

    by: Literal["file"]
    weights: str | None = Field(
        default=None, description="the same file as pretrained/NAME; null: `reads` alone says it"
    )
    network: str | None = Field(
        default=None,
        description="network that the file must hold: by our name or, of other architectures, by spandrel's; null: any",
    )
    scale: PositiveInt | None = Field(default=None, description="scale that the network must have; null: any")

    @model_validator(mode="after")
    def _watches_its_weights(self) -> Self:
        """DVC watches what `reads` says, so the two must be one file."""
        if self.weights is not None and weight_file(self.weights) != Path(self.reads):
            raise ValueError(
                f"reads is {self.reads}, it must be {weight_file(self.weights)} for weights {self.weights}"
            )
        return self


def _settings_of(name: str, function: Filter) -> type[Filtered]:
    """The arm of one filter: the settings are the keyword arguments of its function, as annotated there."""
    types = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {"filter": (Literal[name], ...)} | {
        each.name: (types[each.name], each.default)
        for each in signature(function).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    }
    model = create_model(f"Filtered_{name}", __base__=Filtered, __doc__=function.__doc__, __module__=__name__, **fields)
    globals()[model.__name__] = model  # or no worker process could be sent one
    return model


if TYPE_CHECKING:
    AnyFiltered = Filtered
else:
    AnyFiltered = Annotated[
        Union[tuple(_settings_of(*each) for each in FILTERS.items())],  # noqa: UP007
        Field(discriminator="filter"),
    ]

AnyArm = Annotated[
    Untouched | Resampled | Recoloured | AnyFiltered | ByTraining | ByClass | ByFile, Field(discriminator="by")
]


class Extraction(Section):
    """Cells cut out of the images of an arm: what makes them an arm, too."""

    reads: str = Field(description="internal: path that DVC watches")
    arm: Name | None = Field(default=None, description="whose images they are cut out of; null: the original files")
    file: FileFormat = Field(default="png", description="format of the crops")
    extractor: AnyExtractor

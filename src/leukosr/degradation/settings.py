"""How low-resolution images are made: the settings of each degradation, read off the dataclass that it takes."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_type_hints

from pydantic import Field, create_model, model_validator

from leukosr.degradation import DEGRADATIONS
from leukosr.degradation.checks import OF_IMAGE
from leukosr.errors import LeukoError
from leukosr.images.file_format import FileFormat
from leukosr.settings import Section


class SettingsSection(Section):
    """The fields of a settings dataclass as a section, in which every key must stand.

    of_image: the fields that are not keys here, because the section `image` gives them.
    """

    kind: ClassVar[type[Any]]
    of_image: ClassVar[tuple[str, ...]]

    def build(self, **of_image: Any) -> Any:
        """The dataclass; what `of_image` leaves out has its default. Raises LeukoError for values it refuses."""
        names = [field.name for field in fields(self.kind) if field.name not in self.of_image]
        values = {name: getattr(self, name) for name in names}
        built = {key: value.build() if isinstance(value, SettingsSection) else value for key, value in values.items()}
        return self.kind(**of_image, **built)

    @model_validator(mode="after")
    def _fits(self) -> SettingsSection:
        try:
            self.build()
        except LeukoError as error:
            raise ValueError(str(error)) from None
        return self


class Degrading(SettingsSection):
    """What every degradation has."""

    on_the_fly: bool = Field(
        description="whether SR trains on LR images drawn afresh for every sample; everything else sees lr/"
    )
    file: FileFormat = Field(description="format of lr/; images drawn afresh lose what it loses")


def _section_of(kind: type[Any], base: type[SettingsSection] = SettingsSection, **more: Any) -> type[SettingsSection]:
    types = get_type_hints(kind, include_extras=True)
    of_image = tuple(name for name, each in types.items() if OF_IMAGE in getattr(each, "__metadata__", ()))
    keys: dict[str, Any] = {
        field.name: (_section_of(types[field.name]) if is_dataclass(types[field.name]) else types[field.name], ...)
        for field in fields(kind)
        if field.name not in of_image
    }
    section = create_model(kind.__name__, __base__=base, __doc__=kind.__doc__, **more, **keys)
    section.kind, section.of_image = kind, of_image
    return section


if TYPE_CHECKING:

    class Degrade(Degrading):
        """The section `degrade`."""

        method: str

else:  # the union over the registry, told apart by `method`
    _kinds = [_section_of(each.Settings, Degrading, method=(Literal[name], ...)) for name, each in DEGRADATIONS.items()]
    Degrade = Annotated[reduce(or_, _kinds), Field(discriminator="method")]

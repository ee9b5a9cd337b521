"""How the images of a stage are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from leukosr.settings import Section


class Jpeg(Section):
    """Images are written as JPEG of this quality, with 4:2:0 chroma."""

    jpeg: Annotated[int, Field(ge=1, le=100)]


def _format(value: Any) -> str | None:
    return "jpeg" if isinstance(value, Mapping | Jpeg) else "png" if value == "png" else None


FileFormat = Annotated[
    Annotated[Literal["png"], Tag("png")] | Annotated[Jpeg, Tag("jpeg")],
    Discriminator(
        _format,
        custom_error_type="file_format",
        custom_error_message="Input should be png, or {jpeg: QUALITY} with a quality from 1 to 100",
    ),
]

"""How the images of a stage are written.

`npy`, for the images of an arm, is for comparisons to a hundredth of a dB: beside a PNG to look at stands what was
computed, float32 RGB in grey levels (height x width x 3), neither rounded nor cut to 0..255.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from leukosr.settings import Section


class Jpeg(Section):
    """Images are written as JPEG of this quality, with 4:2:0 chroma."""

    jpeg: int = Field(ge=1, le=100, description="quality of the JPEG files")


def _kind(value: Any) -> str:
    return "jpeg" if isinstance(value, Mapping | Jpeg) else str(value)


def _one_of(words: str) -> Discriminator:
    message = f"Input should be {words}, or {{jpeg: QUALITY}} with a quality from 1 to 100"
    return Discriminator(_kind, custom_error_type="file_format", custom_error_message=message)


_PNG = Annotated[Literal["png"], Tag("png")]
_NPY = Annotated[Literal["npy"], Tag("npy")]
_JPEG = Annotated[Jpeg, Tag("jpeg")]
FileFormat = Annotated[_PNG | _JPEG, _one_of("png")]
ArmFormat = Annotated[_PNG | _NPY | _JPEG, _one_of("png, npy")]

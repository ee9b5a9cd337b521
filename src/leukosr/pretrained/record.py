"""What is recorded of `pretrained/NAME.safetensors`: its `.dvc` file, which git keeps, also holds the SHA-256."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import yaml

from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.yaml_file import read_yaml


@dataclass(frozen=True)
class Record:
    """sha256: of the file; source: where it came from."""

    sha256: str
    source: str


def pointer_of(weights: Path) -> Path:
    """The `.dvc` file of a weight file."""
    return weights.with_name(f"{weights.name}.dvc")


def read_record(weights: Path) -> Record | None:
    """What is recorded of a weight file; None where nothing is, or by DVC alone.

    Raises LeukoError for a record that cannot be read.
    """
    pointer = pointer_of(weights)
    try:
        meta = read_yaml(pointer).get("meta")
        return meta and Record(str(meta["sha256"]), str(meta["source"]))
    except FileNotFoundError:
        return None
    except (LookupError, TypeError, AttributeError) as error:
        raise LeukoError(f"{pointer} names no sha256 and source: take it from git again, or remove it") from error


def write_record(weights: Path, record: Record) -> None:
    """Write the `.dvc` file of a weight file that is there, atomically."""
    with weights.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    out = {"md5": md5, "size": weights.stat().st_size, "hash": "md5", "path": weights.name}
    content = {"outs": [out], "meta": {"sha256": record.sha256, "source": record.source}}
    with new_file(pointer_of(weights)) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False, width=1000), encoding="utf-8")

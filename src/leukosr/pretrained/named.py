"""Weights by a word: `pretrained/NAME`."""

from __future__ import annotations

import os
from pathlib import Path

from leukosr.errors import LeukoError
from leukosr.layout import PRETRAINED, weight_file
from leukosr.pretrained.catalogue import published
from leukosr.pretrained.download import sha256_of
from leukosr.pretrained.record import pointer_of, read_record
from leukosr.quoting import meant


def find_weights(word: str | Path) -> Path:
    """The file that `pretrained/NAME` names; any other path as it is, there or not.

    Raises LeukoError with the command that brings a missing one, for one that is not what was recorded of it, and for
    the name of one without `pretrained/`.
    """
    path = weight_file(word)
    if path.parent != PRETRAINED:
        if path.parent == Path() and not path.suffix and not os.path.exists(path) and (near := _meant(path)):
            raise LeukoError(f"{path} does not exist, and weights by name are pretrained/NAME{near}")
        return path
    if not os.path.isfile(path):  # False, too, for a name that is too long
        near = "" if path.stem in published() else _meant(path)
        raise LeukoError(f"{path} is not here: {how_to_bring(path)}{near}")
    record = read_record(path)
    if record is not None and (found := sha256_of(path)) != record.sha256:
        raise LeukoError(
            f"{path} is not what {pointer_of(path)} records: its SHA-256 is {found}, expected {record.sha256}; remove "
            f"it and {how_to_bring(path)}"
        )
    return path


def _meant(path: Path) -> str:
    here = (each.stem for each in PRETRAINED.glob("*.safetensors"))
    return meant(path.stem, {*published(), *here}, "pretrained/")


def weights_facts(word: str) -> dict[str, str]:
    """What metrics.json and MLflow hold of weights: the word or path, and the SHA-256 of its file."""
    return {"weights": word, "weights_sha256": sha256_of(find_weights(word))}


def how_to_bring(path: Path) -> str:
    """The command that brings a file below pretrained/, in words."""
    if path.stem in published():
        return f"run `leukosr weights fetch {path.stem}`"
    return f"run `leukosr weights add {path.stem} PATH`, or `dvc pull {pointer_of(path)}` where somebody did"

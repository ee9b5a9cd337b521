"""What a weight file says that it holds, by its header alone: known at once, however large the file is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from leukosr.engine.weights import SUFFIX, opened
from leukosr.errors import LeukoError
from leukosr.layout import require_weights
from leukosr.pretrained.checkpoints import state_dicts
from leukosr.quoting import short
from leukosr.superres import GENERATORS
from leukosr.superres.foreign import is_foreign
from leukosr.superres.weights import NoGenerator, identify


@dataclass(frozen=True)
class Announced:
    """A generator, as `LoadedGenerator` will say. masks: whether it takes those of images."""

    only_class: str = ""
    masks: bool = False


def announced(path: Path) -> Announced:
    """The generator that a weight file seems to hold; only `load_generator` checks that it does.

    Raises NoGenerator for other networks, and LeukoError for a file that is missing, of another kind, or without a
    header that can be read. Of a checkpoint (.pth), which has none, nothing is said.
    """
    if require_weights(path).suffix != SUFFIX:
        return Announced()
    with opened(path) as file:
        header: Mapping[str, str] = file.metadata() or {}
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    if "classes" in header:
        raise NoGenerator(f"{path} holds a classifier, which makes no images")
    network = GENERATORS.get(header.get("architecture", ""))
    if network is None:
        tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
        try:
            known = any(identify(state) or is_foreign(state) for state in state_dicts(path, tensors))
        except LeukoError:
            raise
        except Exception as error:  # whatever a detector of spandrel meets: it reads values that no header has
            raise LeukoError(f"{path} cannot be recognised ({short(str(error), 200)}): give another file") from error
        if not known:
            raise NoGenerator(f"{path} holds weights of no network that enlarges images")
    return Announced(header.get("only_class", ""), network is not None and network.contract.masks > 0)

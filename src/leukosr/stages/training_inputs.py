"""What a training of SR reads: pairs of images, masks, and weights to start or learn from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from leukosr.config import Jpeg, Params, TrainSR
from leukosr.data.manifest import SR_ROLES, Row, with_role
from leukosr.data.mask_files import mask_file
from leukosr.data.pairs import Pairs
from leukosr.degradation import DEGRADATIONS
from leukosr.degradation.jpeg import jpeg
from leukosr.errors import LeukoError
from leukosr.images.reading import read_hr, read_rgb
from leukosr.images.store import ImageStore
from leukosr.layout import (
    RESTORE,
    Layout,
    image_file,
    of_network,
    require,
    require_all,
    require_weights,
    stage_again,
)
from leukosr.pretrained.named import find_weights
from leukosr.stages.degrade import degradation_settings
from leukosr.stages.masks import masks_for


def with_weights_of(settings: TrainSR, network: int | str | None) -> TrainSR:
    """The training with the file of the weights that it reads, where it names the folder of another training.

    Of several SR seeds that is the network of the same seed, so that both trainings vary together.
    """
    folder = Path(settings.reads)
    if settings.watched is None or not folder.is_dir():
        return settings
    file = str(folder / of_network(".", network) / "last.safetensors")
    return settings.model_copy(update={settings.watched_key: file, "reads": file})


def inputs_of(rows: list[Row], params: Params, name: str, layout: Layout, settings: TrainSR) -> list[Path]:
    """What a training reads: low-resolution images, originals, masks, and weights to start or learn from, if any."""
    used, root = with_role(rows, params.study.sr_protocol, *SR_ROLES), Path(params.prepare.root)
    require(layout.lr, "degrade")
    return [
        *require_all([image_file(layout.lr, row.id) for row in used], stage_again("degrade")),
        *require_all([root / row.path for row in used], RESTORE),
        *require_all([mask_file(root, row) for row in used] if settings.needs_masks else [], RESTORE),
        *_weights_of(name, settings),
    ]


def _weights_of(name: str, settings: TrainSR) -> list[Path]:
    """The weights to start or learn from, if any. Raises LeukoError that names the key for a path that holds none."""
    if settings.watched is None:
        return []
    try:
        return [require_weights(find_weights(settings.reads))]
    except LeukoError as error:
        raise LeukoError(f"train_sr.{name}.{settings.watched_key}: {error}") from error


def training_pairs(rows: list[Row], params: Params, name: str, layout: Layout) -> tuple[Pairs, Pairs]:
    """The LR/HR images that SR trains on, and those it validates on: those of its class, where it names one.

    Raises LeukoError where there are none to validate on, for an unknown class, and where lr/ is missing.
    """
    train, val = (_pairs(rows, role, params, name, layout) for role in SR_ROLES)
    if not len(val):
        raise LeukoError(
            f"train_sr.{name}: no image has the role sr_val: give every class two or more images to train SR on"
        )
    return train, val


def _pairs(rows: list[Row], role: str, params: Params, name: str, layout: Layout) -> Pairs:
    chosen, image = with_role(rows, params.study.sr_protocol, role), params.image
    only, known = params.train_sr[name].only_class, sorted({row.label for row in rows})
    if only is not None:
        if only not in known:
            raise LeukoError(f"train_sr.{name}.class = '{only}': the classes are {', '.join(known)}")
        chosen = [row for row in chosen if row.label == only]
    require(layout.lr, "degrade")

    def hr(row: Row) -> np.ndarray:
        return read_hr(Path(params.prepare.root) / row.path, image)

    def lr(row: Row) -> np.ndarray:
        return read_rgb(image_file(layout.lr, row.id))

    settings = params.train_sr[name]
    shuffled_by = params.study.seed if settings.shuffles_masks else None
    masks = masks_for(chosen, params, shuffled_by) if settings.needs_masks else None
    fresh = role == "sr_train" and params.degrade.on_the_fly
    degrade = drawn_afresh(params) if fresh else None
    labels = [known.index(row.label) for row in chosen] if params.study.classifies else None
    return Pairs(ImageStore(chosen, lr), ImageStore(chosen, hr), image.scale, degrade, masks, labels)


def drawn_afresh(params: Params) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """The degradation, with what its files lose."""
    degrade, file = DEGRADATIONS[params.degrade.method](degradation_settings(params)), params.degrade.file
    if not isinstance(file, Jpeg):
        return degrade
    return lambda hr, rng: jpeg(degrade(hr, rng), file.jpeg)

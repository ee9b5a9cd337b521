"""The images of an arm that networks make: by one network, or each class by its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from leukosr.config import ByClass, ByFile, ByTraining, Generated
from leukosr.data.manifest import Row, arm_rows, is_tested, read_manifest
from leukosr.data.mask_files import mask_file
from leukosr.engine.device import choose_device, place
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.images.masks import write_mask
from leukosr.layout import new_image_file, of_network, require
from leukosr.stages.context import Context
from leukosr.stages.given_images import given_files, given_images
from leukosr.stages.kept_images import KeptImages
from leukosr.stages.masks import masks_for
from leukosr.superres.networks.prior import GeometryPrior
from leukosr.superres.segment import predicted_masks
from leukosr.superres.upscaler import upscale_images
from leukosr.superres.weights import load_generator


@dataclass(frozen=True)
class Made:
    """The images of some rows, finished and kept."""

    images: KeptImages
    rows: list[Row]

    def move(self, folder: Path) -> None:
        """Move them to where they belong."""
        self.images.move(self.rows, folder)


def made_by_networks(
    context: Context, arm: str, settings: Generated, rows: list[Row], network: int | str | None, maps: Path
) -> list[Made]:
    """All images of an arm by the networks of an SR seed or a fold: what a cut attempt kept, and the others anew.

    maps: the folder that gets the map which a network predicts of each image; it is made where one does. Raises
    LeukoError for a class without a training, for weights of another network or scale, and where a network that knows
    one class alone would make a test image.
    """
    if not isinstance(settings, ByClass):
        return [_made(context, arm, settings, rows, network, maps)]
    made = []
    for label, alike in groupby(sorted(rows, key=lambda row: row.label), key=lambda row: row.label):
        if label not in settings.trainings:
            known = ", ".join(settings.trainings)
            raise LeukoError(f"upscale.{arm}.trainings: no training for the class {label}; there are those of {known}")
        made.append(_made(context, arm, settings.of_class(label), list(alike), network, maps))
    return made


def _made(
    context: Context, arm: str, settings: Generated, rows: list[Row], network: int | str | None, maps: Path
) -> Made:
    image, wanted = context.params.image, _wanted(context, arm, settings, network)
    device = choose_device(context.params.runtime.device)
    loaded = load_generator(wanted.weights, device)
    wanted.check(loaded.architecture, loaded.scale)
    _refuse_known_label(context, arm, rows, loaded.only_class)
    model = place(loaded.model, device, settings.channels_last)
    everyone = arm_rows(read_manifest(context.layout.manifest), context.params.study) if model.contract.masks else []
    root = Path(context.params.prepare.root)
    given = [*given_files(context, settings, rows), *(mask_file(root, row) for row in everyone)]
    kept = KeptImages(settings, image, wanted.weights, given)
    missing, name = kept.missing(rows), of_network(arm, network)
    if len(missing) < len(rows):
        context.console.print(f"upscale {name}: {len(rows) - len(missing)} of {len(rows)} images are there already")
    masks = _masks(context, everyone, missing, loaded.masks_by) if everyone else None
    made = upscale_images(
        model,
        given_images(context, settings, missing),
        loaded.scale,
        settings,
        device,
        batch=settings.batch,
        tile=settings.tile,
        overlap=settings.overlap,
        masks=masks,
        exact=settings.file == "npy",
    )
    for row, each in zip(missing, track(made, len(missing), f"upscale {name}"), strict=True):
        kept.keep(row, settings.finished(each, image))
    if isinstance(model, GeometryPrior) and loaded.scale == image.scale:  # of another size it could not be compared
        low = given_images(context, settings, rows)
        predicted = predicted_masks(model, low, settings, device, settings.tile, settings.overlap)
        for row, mask in zip(rows, track(predicted, len(rows), f"maps {name}"), strict=True):
            write_mask(new_image_file(maps, row.id), mask)
    return Made(kept, rows)


def _masks(context: Context, everyone: list[Row], rows: list[Row], shuffled_by: int | None) -> Iterator[np.ndarray]:
    """The masks of rows, or those of others among all rows of the arm, whichever process makes these."""
    masks, place_of = masks_for(everyone, context.params, shuffled_by), {r.id: i for i, r in enumerate(everyone)}
    return (masks[place_of[row.id]] for row in rows)


def _refuse_known_label(context: Context, arm: str, rows: list[Row], only: str) -> None:
    """A network that was trained on one class knows the label of what it makes: no test image goes through it."""
    protocols = context.params.study.protocols
    tested = [row for row in rows if any(is_tested(row, protocol) for protocol in protocols)]
    if only and tested:
        raise LeukoError(
            f"upscale.{arm}: its network was trained on the class {only} alone, so that its images tell the label, and "
            f"{tested[0].id} is a test image: take a network of all classes"
        )


@dataclass(frozen=True)
class _Wanted:
    """A weight file and what it must hold; None is anything."""

    weights: Path
    network: str | None
    scale: int | None
    remedy: str

    def check(self, network: str, scale: int) -> None:
        """Refuse weights of another network or scale."""
        if self.network in (None, network) and self.scale in (None, scale):
            return
        expected = " ".join([*([self.network] if self.network else []), *([f"x{self.scale}"] if self.scale else [])])
        raise LeukoError(f"{self.weights} holds {network} x{scale}, expected {expected}: {self.remedy}")


def _wanted(context: Context, arm: str, settings: Generated, network: int | str | None) -> _Wanted:
    if isinstance(settings, ByTraining):
        stage = f"train_sr@{settings.training}"
        weights = require(
            context.layout.sr(of_network(settings.training, network)) / f"{settings.weights}.safetensors", stage
        )
        architecture = context.params.train_sr[settings.training].architecture
        return _Wanted(weights, architecture, context.params.image.scale, f"run `dvc repro {stage}`")
    assert isinstance(settings, ByFile)
    remedy = f"correct upscale.{arm}.network and upscale.{arm}.scale, or name other weights in upscale.{arm}.reads"
    return _Wanted(Path(settings.reads), settings.network, settings.scale, remedy)

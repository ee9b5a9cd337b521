"""Make the images of one arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from leukosr.config import Arm, ByClass, ByFile, ByTraining, Filtered, Generated, Params, Recoloured, Resampled
from leukosr.data.manifest import (
    Row,
    arm_rows,
    is_tested,
    read_manifest,
    refuse_trained_tests,
    untested_rows,
    with_role,
)
from leukosr.data.sr_folds import seen_from, sr_folds
from leukosr.engine.processes import shared_folder
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import write_json
from leukosr.images.colour_map import fit_colour_map, with_colour_map
from leukosr.images.filters import FILTERS
from leukosr.images.masks import write_mask
from leukosr.images.reading import read_hr, read_rgb_of
from leukosr.images.resampling import brought_to, resize
from leukosr.layout import BRING_BACK, MAPS, image_file, new_image_file, of_network, require, require_all, stage_again
from leukosr.pretrained.named import weights_facts
from leukosr.stages.context import Context
from leukosr.stages.image_files import write_image
from leukosr.stages.masks import masks_for


def run(context: Context, arm: str) -> None:
    """Write arms/<arm>/<id>.png, or .jpg, for every image that a classifier sees or SR is tested on: uint8 RGB.

    Beside them <id>.npy where the arm's file is npy (`images.file_format`), and maps/<id>.png, a mask, where the
    network predicts one on the way.
    With `study.sr_seeds` an arm by a training has these once per SR seed, in seed-<seed>/, from the same LR images.
    Where SR trains in folds, each image is made by the network that did not see its fold. An arm that a network or a
    fitted colour map makes also says in metrics.json how it was computed. Several processes each make the images that
    they own.
    """
    params, processes = context.params, context.processes
    if arm not in params.upscale:
        raise LeukoError(f"upscale: unknown arm '{arm}'; upscale has {', '.join(params.upscale) or 'none'}")
    manifest = read_manifest(context.layout.manifest)
    rows = arm_rows(manifest, params.study)
    target = context.out or context.layout.arm(arm)
    if isinstance(params.upscale[arm], ByClass):
        rows = sorted(untested_rows(rows, params.study.protocols), key=lambda row: row.label)
    own = [row for row in rows if processes.owns(row.id)]
    settings: Arm = params.upscale[arm]
    if isinstance(settings, Generated):
        settings = _resolve_precision(context, settings)
    shares = _shares(params, arm, own)
    colours = (
        {network: _colour_map(context, settings, seen_from(network, manifest, params.study)) for network in shares}
        if isinstance(settings, Recoloured)
        else {}
    )
    with shared_folder(target, processes) as folder:
        for network, part in shares.items():
            images = _images(context, arm, settings, part, colours.get(network), network)
            below = folder / f"seed-{network}" if isinstance(network, int) else folder
            shown = track(images, len(part), f"upscale {of_network(arm, network)}")
            for row, image in zip(part, shown, strict=True):
                write_image(below, row.id, image, settings.file)
            if isinstance(settings, Generated):
                for row, mask in zip(own, _predicted_masks(context, arm, settings, own, network), strict=False):
                    write_mask(new_image_file(below / MAPS, row.id), mask)
        if isinstance(settings, Generated) and processes.first:
            write_json(folder / "metrics.json", {"n": len(rows), "precision": settings.precision, **_facts(settings)})
        if colours and processes.first:
            maps = {str(network): found.tolist() for network, found in colours.items()}
            fitted = maps if len(maps) > 1 else next(iter(maps.values()))
            write_json(folder / "metrics.json", {"n": len(rows), "precision": None, "colour_map": fitted})
    if processes.first:
        how = f" in {settings.precision}" if isinstance(settings, Generated) else ""
        each = "by the network of their fold, of" if any(isinstance(key, str) for key in shares) else "by each of"
        times = "" if tuple(shares) == (None,) else f" {each} {len(shares)} networks"
        context.console.print(f"upscale {arm}: {len(rows)} images{times}{how} -> {target}")


def _shares(params: Params, arm: str, rows: list[Row]) -> dict[int | str | None, list[Row]]:
    """By network, its SR seed or its fold, the images that it makes; None where there is one, or none."""
    folds = sr_folds(params.study, params.prepare)
    if folds and isinstance(params.upscale[arm], ByTraining | Recoloured):
        return {fold: with_role(rows, params.study.sr_protocol, fold) for fold in folds}
    return dict.fromkeys(params.networks_of(arm), rows)


def _facts(settings: Generated) -> dict[str, str]:
    """Which file made the images, where that is none of the study's own."""
    if not isinstance(settings, ByFile):
        return {}
    return weights_facts(settings.weights or settings.reads)


def _refuse_known_label(context: Context, arm: str, rows: list[Row], only: str) -> None:
    """A network that was trained on one class knows the label of what it makes: no test image goes through it."""
    protocols = context.params.study.protocols
    tested = [row for row in rows if any(is_tested(row, protocol) for protocol in protocols)]
    if only and tested:
        raise LeukoError(
            f"upscale.{arm}: its network was trained on the class {only} alone, so that its images tell the label, and "
            f"{tested[0].id} is a test image: take a network of all classes"
        )


def _resolve_precision(context: Context, settings: Generated) -> Generated:
    from leukosr.engine.device import choose_device
    from leukosr.engine.precision import resolve_precision

    return resolve_precision(settings, choose_device(context.params.runtime.device), context.processes)


def _images(
    context: Context,
    arm: str,
    settings: Arm,
    rows: list[Row],
    colours: np.ndarray | None,
    network: int | str | None,
) -> Iterator[np.ndarray]:
    image = context.params.image
    given, size = _given(context, settings, rows), settings.shape(image)
    if isinstance(settings, ByClass):
        made = _of_each_class(context, arm, settings, rows, network)
    elif isinstance(settings, Generated):
        made = _generated(context, arm, settings, rows, given, network)
    elif isinstance(settings, Resampled):
        precise = np.float32 if settings.file == "npy" else np.uint8
        made = (resize(each.astype(precise), size, settings.kernel) for each in given)
    elif isinstance(settings, Recoloured):
        assert colours is not None
        made = (with_colour_map(each, colours) for each in _enlarged(context, settings, given))
    elif isinstance(settings, Filtered):
        made = (FILTERS[settings.filter](each, **settings.arguments) for each in given)
    else:
        made = given
    yield from (brought_to(each, size, image.kernel) for each in made)


def _colour_map(context: Context, settings: Recoloured, manifest: list[Row]) -> np.ndarray:
    """Fitted on the pairs that SR trains on, whatever degradation it draws afresh in training."""
    params = context.params
    refuse_trained_tests(manifest, params.study)
    rows = with_role(manifest, params.study.sr_protocol, "sr_train")
    if not rows:
        raise LeukoError(f"upscale: no image has the role sr_train under {params.study.sr_protocol}, to fit colours to")
    low = _enlarged(context, settings, _given(context, settings, rows))
    high = (read_hr(Path(params.prepare.root) / row.path, params.image) for row in rows)
    return fit_colour_map(track(zip(low, high, strict=True), len(rows), "fitting the colour map"))


def _enlarged(context: Context, settings: Recoloured, images: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    image = context.params.image
    return (resize(each, (image.height, image.width), settings.kernel) for each in images)


def _given(context: Context, settings: Arm, rows: list[Row]) -> Iterator[np.ndarray]:
    """The images that the arm is made from."""
    params, layout = context.params, context.layout
    if settings.made_from == "original":
        for original in require_all([Path(params.prepare.root) / row.path for row in rows], BRING_BACK):
            yield read_hr(original, params.image)
        return
    again = stage_again("degrade")
    for file in require_all([image_file(require(layout.lr, "degrade"), row.id) for row in rows], again):
        yield read_rgb_of(file, settings.given_shape(params.image), again)


def _generated(
    context: Context,
    arm: str,
    settings: Generated,
    rows: list[Row],
    given: Iterator[np.ndarray],
    network: int | str | None,
) -> Iterator[np.ndarray]:
    from leukosr.engine.device import choose_device, place
    from leukosr.superres.upscaler import upscale_images
    from leukosr.superres.weights import load_generator

    wanted = _wanted(context, arm, settings, network)
    device = choose_device(context.params.runtime.device)
    loaded = load_generator(wanted.weights, device)
    wanted.check(loaded.architecture, loaded.scale)
    _refuse_known_label(context, arm, rows, loaded.only_class)
    model = place(loaded.model, device, settings.channels_last)
    masks = _masks(context, rows, shuffled=loaded.shuffled_masks) if model.contract.masks else None
    return upscale_images(
        model, given, loaded.scale, settings, device,
        batch=settings.batch, tile=settings.tile, overlap=settings.overlap, masks=masks, exact=settings.file == "npy",
    )  # fmt: skip


def _predicted_masks(
    context: Context, arm: str, settings: Generated, rows: list[Row], sr_seed: int | None
) -> Iterator[np.ndarray]:
    """The map that the arm's network predicts of each image; nothing of one without a prior."""
    from leukosr.engine.device import choose_device, place
    from leukosr.superres.networks.prior import GeometryPrior
    from leukosr.superres.segment import predicted_masks
    from leukosr.superres.weights import load_generator

    device = choose_device(context.params.runtime.device)
    model = load_generator(_wanted(context, arm, settings, sr_seed).weights, device).model
    if isinstance(model, GeometryPrior):
        model = place(model, device, settings.channels_last)
        yield from predicted_masks(model, _given(context, settings, rows), settings, device)


def _masks(context: Context, rows: list[Row], *, shuffled: bool) -> Iterator[np.ndarray]:
    """The masks of rows, or those of others among all rows of the arm, whichever process makes these."""
    everyone = arm_rows(read_manifest(context.layout.manifest), context.params.study)
    masks, place = masks_for(everyone, context.params, shuffled=shuffled), {row.id: i for i, row in enumerate(everyone)}
    return (masks[place[row.id]] for row in rows)


def _of_each_class(
    context: Context, arm: str, settings: ByClass, rows: list[Row], sr_seed: int | None
) -> Iterator[np.ndarray]:
    """Images of rows in the order of their classes, each by the network of its class."""
    for label, alike in groupby(rows, key=lambda row: row.label):
        if label not in settings.trainings:
            known = ", ".join(settings.trainings)
            raise LeukoError(f"upscale.{arm}.trainings: no training for the class {label}; there are those of {known}")
        own, one = list(alike), settings.of_class(label)
        yield from _generated(context, arm, one, own, _given(context, one, own), sr_seed)


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

"""Make the images of one arm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from leukosr.config import Arm, ByClass, ByFile, ByTraining, Filtered, Generated, Image, Params, Recoloured, Resampled
from leukosr.data.manifest import Row, arm_rows, read_manifest, with_role
from leukosr.data.separation import refuse_trained_tests, untested_rows
from leukosr.data.sr_folds import seen_from, sr_folds
from leukosr.engine.processes import shared_folder
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import write_json
from leukosr.images.colour_map import fit_colour_map, with_colour_map
from leukosr.images.filters import FILTERS
from leukosr.images.reading import read_hr
from leukosr.images.resampling import brought_to, resize
from leukosr.layout import MAPS, of_network
from leukosr.pretrained.named import weights_facts
from leukosr.stages.context import Context
from leukosr.stages.given_images import given_images
from leukosr.stages.image_files import write_image


def run(context: Context, arm: str) -> None:
    """Write arms/<arm>/<id>.png, or .jpg, for every image that a classifier sees or SR is tested on: uint8 RGB.

    Beside them <id>.npy where the arm's file is npy (`images.file_format`), and maps/<id>.png, a mask, where the
    network predicts one on the way.
    What a network has made is kept, so a cut stage goes on where it was.
    With `study.sr_seeds` an arm by a training has these once per SR seed, in seed-<seed>/, from the same LR images.
    Where SR trains in folds, each image is made by the network that did not see its fold. An arm that a network or a
    fitted colour map makes also says in metrics.json how it was computed. Several processes each make the images that
    they own.
    """
    params, processes = context.params, context.processes
    context.check_arm(arm)
    manifest = read_manifest(context.layout.manifest)
    rows = arm_rows(manifest, params.study)
    target = context.out or context.layout.arm(arm)
    if isinstance(params.upscale[arm], ByClass):
        rows = untested_rows(rows, params.study.protocols, arm)
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
        for network, part in shares.items() if not isinstance(settings, Generated) else ():
            images = _images(context, settings, part, colours.get(network))
            shown = track(images, len(part), f"upscale {of_network(arm, network)}")
            for row, image in zip(part, shown, strict=True):
                write_image(folder, row.id, image, settings.file)
        if isinstance(settings, Generated):
            _by_networks(context, arm, settings, shares, folder)
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
    """The file that made the images, where it is not one of the study's own."""
    if not isinstance(settings, ByFile):
        return {}
    return weights_facts(settings.weights or settings.reads)


def _resolve_precision(context: Context, settings: Generated) -> Generated:
    from leukosr.engine.device import choose_device
    from leukosr.engine.precision import resolve_precision

    return resolve_precision(settings, choose_device(context.params.runtime.device), context.processes)


def _by_networks(
    context: Context, arm: str, settings: Generated, shares: Mapping[int | str | None, list[Row]], folder: Path
) -> None:
    """Make all images, and the maps that are predicted, before any is moved to `folder`, which a cut stage loses."""
    from leukosr.stages.by_network import made_by_networks

    below = {each: folder / f"seed-{each}" if isinstance(each, int) else folder for each in shares}
    made = {
        each: made_by_networks(context, arm, settings, rows, each, below[each] / MAPS) for each, rows in shares.items()
    }
    for network, parts in made.items():
        for part in parts:
            part.move(below[network])


def _images(context: Context, settings: Arm, rows: list[Row], colours: np.ndarray | None) -> Iterator[np.ndarray]:
    return made_plainly(settings, context.params.image, given_images(context, settings, rows), colours)


def made_plainly(
    settings: Arm, image: Image, given: Iterable[np.ndarray], colours: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """The images of an arm that no network makes, from those that it is made from: uint8 RGB, or float32 for npy.

    colours: the fitted map of a `Recoloured` arm.
    """
    size = settings.shape(image)
    made: Iterable[np.ndarray]
    if isinstance(settings, Resampled):
        precise = np.float32 if settings.file == "npy" else np.uint8
        made = (resize(each.astype(precise), _scaled(each, settings.scale) or size, settings.kernel) for each in given)
    elif isinstance(settings, Recoloured):
        assert colours is not None
        made = (with_colour_map(each, colours) for each in _enlarged(image, settings, given))
    elif isinstance(settings, Filtered):
        made = (FILTERS[settings.filter](each, **settings.arguments) for each in given)
    else:
        made = given
    yield from (brought_to(each, size, image.kernel) for each in made)


def _scaled(image: np.ndarray, scale: int | None) -> tuple[int, int] | None:
    """Height and width of an image enlarged `scale` times."""
    return None if scale is None else (image.shape[0] * scale, image.shape[1] * scale)


def _colour_map(context: Context, settings: Recoloured, manifest: list[Row]) -> np.ndarray:
    """Fitted on the pairs that SR trains on, whatever degradation it draws afresh in training."""
    params = context.params
    refuse_trained_tests(manifest, params.study)
    rows = with_role(manifest, params.study.sr_protocol, "sr_train")
    if not rows:
        raise LeukoError(f"no image has the role sr_train under {params.study.sr_protocol}, to fit colours to")
    low = _enlarged(params.image, settings, given_images(context, settings, rows))
    high = (read_hr(Path(params.prepare.root) / row.path, params.image) for row in rows)
    return fit_colour_map(track(zip(low, high, strict=True), len(rows), "fitting the colour map"))


def _enlarged(image: Image, settings: Recoloured, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    return (resize(each, (image.height, image.width), settings.kernel) for each in images)

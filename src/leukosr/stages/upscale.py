"""Make the images of one arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukosr.config import Arm, ByFile, ByTraining, Filtered, Generated, Recoloured, Resampled
from leukosr.data.manifest import Row, arm_rows, is_tested, read_manifest, refuse_trained_tests, with_role
from leukosr.engine.processes import shared_folder
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import write_json
from leukosr.images.colour_map import fit_colour_map, with_colour_map
from leukosr.images.filters import FILTERS
from leukosr.images.reading import read_hr, read_rgb_of
from leukosr.images.resampling import brought_to, resize
from leukosr.layout import BRING_BACK, image_file, of_network, require, require_all, stage_again
from leukosr.pretrained.named import weights_facts
from leukosr.stages.context import Context
from leukosr.stages.image_files import write_image

if TYPE_CHECKING:  # it imports torch
    from leukosr.stages.kept_images import KeptImages


def run(context: Context, arm: str) -> None:
    """Write arms/<arm>/<id>.png, or .jpg, for every image that a classifier sees or SR is tested on: uint8 RGB.

    With `study.sr_seeds` an arm by a training has these once per SR seed, in seed-<seed>/, from the same LR images.
    What a network has made is kept, so a cut stage goes on where it was.
    An arm that a network or a fitted colour map makes also says in metrics.json how it was computed. Several processes
    each make the images that they own.
    """
    params, processes = context.params, context.processes
    if arm not in params.upscale:
        raise LeukoError(f"upscale: unknown arm '{arm}'; the arms of this study are {', '.join(params.arms)}")
    manifest = read_manifest(context.layout.manifest)
    rows = arm_rows(manifest, params.study)
    target = context.out or context.layout.arm(arm)
    own = [row for row in rows if processes.owns(row.id)]
    settings: Arm = params.upscale[arm]
    if isinstance(settings, Generated):
        settings = _resolve_precision(context, settings)
    colours = _colour_map(context, settings, manifest) if isinstance(settings, Recoloured) else None
    with shared_folder(target, processes) as folder:
        kept: dict[Path, KeptImages] = {}
        for network in params.networks_of(arm):
            below = folder if network is None else folder / f"seed-{network}"
            if isinstance(settings, Generated):
                kept[below] = _made_by_network(context, arm, settings, own, network)
                continue
            images = track(_images(context, settings, own, colours), len(own), f"upscale {arm}")
            for row, image in zip(own, images, strict=True):
                write_image(below, row.id, image, settings.file)
        for below, made in kept.items():
            made.move(own, below)
        if isinstance(settings, Generated) and processes.first:
            write_json(folder / "metrics.json", {"n": len(rows), "precision": settings.precision, **_facts(settings)})
        if colours is not None and processes.first:
            write_json(folder / "metrics.json", {"n": len(rows), "precision": None, "colour_map": colours.tolist()})
    if processes.first:
        how = f" in {settings.precision}" if isinstance(settings, Generated) else ""
        networks = params.networks_of(arm)
        times = "" if networks == (None,) else f" by each of {len(networks)} networks"
        context.console.print(f"upscale {arm}: {len(rows)} images{times}{how} -> {target}")


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


def _made_by_network(
    context: Context, arm: str, settings: Generated, rows: list[Row], network: int | None
) -> KeptImages:
    """All images of a network: those that a cut attempt kept, and the others, which it makes now."""
    from leukosr.engine.device import choose_device, place
    from leukosr.stages.kept_images import KeptImages
    from leukosr.superres.upscaler import upscale_images
    from leukosr.superres.weights import load_generator

    image, wanted = context.params.image, _wanted(context, arm, settings, network)
    device = choose_device(context.params.runtime.device)
    loaded = load_generator(wanted.weights, device)
    wanted.check(loaded.architecture, loaded.scale)
    _refuse_known_label(context, arm, rows, loaded.only_class)
    model = place(loaded.model, device, settings.channels_last)
    kept = KeptImages(settings, image, wanted.weights, _given_files(context, settings, rows))
    missing, name = kept.missing(rows), of_network(arm, network)
    if len(missing) < len(rows):
        context.console.print(f"upscale {name}: {len(rows) - len(missing)} of {len(rows)} images are there already")
    made = upscale_images(
        model, _given(context, settings, missing), loaded.scale, settings, device,
        batch=settings.batch, tile=settings.tile, overlap=settings.overlap,
    )  # fmt: skip
    for row, each in zip(missing, track(made, len(missing), f"upscale {name}"), strict=True):
        kept.keep(row, brought_to(each, settings.shape(image), image.kernel))
    return kept


def _images(context: Context, settings: Arm, rows: list[Row], colours: np.ndarray | None) -> Iterator[np.ndarray]:
    image = context.params.image
    given, size = _given(context, settings, rows), settings.shape(image)
    made: Iterator[np.ndarray]
    if isinstance(settings, Resampled):
        made = (resize(each, _scaled(each, settings.scale) or size, settings.kernel) for each in given)
    elif isinstance(settings, Recoloured):
        assert colours is not None
        made = (with_colour_map(each, colours) for each in _enlarged(context, settings, given))
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
        raise LeukoError(f"upscale: no image has the role sr_train under {params.study.sr_protocol}, to fit colours to")
    low = _enlarged(context, settings, _given(context, settings, rows))
    high = (read_hr(Path(params.prepare.root) / row.path, params.image) for row in rows)
    return fit_colour_map(track(zip(low, high, strict=True), len(rows), "fitting the colour map"))


def _enlarged(context: Context, settings: Recoloured, images: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    image = context.params.image
    return (resize(each, (image.height, image.width), settings.kernel) for each in images)


def _given(context: Context, settings: Arm, rows: list[Row]) -> Iterator[np.ndarray]:
    """The images that the arm is made from."""
    image = context.params.image
    for file in _given_files(context, settings, rows):
        if settings.made_from == "original":
            yield read_hr(file, image)
        else:
            yield read_rgb_of(file, settings.given_shape(image), stage_again("degrade"))


def _given_files(context: Context, settings: Arm, rows: list[Row]) -> Sequence[Path]:
    """Their files, all of which must be there."""
    params, layout = context.params, context.layout
    if settings.made_from == "original":
        return require_all([Path(params.prepare.root) / row.path for row in rows], BRING_BACK)
    files = [image_file(require(layout.lr, "degrade"), row.id) for row in rows]
    return require_all(files, stage_again("degrade"))


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


def _wanted(context: Context, arm: str, settings: Generated, sr_seed: int | None) -> _Wanted:
    if isinstance(settings, ByTraining):
        stage = f"train_sr@{settings.training}"
        weights = require(
            context.layout.sr(of_network(settings.training, sr_seed)) / f"{settings.weights}.safetensors", stage
        )
        architecture = context.params.train_sr[settings.training].architecture
        return _Wanted(weights, architecture, context.params.image.scale, f"run `dvc repro {stage}`")
    assert isinstance(settings, ByFile)
    remedy = f"correct upscale.{arm}.network and upscale.{arm}.scale, or name other weights in upscale.{arm}.reads"
    return _Wanted(Path(settings.reads), settings.network, settings.scale, remedy)

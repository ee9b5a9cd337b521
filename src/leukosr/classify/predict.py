"""Classification of a user's own images."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from leukosr.classify.confidence import answered
from leukosr.classify.gradcam import FlatMap, overlay, together
from leukosr.classify.panel import Panel, weight_files
from leukosr.data.splits import SPLITS
from leukosr.engine.device import place
from leukosr.engine.image_size import TOO_SMALL, said_of_size
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.images.appearance import TrainingImages, cautions
from leukosr.images.reading import write_png
from leukosr.quoting import counted, listed
from leukosr.superres.enhance import Enhanced, How, device_of, found_images, noted, readable
from leukosr.superres.pace import Waiting
from leukosr.superres.upscaler import upscale_images
from leukosr.superres.weights import LoadedGenerator, load_generator
from leukosr.tables import write_frame

TILE, OVERLAP = 256, 64  # of LR images, in pixels, as `leukosr enhance` cuts them
MOST_SHOWN = 10  # images whose answers are printed one by one
COARSE = 4  # fields of Grad-CAM along a side: with fewer, one is larger than a cell


@dataclass(frozen=True)
class Predicted:
    """table: one row per image. done: what became of the files, and what the answers are worth."""

    table: pd.DataFrame
    done: Enhanced

    @property
    def summary(self) -> str:
        """How many answers are sure, if that is known, and how many images look unlike the training images."""
        sure, odd = self.table["sure"], int((self.table["warnings"] != "").sum())
        words = [] if sure.empty or "" in sure.tolist() else [f"{int(sure.sum())} sure"]
        return ", ".join([*words, f"{odd} with warnings"])

    @property
    def answers(self) -> list[str]:
        """The answer to each image, or, where there are many, one line with the images of each class."""
        if len(self.table) > MOST_SHOWN:
            return [", ".join(f"{name} {count}" for name, count in self.table["predicted"].value_counts().items())]
        return [self._answer(row) for _, row in self.table.iterrows()]

    @staticmethod
    def _answer(row: pd.Series) -> str:
        sure = "" if row["sure"] == "" else ", sure" if row["sure"] else ", not sure"
        warnings = row["warnings"] and f" ({row['warnings']})"
        return f"{row['image']}: {row['predicted']} {100 * row['p_' + row['predicted']]:.0f} %{sure}{warnings}"


@dataclass(frozen=True)
class SuperResolution:
    """A network that enlarges images.

    seen: what it was trained on. notes: what its images are worth, as phrases to follow its name and a colon.
    """

    loaded: LoadedGenerator
    seen: TrainingImages | None
    notes: list[str]
    how: How
    device: torch.device

    @classmethod
    def load(cls, weights: Path, how: How, device: torch.device) -> SuperResolution:
        """Read any generator. Raises LeukoError for a file that cannot be used."""
        loaded = load_generator(weights, device)
        place(loaded.model, device, channels_last=True)
        seen, notes = TrainingImages.read(loaded.header, weights), cautions(loaded.header, weights)
        return cls(loaded, seen, notes, how, device)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """An LR image, uint8 RGB, enlarged."""
        network, scale = self.loaded.model, self.loaded.scale
        (made,) = upscale_images(network, [image], scale, self.how, self.device, batch=1, tile=TILE, overlap=OVERLAP)
        return made

    def unlike(self, image: np.ndarray) -> list[str]:
        """What sets an LR image apart from those that the network was trained on, as phrases."""
        return [] if self.seen is None else self.seen.unlike(image)


@dataclass(frozen=True)
class Explained:
    """An image with what speaks for a class in warm colours, uint8 RGB, made of maps of at least `fields` (h, w)."""

    overlay: np.ndarray
    fields: tuple[int, ...]


@dataclass(frozen=True)
class Predictor:
    """Classifiers that answer for anyone's images.

    threshold: the probability from which on an answer is sure; None where nothing can be said. notes: what the answers
    are worth, as phrases to follow the classifiers' name and a colon.
    """

    panel: Panel
    threshold: float | None
    notes: list[str]
    how: How

    @classmethod
    def load(
        cls, files: Sequence[Path], how: How, device: torch.device, *, threshold: float | None, most_errors: float
    ) -> Predictor:
        """Read weight files. Raises LeukoError for one that cannot be used.

        threshold: None takes that at which at most a share `most_errors` of the sure answers in validation is wrong.
        """
        panel = Panel.load(files, device)
        if threshold is None:
            threshold = panel.sure_above(most_errors)
        notes = cautions(panel.members[0].header, files[0]) + _on_confidence(panel, threshold, most_errors)
        return cls(panel, threshold, notes, how)

    def row(self, image: np.ndarray, before: Sequence[str] = ()) -> dict[str, Any]:
        """The cells of an image, uint8 RGB: predicted, p_<CLASS>, sure, warnings.

        before: what set the image apart before super-resolution.
        """
        answer = self.panel.answer(image, self.how.precision)
        warnings = [*(f"before super-resolution: {each}" for each in before), answer.pop("warnings")]
        surest = max(answer[f"p_{name}"] for name in self.panel.classes)
        sure = "" if self.threshold is None else surest >= self.threshold
        return {**answer, "sure": sure, "warnings": "; ".join(each for each in warnings if each)}

    def explained(self, image: np.ndarray, name: str) -> Explained:
        """Grad-CAM of the class `name`. Raises LeukoError for classifiers that have none."""
        maps = self.panel.attention_fields(image, self.panel.classes.index(name))
        return Explained(overlay(image, together(maps, image.shape[:2])), min((each.shape for each in maps), key=min))


def predict_path(
    source: Path, model: Path, *, sr: Path | None, explain: Path | None, threshold: float | None, most_errors: float,
    precision: str, device_name: str,
) -> Predicted:  # fmt: skip
    """Classify one image, or all below a folder, by the classifiers of `model`.

    sr: weights of a generator that enlarges each image first. explain: the folder for Grad-CAM overlays. threshold: the
    probability from which on an answer is sure; None: that at which at most a share `most_errors` of the validation
    part's sure answers is wrong. An image that cannot be read, or is too small, does not stop the others. Raises
    LeukoError for missing input, unusable weights and a single image that cannot be read.
    """
    if explain is not None and source.is_dir() and explain.resolve() == source.resolve():
        raise LeukoError(f"{explain} holds the images themselves: choose another place for the overlays")
    device = device_of(device_name)
    how = How.of(precision, device)
    predictor = Predictor.load(weight_files(model), how, device, threshold=threshold, most_errors=most_errors)
    files = found_images(source, without=explain)
    superres = None if sr is None else SuperResolution.load(sr, how, device)
    waiting = None if superres is None else Waiting(superres, device, TILE, OVERLAP)
    names: deque[Path] = deque()
    rows, sizes = [], []
    fields: list[tuple[int, ...]] = []
    no_map: list[str] = []
    for image in track(readable(files, names), len(files.pairs), "predicting"):
        name, before = names.popleft(), [] if superres is None else superres.unlike(image)
        if waiting is not None:
            waiting.announce(image, str(name))
        try:
            shown = image if superres is None else superres(image)
            row = predictor.row(shown, before)
        except RuntimeError as error:
            if said_of_size(error) != TOO_SMALL:
                raise
            files.failed.append(f"{name}: {TOO_SMALL}")
            continue
        sizes.append(shown.shape[:2])
        rows.append({"image": name.as_posix(), **row})
        if explain is not None:
            try:
                explained = predictor.explained(shown, row["predicted"])
            except FlatMap:
                no_map.append(name.as_posix())
                continue
            fields.append(explained.fields)
            with new_file(explain / overlay_name(name)) as temporary:
                write_png(temporary, explained.overlay)
    if files.failed and not source.is_dir():
        raise LeukoError(files.failed[0])
    columns = ["image", "predicted", *(f"p_{name}" for name in predictor.panel.classes), "sure", "warnings"]
    notes = noted(model, predictor.notes)
    if predictor.threshold is None:
        notes.append("--threshold sets the probability from which on answers are called sure")
    if sr is not None and superres is not None:
        notes += noted(sr, superres.notes)
    else:
        notes += on_size(predictor.panel.seen, sizes)
    notes += on_fields(min(fields, key=min)) if fields else []
    if no_map:
        notes.append(f"{counted(len(no_map), 'image')} too small for a Grad-CAM overlay: {listed(no_map, 3)}")
    done = Enhanced(len(rows), files.failed, files.left_out, notes)
    return Predicted(pd.DataFrame(rows, columns=columns), done)


def overlay_name(image: Path) -> Path:
    """Where an image's overlay lies: a_jpg.png for a.jpg, since a folder may hold a.png, too."""
    return image.with_name(f"{image.stem}_{image.suffix.removeprefix('.')}.png")


def _on_confidence(panel: Panel, threshold: float | None, most_errors: float) -> list[str]:
    """What probabilities and the column `sure` are worth."""
    if not panel.validations:
        said = "no validation part, so probabilities are not calibrated"
        return [said if threshold is not None else f"{said} and no answer is called sure"]
    protocol = panel.members[0].header.get("protocol")
    notes = []
    if protocol in SPLITS and not SPLITS[protocol].disjoint:
        notes.append(
            f"validated under the protocol {protocol}, which does not keep sources apart: if validation images show "
            "cells of the training images, probabilities, and what is called sure, promise too much"
        )
    if threshold == float("inf"):
        images = len(answered(panel.validations).right)
        notes.append(
            f"no answer is sure, as at every threshold more than {most_errors:.0%} of the answers to the {images} "
            f"validation images {'that all classifiers share ' if len(panel.members) > 1 else ''}would be wrong, if "
            "one more error is counted than was seen"
        )
    return notes


def on_fields(fields: tuple[int, ...]) -> list[str]:
    """What overlays are worth that are enlarged from maps of so many fields (h, w)."""
    height, width = fields
    if min(height, width) >= COARSE:
        return []
    return [
        f"the overlays show {height}x{width} fields, the size of the classifier's last feature map: they tell sides of "
        "an image apart, not parts of a cell; classifiers of larger images, such as super-resolved ones, show more"
    ]


def on_size(seen: TrainingImages | None, sizes: Sequence[tuple[int, ...]]) -> list[str]:
    """What to do about images (height, width) of which each has at most half the sides of the training images."""
    if seen is None or not sizes:
        return []
    height, width = (max(sides) for sides in zip(*sizes, strict=True))
    if 2 * height > seen.height[0] or 2 * width > seen.width[0]:
        return []
    return [
        "the images have at most half the height and width of the training images: if those were enlarged by a "
        "network, name it with --sr"
    ]


def write_predictions(path: Path, table: pd.DataFrame) -> None:
    """Write the table, whole or not at all."""
    with new_file(path) as temporary:
        write_frame(temporary, table, float_format="%.6f")

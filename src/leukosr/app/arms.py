"""The image of each arm of a study, made of anyone's as the study made its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from leukosr.app.given import Given, Note, Version, as_stored
from leukosr.app.networks import Networks
from leukosr.config import Arm, ByClass, ByFile, ByTraining, Generated, Image, Params, Recoloured
from leukosr.engine.weights import SUFFIX
from leukosr.errors import LeukoError
from leukosr.layout import Layout, of_network, require, require_file, weight_file
from leukosr.pretrained.named import find_weights
from leukosr.stages.upscale import made_plainly


class StudyArms:
    """The arms of a study, and the generators below pretrained/, which are arms by their word, `pretrained/NAME`.

    network: of several that the study trained for an arm, the one that is shown.
    """

    def __init__(self, params: Params, layout: Layout, networks: Networks, labels: dict[str, str]) -> None:
        self._params, self._layout, self._networks, self._labels = params, layout, networks, labels
        self.network = params.trained_networks[0]

    def of_original(self, name: str) -> bool:
        """Whether an arm of the study is made of originals."""
        return self._params.source_arm(name).made_from == "original"

    def check(self, name: str) -> None:
        """Raise LeukoError for an arm that cannot be made of anyone's image, by what can be known without its network.

        NoGenerator for a file below pretrained/ that holds another network.
        """
        if name not in self._params.arms:
            Networks.check(Path(name))
            return
        arm = self._params.source_arm(name)
        if isinstance(arm, ByClass):
            raise LeukoError("its networks know the class of what they make, so they are for images to train on alone")
        if isinstance(arm, Generated):
            Networks.check(self._weights(arm))
        if isinstance(arm, Recoloured):
            self._colours(name)

    def version(self, given: Given, name: str) -> Version:
        """The image as an arm shows it; made once. Raises LeukoError where it cannot be made."""
        if name not in given.versions:
            given.versions[name] = self._made(given, name)
        return given.versions[name]

    def uncut(self, name: str) -> str:
        """The arm that another one's cells are cut out of; the same where none is."""
        return self._params.extract[name].arm or name if name in self._params.extract else name

    def seconds(self, given: Given, name: str) -> float:
        """About how long a network takes for the image of an uncut arm; 0 where none makes it, or it is made already.

        Raises LeukoError where it cannot be made.
        """
        if name in given.versions:
            return 0.0
        if name not in self._params.arms:
            return self._networks.seconds(Path(name), given.low)
        arm = self._params.upscale.get(name)
        return self._networks.seconds(self._weights(arm), _source(given, arm)) if isinstance(arm, Generated) else 0.0

    def _made(self, given: Given, name: str) -> Version:
        if name in self._params.extract:
            return self._extracted(given, name)
        if name not in self._params.upscale:
            return self._networks.enlarged(Path(name), given.low, self._labels[name])
        arm, image = self._params.upscale[name], self._image_of(given)
        source = _source(given, arm)
        if isinstance(arm, Generated):
            made = self._networks.enlarged(self._weights(arm), source, self._labels[name])
            notes = made.notes + self._one_of_several(arm, self._labels[name])
            return Version(as_stored(arm.finished(made.image, image), arm.file), notes, made.unlike)
        colours = self._colours(name) if isinstance(arm, Recoloured) else None
        (plain,) = made_plainly(arm, image, [source], colours)
        return Version(as_stored(plain, arm.file))

    def _extracted(self, given: Given, name: str) -> Version:
        extraction = self._params.extract[name]
        base = Version(given.originals[0]) if extraction.arm is None else self.version(given, extraction.arm)
        cell = extraction.extractor.cell(base.image)
        notes = base.notes + ([] if cell else [Note(self._labels[name], "no cell was found; the image is shown whole")])
        return Version(as_stored(extraction.extractor.shown(base.image, cell), extraction.file), notes, base.unlike)

    def _image_of(self, given: Given) -> Image:
        """The study's sizes, for an LR image of any size."""
        height, width = (side * self._params.image.scale for side in given.low.shape[:2])
        return self._params.image.model_copy(update={"height": height, "width": width})

    def _one_of_several(self, arm: Generated, label: str) -> list[Note]:
        count = len(self._params.trained_networks) if isinstance(arm, ByTraining) else 1
        return [Note(label, f"by the first of the {count} networks that the study trained for it")] if count > 1 else []

    def _weights(self, arm: Generated) -> Path:
        """The file of the network that makes an arm. Raises LeukoError with the remedy where it is not there."""
        if isinstance(arm, ByFile):
            file = weight_file(arm.weights or arm.reads)
            return file if file.is_file() else require_file(find_weights(file))  # of what is there, it reads every byte
        assert isinstance(arm, ByTraining)
        folder = self._layout.sr(of_network(arm.training, self.network))
        return require(folder / f"{arm.weights}{SUFFIX}", f"train_sr@{arm.training}")

    def _colours(self, name: str) -> np.ndarray:
        """The map of a recoloured arm, as the study fitted it."""
        metrics = require(self._layout.arm(name) / "metrics.json", f"upscale@{name}")
        fitted = json.loads(metrics.read_text(encoding="utf-8"))["colour_map"]
        return np.asarray(fitted[str(self.network)] if isinstance(fitted, dict) else fitted)


def _source(given: Given, arm: Arm) -> np.ndarray:
    """What an arm is made from. Raises LeukoError for an arm of originals where the image is not one."""
    return given.low if arm.made_from == "low" else given.originals[1]

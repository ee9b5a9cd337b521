"""What a study's models make of one image: its arms, published networks, and the answers of its classifiers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leukosr.app.given import Given, Version, as_stored
from leukosr.classify.panel import weight_files
from leukosr.classify.predict import Predictor, SuperResolution, on_fields
from leukosr.config import ByClass, ByFile, ByTraining, Generated, Image, Params, Recoloured
from leukosr.data.splits import shown_name
from leukosr.engine.weights import SUFFIX, require_file
from leukosr.errors import LeukoError
from leukosr.images.resampling import brought_to
from leukosr.layout import PRETRAINED, Layout, of_network, require
from leukosr.pretrained.named import find_weights
from leukosr.report.style import arm_looks, experiment_looks
from leukosr.stages.upscale import made_plainly
from leukosr.superres.enhance import How, device_of
from leukosr.superres.weights import NoGenerator


@dataclass(frozen=True)
class Choice:
    """What can be asked for by its name: of every image, or of an `original` alone; `chosen` from the start, or not."""

    name: str
    label: str
    original: bool = False
    chosen: bool = True


@dataclass(frozen=True)
class Answer:
    """What the classifiers of an experiment say: the cells of `leukosr predict`, and notes on what they are worth.

    notes: with those on the image. arm: the label of the arm whose image they saw. no_map: why there is no Grad-CAM;
    empty where there is one.
    """

    row: dict[str, Any]
    arm: str
    notes: list[str]
    no_map: str


class StudyModels:
    """The arms and experiments of a study, as far as they are trained, and the generators below pretrained/.

    arms, experiments: what can be asked for. missing: a sentence on everything that cannot, and why; of other networks
    below pretrained/, such as backbones of classifiers, there is none.
    """

    def __init__(self, params: Params, layout: Layout, *, precision: str, device_name: str, most_errors: float) -> None:
        """Read the generators, and look which classifiers there are; these are read when they are first asked for.

        Raises LeukoError for an unknown precision or device.
        """
        self.params, self._layout, self._most_errors = params, layout, most_errors
        self._device = device_of(device_name)
        self._how = How.of(precision, self._device)
        self._network = params.trained_networks[0]  # of several, the first is shown
        self._networks: dict[Path, SuperResolution] = {}
        self._predictors: dict[str, Predictor] = {}
        self._labels = {name: look.label for name, look in arm_looks(params).items()}
        self.missing: list[str] = []
        self.arms = self._usable(self._own_arms(), self._check_arm)
        self.arms += self._usable(_pretrained(), lambda name: self._check_network(Path(name)))
        self.experiments = self._usable(self._own_experiments(), self._check_experiment)

    def version(self, given: Given, name: str) -> Version:
        """The image as an arm, or a network below pretrained/, shows it; made once. Raises LeukoError if none can."""
        if name not in {each.name for each in self.arms}:
            raise LeukoError(f"'{name}' is no arm that is shown here: reload the page")
        if name not in given.versions:
            given.versions[name] = self._made(given, name)
        return given.versions[name]

    def answer(self, given: Given, name: str) -> Answer:
        """What the classifiers of an experiment say of the image in the arm that they are tested on.

        Raises LeukoError where they cannot.
        """
        if name not in {each.name for each in self.experiments}:
            raise LeukoError(f"'{name}' is no experiment that is shown here: reload the page")
        arm, predictor = self.params.classify[name.partition("/")[0]].test, self._predictor(name)
        version, no_map = self.version(given, arm), ""
        notes = [*version.notes, *predictor.notes]
        row = predictor.row(version.image, version.unlike)
        try:
            given.maps[name] = predictor.explained(version.image, row["predicted"])
            notes += on_fields(predictor.panel.attention_fields(version.image, place=0))
        except LeukoError as error:
            no_map = str(error)
        return Answer(row, self._labels[arm], notes, no_map)

    def _own_arms(self) -> list[Choice]:
        return [Choice(name, self._labels[name], self._of_original(name)) for name in self.params.arms]

    def _own_experiments(self) -> list[Choice]:
        """One of each experiment and protocol."""
        looks = experiment_looks(self.params)
        return [
            Choice(
                f"{name}/{protocol}",
                f"{looks[name].label}, {shown_name(protocol).replace('_', ' ')}",
                self._of_original(experiment.test),
            )
            for name, experiment in self.params.classify.items()
            for protocol in self.params.protocols_of(name)
        ]

    def _usable(self, choices: list[Choice], check: Callable[[str], object]) -> list[Choice]:
        """Those that `check` does not refuse; why it refused the others is kept."""
        usable = []
        for each in choices:
            try:
                check(each.name)
            except LeukoError as error:
                if each.chosen or not isinstance(error, NoGenerator):  # nobody asked for a backbone below pretrained/
                    self.missing.append(f"{each.label}: {error}")
            else:
                usable.append(each)
        return usable

    def _of_original(self, arm: str) -> bool:
        return self.params.source_arm(arm).made_from == "original"

    def _check_arm(self, name: str) -> None:
        arm = self.params.source_arm(name)
        if isinstance(arm, ByClass):
            raise LeukoError("its networks know the class of what they make, so they are for images to train on alone")
        if isinstance(arm, Generated):
            self._check_network(self._weights(arm))
        if isinstance(arm, Recoloured):
            self._colours(name)

    def _check_network(self, weights: Path) -> None:
        loaded = self._superres(weights).loaded
        if loaded.only_class:
            raise LeukoError(
                f"{weights} was trained on the class {loaded.only_class} alone, so that its images tell the label: "
                "take a network of all classes"
            )
        if loaded.model.contract.masks:
            raise LeukoError(
                f"{weights} needs a mask of each image, which the page does not take: take another network"
            )

    def _check_experiment(self, name: str) -> None:
        experiment, _, protocol = name.partition("/")
        self._check_arm(self.params.classify[experiment].test)
        weight_files(require(self._layout.classify(experiment, protocol), f"classify@{experiment}"))

    def _made(self, given: Given, name: str) -> Version:
        if name in self.params.extract:
            return self._extracted(given, name)
        if name not in self.params.upscale:
            return self._by_network(self._superres(Path(name)), given.low)
        arm = self.params.upscale[name]
        source = given.low if arm.made_from == "low" else given.originals[1]
        image = self._image_of(given)
        if isinstance(arm, Generated):
            made = self._by_network(self._superres(self._weights(arm)), source)
            shown = brought_to(made.image, arm.shape(image), image.kernel)
            return Version(as_stored(shown, arm.file), made.notes + self._one_of_several(arm), made.unlike)
        colours = self._colours(name) if isinstance(arm, Recoloured) else None
        (plain,) = made_plainly(arm, image, [source], colours)
        return Version(as_stored(plain, arm.file))

    def _extracted(self, given: Given, name: str) -> Version:
        extraction = self.params.extract[name]
        base = Version(given.originals[0]) if extraction.arm is None else self.version(given, extraction.arm)
        cell = extraction.extractor.cell(base.image)
        notes = base.notes + ([] if cell else ["no cell was found, so the image is shown whole"])
        return Version(as_stored(extraction.extractor.shown(base.image, cell), extraction.file), notes, base.unlike)

    def _by_network(self, network: SuperResolution, source: np.ndarray) -> Version:
        return Version(network(source), network.notes, network.unlike(source))

    def _image_of(self, given: Given) -> Image:
        """The study's sizes, for an LR image of any size."""
        height, width = (side * self.params.image.scale for side in given.low.shape[:2])
        return self.params.image.model_copy(update={"height": height, "width": width})

    def _one_of_several(self, arm: Generated) -> list[str]:
        count = len(self.params.trained_networks) if isinstance(arm, ByTraining) else 1
        return [f"by the first of the {count} networks that the study trained for it"] if count > 1 else []

    def _weights(self, arm: Generated) -> Path:
        """The file of the network that makes an arm. Raises LeukoError with the remedy where it is not there."""
        if isinstance(arm, ByFile):
            return require_file(find_weights(arm.weights or arm.reads))
        assert isinstance(arm, ByTraining)
        folder = self._layout.sr(of_network(arm.training, self._network))
        return require(folder / f"{arm.weights}{SUFFIX}", f"train_sr@{arm.training}")

    def _colours(self, name: str) -> np.ndarray:
        """The map of a recoloured arm, as the study fitted it."""
        metrics = require(self._layout.arm(name) / "metrics.json", f"upscale@{name}")
        fitted = json.loads(metrics.read_text(encoding="utf-8"))["colour_map"]
        return np.asarray(fitted[str(self._network)] if isinstance(fitted, dict) else fitted)

    def _superres(self, weights: Path) -> SuperResolution:
        if weights not in self._networks:
            self._networks[weights] = SuperResolution.load(weights, self._how, self._device)
        return self._networks[weights]

    def _predictor(self, name: str) -> Predictor:
        """The classifiers of an experiment; of those within SR seeds, the ones of the network that is shown."""
        if name not in self._predictors:
            experiment, _, protocol = name.partition("/")
            folder, networks = (
                self._layout.classify(experiment, protocol),
                self.params.networks_of(*self.params.classify[experiment].arms),
            )
            ending = "" if networks == (None,) else f"-sr-{self._network}"
            files = [file for file in weight_files(folder) if file.stem.endswith(ending)]
            self._predictors[name] = Predictor.load(
                files, folder, self._how, self._device, threshold=None, most_errors=self._most_errors
            )
        return self._predictors[name]


def _pretrained() -> list[Choice]:
    files = sorted(PRETRAINED.glob(f"*{SUFFIX}"))
    return [Choice(f"{PRETRAINED}/{file.stem}", f"{file.stem} (pretrained)", chosen=False) for file in files]

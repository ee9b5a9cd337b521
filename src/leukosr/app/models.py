"""What a study's models make of one image: its arms, published networks, and the answers of its classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from leukosr.app.arms import StudyArms
from leukosr.app.given import Given, Note, Version
from leukosr.app.networks import Networks
from leukosr.classify.panel import weight_files
from leukosr.classify.predict import Predictor, on_fields
from leukosr.config import Params
from leukosr.data.splits import SPLITS, shown_name
from leukosr.engine.weights import SUFFIX
from leukosr.errors import LeukoError
from leukosr.layout import PRETRAINED, Layout, require
from leukosr.report.style import arm_looks, experiment_looks
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
    notes: list[Note]
    no_map: str


class StudyModels:
    """The arms and experiments of a study, as far as they are trained, and the generators below pretrained/.

    arms, experiments: what can be asked for. missing: a sentence on everything that cannot, and why; of other networks
    below pretrained/, such as backbones of classifiers, there is none. protocols: what they do, by the names in labels.
    """

    def __init__(self, params: Params, layout: Layout, *, precision: str, device_name: str, most_errors: float) -> None:
        """Look which networks there are; each is read when it is first asked for.

        Raises LeukoError for an unknown precision or device.
        """
        self.params, self._layout, self._most_errors = params, layout, most_errors
        self._device = device_of(device_name)
        self._how = How.of(precision, self._device)
        self._predictors: dict[str, Predictor] = {}
        pretrained = _pretrained()
        self._labels = {name: look.label for name, look in arm_looks(params).items()}
        self._labels |= {each.name: each.label for each in pretrained}
        self._arms = StudyArms(params, layout, Networks(self._how, self._device), self._labels)
        self.missing: list[str] = []
        self.arms = self._usable([*self._own_arms(), *pretrained], self._arms.check)
        self.experiments = self._usable(self._own_experiments(), self._check_experiment)
        protocols = dict.fromkeys(each.name.partition("/")[2] for each in self.experiments)
        self.protocols = {_words(name): SPLITS[name].words for name in protocols}

    def version(self, given: Given, name: str) -> Version:
        """The image as an arm, or a network below pretrained/, shows it; made once. Raises LeukoError if none can."""
        _require_offered(name, self.arms, "arm")
        return self._arms.version(given, name)

    def seconds(self, given: Given, names: Sequence[str]) -> dict[str, float]:
        """About how long networks enlarge the image for these arms and experiments, by the first that needs it.

        What cannot be made takes no time here; why it cannot, `version` and `answer` say.
        """
        found: dict[str, float] = {}
        asked = set[str]()
        for name in names:
            with suppress(LeukoError):
                arm = self._arms.uncut(name if name in {each.name for each in self.arms} else self._tested(name))
                if arm not in asked:
                    asked.add(arm)
                    found[name] = self._arms.seconds(given, arm)
        return found

    def answer(self, given: Given, name: str) -> Answer:
        """What the classifiers of an experiment say of the image in the arm that they are tested on.

        Raises LeukoError where they cannot.
        """
        arm, predictor = self._tested(name), self._predictor(name)
        version, no_map = self._arms.version(given, arm), ""
        label = next(each.label for each in self.experiments if each.name == name)
        notes = [*version.notes, *(Note(f"classifiers of {label}", text) for text in predictor.notes)]
        row = predictor.row(version.image, version.unlike)
        try:
            explained = predictor.explained(version.image, row["predicted"])
        except LeukoError as error:
            no_map = str(error)
        else:
            given.maps[name] = explained.overlay
            notes += [Note(f"Grad-CAM of {label}", text) for text in on_fields(explained.fields)]
        return Answer(row, self._labels[arm], notes, no_map)

    def _own_arms(self) -> list[Choice]:
        return [Choice(name, self._labels[name], self._arms.of_original(name)) for name in self.params.arms]

    def _own_experiments(self) -> list[Choice]:
        """One of each experiment and protocol."""
        looks = experiment_looks(self.params)
        return [
            Choice(
                f"{name}/{protocol}",
                f"{looks[name].label}, {_words(protocol)}",
                self._arms.of_original(experiment.test),
            )
            for name, experiment in self.params.classify.items()
            for protocol in self.params.protocols_of(name)
        ]

    def _tested(self, experiment: str) -> str:
        """The arm that an experiment is tested on. Raises LeukoError for one that is not offered."""
        _require_offered(experiment, self.experiments, "experiment")
        return self.params.classify[experiment.partition("/")[0]].test

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

    def _check_experiment(self, name: str) -> None:
        experiment, _, protocol = name.partition("/")
        self._arms.check(self.params.classify[experiment].test)
        weight_files(require(self._layout.classify(experiment, protocol), f"classify@{experiment}"))

    def _predictor(self, name: str) -> Predictor:
        """The classifiers of an experiment; of those within SR seeds, the ones of the network that is shown."""
        if name not in self._predictors:
            experiment, _, protocol = name.partition("/")
            folder = self._layout.classify(experiment, protocol)
            networks = self.params.networks_of(*self.params.classify[experiment].arms)
            ending = "" if networks == (None,) else f"-sr-{self._arms.network}"
            files = [file for file in weight_files(folder) if file.stem.endswith(ending)]
            self._predictors[name] = Predictor.load(
                files, self._how, self._device, threshold=None, most_errors=self._most_errors
            )
        return self._predictors[name]


def _require_offered(name: str, choices: Sequence[Choice], kind: str) -> None:
    if name not in {each.name for each in choices}:
        raise LeukoError(f"'{name}' is not an {kind} that is shown here: reload the page")


def _words(protocol: str) -> str:
    return shown_name(protocol).replace("_", " ")


def _pretrained() -> list[Choice]:
    files = sorted(PRETRAINED.glob(f"*{SUFFIX}"))
    return [Choice(f"{PRETRAINED}/{file.stem}", f"{file.stem} (pretrained)", chosen=False) for file in files]

"""Classifiers of one experiment as something to train again and again, with other seeds and settings."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leukosr.classify.ensemble import together
from leukosr.classify.experiment_data import ArmImages, ExperimentData, held_out
from leukosr.classify.settings import Classifier, Experiment
from leukosr.classify.trainer import ClassifierTraining, LabelledImages, predict
from leukosr.data.augment import FlipsAndLight
from leukosr.data.manifest import Row, seen_by_classifiers, with_role
from leukosr.data.redraw import redrawn
from leukosr.data.splits import SPLITS
from leukosr.engine.device import choose_device
from leukosr.engine.resume import Resume
from leukosr.engine.seeding import StreamRoots
from leukosr.engine.settings import Runtime
from leukosr.evaluate.classification import METRICS, score
from leukosr.settings import Protocol

HELD_OUT = 0.2  # of each class's training images, where a protocol has no validation part


class ClassifierSubject:
    """The images are decoded once, whatever the number of trainings."""

    def __init__(
        self,
        experiment: Experiment,
        rows: Sequence[Row],
        folders: Mapping[str, Path],
        protocol: Protocol,
        runtime: Runtime,
        augmentation: float = 0.0,
    ) -> None:
        """`folders` hold the images of the experiment's arms; `rows` are those of the manifest.

        `augmentation` is the strongest one that `tune` will be asked for.
        """
        self.experiment, self.rows, self.protocol, self.runtime = experiment, list(rows), protocol, runtime
        self.settings = experiment.classifier
        self.device = choose_device(runtime.device)
        shown = self._drawn({"augmentation": augmentation}) if augmentation else self.settings
        self.images = ArmImages(seen_by_classifiers(rows, (protocol,)), folders, shown, self.device)

    def measure(self, learning_rate: float, roots: StreamRoots) -> dict[str, float]:
        """Train with these seeds, test as the study does; the scores of all test images, fractions."""
        settings = self.settings.model_copy(update={"learning_rate": learning_rate})
        rows = redrawn(self.rows, self.protocol, roots.roots.get("split", 0))
        data = ExperimentData(rows, self.protocol, self.experiment, self.images)
        true: list[str] = []
        predicted: list[str] = []
        for split in data.splits:
            train, validation = data.train(split, roots)
            predicted += self._train(
                settings, roots, data.classes, train, validation, data.test(split), name=split.name
            )
            true += [row.label for row in split.test_rows]
        return self._scores(true, predicted, data.classes)

    def tune(self, drawn: Mapping[str, float], roots: StreamRoots) -> dict[str, float]:
        """Train with drawn settings and these seeds, score validation images; the test images are not looked at."""
        train, held = self._validation(roots)
        classes = sorted({row.label for row in train + held})
        training = self.images.for_training(train, self.experiment, classes, roots)
        watched = self.images.labelled(held, self.experiment.train, classes)
        judged = self.images.labelled(held, [self.experiment.test], classes)
        said = self._train(self._drawn(drawn), roots, classes, training, watched, judged, name="")
        return self._scores([row.label for row in held], said, classes)

    def _drawn(self, drawn: Mapping[str, float]) -> Classifier:
        """The settings with what a search has drawn; weights decay by AdamW where the recipe has Adam."""
        changes: dict[str, object] = {name: value for name, value in drawn.items() if name != "augmentation"}
        if "augmentation" in drawn:
            changes["augmentations"] = [FlipsAndLight(kind="flips_and_light", strength=drawn["augmentation"])]
        if changes.get("weight_decay") and self.settings.optimizer == "adam":
            changes["optimizer"] = "adamw"
        return self.settings.model_copy(update=changes)

    def _validation(self, roots: StreamRoots) -> tuple[list[Row], list[Row]]:
        """Training and validation rows: the protocol's own, or a part of each class's training images."""
        train = with_role(self.rows, self.protocol, "classifier_train")
        own = with_role(self.rows, self.protocol, "classifier_val")
        return (train, own) if own else held_out(train, HELD_OUT, roots, by_source=SPLITS[self.protocol].disjoint)

    def _train(
        self,
        settings: Classifier,
        roots: StreamRoots,
        classes: list[str],
        train: LabelledImages,
        validation: LabelledImages | None,
        test: LabelledImages,
        *,
        name: str,
    ) -> list[str]:
        members = []
        for member in range(settings.ensemble):
            training = ClassifierTraining(
                settings,
                len(classes),
                train,
                validation=validation if settings.validation is not None else None,
                seed=roots,
                name=name,
                member=member,
                device=self.device,
                compiling=self.runtime.compile,
            )
            with tempfile.TemporaryDirectory() as folder:  # a trial that is cut begins anew
                training.run(Resume("trial", float("inf"), Path(folder)), lambda _: None)
            members.append(training.result)
        probabilities = predict(together(members), test.images, settings, self.device)
        return [classes[int(place)] for place in np.argmax(probabilities, axis=1)]

    @staticmethod
    def _scores(true: list[str], predicted: list[str], classes: list[str]) -> dict[str, float]:
        scored = score(true, predicted, classes)
        found = {name: getattr(scored, name) for name in METRICS}
        return {name: float(value) for name, value in found.items() if value is not None}

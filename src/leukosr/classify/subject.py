"""Classifiers of one arm as something to train again and again, with other seeds and settings."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leukosr.classify.arm_data import ArmData, ArmImages
from leukosr.classify.ensemble import together
from leukosr.classify.trainer import ClassifierTraining, LabelledImages, predict
from leukosr.config import Classify, Params, Protocol
from leukosr.data.manifest import Row, seen_by_classifiers, with_role
from leukosr.data.redraw import redrawn
from leukosr.engine.device import choose_device
from leukosr.engine.resume import Resume
from leukosr.engine.seeding import StreamRoots, stream_rng
from leukosr.evaluate.classification import METRICS, score

HELD_OUT = 0.2  # of each class's training images, where a protocol has no validation part


class ClassifierSubject:
    """The images are decoded once, whatever the number of trainings."""

    def __init__(self, params: Params, rows: Sequence[Row], folder: Path, protocol: Protocol) -> None:
        """`folder` holds the arm's images; `rows` are those of the manifest."""
        self.params, self.rows, self.protocol = params, list(rows), protocol
        self.settings = params.classify.model_copy(update={"epochs": params.sweep.epochs})
        self.device = choose_device(params.runtime.device)
        self.images = ArmImages(seen_by_classifiers(rows, (protocol,)), folder, params.classify)

    def measure(self, learning_rate: float, roots: StreamRoots) -> dict[str, float]:
        """Train with these seeds, test as the study does; the scores of all test images, fractions."""
        settings = self.settings.model_copy(update={"learning_rate": learning_rate})
        rows = redrawn(self.rows, self.protocol, roots.roots.get("split", 0))
        data = ArmData(rows, self.protocol, self.images)
        true: list[str] = []
        predicted: list[str] = []
        for split in data.splits:
            said = self._train(settings, roots, data.classes, split.train, split.test, split.name)
            true += [row.label for row in split.test_rows]
            predicted += said
        return self._scores(true, predicted, data.classes)

    def tune(self, drawn: Mapping[str, float], roots: StreamRoots) -> dict[str, float]:
        """Train with drawn settings and these seeds, score validation images; the test images are not looked at."""
        settings = self.settings.model_copy(update=dict(drawn))
        train, held_out = self._validation(roots)
        classes = sorted({row.label for row in train + held_out})
        parts = [self.images.labelled(part, classes) for part in (train, held_out)]
        said = self._train(settings, roots, classes, parts[0], parts[1], "")
        return self._scores([row.label for row in held_out], said, classes)

    def _validation(self, roots: StreamRoots) -> tuple[list[Row], list[Row]]:
        """Training and validation rows: the protocol's own, or a part of each class's training images."""
        train = with_role(self.rows, self.protocol, "classifier_train")
        own = with_role(self.rows, self.protocol, "classifier_val")
        if own:
            return train, own
        held: set[str] = set()
        for label in sorted({row.label for row in train}):
            ids = sorted(row.id for row in train if row.label == label)
            order = stream_rng(roots, "split", "held_out", label).permutation(len(ids))
            held |= {ids[i] for i in order[: max(1, round(HELD_OUT * len(ids)))]}
        return [row for row in train if row.id not in held], [row for row in train if row.id in held]

    def _train(
        self, settings: Classify, roots: StreamRoots, classes: list[str], train: LabelledImages, test: LabelledImages,
        name: str,
    ) -> list[str]:  # fmt: skip
        members = []
        for member in range(settings.ensemble):
            training = ClassifierTraining(
                settings, len(classes), train,
                seed=roots, name=name, member=member, device=self.device, compiling=self.params.runtime.compile,
            )  # fmt: skip
            with tempfile.TemporaryDirectory() as folder:  # a trial that is cut begins anew
                training.run(Resume("trial", float("inf"), Path(folder)), lambda row: None)
            members.append(training.result)
        probabilities = predict(together(members), test.images, settings, self.device)
        return [classes[int(place)] for place in np.argmax(probabilities, axis=1)]

    @staticmethod
    def _scores(true: list[str], predicted: list[str], classes: list[str]) -> dict[str, float]:
        scored = score(true, predicted, classes)
        found = {name: getattr(scored, name) for name in METRICS}
        return {name: float(value) for name, value in found.items() if value is not None}

"""The images of an experiment as its classifiers see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, product
from pathlib import Path

import numpy as np
import torch

from leukosr.classify.features import FeatureStore, features_of
from leukosr.classify.settings import Classifier, Experiment
from leukosr.classify.trainer import LabelledImages
from leukosr.data.manifest import Row, folds_of, with_role
from leukosr.data.splits import SPLITS
from leukosr.engine.processes import ALONE, Processes
from leukosr.engine.seeding import Root, stream_rng
from leukosr.errors import LeukoError
from leukosr.images.reading import read_rgb
from leukosr.images.resampling import shrink_into
from leukosr.images.store import Examples, ImageStore, Subset
from leukosr.layout import image_file
from leukosr.settings import Protocol


class ArmImages:
    """The images of some arms that any classifier sees, at the size it sees them, decoded once."""

    def __init__(
        self,
        rows: Sequence[Row],
        folders: Mapping[str, Path],
        settings: Classifier,
        device: torch.device,
        processes: Processes = ALONE,
        *,
        only: Mapping[str, Sequence[Row]] = {},
    ) -> None:
        """`folders`: where the images of each arm lie. A frozen backbone is shown all of them now, on the device.

        only: the rows of those arms that do not have all `rows`.
        """
        size = settings.size

        def read(path: Path) -> np.ndarray:
            image = read_rgb(path)
            return image if size is None else shrink_into(image, size)

        keys = [(arm, row.id) for arm in folders for row in only.get(arm, rows)]
        self._files = files = [image_file(folders[arm], image) for arm, image in keys]
        if settings.on_features:
            self._images = ImageStore(files, read, limit=0)
            features = features_of(self._images, settings, device) if processes.first else np.empty((0, 0))
            self._examples: Examples = FeatureStore(processes.from_first(features))
        else:
            self._examples = self._images = ImageStore(files, read)
        self._place = {key: number for number, key in enumerate(keys)}

    def labelled(self, rows: Sequence[Row], arms: Sequence[str], classes: list[str]) -> LabelledImages:
        """Some of them with their class numbers: the rows of the first arm, then those of the next.

        Raises LeukoError for arms of different sizes.
        """
        return self._labelled(list(product(arms, rows)), classes)

    def for_training(
        self, rows: Sequence[Row], experiment: Experiment, classes: list[str], seed: Root
    ) -> LabelledImages:
        """As `labelled`, of the arms that the experiment trains on, within its limits and as often as it repeats."""
        shown = []
        for arm in experiment.train:
            most = experiment.limit.get(arm)
            shown += [(arm, row) for row in (rows if most is None else drawn_of_each_class(rows, most, seed))]
        return self._labelled(shown * experiment.repeat, classes)

    def files_of(self, rows: Sequence[Row], arms: Sequence[str]) -> list[Path]:
        """The files of images, in the order of `labelled`."""
        return [self._files[self._place[arm, row.id]] for arm, row in product(arms, rows)]

    def _labelled(self, shown: Sequence[tuple[str, Row]], classes: list[str]) -> LabelledImages:
        if shown:
            self._check_one_size(shown[0][1], list(dict.fromkeys(arm for arm, _ in shown)))
        labels = np.array([classes.index(row.label) for _, row in shown], dtype=np.int64)
        return LabelledImages(Subset(self._examples, [self._place[arm, row.id] for arm, row in shown]), labels)

    def _check_one_size(self, row: Row, arms: Sequence[str]) -> None:
        height, width = self._images[self._place[arms[0], row.id]].shape[:2]
        for arm in arms[1:]:
            found = self._images[self._place[arm, row.id]].shape[:2]
            if found != (height, width):
                raise LeukoError(
                    f"classify: images of {arms[0]} are {height}x{width} pixels, those of {arm} {found[0]}x{found[1]}, "
                    "so they cannot be trained on together: set classifier.size to the smaller, or train on one of them"
                )


@dataclass(frozen=True)
class Split:
    """The rows of one classifier; `name` tells folds apart and is empty without them.

    `validation_rows` are those of the protocol, whether the recipe looks at them or not.
    """

    name: str
    train_rows: list[Row]
    validation_rows: list[Row]
    test_rows: list[Row]


class ExperimentData:
    """The images of an experiment under one protocol: the classes and the splits, one, or one per fold."""

    def __init__(self, rows: Sequence[Row], protocol: Protocol, experiment: Experiment, images: ArmImages) -> None:
        self.protocol, self.experiment, self._images = protocol, experiment, images
        folds = folds_of(rows, protocol)
        parts = [("", ["classifier_train"], ["classifier_test"])]
        if folds:
            parts = [(fold, [other for other in folds if other != fold], [fold]) for fold in folds]
        validation = with_role(rows, protocol, "classifier_val")
        self.splits = [
            Split(name, with_role(rows, protocol, *train), validation, with_role(rows, protocol, *test))
            for name, train, test in parts
        ]
        self.classes = sorted({row.label for split in self.splits for row in split.train_rows + split.test_rows})
        self.test_rows = [row for split in self.splits for row in split.test_rows]
        if experiment.classifier.validation == "protocol" and not validation:
            raise LeukoError(
                f"classify: the protocol {protocol} has no validation part here, which classifier.validation: protocol "
                "asks for: set it to a fraction such as 0.2"
            )

    def train(self, split: Split, seed: Root) -> tuple[LabelledImages, LabelledImages | None]:
        """What a classifier trains on and, where its recipe has one, what it is validated on.

        Raises LeukoError for arms of different sizes.
        """
        train, arms, wanted = split.train_rows, self.experiment.train, self.experiment.classifier.validation
        if wanted is None:
            return self._images.for_training(train, self.experiment, self.classes, seed), None
        held = split.validation_rows
        if wanted != "protocol":
            train, held = held_out(train, wanted, seed, by_source=SPLITS[self.protocol].disjoint)
        training = self._images.for_training(train, self.experiment, self.classes, seed)
        return training, self._images.labelled(held, arms, self.classes)

    def training_files(self, split: Split) -> list[Path]:
        """The images that a classifier may train on, all of them, at their own size."""
        return self._images.files_of(split.train_rows, self.experiment.train)

    def validation(self, split: Split, seed: Root) -> tuple[list[str], LabelledImages] | None:
        """What a classifier is validated on, or else the protocol's part, if any: ids, and the test arm's images."""
        held, wanted = split.validation_rows, self.experiment.classifier.validation
        if wanted is not None and wanted != "protocol":
            _, held = held_out(split.train_rows, wanted, seed, by_source=SPLITS[self.protocol].disjoint)
        if not held:
            return None
        return [row.id for row in held], self._images.labelled(held, [self.experiment.test], self.classes)

    def test(self, split: Split) -> LabelledImages:
        """What a classifier is tested on."""
        return self._images.labelled(split.test_rows, [self.experiment.test], self.classes)

    @property
    def used(self) -> list[tuple[str, str]]:
        """The arm and the id of every image that trains, validates or tests."""
        found: dict[tuple[str, str], None] = {}
        for split in self.splits:
            held = split.validation_rows if self.experiment.classifier.validation == "protocol" else []
            found |= {(arm, row.id): None for arm in self.experiment.train for row in split.train_rows + held}
            found |= {(self.experiment.test, row.id): None for row in split.validation_rows + split.test_rows}
        return list(found)


def drawn_of_each_class(rows: Sequence[Row], most: int, seed: Root) -> list[Row]:
    """At most so many rows of each class, in their order; the seed draws them, the same in every experiment."""
    kept: set[str] = set()
    for label in sorted({row.label for row in rows}):
        ids = sorted(row.id for row in rows if row.label == label)
        order = stream_rng(seed, "split", "limit", label).permutation(len(ids))
        kept |= {ids[i] for i in order[:most]}
    return [row for row in rows if row.id in kept]


def held_out(rows: Sequence[Row], fraction: float, seed: Root, *, by_source: bool) -> tuple[list[Row], list[Row]]:
    """Training rows without, and only, so large a part of each class, at least one; of its sources if `by_source`.

    The seed draws it, so it is the same in every experiment. Raises LeukoError where a class has too few to share.
    """
    held: set[str] = set()
    labels = sorted({row.label for row in rows})
    for label in labels:
        units = sorted({row.source if by_source else row.id for row in rows if row.label == label})
        if len(units) < 2:
            raise LeukoError(
                f"classify: class {label} has 1 {'source' if by_source else 'image'} to train on, and a validation "
                "part needs another: add some, raise prepare.per_class.classifier or, unless this is a search, set "
                "classifier.validation to null"
            )
        order = stream_rng(seed, "split", "held_out", label).permutation(len(units))
        held |= {units[i] for i in order[: max(1, round(fraction * len(units)))]}
    out = [(row.source if by_source else row.id) in held for row in rows]
    kept = list(compress(rows, (not each for each in out)))
    for label in labels:  # a large fraction takes all, and so do sources that a class has in common with others
        if label not in {row.label for row in kept}:
            raise LeukoError(
                f"classify: a validation part of {fraction:g} takes all training images of class {label}: lower "
                "classifier.validation or, unless this is a search, set it to null"
            )
    return kept, list(compress(rows, out))

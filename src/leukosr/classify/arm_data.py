"""The images of one arm as its classifiers see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leukosr.classify.trainer import LabelledImages
from leukosr.config import Classify, Protocol
from leukosr.data.manifest import Row, folds_of, with_role
from leukosr.images.reading import read_rgb
from leukosr.images.resampling import shrink_into
from leukosr.images.store import ImageStore
from leukosr.layout import image_file


class ArmImages:
    """The images of one arm that any classifier sees, at the size it sees them, decoded once."""

    def __init__(self, rows: list[Row], folder: Path, settings: Classify) -> None:
        size = settings.size

        def read(path: Path) -> np.ndarray:
            image = read_rgb(path)
            return image if size is None else shrink_into(image, size)

        self._store = ImageStore([image_file(folder, row.id) for row in rows], read)
        self._place = {row.id: number for number, row in enumerate(rows)}

    def labelled(self, rows: list[Row], classes: list[str]) -> LabelledImages:
        """Some of them with their class numbers."""
        labels = np.array([classes.index(row.label) for row in rows], dtype=np.int64)
        # kept by the common store alone
        images = ImageStore([self._place[row.id] for row in rows], self._store.__getitem__, limit=0)
        return LabelledImages(images, labels)


@dataclass(frozen=True)
class Split:
    """Training and test part of one classifier; `name` tells folds apart and is empty without them."""

    name: str
    train_rows: list[Row]
    test_rows: list[Row]
    train: LabelledImages
    test: LabelledImages


class ArmData:
    """The images of one arm under one protocol: the classes and the splits, one, or one a fold."""

    def __init__(self, rows: list[Row], protocol: Protocol, images: ArmImages) -> None:
        self.protocol = protocol
        folds = folds_of(rows, protocol)
        parts = [("", ["classifier_train"], ["classifier_test"])]
        if folds:
            parts = [(fold, [other for other in folds if other != fold], [fold]) for fold in folds]
        self.classes = sorted(
            {row.label for _, train, test in parts for row in with_role(rows, protocol, *train, *test)}
        )
        self.splits = [self._split(name, rows, train, test, images) for name, train, test in parts]
        self.test_rows = [row for split in self.splits for row in split.test_rows]

    def _split(self, name: str, rows: list[Row], train: list[str], test: list[str], images: ArmImages) -> Split:
        train_rows, test_rows = with_role(rows, self.protocol, *train), with_role(rows, self.protocol, *test)
        parts = [images.labelled(part, self.classes) for part in (train_rows, test_rows)]
        return Split(name, train_rows, test_rows, *parts)

    @property
    def used_rows(self) -> list[Row]:
        """Every row that trains or tests."""
        unique = {row.id: row for split in self.splits for row in split.train_rows + split.test_rows}
        return list(unique.values())

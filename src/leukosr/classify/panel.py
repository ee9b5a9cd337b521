"""Trained classifiers that answer together: the seeds of an experiment, or a single one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leukosr.classify.confidence import Validation, answered, calibrated, sure_above
from leukosr.classify.gradcam import attention, together
from leukosr.classify.trainer import probabilities_of
from leukosr.classify.weights import LoadedClassifier, load_classifier
from leukosr.engine.device import autocast, to_batch
from leukosr.engine.weights import SUFFIX
from leukosr.errors import LeukoError
from leukosr.images.appearance import TrainingImages
from leukosr.images.resampling import shrink_into
from leukosr.quoting import absent
from leukosr.settings import Precision


@dataclass(frozen=True)
class Panel:
    """Classifiers of the same classes, on one device; their answer is the mean of their probabilities.

    validations: what each said of its validation part; empty unless all of them have one, and then nothing is
    calibrated. seen: their training images, if their files say.
    """

    members: Sequence[LoadedClassifier]
    validations: Sequence[Validation]
    seen: TrainingImages | None
    device: torch.device

    @classmethod
    def load(cls, files: Sequence[Path], device: torch.device) -> Panel:
        """Read weight files. Raises LeukoError for a file that cannot be used, and for classifiers of other classes."""
        members = [load_classifier(file, device) for file in files]
        known = members[0].classes
        for file, member in zip(files, members, strict=True):
            if member.classes != known:
                raise LeukoError(
                    f"{file} knows the classes {', '.join(member.classes)}, {files[0]} {', '.join(known)}: name "
                    "weights of one experiment"
                )
        read = [Validation.read(member.header, file) for file, member in zip(files, members, strict=True)]
        validations = [each for each in read if each is not None]
        seen = TrainingImages.read(members[0].header, files[0])
        return cls(members, validations if len(validations) == len(read) else [], seen, device)

    @property
    def classes(self) -> tuple[str, ...]:
        """As the probabilities stand."""
        return self.members[0].classes

    def probabilities(self, image: np.ndarray, precision: Precision = "fp32") -> np.ndarray:
        """Of each class, float64, for an image, uint8 H x W x 3; larger ones are shrunk as in training.

        Raises Diverged where a classifier's output is not finite.
        """
        said = []
        for number, member in enumerate(self.members):
            with torch.inference_mode(), autocast(self.device, precision):
                logits = member.model(self._batch(member, image))
            own = probabilities_of(logits, precision)
            said.append(calibrated(own, self.validations[number].temperature) if self.validations else own)
        return np.asarray(np.mean(said, axis=0)[0])

    def answer(self, image: np.ndarray, precision: Precision = "fp32") -> dict[str, Any]:
        """The cells of an image: predicted, p_<CLASS>, warnings."""
        probabilities = self.probabilities(image, precision)
        return {
            "predicted": self.classes[int(probabilities.argmax())],
            **{f"p_{name}": value for name, value in zip(self.classes, probabilities.tolist(), strict=True)},
            "warnings": "" if self.seen is None else "; ".join(self.seen.unlike(image)),
        }

    def attention(self, image: np.ndarray, place: int) -> np.ndarray:
        """What speaks for class number `place`, float32 H x W from 0 to 1: the mean over the classifiers."""
        return together(self.attention_fields(image, place), image.shape[:2])

    def attention_fields(self, image: np.ndarray, place: int) -> list[np.ndarray]:
        """The same of each classifier, float32 h x w, at the size of its last feature map."""
        return [attention(member.model, self._batch(member, image), place) for member in self.members]

    def sure_above(self, most_errors: float) -> float | None:
        """The probability from which on an answer is sure: infinite where none is, None where nothing can be said.

        By the images on which all classifiers were validated, and their mean, which is what answers.
        """
        if not self.validations:
            return None
        found = sure_above(answered(self.validations), most_errors)
        return float("inf") if found is None else found

    def _batch(self, member: LoadedClassifier, image: np.ndarray) -> torch.Tensor:
        shrunk = image if member.size is None else shrink_into(image, member.size)
        return to_batch(shrunk[None], self.device, channels_last=True)


def weight_files(model: Path) -> list[Path]:
    """The weights that a path names: a file, a folder of files, or the results of an experiment under one protocol.

    Raises LeukoError where there is none, and for an experiment under several protocols.
    """
    if not os.path.exists(model):  # False, too, for a name that is too long
        raise absent(model, "name a weight file, or the folder of an experiment, outputs/STUDY/classify/EXPERIMENT")
    if not os.path.isdir(model):
        return [model]
    folders = [each for each in (model, model / "weights", *sorted(model.glob("*/weights"))) if _weights_in(each)]
    if not folders:
        raise LeukoError(
            f"{model} holds no weights of classifiers (weights/*{SUFFIX}): name a weight file, or the folder of an "
            "experiment, outputs/STUDY/classify/EXPERIMENT; published results leave weights out"
        )
    if len(folders) > 1:
        raise LeukoError(f"{model} holds classifiers of several protocols: name {' or '.join(map(str, folders))}")
    return _weights_in(folders[0])


def _weights_in(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))

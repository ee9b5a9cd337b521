"""How sure a classifier may be: temperature scaling and a threshold, from images that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from leukosr.engine.header_note import HeaderNote
from leukosr.settings import Count, Probability

HOTTEST = 20.0  # temperatures are sought between its inverse and it


class Validation(HeaderNote):
    """What a classifier said of its validation part.

    temperature: its logits are divided by it. macro_f1: of its predictions. images, labels, probabilities: the ids of
    the images, the numbers of their true classes and the calibrated probabilities of every class.
    """

    key: ClassVar[str] = "validation_answers"  # "validation", of earlier versions, did not tell images apart

    temperature: Annotated[float, Field(ge=1 / HOTTEST, le=HOTTEST)]
    macro_f1: Probability
    images: Annotated[tuple[str, ...], Field(min_length=1)]
    labels: tuple[Count, ...]
    probabilities: tuple[tuple[Probability, ...], ...]

    @model_validator(mode="after")
    def _one_each(self) -> Validation:
        if not len(self.images) == len(set(self.images)) == len(self.labels) == len(self.probabilities):
            raise ValueError("images, labels and probabilities differ in length, or an image is named twice")
        if len({len(each) for each in self.probabilities}) > 1:
            raise ValueError("images have probabilities of different numbers of classes")
        return self

    @classmethod
    def of(
        cls, images: Sequence[str], probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]
    ) -> Validation:
        """Fit a temperature to probabilities, float N x classes, of images of class numbers `labels`."""
        from leukosr.evaluate.classification import score  # which served models do without

        temperature, named = fitted_temperature(probabilities, labels), probabilities.argmax(1)
        said, true = ([classes[place] for place in places] for places in (named, labels))
        return cls(
            temperature=temperature,
            macro_f1=score(true, said, classes).macro_f1,
            images=tuple(images),
            labels=tuple(np.asarray(labels).tolist()),
            probabilities=tuple(map(tuple, np.round(calibrated(probabilities, temperature), 6).tolist())),
        )


@dataclass(frozen=True)
class Answered:
    """What classifiers say together of images: the mean probability of the named class, and whether it is right."""

    confidence: np.ndarray
    right: np.ndarray


def answered(validations: Sequence[Validation]) -> Answered:
    """The mean of several classifiers on the images on which all were validated: one may have trained on others."""
    common = set.intersection(*(set(each.images) for each in validations))
    kept = [[place for place, image in enumerate(each.images) if image in common] for each in validations]
    by_name = [sorted(own, key=each.images.__getitem__) for own, each in zip(kept, validations, strict=True)]
    said = [np.array(each.probabilities)[own] for own, each in zip(by_name, validations, strict=True)]
    labels = np.array(validations[0].labels)[by_name[0]]
    mean = np.mean(said, axis=0)
    return Answered(mean.max(1), mean.argmax(1) == labels)


def fitted_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of least cross-entropy (Guo et al., ICML 2017, section 4.2).

    The target of the true class is (N + 1)/(N + 2), not 1 (Platt 1999, section 2.2): otherwise N images that are all
    classified correctly would ask for a temperature of 0.
    """
    count, classes = probabilities.shape
    target = np.full((count, classes), 1 / (count + 2) / max(1, classes - 1))
    target[np.arange(count), labels] = (count + 1) / (count + 2)
    logits = _logits(probabilities)

    def cost(log_temperature: float) -> float:
        return float(-(target * log_softmax(logits / np.exp(log_temperature), axis=1)).sum())

    return float(np.exp(minimize_scalar(cost, bounds=(-np.log(HOTTEST), np.log(HOTTEST)), method="bounded").x))


def calibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities, float N x classes, as if the logits had been divided by the temperature."""
    return np.asarray(softmax(_logits(probabilities) / temperature, axis=1))


def sure_above(found: Answered, most_errors: float) -> float | None:
    """The lowest confidence at which so small a share of a validation part is wrong; None where none is.

    Counted among the images of at least that confidence, as on a risk-coverage curve (Geifman & El-Yaniv 2017), with
    one error more than was seen: then a few images prove nothing, and 5 % takes 19 without an error.
    """
    order = np.argsort(-found.confidence, kind="stable")
    images, errors = np.arange(1, len(order) + 1), np.cumsum(~found.right[order])
    surest = found.confidence[order]
    last = np.append(surest[:-1] > surest[1:], True)  # of the images that are equally sure
    allowed = np.flatnonzero(last & ((errors + 1) / (images + 1) <= most_errors))
    return float(surest[allowed[-1]]) if len(allowed) else None


def champion(validations: Sequence[Validation | None]) -> int:
    """Which of several classifiers to serve: the first of best validation macro F1; without validation the first.

    No score of test images has a part in it.
    """
    scores = [-1.0 if each is None else each.macro_f1 for each in validations]
    return scores.index(max(scores))


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(probabilities, np.finfo(float).tiny)))

"""How sure a classifier may be: temperature scaling and a threshold, from images that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from leukosr.engine.header_note import HeaderNote
from leukosr.settings import Probability

HOTTEST = 20.0  # temperatures are sought between its inverse and it


class Validation(HeaderNote):
    """What a classifier said of its validation part.

    temperature: its logits are divided by it. macro_f1: of its predictions. confidence, right: the calibrated
    probability of each image's named class, and whether that is the true class.
    """

    key: ClassVar[str] = "validation"

    temperature: Annotated[float, Field(ge=1 / HOTTEST, le=HOTTEST)]
    macro_f1: Probability
    confidence: Annotated[tuple[Probability, ...], Field(min_length=1)]
    right: tuple[bool, ...]

    @model_validator(mode="after")
    def _one_each(self) -> Validation:
        if len(self.confidence) != len(self.right):
            raise ValueError("confidence and right differ in length")
        return self

    @classmethod
    def of(cls, probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Validation:
        """Fit a temperature to probabilities, float N x classes, of images of class numbers `labels`."""
        from leukosr.evaluate.classification import score  # which served models do without

        temperature, named = fitted_temperature(probabilities, labels), probabilities.argmax(1)
        said, true = ([classes[place] for place in places] for places in (named, labels))
        return cls(
            temperature=temperature,
            macro_f1=score(true, said, classes).macro_f1,
            confidence=tuple(np.round(calibrated(probabilities, temperature).max(1), 6).tolist()),
            right=tuple((named == labels).tolist()),
        )


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


def sure_above(validations: Sequence[Validation], most_errors: float) -> float | None:
    """The lowest confidence at which so small a share of a validation part is wrong; None where none is.

    Counted among the images of at least that confidence, as on a risk-coverage curve (Geifman & El-Yaniv 2017), with
    one error more than was seen: then a few images prove nothing, and 5 % takes 19 without an error. Several
    classifiers, validated on as many images each, are pooled and count for one.
    """
    confidence = np.concatenate([each.confidence for each in validations])
    wrong = ~np.concatenate([each.right for each in validations])
    order = np.argsort(-confidence, kind="stable")
    images, errors = np.arange(1, len(order) + 1) / len(validations), np.cumsum(wrong[order]) / len(validations)
    surest = confidence[order]
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

"""Accuracy, macro precision, recall and F1, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

METRICS = ("accuracy", "macro_precision", "macro_recall", "macro_f1")


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class; fractions, and the number of test images."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Classification:
    """Figures of one run on the test images, all fractions in [0, 1]."""

    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    per_class: dict[str, ClassFigures]


def score(true: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> Classification:
    """Score predictions of one run. A class that was never predicted has precision 0, as in scikit-learn.

    Macro figures are plain means over `classes`. Raises ValueError where there is nothing to score.
    """
    if not true:
        raise ValueError("there are no predictions to score")
    precision, recall, f1, support = precision_recall_fscore_support(
        true, predicted, labels=list(classes), zero_division=0.0
    )
    figures = {
        name: ClassFigures(float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
        for i, name in enumerate(classes)
    }
    return Classification(
        accuracy=float(accuracy_score(true, predicted)),
        macro_precision=float(np.mean(precision)),
        macro_recall=float(np.mean(recall)),
        macro_f1=float(np.mean(f1)),
        per_class=figures,
    )


def confusion(true: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Counts, rows true and columns predicted, in the order of `classes`."""
    matrix: np.ndarray = confusion_matrix(true, predicted, labels=list(classes))
    return matrix


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; the latter is None for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None

"""Accuracy, macro precision, recall and F1, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import harmonic_mean

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

METRICS = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "f1_of_means")


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
    f1_of_means: float
    per_class: dict[str, ClassFigures]


def score(true: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> Classification:
    """Score predictions of one run. A class that was never predicted has precision 0, as in scikit-learn.

    Macro figures are plain means over the `classes` that have test images. Raises ValueError where there is nothing to
    score.
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
    occurs = support > 0
    macro_precision, macro_recall = float(np.mean(precision[occurs])), float(np.mean(recall[occurs]))
    return Classification(
        accuracy=float(accuracy_score(true, predicted)),
        macro_precision=macro_precision,
        macro_recall=macro_recall,
        macro_f1=float(np.mean(f1[occurs])),
        f1_of_means=f1_of_means(macro_precision, macro_recall),
        per_class=figures,
    )


def f1_of_means(macro_precision: float, macro_recall: float) -> float:
    """The harmonic mean of macro precision and macro recall, which the case studies print as F1.

    It is at least macro F1, the mean over classes of each one's harmonic mean (Opitz and Burst 2019, arXiv 1911.03347).
    """
    return float(harmonic_mean((macro_precision, macro_recall)))


def confusion(true: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Counts, rows true and columns predicted, in the order of `classes`."""
    matrix: np.ndarray = confusion_matrix(true, predicted, labels=list(classes))
    return matrix


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; the latter is None for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def class_means(scored: Sequence[Classification], name: str) -> dict[str, float]:
    """Precision, recall and F1 of the class `name`, each the mean over runs, and its support, which all share."""
    figures = [each.per_class[name] for each in scored]
    means = {key: float(np.mean([getattr(each, key) for each in figures])) for key in ("precision", "recall", "f1")}
    return {**means, "support": figures[0].support}

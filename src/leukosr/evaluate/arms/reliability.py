"""How far the probabilities of an arm's classifiers can be trusted: calibration and risk-coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from leukosr.evaluate.arms.cells import by_run
from leukosr.evaluate.classification import mean_and_sd

COVERAGES = np.linspace(0.05, 1, 20)  # shares of the cells, the surest first, at which the risk is drawn


@dataclass(frozen=True)
class Reliability:
    """Figures of one arm, each a mean and sample sd over runs (None for a single run).

    ece: expected calibration error of the named class, equal-width bins, in [0, 1] (Guo et al., ICML 2017, eq. 3); it
    is biased upwards where a run has few images. brier: sum over the classes of squared errors, mean over images, in
    [0, 2] (Brier 1950). aurc: mean error among the surest cells, over all coverages, in [0, 1] (Geifman & El-Yaniv
    2017). confidence, accuracy, share: by bin over all runs, NaN in empty bins. risk: error among the surest cells at
    `COVERAGES`, mean over runs.
    """

    ece: tuple[float, float | None]
    brier: tuple[float, float | None]
    aurc: tuple[float, float | None]
    confidence: np.ndarray
    accuracy: np.ndarray
    share: np.ndarray
    risk: np.ndarray


def reliability(predictions: pd.DataFrame, classes: Sequence[str], bins: int) -> Reliability:
    """Judge the columns `p_<class>` of a predictions.csv against the column `true`, run by run."""
    runs = [_Run.of(own, classes) for own in by_run(predictions)]
    sure = np.concatenate([run.sure for run in runs])
    right = np.concatenate([run.right for run in runs])
    count, confidence, accuracy = _binned(sure, right, bins)
    return Reliability(
        ece=mean_and_sd([_ece(run, bins) for run in runs]),
        brier=mean_and_sd([run.brier for run in runs]),
        aurc=mean_and_sd([float(run.risk.mean()) for run in runs]),
        confidence=confidence,
        accuracy=accuracy,
        share=count / count.sum(),
        risk=np.mean([run.risk[np.ceil(COVERAGES * len(run.risk)).astype(int) - 1] for run in runs], axis=0),
    )


@dataclass(frozen=True)
class _Run:
    """Confidence and correctness of each image; risk: the error among the surest 1, 2, ... images."""

    sure: np.ndarray
    right: np.ndarray
    brier: float

    @classmethod
    def of(cls, own: pd.DataFrame, classes: Sequence[str]) -> _Run:
        said = own[[f"p_{name}" for name in classes]].to_numpy(float)
        true = (own["true"].to_numpy()[:, None] == np.array(classes)).astype(float)
        right = (own["true"] == own["predicted"]).to_numpy(float)
        return cls(said.max(1), right, float(((said - true) ** 2).sum(1).mean()))

    @property
    def risk(self) -> np.ndarray:
        """Of cells that are equally sure, each counts for their mean, so the order of the file decides nothing."""
        wrong = pd.Series(1 - self.right).groupby(self.sure).transform("mean").to_numpy()
        order = np.argsort(-self.sure, kind="stable")
        return np.asarray(np.cumsum(wrong[order]) / np.arange(1, len(order) + 1))


def _ece(run: _Run, bins: int) -> float:
    count, confidence, accuracy = _binned(run.sure, run.right, bins)
    return float(np.nansum(count * abs(confidence - accuracy)) / count.sum())


def _binned(sure: np.ndarray, right: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, mean confidence and share right of each bin of confidence."""
    place = np.minimum((sure * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return count, np.bincount(place, sure, bins) / count, np.bincount(place, right, bins) / count

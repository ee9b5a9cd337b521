"""The results of one study, read from the stages' files and checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from leukosr.config import Params, Protocol
from leukosr.data.manifest import Row, read_manifest
from leukosr.errors import LeukoError
from leukosr.evaluate.classification import f1_of_means, mean_and_sd
from leukosr.layout import Layout, of_network
from leukosr.report.style import Look, arm_looks, experiment_looks, training_look
from leukosr.tables import read_own_table

Fields = TypeVar("Fields")
TEXT_COLUMNS = frozenset(
    ("path", "class", "source", "role", "reason", "image", "stage", "fold", "member", "true", "predicted")
)


@dataclass(frozen=True)
class ImageQuality:
    """Mean image quality of one arm over `n` images; PSNR in dB, None where undefined (originals).

    `consistency` is the RMSE in grey levels between the image, shrunk, and its low-resolution image.
    `precision` is that of the network that made the images, None where none did.
    """

    n: int
    precision: str | None
    psnr: float | None
    psnr_sd: float | None
    ssim: float | None
    ssim_sd: float | None
    mse: float | None
    mse_sd: float | None
    consistency: float
    consistency_sd: float | None


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class, means over seeds, fractions; `support` is its number of test images."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class Classification:
    """Scores of one experiment's classifiers: means over `n_runs` seeds, fractions; sd is None for one run."""

    accuracy: float | None
    accuracy_sd: float | None
    macro_f1: float | None
    macro_f1_sd: float | None
    n_runs: int
    n_train: int
    n_test: int
    n_test_sources: int | None
    folds: int | None
    precision: str
    per_class: Mapping[str, ClassScores]
    per_seed: Mapping[str, Mapping[str, float]]

    @property
    def f1_of_means(self) -> tuple[float, float | None]:
        """Mean and sd over seeds of the harmonic mean of macro precision and macro recall."""
        return mean_and_sd([f1_of_means(s["macro_precision"], s["macro_recall"]) for s in self.per_seed.values()])


@dataclass(frozen=True)
class ArmResults:
    """How an arm's images compare with the ground truth.

    The frames have the columns of per_image.csv: `per_image` of several SR seeds the first one's rows, `every_network`
    all; `quality` is of all. `facts` is all of metrics.json.
    """

    look: Look
    quality: ImageQuality
    per_image: pd.DataFrame
    every_network: pd.DataFrame
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class ExperimentResults:
    """The classifiers of one experiment, tested on `arm`; the frames have the columns of the stage's CSV files."""

    look: Look
    arm: str
    scores: Classification
    predictions: pd.DataFrame
    history: pd.DataFrame


@dataclass(frozen=True)
class SRTraining:
    """One SR training: metrics.json, history.csv and samples.png; of several SR seeds means, and the first's files."""

    look: Look
    metrics: Mapping[str, Any]
    history: pd.DataFrame
    samples: Path


@dataclass(frozen=True)
class StudyResults:
    """All results of a study; `layout` knows its files, arms, experiments and trainings are in the study's order.

    There are no `arms` where the study does not measure image quality, no `experiments` where it does not classify.
    """

    study: str
    protocol: str
    layout: Layout
    manifest: Sequence[Row]
    rejected: pd.DataFrame
    arms: Mapping[str, ArmResults]
    experiments: Mapping[str, ExperimentResults]
    trainings: Mapping[str, SRTraining]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the classifiers' outputs."""
        columns = next(iter(self.experiments.values())).predictions.columns
        return tuple(str(name).removeprefix("p_") for name in columns if str(name).startswith("p_"))

    @property
    def key(self) -> str:
        """What tables have a row for: `experiment`, or `arm` where nothing is classified."""
        return "experiment" if self.experiments else "arm"

    @property
    def shown_arms(self) -> Mapping[str, str]:
        """The arm whose images each row of a table shows: the one that an experiment tests on, or the arm itself."""
        return {name: each.arm for name, each in self.experiments.items()} or {arm: arm for arm in self.arms}

    def look(self, name: str) -> Look:
        """The look of such a row."""
        return self.experiments[name].look if self.experiments else self.arms[name].look


def load_results(layout: Layout, params: Params, protocol: Protocol) -> StudyResults:
    """Read the files of a study as the stages of its measures wrote them.

    Raises LeukoError that names a missing or damaged file and the `dvc repro` command that makes it.
    """
    return StudyResults(
        study=layout.study,
        protocol=protocol,
        layout=layout,
        manifest=read_manifest(layout.manifest),
        rejected=_table(layout.rejected, ("path", "reason"), "prepare"),
        arms={arm: _arm(layout, arm, look) for arm, look in arm_looks(params).items() if arm in params.compared},
        experiments={name: _experiment(layout, name, params, protocol) for name in params.experiments_under(protocol)},
        trainings={name: _training(layout, name, params) for name in params.train_sr},
    )


def _arm(layout: Layout, arm: str, look: Look) -> ArmResults:
    folder, stage = layout.quality(arm), f"quality@{arm}"
    rows = _table(folder / "per_image.csv", ("image", "class", "psnr", "ssim"), stage)
    first = rows[rows["sr_seed"] == rows["sr_seed"].iloc[0]] if "sr_seed" in rows else rows
    facts = _metrics(folder / "metrics.json", dict, stage)
    quality = _metrics(folder / "metrics.json", lambda raw: _fields(ImageQuality, raw), stage)
    return ArmResults(look=look, quality=quality, per_image=first, every_network=rows, facts=facts)


def _experiment(layout: Layout, name: str, params: Params, protocol: Protocol) -> ExperimentResults:
    folder, stage = layout.classify(name, protocol), f"classify@{name}"
    return ExperimentResults(
        look=experiment_looks(params)[name],
        arm=params.classify[name].test,
        scores=_metrics(folder / "metrics.json", _classification, stage),
        predictions=_table(folder / "predictions.csv", ("image", "seed", "true", "predicted"), stage),
        history=_table(folder / "history.csv", ("seed", "epoch", "loss", "accuracy"), stage),
    )


def _training(layout: Layout, name: str, params: Params) -> SRTraining:
    folder, stage = layout.sr(name), f"train_sr@{name}"
    shown = layout.sr(of_network(name, params.trained_networks[0]))
    samples = shown / "samples.png"
    if not samples.is_file():
        raise _missing(samples, stage)
    return SRTraining(
        look=training_look(params, name),
        metrics=_metrics(folder / "metrics.json", dict, stage),
        history=_table(shown / "history.csv", ("iteration", "stage", "val_psnr", "val_ssim"), stage),
        samples=samples,
    )


def _classification(raw: dict[str, Any]) -> Classification:
    per_class = {name: _fields(ClassScores, scores) for name, scores in raw["per_class"].items()}
    return _fields(Classification, {**raw, "per_class": per_class})


def _fields(kind: type[Fields], raw: Mapping[str, Any]) -> Fields:
    """A dataclass from those of the mapping's entries that it names."""
    return kind(**{each.name: raw[each.name] for each in fields(kind)})  # type: ignore[arg-type]


def _metrics(path: Path, build: Callable[[dict[str, Any]], Any], stage: str) -> Any:
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise _missing(path, stage) from None
    except KeyError as error:
        raise _damaged(path, f"has no entry {error}", stage) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, f"cannot be read ({error})", stage) from None


def _table(path: Path, required: Sequence[str], stage: str) -> pd.DataFrame:
    """A CSV file with text columns as str and the others as float, empty cells NaN."""
    try:
        table = read_own_table(path)
    except FileNotFoundError:
        raise _missing(path, stage) from None
    except LeukoError as error:
        raise _damaged(path, f"cannot be read ({error})", stage) from None
    for name in required:
        if name not in table.columns:
            raise _damaged(path, f"has no column '{name}'", stage)
    for name in table.columns:
        if name not in TEXT_COLUMNS:
            try:
                table[name] = pd.to_numeric(table[name].where(table[name] != "")).astype(float)
            except ValueError as error:
                raise _damaged(path, f"column '{name}' holds no number ({error})", stage) from None
    return table


def _missing(path: Path, stage: str) -> LeukoError:
    return LeukoError(f"{path} does not exist: make it with `dvc repro {stage}`")


def _damaged(path: Path, what: str, stage: str) -> LeukoError:
    return LeukoError(f"{path} {what}: make it again with `dvc repro --force --single-item {stage}`")

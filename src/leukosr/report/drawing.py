"""Every figure of the report page: drawn as a file, and as the data URI that the page shows."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

from leukosr.config import ByClass, Params
from leukosr.files import new_file
from leukosr.report import sections
from leukosr.report.charts import accuracy_figure, class_distribution, confusion_figure, quality_figure
from leukosr.report.content import Figure, SweepPart
from leukosr.report.curves import classifier_curves, sr_curves
from leukosr.report.grids import arm_grid, read_cell
from leukosr.report.pictures import data_uri
from leukosr.report.results import StudyResults
from leukosr.report.style import arm_looks, training_words


def draw_study(folder: Path, params: Params, results: StudyResults, note: str) -> dict[str, Figure]:
    """Draw all figures into `folder`; keys are file names without suffix."""
    seen: dict[str, Figure] = {}

    def add(name: str, alt: str, photo: bool = False) -> None:
        seen[name] = Figure(data_uri(folder / f"{name}.png", photo), f"{alt}. {note}")

    if results.experiments:
        accuracy_figure(folder / "accuracy.png", results, note)
        add("accuracy", "Test accuracy of every experiment, a dot per run")
    if results.arms:
        quality_figure(folder / "quality.png", results, note)
        add("quality", "Distribution of PSNR and SSIM over the images of every arm")
    class_distribution(folder / "classes.png", results.manifest, note, results.protocol)
    add("classes", "Number of images of each class in each role")
    originals = [name for name, arm in params.upscale.items() if arm.shows_originals(params.image)]
    guide = originals[0] if originals else None
    looks = arm_looks(params)
    arms = [name for name, arm in params.upscale.items() if not isinstance(arm, ByClass)]  # which has no test images
    versions = {arm: params.version(arm, params.study.networks[0]) for arm in arms}
    cell = partial(read_cell, results.layout, crop=params.report.crop, guide=guide, versions=versions)
    cells = [
        cell(image, arms, label=label, captions=captions)
        for image, label, captions in (sections.grid_choice(results, arms, params.report.grid_cells) if arms else ())
    ]
    if cells:
        arm_grid(folder / "grid.png", cells, looks, note)
        add("grid", "The same cells in every arm with a zoomed crop", photo=True)
    for name, result in results.experiments.items():
        confusion_figure(folder / f"confusion_{name}.png", result.look, result.predictions, results.classes, note)
        add(f"confusion_{name}", f"Confusion matrix of {result.look.label}")
        classifier_curves(folder / f"classifier_{name}.png", result.look, result.history, note)
        add(f"classifier_{name}", f"Training curves of the classifiers of {result.look.label}")
    for name, training in results.trainings.items():
        sr_curves(folder / f"sr_{name}.png", training.look, training.history, note)
        add(f"sr_{name}", f"Training curves of {training.look.label}")
        with new_file(folder / f"samples_{name}.png") as path:
            path.write_bytes(training.samples.read_bytes())
        add(f"samples_{name}", f"Validation samples of {training.look.label}", photo=True)
    return seen


def draw_protocol(folder: Path, results: StudyResults, note: str) -> dict[str, Figure]:
    """The figures of a further protocol: accuracy and confusion."""
    note, name = f"{note}; protocol {results.protocol}", results.protocol
    accuracy_figure(folder / f"accuracy_{name}.png", results, note)
    words = f"Test accuracy of every experiment under {name}, a dot per run. {note}"
    seen = {f"accuracy_{name}": Figure(data_uri(folder / f"accuracy_{name}.png", False), words)}
    for each, result in results.experiments.items():
        file = folder / f"confusion_{name}_{each}.png"
        confusion_figure(file, result.look, result.predictions, results.classes, note)
        seen[file.stem] = Figure(data_uri(file, False), f"Confusion matrix of {result.look.label} under {name}. {note}")
    return seen


SWEEP_FIGURES = {
    "runs": "Every run as a dot, by learning rate.",
    "components": "What each randomness stream adds.",
    "differences": "How often two runs of one configuration differ by so much; a line marks the published 5 points.",
    "search": "Every configuration that the search trained to its end.",
}


def draw_sweep(folder: Path, params: Params, results: StudyResults, pictures: dict[str, Figure]) -> SweepPart | None:
    """Copy the sweep's figures to the page's; None for a study whose sweep has not run."""
    sweep = results.layout.sweep
    record = next((sweep / name for name in ("variance.json", "search.json") if (sweep / name).is_file()), None)
    if record is None:
        return None
    found = json.loads(record.read_text(encoding="utf-8"))
    shown = {}
    for name, caption in SWEEP_FIGURES.items():
        if (sweep / f"{name}.png").is_file():
            shutil.copyfile(sweep / f"{name}.png", folder / f"sweep_{name}.png")
            pictures[f"sweep_{name}"] = Figure(data_uri(folder / f"sweep_{name}.png", False), caption)
            shown[f"sweep_{name}"] = caption
    differ = (
        "in learning rate, weight decay and augmentation, each the mean over the same seeds on validation images"
        if found["design"] == "search"
        else "in the seeds of the randomness streams alone, and in the learning rate where that is varied"
    )
    name, trained = found["arm"], ""
    if params.sweep.target == "classify":
        words = training_words(params.swept_recipe)
        trained = f", each trained with {', '.join(words)}"
    swept = (results.experiments if params.sweep.target == "classify" else results.trainings).get(name)
    name = swept.look.label if swept else name
    what = (
        f"{found['trials']} trials of {name}, protocol {found['protocol']}, design "
        f"{found['design']}{trained}. They differ {differ}."
    )
    return SweepPart(what, found["sentences"], shown)

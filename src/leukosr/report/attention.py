"""Where a classifier looked when it was wrong: Grad-CAM over the cells of a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from leukosr.data.manifest import FOLD
from leukosr.engine.weights import SUFFIX
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Run
from leukosr.report.grids import RGB
from leukosr.report.results import StudyResults


class DamagedWeights(LeukoError):
    """Weights that are there but cannot be used."""


def attention_over(results: StudyResults, experiment: str, called: Mapping[str, tuple[RGB, str]]) -> dict[str, RGB]:
    """Image id -> the image with Grad-CAM of the class that it is called over it, by the experiment's first run.

    `called`: image id -> the image as the classifiers saw it, uint8 RGB, and the class. Where the protocol has folds,
    an image is shown to the classifier that was tested on it. Raises LeukoError where weights are missing and for a
    backbone without a feature map, DamagedWeights for others that cannot be used.
    """
    row = results.experiments[experiment].predictions.iloc[0]
    run = Run(int(row["seed"]), int(row["sr_seed"]) if "sr_seed" in row else None)
    roles = {each.id: each.role(results.protocol) for each in results.manifest}
    of_file: dict[Path, list[str]] = {}
    for image in called:
        fold = f"-{roles[image]}" if roles[image].startswith(FOLD) else ""
        weights = results.layout.classify(experiment, results.protocol) / "weights"
        of_file.setdefault(weights / f"seed-{run.label}{fold}{SUFFIX}", []).append(image)
    for file in of_file:
        if not file.is_file():
            raise LeukoError(f"there is no {file.name} of {experiment}: `dvc repro classify@{experiment}` makes it")
    return {
        image: shown
        for file, images in of_file.items()
        for image, shown in _by(file, experiment, images, called).items()
    }


def _by(file: Path, experiment: str, images: list[str], called: Mapping[str, tuple[RGB, str]]) -> dict[str, RGB]:
    import torch  # a page without weights needs none of it

    from leukosr.classify.gradcam import overlay
    from leukosr.classify.panel import Panel

    try:
        panel = Panel.load([file], torch.device("cpu"))
    except LeukoError as error:
        raise DamagedWeights(f"{error} (`dvc repro --force --single-item classify@{experiment}` makes it)") from error
    found = {}
    for image in images:
        pixels, name = called[image]
        found[image] = overlay(pixels, panel.attention(pixels, panel.classes.index(name)))
    return found

"""What a stage writes into the header of weights, for whoever uses them outside the study."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from leukosr.classify.confidence import Validation
from leukosr.classify.experiment_data import ExperimentData, Split
from leukosr.classify.trainer import predict
from leukosr.config import Params
from leukosr.engine.seeding import Root
from leukosr.images.appearance import TrainingImages
from leukosr.images.reading import read_rgb


def appearance_note(params: Params, count: int, read: Callable[[int], np.ndarray]) -> dict[str, str]:
    """What the training images, uint8 RGB by number, look like."""
    drawn = params.prepare.root in {each.folder for each in params.synthesize.values()}
    return {TrainingImages.key: TrainingImages.of(count, read, drawn=drawn).model_dump_json()}


def classifier_note(
    params: Params, name: str, data: ExperimentData, split: Split, seed: Root, network: nn.Module
) -> dict[str, str]:
    """Where a classifier comes from, what its training images look like and what it said of its validation part."""
    recipe, files = data.experiment.classifier, data.training_files(split)
    note = {
        "study": params.study.name,
        "budget": params.budget.name,
        "experiment": name,
        "protocol": data.protocol,
        "precision": recipe.precision,
        **appearance_note(params, len(files), lambda place: read_rgb(files[place])),
    }
    if (held := data.validation(split, seed)) is not None:
        names, images = held
        said = predict(network, images.images, recipe, next(network.parameters()).device)
        note[Validation.key] = Validation.of(names, said, images.labels, data.classes).model_dump_json()
    return note

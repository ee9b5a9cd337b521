"""Trainings so small that tests can afford them, of every registered method."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from leukosr.config import TrainSR
from leukosr.data.pairs import Pairs
from leukosr.images.masks import VALUES
from leukosr.images.store import ImageStore
from leukosr.superres import DISCRIMINATORS, GENERATORS
from leukosr.superres.methods.distil import Distil
from leukosr.superres.methods.method import TrainGAN
from leukosr.superres.methods.task_driven import TaskDriven
from leukosr.superres.methods.vgg_gan import SFTGANPrior
from leukosr.superres.weights import save_generator


def changed(settings: TrainSR, **changes: Any) -> TrainSR:
    """The settings with other values, validated as those of params.yaml are; losses are merged."""
    values = settings.model_dump(mode="json")
    changes |= {"losses": {**values["losses"], **changes["losses"]}} if "losses" in changes else {}
    return type(settings).model_validate({**values, **changes})


def tiny(settings: TrainSR, iterations: int = 3, scale: int = 4, **changes: Any) -> TrainSR:
    """A training with tiny networks and few iterations in each stage, without a VGG, in fp32."""
    size = {**settings.generator.model_dump(), **GENERATORS[settings.architecture].tiny}
    small: dict[str, Any] = {"generator": size}
    if isinstance(settings, TrainGAN):
        small["discriminator"] = dict(DISCRIMINATORS[settings.architecture].tiny)
        small["losses"] = {"perceptual": 0.0, "image": 1.0}
    if isinstance(settings, Distil):
        small |= taught_by(teacher_of(scale))
    if isinstance(settings, TaskDriven):
        small |= {"backbone": "timm/test_efficientnet", "classifier_weights": None}
    if isinstance(settings, SFTGANPrior):
        small |= {key: weights_of("geometry_prior", scale) for key in ("prior", "reads")}
    stages = [{**stage.model_dump(mode="json"), "iterations": iterations} for stage in settings.stages]
    whole = isinstance(settings, TaskDriven)
    small |= {"patch": None, "flips": "horizontal"} if whole else {"patch": 32}
    small |= {"batch": 2, "stages": stages, "validate_every": 2, "precision": "fp32"}
    return changed(settings, **small | changes)


FOLDER = tempfile.TemporaryDirectory(prefix="teachers-")


def teacher_of(scale: int, seed: int = 0) -> str:
    """The weights of a tiny random generator of a scale."""
    return weights_of("real_esrgan", scale, seed)


@cache
def weights_of(architecture: str, scale: int, seed: int = 0) -> str:
    """The weights of the tiny random network of an architecture and a scale."""
    size = dict(GENERATORS[architecture].tiny)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GENERATORS[architecture](scale=scale, **size)
    path = Path(FOLDER.name) / f"{architecture}-x{scale}-{seed}.safetensors"
    save_generator(path, model, architecture, scale, size)
    return str(path)


def taught_by(weights: str) -> dict[str, str]:
    """The settings that name a teacher."""
    return {"teacher": weights, "reads": weights}


def smooth_pairs(count: int, seed: int = 0, scale: int = 4) -> Pairs:
    """Blurred noise of 48 x 64, the same at a fraction of the sides, and masks that follow its brightness."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
    hr = [cv2.resize(image, (64, 48), interpolation=cv2.INTER_CUBIC) for image in coarse]
    lr = [cv2.resize(image, (64 // scale, 48 // scale), interpolation=cv2.INTER_AREA) for image in hr]
    masks = [np.asarray(VALUES, np.uint8)[np.digitize(image.mean(axis=2), (100, 150))] for image in hr]
    numbers = range(count)
    small, large, shown = (ImageStore(numbers, images.__getitem__) for images in (lr, hr, masks))
    return Pairs(small, large, scale, masks=shown, labels=[number % 2 for number in numbers])

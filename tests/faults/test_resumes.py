"""Trainings that are killed, at any moment and more than once: the next attempt ends as if nothing had happened."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tests.faults.killing import killed_after, killed_at, steps_of
from tests.faults.tally import Tally
from tests.superres.tiny import tiny

from leukosr.classify.trainer import ClassifierTraining, LabelledImages
from leukosr.config import Params
from leukosr.data.pairs import Pairs
from leukosr.engine.resume import Resume
from leukosr.images.store import ImageStore
from leukosr.superres.trainer import SRTraining

CPU = torch.device("cpu")
GENERATOR = {"srgan": {"features": 4, "blocks": 1}, "real_esrgan": {"features": 4, "blocks": 1, "growth": 2}}
State = dict[str, Any]
Train = Callable[[Path], State]


@pytest.fixture(scope="module")
def params(compose_params: Callable[..., Params]) -> Params:
    return compose_params("study=demo", "budget=smoke")


def smooth_pairs(count: int, seed: int) -> Pairs:
    """Blurred noise of 32 x 32 and the same at a quarter of the size."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    hr = [cv2.resize(image, (32, 32), interpolation=cv2.INTER_CUBIC) for image in coarse]
    lr = [cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA) for image in hr]
    return Pairs(ImageStore(range(count), lambda i: lr[i]), ImageStore(range(count), lambda i: hr[i]), 4)


def train_sr(params: Params, method: str, folder: Path) -> State:
    """A training of all stages of a method; what it ends with."""
    published = params.train_sr[method]
    settings = tiny(published, iterations=4, generator=GENERATOR[method], discriminator={"features": 2},
                    validate_every=3)  # fmt: skip
    pairs = smooth_pairs(4, seed=0), smooth_pairs(2, seed=9)
    training = SRTraining(method, settings, *pairs, ssim_window=3, seed=1, device=CPU)
    training.run(Resume("work", 0, folder), lambda iteration, row: None)
    networks = {"generator": training.generator, "discriminator": training.discriminator, "kept": training.result}
    states = {name: network.state_dict() for name, network in networks.items() if network is not None}
    return {**states, "best": training.progress.best, "history": without_seconds(training.progress.history)}


def train_classifier(params: Params, options: dict[str, Any], folder: Path) -> State:
    """A training of a classifier; what it ends with."""
    settings = params.classify.model_copy(update={"epochs": 4, "batch": 4, "precision": "fp32"} | options)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (10, 24, 24, 3), dtype=np.uint8)
    images = LabelledImages(ImageStore(range(10), lambda i: pixels[i]), np.arange(10, dtype=np.int64) % 2)
    training = ClassifierTraining(settings, 2, images, seed=1, device=CPU)
    training.run(Resume("work", 0, folder), lambda row: None)
    states = {"model": training.model.state_dict(), "kept": training.result.state_dict()}
    return {**states, "history": without_seconds(training.history.rows)}


def without_seconds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def assert_equal(one: State, other: State) -> None:
    """The same to the bit."""
    assert one["history"] == other["history"]
    for name in one.keys() - {"history"}:
        assert one[name].keys() == other[name].keys()
        different = [key for key in one[name] if not torch.equal(one[name][key], other[name][key])]
        assert not different, f"{name}: {different}"


ALL_OPTIONS = {"ema": 0.9, "augmentation": 0.5, "weight_decay": 0.01, "warm_up": 0.25, "decay": "cosine"}
TRAINERS: dict[str, Callable[[Params, Path], State]] = {
    "SRGAN": lambda params, folder: train_sr(params, "srgan", folder),
    "Real-ESRGAN": lambda params, folder: train_sr(params, "real_esrgan", folder),
    "classifier": lambda params, folder: train_classifier(params, {}, folder),
    "classifier with all options": lambda params, folder: train_classifier(params, ALL_OPTIONS, folder),
}


@pytest.mark.usefixtures("small_resnet")
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_training_that_was_killed_resumes_to_the_same_bits(
    trainer: str, params: Params, tally: Tally, sample: Callable[[int, int], int], tmp_path: Path
) -> None:
    tally.kind = f"killed and resumed: {trainer}"
    train = partial(TRAINERS[trainer], params)
    started = time.monotonic()
    whole = train(tmp_path / "whole")
    seconds = time.monotonic() - started
    steps = steps_of(partial(train, tmp_path / "counted"))
    chance, resumed = random.Random(trainer), 0
    for number in range(sample(20, 2)):
        folder = tmp_path / str(number)
        with tally.trial(f"training {number}"):
            assert killed_at(chance.randint(steps // 3, steps), partial(train, folder))
            resumed += any(folder.rglob("*.pt"))
            killed_after(chance.uniform(0, seconds), partial(train, folder))  # or done before
            assert_equal(train(folder), whole)
    assert resumed, "no training was killed late enough to leave a state"

"""Tiny trainings for test_distributed.py, which imports this file and also starts it as a script in two processes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from torch import nn

from leukosr.classify.trainer import ClassifierTraining, LabelledImages
from leukosr.config import Params, parse_params
from leukosr.data.pairs import Pairs
from leukosr.engine.batch_norm import SynchronisedBatchNorm2d
from leukosr.engine.distributed import launched
from leukosr.engine.processes import ALONE, Processes
from leukosr.engine.resume import Resume
from leukosr.images.store import ImageStore
from leukosr.superres.trainer import SRTraining

CPU = torch.device("cpu")
NEVER = 1e9
CUT = {"srgan": 2, "real_esrgan": 4, "resnet50": 1}
# shares of a batch of 5: equal ones, unequal ones, one that is empty
PARTS = {"unequal": (0, 2, 5), "empty": (0, 5, 5)}


class Cut(Exception):
    """Stands for a power cut."""


def pairs(count: int, seed: int) -> Pairs:
    """Blurred noise of 64 x 64 and the same at a quarter of the size."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    hr = [cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC) for image in coarse]
    lr = [cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA) for image in hr]
    return Pairs(ImageStore(range(count), lambda i: lr[i]), ImageStore(range(count), lambda i: hr[i]), 4)


def train_sr(method: str, params: Params, folder: Path, processes: Processes = ALONE, *, cut: bool = False) -> Any:
    """The rows of the history, without seconds; with `cut` it stops early, its state saved in `folder`.

    A cut training returns its last gradients: Adam hides the length of a gradient from the losses.
    """
    training = SRTraining(
        method, params.train_sr[method], pairs(4, 0), pairs(1, 9), ssim_window=3, seed=3, device=CPU,
        processes=processes,
    )  # fmt: skip

    def report(iteration: int, row: dict[str, Any] | None) -> None:
        if cut and iteration == CUT[method]:
            raise Cut

    try:
        training.run(Resume(method, 0 if cut else NEVER, folder), report)
    except Cut:
        assert training.discriminator is not None
        return gradient(training.generator), gradient(training.discriminator)
    return [{key: value for key, value in row.items() if key != "seconds"} for row in training.progress.history]


def train_classifier(
    params: Params, folder: Path, processes: Processes = ALONE, *, cut: bool = False, double: bool = False
) -> Any:
    """The same for a ResNet50 on one batch of 9 images, which two processes cannot share equally.

    In single precision the rounding of one process alone changes its first gradient by a hundredth.
    """
    noise = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    images = LabelledImages(ImageStore(range(9), lambda i: noise[i]), np.arange(9, dtype=np.int64) % 2)
    training = ClassifierTraining(params.classifier, 2, images, seed=1, device=CPU, processes=processes)
    if double:
        training.model.double().register_forward_pre_hook(lambda model, inputs: (inputs[0].double(),))

    def report(row: dict[str, Any]) -> None:
        if cut and row["epoch"] == CUT["resnet50"]:
            raise Cut

    try:
        training.run(Resume(f"resnet50-{double}", 0 if cut and not double else NEVER, folder), report)
    except Cut:
        return (gradient(training.model),)
    return [{key: value for key, value in row.items() if key != "seconds"} for row in training.history.rows]


def gradient(network: nn.Module) -> torch.Tensor:
    """The gradient of the last step, of all parameters in a row."""
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


TRAININGS: dict[str, Callable[..., Any]] = {
    "srgan": partial(train_sr, "srgan"),
    "real_esrgan": partial(train_sr, "real_esrgan"),
    "resnet50": train_classifier,
}
# cut trainings, for their gradients
CUT_TRAININGS = {name: partial(train, cut=True) for name, train in TRAININGS.items()}
CUT_TRAININGS["resnet50 in double precision"] = partial(train_classifier, cut=True, double=True)


def normalise(batch_norm: nn.Module, part: slice) -> dict[str, Any]:
    """Output, gradients and running statistics of one step on a part of a batch of 5."""
    torch.manual_seed(0)
    images, slopes = torch.randn(5, 3, 4, 6) * 2 + 1, torch.randn(5, 3, 4, 6)
    batch_norm.weight.data.copy_(torch.tensor([0.5, 1.0, 2.0]))
    x = images[part].requires_grad_()
    output = batch_norm(x)
    (output * slopes[part]).sum().backward()
    after = batch_norm.eval()(images)
    found = {"output": output, "x": x.grad, "weight": batch_norm.weight.grad, "bias": batch_norm.bias.grad}
    found |= {"mean": batch_norm.running_mean, "var": batch_norm.running_var, "after": after}
    return {name: tensor.detach().tolist() for name, tensor in found.items()}


def main(params_file: Path, start: Path, out: Path) -> None:
    """Train everything in the processes of params.runtime, whole and from the states in `start`; cut it in `out`."""
    params = parse_params(yaml.safe_load(params_file.read_text()), str(params_file))
    with launched(params.runtime) as processes:
        found: dict[str, Any] = {"processes": processes.count, "rank": processes.rank}
        for name, parts in PARTS.items():
            part = slice(parts[processes.rank], parts[processes.rank + 1])
            found[name] = normalise(SynchronisedBatchNorm2d(3), part)
        for name, train in TRAININGS.items():
            found[name] = train(params, out / "unused", processes)
            found[f"{name} resumed"] = train(params, start, processes)
        (out / f"rank-{processes.rank}.json").write_text(json.dumps(found))
        for name, train in CUT_TRAININGS.items():
            torch.save(train(params, out, processes), out / f"{name}-{processes.rank}.pt")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

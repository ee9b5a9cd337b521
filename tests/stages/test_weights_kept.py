from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from leukosr.config import Params
from leukosr.data.pairs import Pairs
from leukosr.engine.precision import resolve_precision
from leukosr.engine.resume import Resume
from leukosr.images.store import ImageStore
from leukosr.stages import train_sr
from leukosr.superres.trainer import SRTraining
from leukosr.superres.weights import load_generator


def test_last_and_best_weights_are_kept_apart(tiny_params: Params, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    high = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(2)]
    read: Callable[[np.ndarray], np.ndarray] = lambda image: image  # noqa: E731
    pairs = Pairs(ImageStore([image[::4, ::4].copy() for image in high], read), ImageStore(high, read), 4)
    settings = resolve_precision(tiny_params.train_sr["srgan"], torch.device("cpu"))
    training = SRTraining("srgan", settings, pairs, pairs, ssim_window=3, seed=0, device=torch.device("cpu"))
    training.run(Resume("digest", 60, tmp_path / "resume"), lambda iteration, row: None)
    trained = {name: value.clone() for name, value in training.result.state_dict().items()}
    training.progress.best = {name: torch.zeros_like(value) for name, value in trained.items()}
    train_sr._write(training, tiny_params, tmp_path)
    last = load_generator(tmp_path / "last.safetensors").model.state_dict()
    best = load_generator(tmp_path / "best.safetensors").model.state_dict()
    assert all(torch.equal(last[name], value) for name, value in trained.items())
    assert not any(best[name].any() for name in best)

"""A study whose networks are small and untrained: files as the stages write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from leukosr.app.models import StudyModels
from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.confidence import Validation
from leukosr.classify.settings import Architecture
from leukosr.classify.weights import save_classifier
from leukosr.config import load_params
from leukosr.engine.weights import write_tensors
from leukosr.images.reading import png_bytes
from leukosr.layout import Layout
from leukosr.superres import GENERATORS
from leukosr.superres.networks.srgan import SRGANGenerator
from leukosr.superres.weights import save_generator

CLASSES = ["eosinophil", "monocyte", "neutrophil"]
SMALL = Architecture(backbone="squeezenet1_1")


def picture(height: int = 32, width: int = 40) -> np.ndarray:
    """Coloured noise."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def picture_bytes(height: int = 32, width: int = 40) -> bytes:
    """The same as a PNG."""
    return png_bytes(picture(height, width))


@pytest.fixture(scope="session")
def study(compose_raw: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a project: `srgan` and three experiments are trained, `real_esrgan` is not."""
    root = tmp_path_factory.mktemp("project")
    raw = compose_raw("study=demo", "budget=smoke", "arms=[raw,bicubic,srgan,real_esrgan,ground_truth]")
    (root / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    layout = Layout("demo", root / "outputs")
    said, labels = np.tile([[0.9, 0.06, 0.04]], (40, 1)), np.zeros(40, int)
    images = [f"{number}.png" for number in range(40)]
    validation = {Validation.key: Validation.of(images, said, labels, CLASSES).model_dump_json()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for file in (layout.sr("srgan") / "last.safetensors", root / "pretrained" / "tiny.safetensors"):
            save_generator(file, SRGANGenerator(4, 4, 1), "srgan", 4, {"features": 4, "blocks": 1})
        for experiment, seed in (("raw", 1), ("raw", 2), ("srgan", 1), ("ground_truth", 1)):
            file = layout.classify(experiment, "paper") / "weights" / f"seed-{seed}.safetensors"
            save_classifier(file, ClassifierNetwork(SMALL, len(CLASSES)), SMALL, CLASSES, None, validation)
        save_classifier(
            root / "pretrained" / "backbone.safetensors", ClassifierNetwork(SMALL, 3), SMALL, CLASSES, None
        )  # fmt: skip
        write_tensors(root / "pretrained" / "imagenet.safetensors", ClassifierNetwork(SMALL, 3).state_dict(), {})
        for name, network, note in (("one_class", "srgan", {"only_class": "monocyte"}), ("masked", "sftgan", {})):
            tiny = GENERATORS[network].tiny
            file = root / "pretrained" / f"{name}.safetensors"
            save_generator(file, GENERATORS[network](**tiny), network, 4, dict(tiny), note)
    return root


@pytest.fixture
def models(study: Path, monkeypatch: pytest.MonkeyPatch) -> StudyModels:
    """Its models, with the project as the working directory."""
    monkeypatch.chdir(study)
    params = load_params()
    return StudyModels(params, Layout("demo"), precision="fp32", device_name="cpu", most_errors=0.05)

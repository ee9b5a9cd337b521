"""LPIPS: the whole path, with random weights where torchvision keeps its downloads; they say nothing of distances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from leukosr.errors import LeukoError
from leukosr.evaluate.perceptual import perceptual_distance
from leukosr.evaluate.settings import LEAST_SIDE, LPIPSNetwork

pytest.importorskip("torchmetrics", reason="the extra `perceptual` is not installed")


def test_equal_images_have_no_distance_and_others_have_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.manual_seed(0)
    name = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1]
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), tmp_path / "checkpoints" / name)
    distance = perceptual_distance("squeeze", torch.device("cpu"))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    near = np.clip(image.astype(int) + 3, 0, 255).astype(np.uint8)
    assert distance(image, image) == 0
    assert 0 < distance(near, image) < distance(255 - image, image)


@pytest.mark.parametrize(("network", "builder"), [("alex", "alexnet"), ("squeeze", "squeezenet1_1"), ("vgg", "vgg16")])
def test_the_smallest_images_are_those_that_each_network_takes(
    network: LPIPSNetwork, builder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = getattr(torchvision.models, builder)
    monkeypatch.setattr(torchvision.models, builder, lambda *_, **__: build(weights=None))
    distance, least = perceptual_distance(network, torch.device("cpu")), LEAST_SIDE[network]
    smallest, smaller = (np.zeros((side, 40, 3), np.uint8) for side in (least, least - 1))
    assert distance(smallest, smallest) == 0
    with pytest.raises(RuntimeError, match="too small"):
        distance(smaller, smaller)


def test_without_weights_the_sentence_names_them_and_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(LeukoError, match=rf"AlexNet could not be fetched .* put https://\S+alexnet\S+ into {tmp_path}"):
        perceptual_distance("alex", torch.device("cpu"))

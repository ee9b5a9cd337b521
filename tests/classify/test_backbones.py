"""ResNet50: torchvision's network behind ImageNet's normalisation."""

import http.client
from urllib.error import URLError

import pytest
import torch
from torch import Tensor
from torchvision.models import ResNet50_Weights, resnet18, resnet50

from leukosr.classify.backbones import IMAGENET_MEAN, IMAGENET_SD, ResNet18, ResNet50
from leukosr.errors import LeukoError


@pytest.fixture(scope="module")
def network() -> ResNet50:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ResNet50(num_classes=4).eval()


def images(count: int, height: int, width: int) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(7))


def test_resnet50_for_four_classes_has_23516228_parameters(network: ResNet50) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_516_228


@torch.inference_mode()
def test_logits_are_those_of_torchvision_on_normalised_images(network: ResNet50) -> None:
    reference = resnet50(num_classes=4)
    reference.load_state_dict(network.state_dict())
    batch = images(2, 40, 56)
    mean, sd = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_SD))
    torch.testing.assert_close(network(batch), reference.eval()((batch - mean) / sd))


@torch.inference_mode()
def test_resnet18_is_torchvisions_too() -> None:
    with torch.random.fork_rng(devices=[]):
        network, reference = ResNet18(num_classes=5).eval(), resnet18(num_classes=5).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_179_077
    reference.load_state_dict(network.state_dict())
    batch = images(2, 40, 56)
    mean, sd = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_SD))
    torch.testing.assert_close(network(batch), reference((batch - mean) / sd))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 71), (60, 80)])
@torch.inference_mode()
def test_images_of_any_size_give_logits(network: ResNet50, height: int, width: int) -> None:
    logits = network(images(2, height, width))
    assert logits.shape == (2, 4)
    assert torch.isfinite(logits).all()


def test_imagenet_weights_fill_everything_but_the_head(network: ResNet50, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        downloaded = resnet50(num_classes=1000).state_dict()
    monkeypatch.setattr(type(ResNet50_Weights.IMAGENET1K_V2), "get_state_dict", lambda self, **_: downloaded)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        loaded = ResNet50(num_classes=4, weights="imagenet").state_dict()
    for name, tensor in loaded.items():
        source = network.state_dict() if name.startswith("fc.") else downloaded
        assert torch.equal(tensor, source[name]), name


@pytest.mark.parametrize(
    "failure",
    [
        URLError("no route to host"),
        ConnectionResetError("reset"),
        RuntimeError("invalid hash value"),
        http.client.IncompleteRead(b""),
    ],
)
def test_imagenet_weights_that_cannot_be_fetched_are_a_clear_error(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, **_: object) -> None:
        raise failure

    monkeypatch.setattr(type(ResNet50_Weights.IMAGENET1K_V2), "get_state_dict", fail)
    with pytest.raises(LeukoError, match=r"could not be fetched.*set classify\.weights to none"):
        ResNet50(num_classes=4, weights="imagenet")

"""Published weights from files: EfficientNet-Lite0 as its package computes it, and files that do not fit."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models import resnet18

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.pretrained import lite0_names
from leukosr.classify.settings import Architecture
from leukosr.engine.weights import write_tensors
from leukosr.errors import LeukoError

LITE0 = Architecture(backbone="efficientnet_lite0", normalisation="efficientnet_lite")
# what efficientnet-lite-pytorch 0.1.0 makes of `image()` with the weights of `by_rule` (image_size=None): the first of
# 1280 features, and the sum of all
PACKAGE_FEATURES = (2.389542, 0.0, 0.731236, 1.093962, 0.0, 1.769769)
PACKAGE_SUM = 1166.36316


def by_rule(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors of those names and shapes, by a rule that anyone can repeat."""
    made: dict[str, Tensor] = {}
    for number, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        wave = torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * 0.7 + number).reshape(shape)
        if name.endswith("num_batches_tracked"):
            made[name] = torch.zeros((), dtype=torch.int64)
        elif len(shape) == 4:
            made[name] = (wave * 1.4 * (2 / math.prod(shape[1:])) ** 0.5).float()
        elif len(shape) == 1 and name.endswith(("running_var", "weight")):
            made[name] = (1 + 0.3 * wave).float()
        else:
            made[name] = (0.1 * wave).float()
    return made


def image() -> Tensor:
    """97 x 131 pixels, so that strides meet odd sizes; 0 … 255."""
    rows, columns = torch.arange(97)[:, None], torch.arange(131)
    return torch.stack([(rows * (3 + c) + columns * (5 - c) + 40 * c) % 256 for c in range(3)])[None].float()


@pytest.fixture
def lite0_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """pretrained/efficientnet_lite0 by the rule, under the package's names."""
    own = ClassifierNetwork(LITE0, 1000).network.state_dict()
    tensors = by_rule({published: own[name].shape for published, name in lite0_names(own).items()})
    monkeypatch.chdir(tmp_path)
    write_tensors("pretrained/efficientnet_lite0.safetensors", tensors, {})
    return tensors


def lite0(classes: int = 4) -> ClassifierNetwork:
    return ClassifierNetwork(LITE0, classes, "pretrained/efficientnet_lite0").eval()


@pytest.mark.usefixtures("lite0_file")
def test_lite0_computes_what_its_package_computes() -> None:
    with torch.inference_mode():
        features = lite0().features(image() / 255)
    assert features.shape == (1, 1280)
    torch.testing.assert_close(features[0, : len(PACKAGE_FEATURES)], torch.tensor(PACKAGE_FEATURES), atol=1e-5, rtol=0)
    assert float(features.sum()) == pytest.approx(PACKAGE_SUM, abs=0.01)


def test_lite0_has_the_published_number_of_parameters() -> None:
    network = ClassifierNetwork(LITE0, 1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008


def test_all_of_the_file_but_its_head_is_taken(lite0_file: dict[str, Tensor]) -> None:
    state = lite0().network.state_dict()
    names = lite0_names(state)
    assert names.keys() == lite0_file.keys()
    assert [ours for published, ours in names.items() if not torch.equal(state[ours], lite0_file[published])] == [
        "classifier.weight", "classifier.bias"
    ]  # fmt: skip


@pytest.mark.usefixtures("lite0_file")
def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(
        LeukoError, match=r"efficientnet_lite0\.safetensors does not fit .*ResNet: tensor conv1\.weight"
    ):
        ClassifierNetwork(Architecture(backbone="resnet18"), 4, "pretrained/efficientnet_lite0")


def test_a_missing_file_is_an_error_with_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LeukoError, match="run `leukosr weights fetch efficientnet_lite0`"):
        lite0()


def test_torchvisions_weights_are_taken_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    published = resnet18().state_dict()
    # as torchvision's oldest files, which do not count batches
    write_tensors("pretrained/resnet18_v1.safetensors",
                  {name: tensor for name, tensor in published.items() if "num_batches" not in name}, {})  # fmt: skip
    state = ClassifierNetwork(Architecture(backbone="resnet18"), 4, "pretrained/resnet18_v1").network.state_dict()
    assert [name for name, tensor in state.items() if not torch.equal(tensor, published[name])] == [
        "fc.weight", "fc.bias"
    ]  # fmt: skip


@pytest.mark.parametrize("backbone", ["vgg19", "timm/resnet10t", "efficientnet_lite0"])
def test_a_second_set_of_weights_that_nobody_published_is_refused(backbone: str) -> None:
    with pytest.raises(LeukoError, match=r"classifier\.weights = imagenet_v2: .* use imagenet"):
        ClassifierNetwork(Architecture(backbone=backbone), 4, "imagenet_v2")

"""Classifier files: what is saved comes back, anything else is refused with a reason."""

from pathlib import Path

import pytest
import torch

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.ensemble import Ensemble
from leukosr.classify.weights import load_classifier, save_classifier
from leukosr.config import Architecture
from leukosr.engine.weights import read_tensors, write_tensors
from leukosr.errors import LeukoError

RESNET50 = Architecture(backbone="resnet50")
CLASSES = ["eosinophil", "lymphocyte", "monocyte"]
IMAGES = torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(small_resnet: None) -> torch.nn.Module:
    return ClassifierNetwork(RESNET50, len(CLASSES)).eval()


def test_saved_classifier_comes_back_identical_in_eval_mode_with_its_classes(
    model: torch.nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "seed-1.safetensors"
    save_classifier(path, model.to(memory_format=torch.channels_last), RESNET50, CLASSES, (120, 160))
    loaded = load_classifier(path)
    assert (loaded.architecture, loaded.classes, loaded.size) == (RESNET50, tuple(CLASSES), (120, 160))
    assert not loaded.model.training
    with torch.inference_mode():
        torch.testing.assert_close(loaded.model(IMAGES), model(IMAGES))


def test_equal_classifiers_are_equal_files(model: torch.nn.Module, tmp_path: Path) -> None:
    for number in range(8):
        save_classifier(tmp_path / f"{number}.safetensors", model, RESNET50, CLASSES, None)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_loading_leaves_the_global_random_state_alone(model: torch.nn.Module, tmp_path: Path) -> None:
    save_classifier(tmp_path / "a.safetensors", model, RESNET50, CLASSES, None)
    before = torch.get_rng_state()
    load_classifier(tmp_path / "a.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_missing_damaged_and_foreign_files_are_refused_by_name(model: torch.nn.Module, tmp_path: Path) -> None:
    good = tmp_path / "good.safetensors"
    save_classifier(good, model, RESNET50, CLASSES, None)
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:100])
    (tmp_path / "text.safetensors").write_text("text")
    write_tensors(tmp_path / "generator.safetensors", {"a": torch.zeros(2)}, {"architecture": "srgan"})
    for name in ("none", "cut", "text", "generator"):
        with pytest.raises(LeukoError, match=rf"{name}\.safetensors"):
            load_classifier(tmp_path / f"{name}.safetensors")


def test_unknown_backbone_is_refused_with_those_known(model: torch.nn.Module, tmp_path: Path) -> None:
    save_classifier(tmp_path / "a.safetensors", model, Architecture(backbone="vit"), CLASSES, None)
    with pytest.raises(LeukoError, match="'vit' is not a supported classifier"):
        load_classifier(tmp_path / "a.safetensors")


@pytest.mark.parametrize("change", ["classes", "missing", "extra"])
def test_weights_that_do_not_fit_are_refused_with_the_tensor(
    change: str, model: torch.nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save_classifier(path, model, RESNET50, CLASSES[:2] if change == "classes" else CLASSES, None)
    tensors, header = read_tensors(path)
    if change == "missing":
        del tensors["network.fc.bias"]
    if change == "extra":
        tensors["network.fc.extra"] = torch.zeros(1)
    write_tensors(path, tensors, {key: header[key] for key in ("architecture", "network", "classes", "size")})
    with pytest.raises(LeukoError, match=r"a\.safetensors does not fit resnet50 with . classes: .*fc\."):
        load_classifier(path)


@pytest.mark.parametrize("members", [1, 2])
def test_files_of_an_older_version_are_read(members: int, model: torch.nn.Module, tmp_path: Path) -> None:
    saved = model if members == 1 else Ensemble([model, model])
    save_classifier(tmp_path / "a.safetensors", saved, RESNET50, CLASSES, None)
    tensors, header = read_tensors(tmp_path / "a.safetensors")
    old = {name.replace("network.", ""): tensor for name, tensor in tensors.items()}
    del header["network"]
    write_tensors(tmp_path / "a.safetensors", old, {k: v for k, v in header.items() if not k.startswith("leukosr")})
    with torch.inference_mode():
        torch.testing.assert_close(
            load_classifier(tmp_path / "a.safetensors").model(IMAGES).softmax(1), model(IMAGES).softmax(1)
        )


@pytest.mark.parametrize("network", ['{"head": 1}', "[", '{"weights": "imagenet"}', '{"normalisation": "hf"}'])
def test_a_header_that_describes_no_network_is_refused(network: str, model: torch.nn.Module, tmp_path: Path) -> None:
    header = {"architecture": "resnet50", "network": network, "classes": '["a"]', "size": "null"}
    write_tensors(tmp_path / "a.safetensors", model.state_dict(), header)
    with pytest.raises(LeukoError, match=r"a\.safetensors holds weights of 'resnet50', and its header is not that"):
        load_classifier(tmp_path / "a.safetensors")

"""Classifier files: what is saved comes back, anything else is refused with a reason."""

from pathlib import Path

import pytest
import torch

from leukosr.classify import BACKBONES
from leukosr.classify.weights import load_classifier, save_classifier
from leukosr.engine.weights import read_tensors, write_tensors
from leukosr.errors import LeukoError

CLASSES = ["eosinophil", "lymphocyte", "monocyte"]
IMAGES = torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(small_resnet: None) -> torch.nn.Module:
    return BACKBONES["resnet50"](len(CLASSES)).eval()


def test_saved_classifier_comes_back_identical_in_eval_mode_with_its_classes(
    model: torch.nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "seed-1.safetensors"
    save_classifier(path, model.to(memory_format=torch.channels_last), "resnet50", CLASSES, (120, 160))
    loaded = load_classifier(path)
    assert (loaded.backbone, loaded.classes, loaded.size) == ("resnet50", tuple(CLASSES), (120, 160))
    assert not loaded.model.training
    with torch.inference_mode():
        torch.testing.assert_close(loaded.model(IMAGES), model(IMAGES))


def test_equal_classifiers_are_equal_files(model: torch.nn.Module, tmp_path: Path) -> None:
    for number in range(8):
        save_classifier(tmp_path / f"{number}.safetensors", model, "resnet50", CLASSES, None)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_loading_leaves_the_global_random_state_alone(model: torch.nn.Module, tmp_path: Path) -> None:
    save_classifier(tmp_path / "a.safetensors", model, "resnet50", CLASSES, None)
    before = torch.get_rng_state()
    load_classifier(tmp_path / "a.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_missing_damaged_and_foreign_files_are_refused_by_name(model: torch.nn.Module, tmp_path: Path) -> None:
    good = tmp_path / "good.safetensors"
    save_classifier(good, model, "resnet50", CLASSES, None)
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:100])
    (tmp_path / "text.safetensors").write_text("text")
    write_tensors(tmp_path / "generator.safetensors", {"a": torch.zeros(2)}, {"architecture": "srgan"})
    for name in ("none", "cut", "text", "generator"):
        with pytest.raises(LeukoError, match=rf"{name}\.safetensors"):
            load_classifier(tmp_path / f"{name}.safetensors")


def test_unknown_backbone_is_refused_with_those_known(model: torch.nn.Module, tmp_path: Path) -> None:
    save_classifier(tmp_path / "a.safetensors", model, "vit", CLASSES, None)
    with pytest.raises(LeukoError, match="'vit', which is no classifier here; known are resnet50"):
        load_classifier(tmp_path / "a.safetensors")


@pytest.mark.parametrize("change", ["classes", "missing", "extra"])
def test_weights_that_do_not_fit_are_refused_with_the_tensor(
    change: str, model: torch.nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save_classifier(path, model, "resnet50", CLASSES[:2] if change == "classes" else CLASSES, None)
    tensors, header = read_tensors(path)
    if change == "missing":
        del tensors["fc.bias"]
    if change == "extra":
        tensors["fc.extra"] = torch.zeros(1)
    write_tensors(path, tensors, {key: header[key] for key in ("architecture", "classes", "size")})
    with pytest.raises(LeukoError, match=r"a\.safetensors does not fit resnet50 with . classes: .*fc\."):
        load_classifier(path)

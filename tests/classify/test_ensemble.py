"""Ensembles: members that differ, the mean of what they say, files that hold them all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.ensemble import Ensemble, together
from leukosr.classify.trainer import ClassifierTraining, LabelledImages
from leukosr.classify.weights import load_classifier, save_classifier
from leukosr.config import Architecture, Params
from leukosr.engine.weights import read_tensors, write_tensors
from leukosr.errors import LeukoError
from leukosr.images.store import ImageStore

CPU = torch.device("cpu")
RESNET18 = Architecture(backbone="resnet18")
CLASSES = ["a", "b", "c"]


def networks(count: int) -> list[torch.nn.Module]:
    torch.manual_seed(0)
    return [ClassifierNetwork(RESNET18, len(CLASSES)).eval() for _ in range(count)]


def noise(count: int = 2, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_an_ensemble_answers_with_the_mean_of_its_members_probabilities() -> None:
    members, images = networks(3), noise()
    with torch.inference_mode():
        mean = torch.stack([torch.softmax(member(images), 1) for member in members]).mean(0)
        torch.testing.assert_close(torch.softmax(Ensemble(members)(images), 1), mean)


def test_a_single_member_is_itself() -> None:
    (member,) = networks(1)
    assert together([member]) is member


def test_a_file_holds_all_members_and_names_how_many(tmp_path: Path) -> None:
    ensemble, images, path = Ensemble(networks(2)), noise(), tmp_path / "seed-1.safetensors"
    save_classifier(path, ensemble, RESNET18, CLASSES, None)
    assert read_tensors(path)[1]["ensemble"] == "2"
    loaded = load_classifier(path)
    assert isinstance(loaded.model, Ensemble)
    assert not loaded.model.members[1].training
    with torch.inference_mode():
        torch.testing.assert_close(loaded.model(images), ensemble.eval()(images))


def test_weights_of_an_ensemble_do_not_pass_for_those_of_one_classifier(tmp_path: Path) -> None:
    path = tmp_path / "seed-1.safetensors"
    header = {"architecture": "resnet18", "classes": json.dumps(CLASSES), "size": "null"}
    write_tensors(path, Ensemble(networks(2)).state_dict(), header)
    with pytest.raises(LeukoError, match="does not fit resnet18 with 3 classes"):
        load_classifier(path)


def test_members_start_from_other_weights_and_see_images_in_another_order(
    compose_params: Callable[..., Params],
) -> None:
    settings = compose_params("study=demo", "budget=smoke").classifier.model_copy(update={"backbone": "resnet18"})
    pixels = np.zeros((8, 32, 32, 3), np.uint8)
    data = LabelledImages(ImageStore(range(8), lambda i: pixels[i]), np.arange(8, dtype=np.int64) % 2)
    first, second = (ClassifierTraining(settings, 2, data, seed=1, member=member, device=CPU) for member in range(2))
    assert (first.label, second.label) == ("seed-1", "seed-1-member-2")
    assert not torch.equal(first.model.network.conv1.weight, second.model.network.conv1.weight)  # type: ignore[arg-type,union-attr]
    assert first._batches(1) != second._batches(1)

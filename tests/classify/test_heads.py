"""The classifiers of 001: the printed numbers of parameters, what is fed to them, and their plateaus."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from leukosr.classify.backbones import NORMALISATIONS, ClassifierNetwork
from leukosr.classify.history import History
from leukosr.classify.settings import Architecture, Classifier, Head
from leukosr.config import Params

FROZEN = {"vgg19": "vgg19_frozen", "vgg16": "vgg16_frozen", "resnet50": "resnet50_frozen",
          "efficientnet_b7": "efficientnet_b7_frozen", "efficientnet_lite0": "lite0_frozen_mlp"}  # fmt: skip
OWN_INPUT = {"efficientnet_lite0": "efficientnet_lite"}  # imagenet for the others
POINTS = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(3, 3, 1, 1)  # images of one pixel, in 0 … 1


@pytest.fixture
def recipe(compose_params: Callable[..., Params]) -> Callable[..., Classifier]:
    return lambda name, *more: compose_params(f"classifier={name}", "arms=[raw]", *more).classifier


@pytest.mark.parametrize(
    ("backbone", "base", "statistics", "head"),
    [
        ("vgg19", 20_024_384, 0, 1_182_468),
        ("vgg16", 14_714_688, 0, 1_182_468),
        ("resnet50", 23_508_032, 53_120, 2_755_332),
        ("efficientnet_b7", 63_786_960, 310_720, 3_279_620),
    ],
)
def test_a_frozen_base_and_its_head_have_the_printed_numbers_of_parameters(
    backbone: str, base: int, statistics: int, head: int, recipe: Callable[..., Classifier]
) -> None:
    settings = recipe(FROZEN[backbone])
    with torch.device("meta"):
        network = ClassifierNetwork(settings, 4, "none", settings.frozen)
    trained = [each for each in network.parameters() if each.requires_grad]
    running = [each for name, each in network.named_buffers() if "running" in name]
    assert sum(each.numel() for each in trained) == head
    assert sum(each.numel() for each in network.parameters()) == base + head
    assert sum(each.numel() for each in running) == statistics
    totals = {"vgg19": 21_206_852, "vgg16": 15_897_156, "resnet50": 26_316_484, "efficientnet_b7": 67_377_300}
    assert base + statistics + head == totals[backbone]


def test_a_pooled_network_gives_its_head_the_means_of_its_last_map() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ClassifierNetwork(Architecture(backbone="alexnet", head=Head(hidden=(8,), pooled=True)), 4).eval()
    batch = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    maps: list[torch.Tensor] = []
    network.network.features.register_forward_hook(lambda module, inputs, output: maps.append(output))
    with torch.no_grad():
        features = network.features(batch)
    torch.testing.assert_close(features, maps[0].mean((2, 3)))
    linear = [part for part in network.network.modules() if isinstance(part, nn.Linear)]
    assert [tuple(part.weight.shape) for part in linear] == [(8, 256), (4, 8)]


@pytest.mark.parametrize(("backbone", "name"), FROZEN.items())
def test_the_published_recipe_differs_from_the_right_one_in_its_inputs_alone(
    backbone: str, name: str, recipe: Callable[..., Classifier]
) -> None:
    published, own = recipe(name), recipe(f"{name}_own_input")
    assert (published.backbone, published.normalisation, published.frozen) == (backbone, "minus1_1", "backbone")
    assert (published.head.hidden, published.head.pooled) == ((1024, 512, 256), True)
    assert (published.batch, published.epochs, published.patience, published.keep) == (4, 50, None, "last")
    assert (published.optimizer, published.learning_rate, published.schedule) == ("adam", 1e-3, "plateau")
    assert published.plateau.model_dump() == {
        "factor": 0.2, "patience": 1, "monitor": "val_accuracy", "minimum": 1e-6,
    }  # fmt: skip
    assert published.model_copy(update={"normalisation": own.normalisation}) == own
    assert own.normalisation == OWN_INPUT.get(backbone, "imagenet")


def test_frozen_bases_with_weights_train_on_kept_features(recipe: Callable[..., Classifier]) -> None:
    assert recipe("lite0_frozen_mlp").on_features
    assert recipe("vgg19_frozen", "budget.pretrained=imagenet").on_features
    assert not recipe("vgg19_frozen").on_features


def shown(normalisation: str, images: torch.Tensor) -> torch.Tensor:
    mean, sd = (torch.tensor(values).view(1, 3, 1, 1) for values in NORMALISATIONS[normalisation])
    return (images - mean) / sd


@pytest.mark.parametrize("own", ["imagenet", "efficientnet_lite"])
def test_unscaled_inputs_are_minus_1_to_1_taken_for_0_to_255(own: str) -> None:
    taken_for = (2 * POINTS - 1) / 255
    torch.testing.assert_close(shown(f"{own}_unscaled", POINTS), shown(own, taken_for), atol=1e-5, rtol=1e-5)


def test_unscaled_inputs_of_caffes_weights_are_minus_1_to_1_taken_for_grey_levels_around_the_mean() -> None:
    mean = torch.tensor(NORMALISATIONS["imagenet"][0]).view(1, 3, 1, 1)
    taken_for = mean + (2 * POINTS - 1) / 255
    torch.testing.assert_close(shown("caffe_unscaled", POINTS), shown("imagenet", taken_for), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("accuracies", "falls"),
    [
        ([0.5, 0.6, 0.6], 0),  # one epoch without a better one
        ([0.5, 0.6, 0.6, 0.5], 1),  # two: Keras lowers the rate after the second
        ([0.5, 0.6, 0.6, 0.5, 0.7, 0.7, 0.6, 0.6, 0.6], 3),
    ],
)
def test_the_rate_falls_after_two_epochs_without_a_better_accuracy_as_in_keras(
    accuracies: list[float], falls: int, recipe: Callable[..., Classifier]
) -> None:
    plateau = recipe("vgg19_frozen").plateau
    history = History([{"val_loss": 1 / (1 + place), "val_accuracy": each} for place, each in enumerate(accuracies)])
    assert history.waited(plateau.patience, plateau.monitor)[1] == falls
    assert history.waited(plateau.patience)[1] == 0  # the loss gets better all the time

"""Features of frozen backbones: trainings on them are trainings of the whole network, at one pass over the images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import resnet18, squeezenet1_1

from leukosr.classify import features
from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.ensemble import together
from leukosr.classify.features import FeatureStore, features_of
from leukosr.classify.settings import Classifier, Head
from leukosr.classify.trainer import ClassifierTraining, LabelledImages, predict
from leukosr.config import Params
from leukosr.data.augment import Flip
from leukosr.engine.resume import Resume
from leukosr.engine.weights import write_tensors
from leukosr.errors import LeukoError
from leukosr.images.store import ImageStore

CPU = torch.device("cpu")
LABELS = np.arange(10, dtype=np.int64) % 2


def images(sides: tuple[int, ...] = (40,) * 10, seed: int = 0) -> ImageStore[int]:
    rng = np.random.default_rng(seed)
    pixels = [rng.integers(0, 160, (side, side, 3)) + 80 * (i % 2) for i, side in enumerate(sides)]
    return ImageStore(range(len(sides)), lambda i: pixels[i].astype(np.uint8))


@pytest.fixture
def probe(
    compose_params: Callable[..., Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Classifier]:
    """A frozen ResNet18 of weights from a file, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        write_tensors("pretrained/resnet18_v1.safetensors", resnet18().state_dict(), {})
        write_tensors("pretrained/squeezenet.safetensors", squeezenet1_1().state_dict(), {})
    recipe = compose_params("study=demo", "budget=smoke").classifier.model_copy(
        update={"backbone": "resnet18", "weights": "pretrained/resnet18_v1", "frozen": "backbone", "precision": "fp32",
                "learning_rate": 0.01, "epochs": 3, "batch": 4}
    )  # fmt: skip
    return lambda **changes: recipe.model_copy(update={**changes})


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each pass through a backbone has shown it."""
    shown: list[int] = []
    whole = features._computed

    def counted(network: ClassifierNetwork, block: list[np.ndarray], *rest: object) -> torch.Tensor:
        shown.append(len(block))
        return whole(network, block, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "_computed", counted)
    return shown


def trained(settings: Classifier, data: LabelledImages, folder: str, seed: int = 1) -> ClassifierTraining:
    training = ClassifierTraining(settings, 2, data, seed=seed, device=CPU)
    training.run(Resume("work", 1e9, Path(folder)), lambda row: None)
    return training


@pytest.mark.parametrize("head", [Head(), Head(hidden=(8,), dropout=0.5)])
def test_a_training_on_features_is_that_of_the_whole_network_on_images(
    head: Head, probe: Callable[..., Classifier]
) -> None:
    recipe, shown = probe(head=head), images()
    kept = FeatureStore(features_of(shown, recipe, CPU))
    on_images = trained(recipe, LabelledImages(shown, LABELS), "images")
    on_features = trained(recipe, LabelledImages(kept, LABELS), "features")
    for name, tensor in on_images.result.state_dict().items():
        torch.testing.assert_close(on_features.result.state_dict()[name], tensor, atol=1e-4, rtol=1e-3)
    expected = predict(on_images.result, shown, recipe, CPU)
    np.testing.assert_allclose(predict(on_features.result, kept, recipe, CPU), expected, atol=1e-4)
    np.testing.assert_allclose(predict(on_features.result, shown, recipe, CPU), expected, atol=1e-4)


def test_members_of_an_ensemble_answer_from_the_same_features(probe: Callable[..., Classifier]) -> None:
    recipe, shown = probe(), images()
    kept = FeatureStore(features_of(shown, recipe, CPU))
    both = together([trained(recipe, LabelledImages(kept, LABELS), str(seed), seed).result for seed in (1, 2)])
    np.testing.assert_allclose(predict(both, kept, recipe, CPU), predict(both, shown, recipe, CPU), atol=1e-5)


def test_images_pass_once_whatever_the_head_the_seed_and_the_rate(
    probe: Callable[..., Classifier], passes: list[int]
) -> None:
    first = features_of(images(), probe(), CPU)
    again = features_of(images(), probe(head=Head(hidden=(8,)), learning_rate=0.1, epochs=9, ensemble=2), CPU)
    assert passes == [10]
    assert np.array_equal(first, again)


@pytest.mark.parametrize("change", [{"precision": "bf16"}, {"normalisation": "unit"}, {"weights": "pretrained/other"}])
def test_what_changes_features_asks_for_another_pass(
    change: dict[str, str], probe: Callable[..., Classifier], passes: list[int]
) -> None:
    write_tensors("pretrained/other.safetensors", resnet18().state_dict(), {})
    features_of(images(), probe(), CPU)
    features_of(images(), probe(**change), CPU)
    features_of(images(seed=1), probe(**change), CPU)
    assert passes == [10, 10, 10]


def test_group_and_layer_norm_have_features_of_their_own(probe: Callable[..., Classifier], passes: list[int]) -> None:
    group, layer = (features_of(images(), probe(norm_layers=norm), CPU) for norm in ("group", "layer"))
    assert passes == [10, 10]
    assert not np.allclose(group, layer)


def test_a_cut_pass_keeps_its_blocks(
    probe: Callable[..., Classifier], passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "BLOCK", 4)
    features_of(images((40,) * 8), probe(), CPU)
    features_of(images(), probe(), CPU)
    assert passes == [4, 4, 2]


def test_images_of_several_sizes_keep_their_order(probe: Callable[..., Classifier]) -> None:
    mixed = images((40, 40, 56, 40))
    found = features_of(mixed, probe(), CPU)
    for place in range(4):
        alone = features_of(ImageStore([place], mixed.__getitem__), probe(), CPU)
        np.testing.assert_allclose(found[place], alone[0], atol=1e-5)


def test_damaged_features_are_not_used(probe: Callable[..., Classifier]) -> None:
    features_of(images(), probe(), CPU)
    (path,) = Path(".leukosr/features").glob("*/*.pt")
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 3, 2 * len(content) // 3):  # one byte alone may lie between two records
        content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(LeukoError, match="damaged: remove it and run again"):
        features_of(images(), probe(), CPU)


def test_a_head_that_is_a_convolution_has_no_features_to_keep(probe: Callable[..., Classifier]) -> None:
    with pytest.raises(LeukoError, match="come from a convolution"):
        features_of(images(), probe(backbone="squeezenet1_1", weights="pretrained/squeezenet"), CPU)


def test_features_are_kept_only_where_images_reach_the_backbone_unchanged(probe: Callable[..., Classifier]) -> None:
    assert probe().on_features
    for change in (
        {"weights": "none"},
        {"frozen": "all_but_last_stage"},
        {"augmentations": [Flip(kind="flip", axis="both")]},
    ):
        assert not probe(**change).on_features


def test_scales_of_one_mean_have_features_of_their_own(probe: Callable[..., Classifier], passes: list[int]) -> None:
    unit, none = (features_of(images(), probe(normalisation=scale), CPU) for scale in ("unit", "none"))
    assert passes == [10, 10]
    assert not np.allclose(unit, none)

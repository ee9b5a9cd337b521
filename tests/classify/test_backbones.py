"""Classification networks: every family of torchvision's and some of timm's, what trains in them, and their heads."""

import http.client
import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from timm.models import PretrainedCfg
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights, get_model_weights, list_models, resnet18, resnet50

from leukosr.classify.backbones import BACKBONES, ClassifierNetwork, head_of
from leukosr.classify.parts import GroupNormFromBatchNorm
from leukosr.classify.weights import load_classifier, save_classifier
from leukosr.config import Architecture, Head
from leukosr.errors import LeukoError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)
RESNET18 = Architecture(backbone="resnet18")
RESNET50 = Architecture(backbone="resnet50")
TIMM = ["timm/resnet10t", "timm/convnext_atto", "timm/vit_tiny_patch16_224"]


def family(name: str) -> str:
    """resnet, vgg_bn, mobilenet_v3, … without depth and width."""
    kept = re.sub(r"v(\d)", lambda found: "v" + int(found[1]) * "i", name)
    return re.sub(
        r"_(tiny|small|base|large|[tsbml]|b\d)$|_?x?[\d_]+[mg]f$|\d+(_32x4d|_32x8d|_64x4d|_2)?|_x\d_\d", "", kept
    )


TORCHVISION = sorted(BACKBONES.keys() & set(list_models()))


def smallest_of_each_family() -> list[str]:
    """Each family that is registered by its smallest network."""
    sizes = {name: get_model_weights(name).DEFAULT.meta["num_params"] for name in TORCHVISION}  # type: ignore[attr-defined]
    return sorted({family(name): name for name in sorted(sizes, key=lambda name: -sizes[name])}.values())


HEAVY = {  # 21 to 133 million parameters, mostly seconds on the disk
    "alexnet",
    "convnext_tiny",
    "efficientnet_v2_s",
    "resnext50_32x4d",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vgg11_bn",
    "wide_resnet50_2",
}
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name
    for name in [*smallest_of_each_family(), *TIMM, *sorted(BACKBONES.keys() - set(TORCHVISION))]
]


def build(architecture: Architecture, classes: int = 4, seed: int = 0, **options: str) -> ClassifierNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ClassifierNetwork(architecture, classes, **options)  # type: ignore[arg-type]


def images(count: int, height: int, width: int) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(7))


def step(network: ClassifierNetwork, batch: Tensor) -> None:
    """One step of gradient descent on a weighted sum of the logits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        (network.train()(batch) @ torch.arange(1.0, 5.0)).sum().backward()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    torch.optim.SGD(trained, lr=0.1).step()


@pytest.mark.parametrize("name", NAMES)
def test_every_family_trains_to_its_first_weight_and_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    architecture, batch = Architecture(backbone=name), images(2, 64, 72)
    network = build(architecture)
    step(network, batch)
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
    save_classifier(tmp_path / "a.safetensors", network, architecture, list("abcd"), None)
    loaded = load_classifier(tmp_path / "a.safetensors")
    with torch.inference_mode():
        logits = network.eval()(batch)
        assert logits.shape == (2, 4)
        torch.testing.assert_close(loaded.model(batch), logits, equal_nan=True)


@pytest.mark.parametrize("frozen", ["backbone", "all_but_last_stage"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_frozen_stays_as_it_was_and_all_else_trains(name: str, frozen: str) -> None:
    network = build(Architecture(backbone=name), frozen=frozen)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    step(network, images(2, 64, 72))
    changed = {key for key, tensor in network.state_dict().items() if not torch.equal(tensor, before[key])}
    trainable = {key for key, parameter in network.named_parameters() if parameter.requires_grad}
    grad = network.network.get_submodule(network.head).weight.grad
    assert isinstance(grad, Tensor) and grad.any()
    assert f"network.{network.head}.bias" in changed
    head = {key for key in before if key.startswith(f"network.{network.head}.")}
    if frozen == "backbone":
        assert changed <= trainable == head
    else:
        assert head < trainable < set(dict(network.named_parameters()))
        parts = {key.rpartition(".")[0] for key in trainable}  # whose running statistics may follow
        assert {key.rpartition(".")[0] for key in changed} <= parts


@pytest.mark.parametrize("head", [Head(), Head(dropout=0.2), Head(hidden=(8,))])
def test_a_head_may_start_as_any_linear_layer(head: Head) -> None:
    architecture = Architecture(backbone="timm/tf_efficientnet_lite0", head=head)
    drawn = build(architecture, head_start="linear")
    last = [part for part in drawn.network.get_submodule(drawn.head).modules() if isinstance(part, nn.Linear)][-1]
    most = last.in_features**-0.5
    assert 0.8 * most < last.weight.abs().max() <= most
    assert last.bias.abs().max() <= most
    wide = build(architecture)
    assert torch.equal(*(each.state_dict()["network.conv_stem.weight"] for each in (wide, drawn))), (
        "the backbone starts alike"
    )
    if not head.hidden:
        library = [part for part in wide.network.get_submodule(wide.head).modules() if isinstance(part, nn.Linear)][-1]
        assert 0.45 < library.weight.abs().max() <= 0.5, "timm: 1/√classes"


def test_the_last_stage_of_a_resnet_is_its_fourth() -> None:
    network = build(RESNET50, frozen="all_but_last_stage")
    trained = {name.split(".")[1] for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained == {"layer4", "fc"}


@pytest.mark.parametrize("name", ["resnet18", "timm/resnet10t"])
@pytest.mark.parametrize("kind", ["group", "layer"])
def test_other_norms_take_the_place_of_batch_norm(kind: str, name: str, tmp_path: Path) -> None:
    architecture = Architecture(backbone=name, norm_layers=kind)  # type: ignore[arg-type]
    network = build(architecture)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in network.modules())
    groups = {part.num_groups for part in network.modules() if isinstance(part, nn.GroupNorm)}
    assert groups == {1} if kind == "layer" else max(groups) == 32
    step(network, images(2, 32, 32))
    with torch.inference_mode():  # an image says the same in any company
        batch = images(3, 40, 40)
        torch.testing.assert_close(network.train()(batch)[:1], network(batch[:1]), atol=1e-4, rtol=1e-4)
    save_classifier(tmp_path / "a.safetensors", network, architecture, list("abcd"), None)
    assert load_classifier(tmp_path / "a.safetensors").architecture == architecture


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_starts_as_batch_norm_where_channels_are_as_its_statistics_say(groups: int) -> None:
    generator = torch.Generator().manual_seed(0)
    batch_norm = nn.BatchNorm2d(6).eval()
    for tensor in (batch_norm.weight, batch_norm.bias, batch_norm.running_mean, batch_norm.running_var):
        assert tensor is not None
        tensor.data.copy_(torch.rand(6, generator=generator) + 0.5)
    x = torch.randn(1, 6, 40, 40, generator=generator)
    x = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True, correction=0)
    assert batch_norm.running_mean is not None and batch_norm.running_var is not None
    x = x * batch_norm.running_var.sqrt().view(-1, 1, 1) + batch_norm.running_mean.view(-1, 1, 1)
    torch.testing.assert_close(GroupNormFromBatchNorm(batch_norm, groups)(x), batch_norm(x), atol=1e-3, rtol=1e-3)


def test_a_branch_that_begins_at_zero_learns() -> None:
    network = build(Architecture(backbone="timm/resnet18", norm_layers="group"))
    norms = [part.norm for part in network.modules() if isinstance(part, GroupNormFromBatchNorm)]
    at_zero = [each for each in norms if not each.weight.any()]
    assert len(at_zero) == 8, "timm begins the last norm of every branch at 0"
    network(images(2, 64, 64)).square().sum().backward()
    assert all(each.weight.grad is not None and each.weight.grad.any() for each in at_zero)


def test_a_published_channel_without_scale_stays_constant() -> None:
    batch_norm = nn.BatchNorm2d(6)
    nn.init.zeros_(batch_norm.weight[:2])
    assert GroupNormFromBatchNorm(batch_norm, 3).scale.flatten().tolist()[:2] == [0, 0]


@pytest.mark.parametrize("affine", [True, False])
def test_without_statistics_it_is_plain_group_norm(affine: bool) -> None:
    x = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    ours = GroupNormFromBatchNorm(nn.BatchNorm2d(6, affine=affine), 3)
    torch.testing.assert_close(ours(x), nn.GroupNorm(3, 6)(x), atol=1e-4, rtol=1e-4)
    assert all(parameter.requires_grad for parameter in ours.parameters())


@pytest.mark.parametrize("name", ["resnet18", "timm/resnet10t", "efficientnet_lite0"])
def test_frozen_batch_norm_keeps_its_statistics_and_trains_its_scale(name: str, tmp_path: Path) -> None:
    architecture = Architecture(backbone=name, norm_layers="frozen_batch")
    network = build(architecture)
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    before = [(part.running_mean.clone(), part.weight.detach().clone()) for part in norms]  # type: ignore[union-attr]
    step(network, images(4, 32, 32))
    for part, (mean, _) in zip(norms, before, strict=True):
        assert torch.equal(part.running_mean, mean)  # type: ignore[arg-type]
    assert any(not torch.equal(part.weight, scale) for part, (_, scale) in zip(norms, before, strict=True))
    with torch.inference_mode():  # an image says the same in any company
        batch = images(3, 40, 40)
        torch.testing.assert_close(network.train()(batch)[:1], network(batch[:1]), atol=1e-4, rtol=1e-4)
    save_classifier(tmp_path / "a.safetensors", network, architecture, list("abcd"), None)
    assert load_classifier(tmp_path / "a.safetensors").architecture == architecture


@pytest.mark.parametrize("kind", ["frozen_batch", "group", "layer"])
def test_a_backbone_without_batch_norm_takes_no_other(kind: str) -> None:
    with pytest.raises(LeukoError, match=rf"norm_layers = {kind}: timm/convnext_atto has no batch norm"):
        build(Architecture(backbone="timm/convnext_atto", norm_layers=kind))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["resnet18", "timm/convnext_atto", "efficientnet_b0"])
def test_an_mlp_takes_the_place_of_the_linear_head(name: str, tmp_path: Path) -> None:
    architecture = Architecture(backbone=name, head=Head(hidden=(16, 8), dropout=0.25))
    network = build(architecture)
    head = network.network.get_submodule(network.head)
    layers = [type(layer).__name__ for layer in head.children()]
    assert layers == ["Linear", "ReLU", "Linear", "ReLU", "Dropout", "Linear"]
    assert network(images(2, 32, 32)).shape == (2, 4)
    save_classifier(tmp_path / "a.safetensors", network, architecture, list("abcd"), None)
    assert load_classifier(tmp_path / "a.safetensors").architecture == architecture


def test_a_head_that_is_a_convolution_takes_no_mlp() -> None:
    with pytest.raises(LeukoError, match=r"classifier\.head: .* convolution"):
        build(Architecture(backbone="squeezenet1_1", head=Head(hidden=(8,))))


@pytest.mark.parametrize(
    ("normalisation", "black", "white"),
    [("minus1_1", -1, 1), ("unit", 0, 1), ("none", 0, 255), ("imagenet", -2.1179, 2.2489)],
)
def test_the_backbone_is_fed_what_the_recipe_says(normalisation: str, black: float, white: float) -> None:
    network = build(Architecture(backbone="resnet18", normalisation=normalisation))  # type: ignore[arg-type]
    fed: list[Tensor] = []
    network.network.register_forward_pre_hook(lambda module, inputs: fed.append(inputs[0]))
    network.eval()(torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)]))
    assert [float(image[0, 0, 0]) for image in fed[0]] == pytest.approx([black, white], abs=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("architecture", "reference", "count"), [(RESNET50, resnet50, 23_516_228), (RESNET18, resnet18, 11_178_564)]
)
def test_a_resnet_is_torchvisions_on_normalised_images(architecture, reference, count) -> None:  # type: ignore[no-untyped-def]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ClassifierNetwork(architecture, 4).eval()
        torch.manual_seed(0)
        plain = reference(num_classes=4).eval()  # the same draws
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    batch = images(2, 40, 56)
    mean, sd = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_SD))
    assert torch.equal(network(batch), plain((batch - mean) / sd))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 71), (60, 80)])
@torch.inference_mode()
def test_images_of_any_size_give_logits(height: int, width: int) -> None:
    logits = build(RESNET50).eval()(images(2, height, width))
    assert logits.shape == (2, 4)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet51", "'resnet51' is not a supported classifier: .*; did you mean resnet"),
        ("vit_b_16", "'vit_b_16' is not a supported classifier"),
        ("timm/resnet51", "'timm/resnet51' is not a timm network; did you mean timm/resnet"),
    ],
)
def test_an_unknown_backbone_is_answered_with_what_comes_close(name: str, said: str) -> None:
    with pytest.raises(LeukoError, match=said):
        build(Architecture(backbone=name))


def test_imagenet_weights_fill_everything_but_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        downloaded = resnet50(num_classes=1000).state_dict()
    monkeypatch.setattr(type(ResNet50_Weights.IMAGENET1K_V2), "get_state_dict", lambda self, **_: downloaded)
    random, loaded = (build(RESNET50, weights=weights).network.state_dict() for weights in ("none", "imagenet"))
    for name, tensor in loaded.items():
        assert torch.equal(tensor, (random if name.startswith("fc.") else downloaded)[name]), name


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
    with pytest.raises(LeukoError, match=r"could not be fetched.*set classifier\.weights to none"):
        build(RESNET50, weights="imagenet")


TIMM_RESNET = Architecture(backbone="timm/resnet10t")


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_a_network_that_cannot_be_built_is_not_taken_for_a_failed_download(
    weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("timm.create_model", fail)
    with pytest.raises(LeukoError, match=r"^timm/resnet10t cannot be built \(no such kernel\): use another network$"):
        build(TIMM_RESNET, weights=weights)


def test_timms_weights_that_cannot_be_fetched_are_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(name: str, pretrained: bool = False, **_: object) -> nn.Module:
        if pretrained:
            raise RuntimeError("connection refused")
        return nn.Linear(2, 4)

    monkeypatch.setattr("timm.create_model", create)
    with pytest.raises(LeukoError, match=r"timm/resnet10t could not be fetched \(connection refused\): connect"):
        build(TIMM_RESNET, weights="imagenet")


def test_a_network_that_timm_has_no_weights_of_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timm.get_pretrained_cfg", lambda name: PretrainedCfg())
    with pytest.raises(LeukoError, match=r"timm/resnet10t has no published weights: set classifier\.weights to none"):
        build(TIMM_RESNET, weights="imagenet")


def test_a_network_without_a_layer_for_the_classes_is_refused() -> None:
    with pytest.raises(LeukoError, match=r"Sequential has no layer with 4 outputs .*classifier\.backbone"):
        head_of(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), 4)

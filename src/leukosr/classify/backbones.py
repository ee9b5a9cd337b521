"""Classification networks: torchvision's by their names, and any from timm as timm/NAME."""

from __future__ import annotations

import http.client
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
import torchvision.models
from torch import Tensor, nn

from leukosr.classify.parts import (
    batch_norms,
    freeze,
    last_stages,
    pool,
    replace_batch_norm,
    replace_head,
    restart_head,
)
from leukosr.classify.pretrained import load_pretrained
from leukosr.classify.settings import Architecture
from leukosr.errors import LeukoError
from leukosr.quoting import meant, short

Frozen = Literal["none", "backbone", "all_but_last_stage"]
HeadStart = Literal["backbone", "linear"]

# what is taken off an image in 0 … 1, and what it is divided by, channel by channel
NORMALISATIONS: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "efficientnet_lite": ((127 / 255,) * 3, (128 / 255,) * 3),
    "minus1_1": ((0.5,) * 3, (0.5,) * 3),
    "unit": ((0.0,) * 3, (1.0,) * 3),
    "none": ((0.0,) * 3, (1 / 255,) * 3),
    # -1 … 1 where 0 … 255 are expected, as 001 fed Keras' networks: to those whose weights are made for `imagenet`
    # inputs, to VGG and ResNet50, which subtract Caffe's means outside of the network, and to `efficientnet_lite`
    "imagenet_unscaled": ((62.3375, 58.64, 52.265), (29.1975, 28.56, 28.6875)),
    "caffe_unscaled": ((0.5,) * 3, (29.1975, 28.56, 28.6875)),
    "efficientnet_lite_unscaled": ((64.0,) * 3, (64.0,) * 3),
}
TIMM = "timm/"
FIXED_SIZE = ("vit_", "maxvit_")  # timm has these for images of other sizes
TWO_HEADS = ("googlenet", "inception_")
OLD_WEIGHTS = ("mnasnet",)  # which load from nothing but torch's own files
GROUPS = 32  # of group norm, or the largest divisor of 32 that divides the channels


class ClassifierNetwork(nn.Module):
    """A backbone with a head of its own: N x 3 x H x W RGB in [0, 1] to N x `classes` logits.

    `weights` are those of everything but the head: none (random, from torch's global generator), imagenet (the newest
    that torchvision or timm has), imagenet_v1 and imagenet_v2 (torchvision's), or pretrained/NAME (a file). The head's
    are random: `head_start` says whose. Raises LeukoError for an unknown backbone, one without batch norm whose norm
    layers are set to others, and for weights that cannot be fetched or are those of another network.
    """

    mean: Tensor
    sd: Tensor

    def __init__(
        self,
        architecture: Architecture,
        classes: int,
        weights: str = "none",
        frozen: Frozen = "none",
        head_start: HeadStart = "backbone",
    ) -> None:
        super().__init__()
        self.network = build_backbone(architecture.backbone, classes, weights)
        if architecture.head.pooled:
            pool(self.network, classes)
        self.head = head_of(self.network, classes)
        stages = last_stages(self.network, self.head)
        if architecture.norm_layers != "batch" and not batch_norms(self.network):
            raise LeukoError(
                f"classifier.norm_layers = {architecture.norm_layers}: {architecture.backbone} has no batch norm, so "
                "set it to batch"
            )
        if architecture.norm_layers in ("group", "layer"):
            replace_batch_norm(self.network, groups=GROUPS if architecture.norm_layers == "group" else 1)
        replace_head(self.network, self.head, architecture.head, classes)
        if head_start == "linear":
            restart_head(self.network, self.head)
        mean, sd = (torch.tensor(values).view(1, 3, 1, 1) for values in NORMALISATIONS[architecture.normalisation])
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("sd", sd, persistent=False)
        trained = {"none": [""], "backbone": [self.head], "all_but_last_stage": [*stages, self.head]}[frozen]
        self.frozen_modules = freeze(self.network, trained)
        self.keeps_statistics = architecture.norm_layers == "frozen_batch"  # scale and shift train nevertheless

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images in [0, 1], or of their `features`."""
        logits: Tensor = (
            self.network.get_submodule(self.head)(x) if x.ndim == 2 else self.network((x - self.mean) / self.sd)
        )
        return logits

    def features(self, x: Tensor) -> Tensor:
        """What the head is given for a batch of images in [0, 1]: N x features.

        Raises LeukoError for a backbone whose head is not one linear layer.
        """
        given: list[Tensor] = []
        head = self.network.get_submodule(self.head)
        if not isinstance(head, nn.Linear | nn.Sequential):
            raise LeukoError(
                "classifier: the logits of this backbone come from a convolution, so a frozen one with published "
                "weights has no features to keep: choose another backbone, or add augmentations"
            )
        with head.register_forward_pre_hook(lambda _, inputs: given.extend(inputs)):
            self(x)
        return given[0]

    def train(self, mode: bool = True) -> ClassifierNetwork:
        """As every module, but what is frozen stays in evaluation mode: its batch norm follows no batch."""
        super().train(mode)
        for part in [*self.frozen_modules, *(batch_norms(self.network) if self.keeps_statistics else [])]:
            part.eval()
        return self


def build_backbone(name: str, classes: int, weights: str) -> nn.Module:
    """The network of that name with a linear head for so many classes."""
    if weights.startswith("pretrained/"):
        network = build_backbone(name, classes, "none")
        load_pretrained(network, head_of(network, classes), weights)
        return network
    refuse_unknown(name)
    if name.startswith(TIMM):
        return _timm(name.removeprefix(TIMM), classes, weights)
    return BACKBONES[name](classes, weights)


def refuse_unknown(name: str) -> None:
    """Raise LeukoError where no network has the name of a backbone."""
    if name.startswith(TIMM):
        import timm  # takes seconds

        bare = name.removeprefix(TIMM)
        if not timm.is_model(bare):
            raise LeukoError(f"'{short(name)}' is not a timm network{meant(bare, timm.list_models(), TIMM)}")
        try:
            timm.get_pretrained_cfg(bare)
        except RuntimeError as error:  # the tag behind a dot names its weights
            raise LeukoError(f"'{short(name)}' is not a timm network: {error}") from None
    elif name not in BACKBONES:
        raise LeukoError(
            f"'{short(name)}' is not a supported classifier: use a torchvision network that takes images of any size, "
            f"such as resnet50, or timm/NAME for a network from timm{meant(name, BACKBONES)}"
        )


def head_of(network: nn.Module, classes: int) -> str:
    """The name of the layer that gives the logits: the last one with as many outputs as classes.

    Raises LeukoError for a network without one.
    """
    layers = [
        name
        for name, part in network.named_modules()
        if isinstance(part, nn.Linear | nn.Conv2d) and part.weight.shape[0] == classes
    ]
    if not layers:
        raise LeukoError(
            f"{type(network).__name__} has no layer with {classes} outputs to serve as its head: set "
            "classifier.backbone to another network"
        )
    return layers[-1]


@contextmanager
def _fetching(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, EOFError, http.client.HTTPException, pickle.UnpicklingError) as error:
        raise LeukoError(
            f"the ImageNet weights of {name} could not be fetched ({error}): connect to the internet once, or set "
            "classifier.weights to none"
        ) from error


def _torchvision(name: str, classes: int, weights: str) -> nn.Module:
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes)
    if weights != "none":
        word = {"imagenet": "DEFAULT", "imagenet_v1": "IMAGENET1K_V1", "imagenet_v2": "IMAGENET1K_V2"}[weights]
        published = torchvision.models.get_model_weights(name).__members__
        if word not in published:
            raise LeukoError(f"classifier.weights = {weights}: torchvision has none such for {name}: use imagenet")
        with _fetching(name), torch.random.fork_rng(devices=[]):
            state = torchvision.models.get_model(name, weights=word, progress=False).state_dict()
        own = network.state_dict()
        head = head_of(network, classes)
        network.load_state_dict({key: own[key] if key.startswith(f"{head}.") else state[key] for key in own})
    return network


def _timm(name: str, classes: int, weights: str) -> nn.Module:
    import timm

    if weights in ("imagenet_v1", "imagenet_v2"):
        raise LeukoError(f"classifier.weights = {weights}: timm has one set for timm/{name}: use imagenet")
    config = timm.get_pretrained_cfg(name)
    # transformers cut images into patches: of any number, the last ones padded
    options: dict[str, Any] = {}
    if config is not None and config.fixed_input_size:
        options = {"dynamic_img_size": True, "dynamic_img_pad": True}
    create: Callable[..., nn.Module] = partial(timm.create_model, name, num_classes=classes, **options)
    if weights == "imagenet" and not (config and config.has_weights):
        raise LeukoError(f"timm/{name} has no published weights: set classifier.weights to none")
    try:  # first without weights, so that fetching is blamed for its own failures alone
        with torch.random.fork_rng(devices=[], enabled=weights == "imagenet"):
            network = create()
    except TypeError:
        raise LeukoError(f"timm/{name} takes images of one size alone: use another network") from None
    except RuntimeError as error:
        raise LeukoError(f"timm/{name} cannot be built ({error}): use another network") from error
    if weights == "imagenet":
        with _fetching(f"timm/{name}"):
            network = create(pretrained=True)
    return network


BACKBONES: dict[str, Callable[[int, str], nn.Module]] = {
    "efficientnet_lite0": partial(_timm, "tf_efficientnet_lite0"),
    **{
        name: partial(_torchvision, name)
        for name in torchvision.models.list_models(module=torchvision.models)
        if not name.startswith((*FIXED_SIZE, *TWO_HEADS, *OLD_WEIGHTS))
    },
}

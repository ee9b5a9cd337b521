"""Feature maps of torchvision's VGG networks, for perceptual losses."""

import http.client
import pickle
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from leukosr.engine.weights import read_tensors
from leukosr.errors import LeukoError
from leukosr.layout import PRETRAINED, weight_file
from leukosr.pretrained.named import find_weights

VGGName = Literal["vgg16", "vgg19"]
VGGWeights = Literal["imagenet", "none"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class VGGFeatures(nn.Module):
    """Feature maps of a frozen VGG at chosen layers.

    Layers are named convB_I (before the ReLU), reluB_I and poolB, for block B and convolution I; VGG16's
    `features[:31]` ends in pool5.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: VGGName,
        layers: Iterable[str],
        weights: VGGWeights = "imagenet",
        *,
        normalise: bool = True,
        seed: int = 0,
    ) -> None:
        """Build the network up to its deepest asked-for layer.

        `weights` "imagenet" are torchvision's IMAGENET1K_V1; "none" is a random network drawn from `seed`,
        the global random state untouched. With `normalise` the input is shifted and scaled as for ImageNet
        training. Raises LeukoError for an unknown layer and for weights that cannot be fetched.
        """
        super().__init__()
        every_layer, names = _vgg_layers(network)
        wanted = tuple(layers)
        if unknown := [layer for layer in wanted if layer not in names]:
            raise LeukoError(f"{network} has no layer {unknown[0]!r}; it has {', '.join(names)}")
        depth = 1 + max(names.index(layer) for layer in wanted)
        self.features = every_layer[:depth].to_empty(device="cpu")
        if weights == "imagenet":
            self.features.load_state_dict(_imagenet_weights(network, set(self.features.state_dict())))
        else:
            _initialise(self.features, seed)
        for module in self.features:
            if isinstance(module, nn.ReLU):
                module.inplace = False  # in place it would overwrite the map before it
        self.names = names[:depth]
        self.wanted = frozenset(wanted)
        self.minimum_size = 2 ** sum(name.startswith("pool") for name in self.names)
        self.normalise = normalise
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """N x 3 x H x W RGB in [0, 1] to an N x C x H' x W' map per layer, by the layer's name.

        Raises LeukoError for images too small for the deepest layer.
        """
        height, width = images.shape[-2:]
        if min(height, width) < self.minimum_size:
            raise LeukoError(
                f"The perceptual loss at {self.names[-1]} needs images of at least {self.minimum_size} "
                f"pixels a side and got {height} x {width}; use larger ground-truth patches or a perceptual "
                "weight of 0."
            )
        x = (images - self.mean) / self.std if self.normalise else images
        found = {}
        for name, module in zip(self.names, self.features, strict=True):
            x = module(x)
            if name in self.wanted:
                found[name] = x
        return found


def _vgg_layers(network: VGGName) -> tuple[nn.Sequential, list[str]]:
    """The convolutional part of torchvision's VGG, without memory yet, and the names of its layers."""
    import torchvision.models

    build = {"vgg16": torchvision.models.vgg16, "vgg19": torchvision.models.vgg19}[network]
    with torch.device("meta"):
        features = build(weights=None, init_weights=False).features
    names, block, conv = [], 1, 0
    for module in features:
        if isinstance(module, nn.Conv2d):
            conv += 1
            names.append(f"conv{block}_{conv}")
        elif isinstance(module, nn.ReLU):
            names.append(f"relu{block}_{conv}")
        else:
            names.append(f"pool{block}")
            block, conv = block + 1, 0
    return features, names


def _initialise(features: nn.Sequential, seed: int) -> None:
    """He initialisation from a generator of its own, biases zero, as torchvision starts a VGG."""
    generator = torch.Generator().manual_seed(seed)
    for module in features:
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)


def _imagenet_weights(network: VGGName, names: set[str]) -> dict[str, Tensor]:
    """torchvision's ImageNet weights of the named tensors of `features`: `pretrained/` has them, or torchvision."""
    import torchvision.models

    here = weight_file(PRETRAINED / network)
    if here.exists():
        return _features(read_tensors(find_weights(here))[0], names)
    enum = {"vgg16": torchvision.models.VGG16_Weights, "vgg19": torchvision.models.VGG19_Weights}[network]
    try:
        state = enum.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException, pickle.UnpicklingError) as error:
        raise LeukoError(
            f"The ImageNet weights of {network} for the perceptual loss could not be fetched ({error}); "
            f"connect to the internet, add the file with `leukosr weights fetch {network} --from PATH`, or choose "
            "`weights: none` for a randomly initialised network."
        ) from error
    return _features(state, names)


def _features(state: Mapping[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    features = {name.removeprefix("features."): tensor for name, tensor in state.items()}
    return {name: features[name] for name in names}

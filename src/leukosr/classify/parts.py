"""Changes to the parts of a classification network: its pooling, its head, its norm layers, and what trains."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models import VGG, AlexNet

from leukosr.classify.settings import Head
from leukosr.errors import LeukoError

CONTAINERS = ("features", "stages", "blocks", "layers", "trunk_output", "classifier")  # whose children are stages


def pool(network: nn.Module, classes: int) -> None:
    """A linear head on the global average of the last feature map (in place); most networks have that anyway.

    VGG and AlexNet lose their own fully connected layers.
    """
    if isinstance(network, VGG | AlexNet):
        width = [part.out_channels for part in network.features if isinstance(part, nn.Conv2d)][-1]
        network.avgpool, network.classifier = nn.AdaptiveAvgPool2d(1), nn.Sequential(nn.Linear(width, classes))


def last_stages(network: nn.Module, head: str) -> list[str]:
    """The names of the last stage and of what follows it, without the head.

    The last stage is the last part that has half as many weights as the largest: batch norm and a convolution that only
    widen the features do not count.
    """
    names: list[str] = []
    for name, part in network.named_children():
        inner = [f"{name}.{below}" for below, _ in part.named_children()]
        names += inner if name in CONTAINERS and inner else [name]
    sizes = dict.fromkeys(names, 0)
    for below, parameter in network.named_parameters():
        for name in names:
            if _inside(below, name) and not _inside(below, head):
                sizes[name] += parameter.numel()
    last = max(place for place, name in enumerate(names) if 2 * sizes[name] >= max(sizes.values()))
    return [name for name in names[last:] if sizes[name]]


def replace_batch_norm(module: nn.Module, groups: int) -> None:
    """Group norm of so many groups in place of batch norm, with its activation (in place).

    It starts near what batch norm computes in evaluation mode, so published weights keep most of their meaning.
    """
    for name, part in module.named_children():
        if not isinstance(part, nn.BatchNorm2d):
            replace_batch_norm(part, groups)
            continue
        activation = getattr(part, "act", None)  # timm's batch norm has one of its own
        norm = GroupNormFromBatchNorm(part, math.gcd(part.num_features, groups))
        setattr(module, name, norm if activation is None else nn.Sequential(norm, activation))


class GroupNormFromBatchNorm(nn.Module):
    """Group norm of channels that the statistics of a batch norm have scaled and shifted, which stays as it is.

    Published convolutions give channels of very different scale, which batch norm evens out channel by channel; group
    norm alone does not. Its own scale and shift, which train, begin as the standard deviation and the mean that a group
    has where every channel has the mean and the deviation that batch norm gives it. Random weights have trivial
    statistics, so this is then plain group norm that begins with the scale of batch norm.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, batch_norm: nn.BatchNorm2d, groups: int) -> None:
        super().__init__()
        channels = batch_norm.num_features
        weight = torch.ones(channels) if batch_norm.weight is None else batch_norm.weight.detach().clone()
        bias = torch.zeros(channels) if batch_norm.bias is None else batch_norm.bias.detach().clone()
        # a layer whose scale begins at 0, as the last of some residual branches, could never learn if that stayed
        learns = weight.any()
        scale, shift = torch.where(learns, weight, 1), torch.where(learns, bias, 0)
        if batch_norm.running_mean is not None and batch_norm.running_var is not None:
            scale = scale / torch.sqrt(batch_norm.running_var.to(weight) + batch_norm.eps)
            shift = shift - batch_norm.running_mean.to(weight) * scale
        self.register_buffer("scale", scale.view(-1, 1, 1))
        self.register_buffer("shift", shift.view(-1, 1, 1))
        self.norm = nn.GroupNorm(groups, channels, batch_norm.eps)
        group_mean = bias.view(groups, -1).mean(1, keepdim=True)
        spread = weight.square() + (bias.view(groups, -1) - group_mean).square().flatten()
        group_sd = spread.view(groups, -1).mean(1, keepdim=True).sqrt()
        with torch.no_grad():
            self.norm.weight.copy_(group_sd.expand(-1, channels // groups).flatten())
            self.norm.bias.copy_(group_mean.expand(-1, channels // groups).flatten())

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same shape."""
        normalised: Tensor = self.norm(x * self.scale + self.shift)
        return normalised


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """Its batch norm layers, of whichever kind."""
    return [part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


def replace_head(network: nn.Module, name: str, head: Head, classes: int) -> None:
    """The head of the settings in place of the linear one of that name (in place).

    Raises LeukoError where that is a convolution.
    """
    if not head.hidden and not head.dropout:
        return
    last = network.get_submodule(name)
    if not isinstance(last, nn.Linear):
        raise LeukoError(
            "classifier.head: the logits of this backbone come from a convolution: leave hidden empty and dropout 0"
        )
    layers: list[nn.Module] = []
    width = last.in_features
    for units in head.hidden:
        layers += [nn.Linear(width, units), nn.ReLU()]
        width = units
    layers += [nn.Dropout(head.dropout), nn.Linear(width, classes) if head.hidden else last]
    network.set_submodule(name, nn.Sequential(*layers))


def restart_head(network: nn.Module, name: str) -> None:
    """Draw the weights of the last layer that gives the logits anew, as torch draws any layer (in place).

    Uniform in ±1/√inputs. timm draws the heads of EfficientNets in ±1/√classes instead: with 1,280 inputs and 4 classes
    training begins with a loss of about 4, where one of ln 4 says nothing.
    """
    last = [part for part in network.get_submodule(name).modules() if isinstance(part, nn.Linear | nn.Conv2d)][-1]
    last.reset_parameters()


def freeze(network: nn.Module, trained: Sequence[str]) -> list[nn.Module]:
    """Freeze all but the parts of those names; the modules of which nothing trains."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(any(_inside(name, part) for part in trained))
    return [
        module
        for name, module in network.named_modules()
        if not any(_inside(name, part) or _inside(part, name) for part in trained)
    ]


def _inside(name: str, part: str) -> bool:
    """Whether a name is that of a part or of something in it; the part "" holds everything."""
    return not part or name == part or name.startswith(f"{part}.")

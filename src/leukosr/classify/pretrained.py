"""Published weights of backbones as files: pretrained/NAME.safetensors, under the names that their publisher uses."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from leukosr.engine.weights import first_difference, load_into, read_tensors
from leukosr.errors import LeukoError
from leukosr.pretrained.named import find_weights

# The names of the package efficientnet-lite-pytorch, by those of timm's tf_efficientnet_lite0. The networks are the
# same, and their outputs, too: timm pads as TensorFlow does at every size, the package for 224 x 224 alone by default.
LITE0 = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
LITE0_BLOCK = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
LITE0_FIRST = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}


def load_pretrained(network: nn.Module, head: str, word: str) -> None:
    """Load pretrained/NAME.safetensors into all of a network but its head (in place).

    Raises LeukoError for a file that is missing, damaged, not what was recorded of it, or of another network.
    """
    path = find_weights(word)
    tensors, own = read_tensors(path)[0], network.state_dict()
    if "_conv_stem.weight" in tensors and "conv_stem.weight" in own:
        names = lite0_names(own)
        tensors = {names.get(name, name): tensor for name, tensor in tensors.items()}
    body = {name: tensor for name, tensor in own.items() if not name.startswith(f"{head}.")}
    found = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{head}.")}
    counters = {name: body[name] for name in body.keys() - found.keys() if name.endswith(".num_batches_tracked")}
    if difference := first_difference(body, found | counters):
        raise LeukoError(f"{path} does not fit the network {type(network).__name__}: {difference}")
    load_into(network, own | found, path)


def lite0_names(names: Iterable[str]) -> dict[str, str]:
    """timm's names of tf_efficientnet_lite0, by those of the package efficientnet-lite-pytorch."""
    found: dict[str, str] = {}
    blocks: list[list[str]] = []  # timm counts them within a stage, the package from the first to the last
    for name in names:
        *block, part, tensor = name.split(".")
        if not block:
            found[f"{LITE0[part]}.{tensor}"] = name
            continue
        if block not in blocks:
            blocks.append(block)
        words = LITE0_BLOCK if blocks.index(block) else LITE0_FIRST
        found[f"_blocks.{blocks.index(block)}.{words[part]}.{tensor}"] = name
    return found

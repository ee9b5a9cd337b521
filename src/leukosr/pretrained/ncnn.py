"""Weights in the files of ncnn: a `.param` lists the layers, a `.bin` holds their numbers in that order.

Format: the wiki of Tencent/ncnn, "param and model file structure", as its `Convolution::load_model` and
`PReLU::load_model` read it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from leukosr.errors import LeukoError
from leukosr.quoting import short

MAGIC = "7767517"
FP16, FP32 = 0x01306B47, 0
# layers without numbers in the .bin, of those that super-resolution networks are made of
WITHOUT_WEIGHTS = {"Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp", "PixelShuffle", "ReLU", "Sigmoid"}


@dataclass(frozen=True)
class Convolution:
    """One layer: weight (outputs, inputs, height, width) and bias (outputs) or None, float32."""

    weight: Tensor
    bias: Tensor | None


def read_convolutions(param: str, content: bytes, name: str) -> list[Convolution]:
    """The convolutions that the text of a .param describes, in order, from the bytes of its .bin.

    `name` is for messages. fp16 numbers become float32. Raises LeukoError for a file that is not a .param, for layers
    whose numbers cannot be read here, and for a .bin that is shorter or longer than its .param says.
    """
    lines = param.split("\n")
    if lines[0].strip() != MAGIC:
        raise LeukoError(f"{name} is not a .param of ncnn: it begins with '{short(lines[0])}', not with {MAGIC}")
    numbers, found = _Numbers(content, name), []
    for line in lines[2:]:
        kind, *rest = line.split() or ["Input"]
        if kind == "Convolution":
            found.append(_convolution(numbers, _settings(rest, name), name))
        elif kind not in WITHOUT_WEIGHTS:
            raise LeukoError(f"{name} has a layer '{short(kind)}', which is not read here: take the publisher's .pth")
    numbers.check_end()
    return found


def rrdbnet_state(convolutions: list[Convolution], name: str) -> dict[str, Tensor]:
    """The state dict of a Real-ESRGAN generator (RRDBNet, x4) whose convolutions stand in the order of computation.

    Raises LeukoError where their number is not that of such a network. Shapes are checked by whoever loads it.
    """
    blocks, rest = divmod(len(convolutions) - 6, 15)
    if blocks < 1 or rest or any(each.bias is None for each in convolutions):
        raise LeukoError(f"{name} has {len(convolutions)} convolutions, which is not an RRDBNet x4 with biases")
    body = [f"body.{b}.rdb{r}.conv{c}" for b in range(blocks) for r in (1, 2, 3) for c in (1, 2, 3, 4, 5)]
    names = ["conv_first", *body, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    state: dict[str, Tensor] = {}
    for layer, convolution in zip(names, convolutions, strict=True):
        assert convolution.bias is not None
        state |= {f"{layer}.weight": convolution.weight, f"{layer}.bias": convolution.bias}
    return state


def _settings(fields: list[str], name: str) -> dict[int, int]:
    """The whole-number settings of a layer by their keys; arrays (keys below -23300) and fractions are passed over."""
    try:
        blobs = int(fields[1]) + int(fields[2])  # after the layer's name: how many inputs and outputs are named
        pairs = (field.split("=", 1) for field in fields[3 + blobs :])
        return {int(key): int(value) for key, value in pairs if int(key) >= 0 and value.lstrip("-").isdigit()}
    except (IndexError, ValueError) as error:
        raise LeukoError(f"{name} is damaged: the layer '{short(' '.join(fields))}' cannot be read") from error


def _convolution(numbers: _Numbers, settings: Mapping[int, int], name: str) -> Convolution:
    outputs, width, size = settings.get(0, 0), settings.get(1, 0), settings.get(6, 0)
    height = settings.get(11, width)
    area = outputs * height * width
    if min(outputs, height, width) < 1 or size < 1 or size % area:
        raise LeukoError(
            f"{name} is damaged: a convolution to {outputs} channels of {height}x{width} has {size} weights"
        )
    weight = numbers.tagged(size).reshape(outputs, size // area, height, width)
    return Convolution(weight, numbers.plain(outputs) if settings.get(5, 0) else None)


class _Numbers:
    """A reader of the .bin, from front to back."""

    def __init__(self, content: bytes, name: str) -> None:
        self.content, self.name, self.at = content, name, 0

    def tagged(self, count: int) -> Tensor:
        """Numbers whose type a tag before them tells; those of two bytes are padded to a multiple of four."""
        (tag,) = struct.unpack("<I", self._take(4))
        if tag == FP16:
            return self._floats(self._take(2 * count + 2 * (count % 2))[: 2 * count], "<f2")
        if tag == FP32:
            return self.plain(count)
        raise LeukoError(f"{self.name} holds numbers tagged {tag:#010x}; read are fp32 and fp16, not quantised ones")

    def plain(self, count: int) -> Tensor:
        """fp32 numbers without a tag."""
        return self._floats(self._take(4 * count), "<f4")

    def check_end(self) -> None:
        """Refuse bytes that no layer claims."""
        if self.at != len(self.content):
            raise LeukoError(
                f"{self.name} does not fit its .bin: the layers have {self.at} bytes, the file {len(self.content)}"
            )

    def _take(self, count: int) -> bytes:
        taken = self.content[self.at : self.at + count]
        if len(taken) < count:
            raise LeukoError(f"the .bin of {self.name} is cut short: it ends after {len(self.content)} bytes")
        self.at += count
        return taken

    @staticmethod
    def _floats(content: bytes, kind: str) -> Tensor:
        return torch.from_numpy(np.frombuffer(content, kind).astype(np.float32))

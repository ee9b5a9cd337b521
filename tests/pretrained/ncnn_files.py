"""ncnn files as its own converter writes them, made by hand."""

from __future__ import annotations

import struct

import numpy as np
from torch import nn

FP16_TAG, FP32_TAG = 0x01306B47, 0


def convolution_line(conv: nn.Conv2d, number: int) -> str:
    height, width = conv.kernel_size
    tall = "" if height == width else f" 11={height}"
    bias = " 5=1" if conv.bias is not None else ""
    activation = " 9=2 -23310=1,2.000000e-01"  # leaky ReLU: an array, as ncnn writes it
    size = f"6={conv.weight.numel()}"
    shape = f"0={conv.out_channels} 1={width}{tall} 4=1{bias} {size}"
    return f"Convolution Conv_{number} 1 1 a{number} b{number} {shape}{activation}"


def numbers_of(conv: nn.Conv2d, tag: int) -> bytes:
    values = conv.weight.detach().numpy().ravel()
    stored = values.astype("<f2" if tag == FP16_TAG else "<f4").tobytes()
    stored += b"\0" * (-len(stored) % 4)
    bias = conv.bias.detach().numpy().astype("<f4").tobytes() if conv.bias is not None else b""
    return struct.pack("<I", tag) + stored + bias


def as_ncnn(convolutions: list[nn.Conv2d], tag: int = FP16_TAG) -> tuple[str, bytes]:
    """The text of the .param and the bytes of the .bin."""
    layers = ["Input input 0 1 data", "Split split 1 2 data x y"]
    for number, conv in enumerate(convolutions):
        layers += [
            convolution_line(conv, number),
            f"Eltwise add_{number} 2 1 p q r 0=1 -23301=2,2.000000e-01,1.000000e+00",
        ]
    text = "\n".join(["7767517", f"{len(layers)} 99", *layers, "Interp up 1 1 r s 0=1 1=2.000000e+00 2=2.000000e+00"])
    return text + "\n", b"".join(numbers_of(conv, tag) for conv in convolutions)


def rounded(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)

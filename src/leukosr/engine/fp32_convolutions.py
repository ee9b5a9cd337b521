"""Convolutions that compute in fp32 within bf16 autocast on the CPU, because bf16 gets them wrong or is slower there.

Wrong: in torch 2.15 the gradient of a convolution's weights is never written, and holds what was in memory (numbers of
any size, or NaN) where bf16 images are narrower than the convolution's stride. A ResNet meets it at images up to 16
pixels wide, whose last maps are one pixel. A transposed convolution of images one pixel wide does the same. And the
result is wrong where stride, kernel and image are equally wide, for some numbers of channels. These convolutions are
small.

Slow: the backward pass of a depthwise convolution takes several times as long in bf16 as in fp32, so that a training of
EfficientNet-Lite0 is slower in bf16 than in fp32 (benchmark `lite0`). Without gradients bf16 is the faster one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class ConvolutionsInFp32(TorchFunctionMode):
    """Within it, and within bf16 autocast on the CPU, convolutions that are better off in fp32 compute so (see above).

    Activation checkpointing, which nothing here uses, would compute its part of the backward pass outside of it.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, a function of torch; a convolution's result has the type that autocast would give it."""
        kwargs, better_off = kwargs or {}, _IN_FP32.get(func)
        if better_off is None or not torch.is_autocast_enabled("cpu") or not better_off(*args, **kwargs):
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            exact: Tensor = func(*(_fp32(each) for each in args), **{key: _fp32(kwargs[key]) for key in kwargs})
        return exact.to(torch.get_autocast_dtype("cpu"))


def _is_narrow_or_slow(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,  # noqa: ARG001
    stride: Any = 1,
    *_: Any,
    **__: Any,
) -> bool:
    strides = stride if isinstance(stride, (tuple, list)) else (stride,)
    both = strides if len(strides) == 2 else (*strides, *strides)
    sides = zip(input.shape[-2:], weight.shape[-2:], both, strict=True)
    narrow = any(step > 1 and (side < step or side == kernel == step) for side, kernel, step in sides)
    return narrow or (_is_depthwise(input, weight) and _has_gradients(input, weight))


def _is_depthwise(input: Tensor, weight: Tensor) -> bool:
    return weight.shape[1] == 1 < input.shape[-3]


def _has_gradients(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(each.requires_grad for each in tensors)


def _is_one_wide(input: Tensor, *_: Any, **__: Any) -> bool:
    return 1 in input.shape[-2:]


def _fp32(given: Any) -> Any:
    return given.float() if isinstance(given, Tensor) else given


_IN_FP32: Mapping[Callable[..., Any], Callable[..., bool]] = {
    F.conv2d: _is_narrow_or_slow,
    F.conv_transpose2d: _is_one_wide,
}

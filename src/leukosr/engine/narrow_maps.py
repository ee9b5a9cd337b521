"""A fault of the CPU's bf16 convolutions, stepped around.

In torch 2.15 the gradient of a convolution's weights is never written, and holds what was in memory, where bf16 images
are narrower than the convolution's stride: numbers of any size, or NaN. A ResNet meets it at images up to 16 pixels
wide, whose last maps are one pixel. These convolutions are small; computed in fp32 they are right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class NarrowMapsInFp32(TorchFunctionMode):
    """Within it, a convolution whose images are lower or narrower than its stride computes in fp32 (see above)."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, a function of torch; a convolution's result has the type that autocast would give it."""
        kwargs = kwargs or {}
        if func is not F.conv2d or not _is_narrow(args, kwargs):
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            exact: Tensor = func(*(_fp32(each) for each in args), **{key: _fp32(kwargs[key]) for key in kwargs})
        return exact.to(torch.get_autocast_dtype("cpu"))


def _is_narrow(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    height, width = (args[0] if args else kwargs["input"]).shape[-2:]
    stride = args[3] if len(args) > 3 else kwargs.get("stride", 1)
    down, across = stride if isinstance(stride, (tuple, list)) else (stride, stride)
    return bool(height < down or width < across)


def _fp32(given: Any) -> Any:
    return given.float() if isinstance(given, Tensor) else given

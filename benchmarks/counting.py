"""Counts what a computation costs, to set it against what the machine can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Work


def count_work(function: Callable[[], object], precision: str, items: int = 1) -> Work:
    """Run `function` once; floating-point operations and bytes an item.

    Operations are those of matrix products and convolutions, a multiplication and an addition being two. Bytes are
    what every operator reads and writes, which is what crosses the memory bus where nothing stays in a cache.
    """
    with FlopCounterMode(display=False) as flops, _Traffic() as traffic:
        function()
    return Work(flops.get_total_flops() / items, traffic.total / items, precision)


class _Traffic(TorchDispatchMode):
    """Sums the sizes of the tensors that operators take and give."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        returns = func._schema.returns
        is_view = any(value.alias_info is not None and not value.alias_info.is_write for value in returns)
        if not is_view:  # a view moves nothing
            tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
            self.total += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return result

"""What this machine reaches at best: matrix products in fp32 and bf16, and copying memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from benchmarks.measure import Options, Row, quartiles, seconds_of
from leukosr.engine.device import choose_device
from leukosr.engine.precision import bf16_is_native

WITHIN = 1.6  # a goal is reached by what takes at most so many times as long as the machine's limit
FP32, BF16, COPY = "matrix product, fp32", "matrix product, bf16", "memory copy"


def run(options: Options) -> list[Row]:
    """GFLOP/s of square products, and GB/s of a copy that no cache holds, read and written bytes together."""
    device = choose_device("auto")
    side = options.pick(8192 if device.type == "cuda" else 2048, 512)
    rounds = options.pick(15, 3)
    fp32 = _product(side, torch.float32, device, rounds)
    # emulated, a product of that size would take a minute
    bf16_side, bf16_rounds = (side, rounds) if bf16_is_native(device) else (512, 3)
    bf16 = _product(bf16_side, torch.bfloat16, device, bf16_rounds)
    copy = _copy(options.pick(2**28, 2**24), device, rounds)
    ratio = float(np.median(bf16) / np.median(fp32))
    note = f"{side} x {side} matrices"
    return [
        Row("roofline", FP32, "GFLOP/s", None, float(np.median(fp32)), None, quartiles(fp32), rounds=rounds, note=note),
        Row(
            "roofline", BF16, "GFLOP/s", float(np.median(fp32)), float(np.median(bf16)), ratio, quartiles(bf16),
            rounds=bf16_rounds, note=f"{bf16_side} x {bf16_side} matrices; reference: fp32; spread in GFLOP/s",
        ),
        Row("roofline", COPY, "GB/s", None, float(np.median(copy)), None, quartiles(copy), rounds=rounds),
    ]  # fmt: skip


def with_goal(row: Row, rows: Sequence[Row]) -> Row:
    """The row with the goal that this machine allows: to take at most WITHIN times as long as its limit.

    The limit of a network is a matrix product in its precision, found among `rows`; other benchmarks measure their own
    (`allowed`). Rows with neither keep their goal, which asks nothing of the processor.
    """
    best = {other.name: other.ours for other in rows if other.benchmark == "roofline"}
    allowed = row.allowed
    if row.work is not None and row.reference is not None and best:
        reference = 1 / row.reference if row.unit.endswith("/s") else row.reference
        allowed = reference / (row.work.flops / best[BF16 if row.work.precision == "bf16" else FP32] / 1e9)
    if allowed is None or row.goal is None:
        return row
    goal = f"ratio >= {allowed / WITHIN:.2f}"
    return replace(row, allowed=allowed, goal=goal, first_goal=row.first_goal or row.goal)


def _product(side: int, dtype: torch.dtype, device: torch.device, rounds: int) -> list[float]:
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    result = torch.empty_like(left)
    times = [seconds_of(lambda: torch.mm(left, right, out=result)) for _ in range(rounds + 2)]
    return [2 * side**3 / seconds / 1e9 for seconds in times[2:]]


def _copy(size: int, device: torch.device, rounds: int) -> list[float]:
    source, target = (torch.ones(size, dtype=torch.uint8, device=device) for _ in range(2))
    times = [seconds_of(lambda: target.copy_(source)) for _ in range(rounds + 2)]
    return [2 * size / seconds / 1e9 for seconds in times[2:]]

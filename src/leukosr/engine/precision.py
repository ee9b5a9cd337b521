"""The number format that networks compute in: `auto` is bf16 where the hardware computes it natively, else fp32.

A processor without bf16 instructions emulates them, and a matrix product then takes a hundred times as long as in fp32.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeVar

import torch

from leukosr.engine.processes import ALONE, Processes
from leukosr.settings import Precision

Resolved = Literal["fp32", "bf16"]


class Computed(Protocol):
    """Settings of what networks compute: a section with a precision."""

    @property
    def precision(self) -> Precision:
        """As asked for, or resolved."""

    def model_copy(self: Settings, *, update: Mapping[str, Any] | None = None) -> Settings:
        """The same with other values."""


Settings = TypeVar("Settings", bound=Computed)
# oneDNN computes the networks on a CPU; under one of these limits it leaves the bf16 instructions alone
_LIMITS_WITHOUT_BF16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}


def bf16_is_native(device: torch.device) -> bool:
    """Whether the device has bf16 instructions that torch will use.

    A CPU needs AVX-512 BF16, AMX or the bf16 extension of ARM, and no lower limit in ONEDNN_MAX_CPU_ISA; a CUDA device
    must be of the Ampere generation or later.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    if limit in _LIMITS_WITHOUT_BF16 or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def resolve(wanted: Precision, device: torch.device) -> Resolved:
    """What `wanted` means on the device. bf16 is obeyed where it must be emulated, with a warning of the cost."""
    native = bf16_is_native(device)
    if wanted == "bf16" and not native:
        print(
            f"warning: precision is bf16, but this {device.type} has no bf16 instructions and emulates them: expect up "
            "to a hundred times the time of fp32 (precision auto would take fp32)",
            file=sys.stderr,
        )
    if wanted == "auto":
        return "bf16" if native else "fp32"
    return wanted


def resolve_precision(settings: Settings, device: torch.device, processes: Processes = ALONE) -> Settings:
    """The settings with their precision resolved, in all processes as the first resolves it.

    Stages call it first, so that the precision that they record is the one that they computed in.
    """
    word = processes.from_first(resolve(settings.precision, device) if processes.first else "fp32")
    return settings.model_copy(update={"precision": word})

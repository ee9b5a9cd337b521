"""What a table of measurements has to say about its machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

LIMITS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
)  # make a processor behave like an older


def machine_facts() -> dict[str, Any]:
    """Processor, cores that this process may use, what torch uses of it, versions and the device of the networks."""
    import torch

    from leukosr.engine.device import choose_device
    from leukosr.engine.parallel import usable_cores
    from leukosr.engine.precision import bf16_is_native

    device, native = choose_device("auto"), bf16_is_native(torch.device("cpu"))
    features = torch.cpu.get_capabilities()
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "amx": native and bool(features.get("amx_bf16")),
        "bf16_native": native,
        "limited_by": [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _cpuinfo(key: str) -> str:
    """The first value of a key of /proc/cpuinfo; empty where the system has no such file."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    found = (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key)
    return next(found, "")

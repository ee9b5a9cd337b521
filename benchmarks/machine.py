"""What a table of measurements has to say about its machine."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any


def machine_facts() -> dict[str, Any]:
    """Processor, cores that this process may use, matrix units, versions and the device that networks run on."""
    import torch

    from leukosr.engine.device import choose_device
    from leukosr.engine.parallel import count_workers

    device = choose_device("auto")
    flags = _cpuinfo("flags").split()
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": count_workers("auto"),
        "amx": "amx_bf16" in flags,
        "avx512_bf16": "avx512_bf16" in flags,
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

"""What the machine offers: packages, processor, device, memory and disk."""

from __future__ import annotations

import os
import platform
import shutil
import time
from importlib import metadata
from pathlib import Path

import psutil

from leukosr.config import Params
from leukosr.doctor.diagnosis import Diagnosis
from leukosr.engine.parallel import usable_cores
from leukosr.errors import LeukoError
from leukosr.versions import installed_versions

GIB = 2**30
LEAST_MEMORY_GIB, LEAST_DISK_GIB = 4, 5
NO_GAIN = 0.95  # times the speed of fp32 from which on bf16 is not called slower: repeated measurements differ
CGROUP = Path("/sys/fs/cgroup")  # limits and usage of a container
DRIVER = Path("/proc/driver/nvidia/version")
CHECKED = ("torch", "torchvision", "mlflow", "dvc", "optuna", "numpy", "pydantic", "opencv-python-headless")
FEATURES = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "neon", "sve", "bf16")


def examine_machine(diagnosis: Diagnosis, params: Params | None) -> None:
    """Examine the machine; `params` are the study's, None where they cannot be read."""
    _versions(diagnosis)
    _hardware(diagnosis, params)
    _threads(diagnosis)
    _room(diagnosis)


def _versions(diagnosis: Diagnosis) -> None:
    """Installed packages against the pinned ones."""
    diagnosis.facts["versions"] = installed_versions()
    requirements = Path("requirements.txt")
    lines = requirements.read_text(encoding="utf-8").splitlines() if requirements.is_file() else []
    pinned = dict(line.split(";")[0].strip().split("==") for line in lines if "==" in line.split("#")[0])
    wrong = []
    for name in CHECKED:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = "none"
        if name in pinned and version.split("+")[0] != pinned[name]:
            wrong.append(f"{name} {version} where {pinned[name]} is pinned")
    if wrong:
        diagnosis.problem(f"installed: {', '.join(wrong)}", "run `make setup`, then `source .venv/bin/activate`")


def _hardware(diagnosis: Diagnosis, params: Params | None) -> None:
    """Processor, device, what `auto` means here, and how many threads and workers there will be."""
    import torch

    from leukosr.engine.device import choose_device
    from leukosr.engine.precision import bf16_is_native

    try:
        device = choose_device("auto" if params is None else params.runtime.device)
    except LeukoError as error:
        device = choose_device("auto")
        diagnosis.problem(str(error), "set runtime.device to auto, or repair the CUDA installation")
    native = bf16_is_native(device)
    driver = DRIVER.read_text(encoding="utf-8").splitlines()[0] if DRIVER.is_file() else None
    features = torch.cpu.get_capabilities()
    diagnosis.facts |= {
        "processor": features.get("cpu_name") or platform.processor(),
        "cpu_features": [name for name in FEATURES if features.get(name)],
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "driver": driver,
        "bf16_native": native,
        "precision": "bf16" if native else "fp32",
        "bf16_speedup": _bf16_speedup() if native and device.type == "cpu" else None,
        "threads": torch.get_num_threads(),
    }
    if driver is not None and not torch.cuda.is_available():
        diagnosis.problem(
            f"there is an NVIDIA driver ({driver}), but torch {torch.__version__} finds no CUDA device",
            "install a driver that fits torch's CUDA version, or continue on the CPU",
        )
    asked = set()
    if params is not None:
        asked = {each.precision for each in params.train_sr.values()}
        asked |= {each.classifier.precision for each in params.classify.values()}
    slower = diagnosis.facts["bf16_speedup"]
    if slower is not None and slower < NO_GAIN and asked - {"fp32"}:
        diagnosis.problem(
            f"bf16 computes a convolution at {slower} times the speed of fp32 on this processor",
            "add -S budget.precision=fp32 to `dvc exp run`",
        )
    if "bf16" in asked and not native:
        diagnosis.problem(
            "params.yaml asks for precision bf16, which this hardware emulates at up to a hundred times the cost",
            "set budget.precision to auto",
        )


def _bf16_speedup() -> float:
    """How many times faster a convolution is in bf16 than in fp32, forward and backward.

    It has 64 channels, as those of SR networks do; large matrix products gain more. Not every processor with bf16
    instructions gains by them. Both are measured in turn, the best of seven each, so that another program that takes
    the processor meanwhile slows both.
    """
    import torch

    from leukosr.engine.device import autocast
    from leukosr.engine.precision import Resolved

    layer = torch.nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)
    images = torch.ones(4, 64, 48, 48).to(memory_format=torch.channels_last).requires_grad_()
    seconds: dict[Resolved, list[float]] = {"fp32": [], "bf16": []}
    for _ in range(8):
        for precision, times in seconds.items():
            start = time.perf_counter()
            with autocast(torch.device("cpu"), precision):
                made = layer(images)
            made.float().sum().backward()
            times.append(time.perf_counter() - start)
    return round(min(seconds["fp32"][1:]) / min(seconds["bf16"][1:]), 2)  # the first one warms up


def _threads(diagnosis: Diagnosis) -> None:
    """Cores of the machine, and how many of them this process may use."""
    asked, cores = os.environ.get("OMP_NUM_THREADS", ""), os.cpu_count() or 1
    diagnosis.facts |= {"workers": usable_cores(), "cores": cores}
    if asked.isdecimal() and int(asked) > cores:
        diagnosis.problem(f"OMP_NUM_THREADS is {asked} on {cores} cores: threads will wait for each other", "unset it")


def usable_memory() -> tuple[int, int]:
    """Bytes of memory that this process may use in all, and of them free: of the machine, or of its container."""
    memory = psutil.virtual_memory()
    limit, used = (CGROUP / name for name in ("memory.max", "memory.current"))
    allowed = limit.read_text(encoding="utf-8").strip() if limit.is_file() else "max"
    if allowed == "max" or int(allowed) >= memory.total:
        return memory.total, memory.available
    taken = int(used.read_text(encoding="utf-8")) - _reclaimable()
    return int(allowed), max(0, min(memory.available, int(allowed) - taken))


def _reclaimable() -> int:
    """Bytes of the container's memory that hold files and are given back when programs need them."""
    lines = (CGROUP / "memory.stat").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


def _room(diagnosis: Diagnosis) -> None:
    """Memory that this process may use, and disk."""
    total, free = usable_memory()
    disk = shutil.disk_usage(".")
    diagnosis.facts |= {
        "memory_gib": round(total / GIB, 1),
        "memory_free_gib": round(free / GIB, 1),
        "disk_free_gib": round(disk.free / GIB, 1),
    }
    if free < LEAST_MEMORY_GIB * GIB:
        diagnosis.problem(
            f"{diagnosis.facts['memory_free_gib']} GiB of memory are free, the demo takes {LEAST_MEMORY_GIB}",
            "close other programs, or lower runtime.workers and the batch sizes of the budget",
        )
    if disk.free < LEAST_DISK_GIB * GIB:
        diagnosis.problem(
            f"{diagnosis.facts['disk_free_gib']} GiB of disk are free",
            "free some space: `dvc gc --workspace` drops results of other studies from DVC's cache",
        )

"""Where tensors live and in which precision they are computed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal, TypeVar, cast

import torch

from leukosr.engine.fp32_convolutions import ConvolutionsInFp32
from leukosr.engine.memory import keep_freed_memory
from leukosr.engine.parallel import usable_cores
from leukosr.errors import LeukoError
from leukosr.settings import Precision

Compiling = Literal["auto", "always", "never"]
# compiling takes about a minute: shorter trainings would lose time
COMPILED_STEPS = 2000

Module = TypeVar("Module", bound=torch.nn.Module)


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device to compute on; `auto` takes CUDA if available. Raises LeukoError if `cuda` is not.

    Also limits torch to as many threads as this process may use cores and, on the CPU, keeps freed memory for reuse.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise LeukoError("runtime.device is cuda, but torch finds no CUDA device: set runtime.device to auto or cpu")
    torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))  # torch knows nothing of a cgroup's quota
    use_cuda = wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available())
    if use_cuda:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
    else:
        keep_freed_memory()
    return torch.device("cuda" if use_cuda else "cpu")


@contextmanager
def autocast(device: torch.device, precision: Precision) -> Iterator[None]:
    """bf16 autocast, or nothing for fp32. Weights and optimiser stay in fp32 either way.

    Raises ValueError for a precision that engine/precision.py has not resolved.
    """
    if precision == "auto":
        raise ValueError("precision auto reached a network: stages resolve it first")
    if precision == "fp32":
        yield
        return
    on_cpu = device.type == "cpu"
    with torch.autocast(device.type, dtype=torch.bfloat16), ConvolutionsInFp32() if on_cpu else nullcontext():
        yield


def memory_format(channels_last: bool) -> torch.memory_format:
    """The memory format of networks and image batches."""
    return torch.channels_last if channels_last else torch.contiguous_format


def place(module: Module, device: torch.device, channels_last: bool) -> Module:
    """The module on its device, in its memory format (in place)."""
    module.to(device)
    if channels_last:
        module.to(memory_format=torch.channels_last)
    return module


def compiled(network: torch.nn.Module, device: torch.device, wanted: Compiling, steps: int) -> torch.nn.Module:
    """The network to call in training, compiled if wanted: `auto` compiles on CUDA for enough `steps` to be worth it.

    Weights and state dicts stay those of `network`.
    """
    if wanted == "always" or (wanted == "auto" and device.type == "cuda" and steps >= COMPILED_STEPS):
        return cast(torch.nn.Module, torch.compile(network))
    return network


def to_batch(images: object, device: torch.device, channels_last: bool) -> torch.Tensor:
    """uint8 N x H x W x 3 (NumPy) to float32 N x 3 x H x W in [0, 1] on the device."""
    batch = torch.as_tensor(images)
    if device.type == "cuda":
        batch = batch.pin_memory()  # else the copy would wait for the device
    batch = batch.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)
    return batch.contiguous(memory_format=memory_format(channels_last))


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Float N x 3 x H x W in [0, 1] to uint8 N x H x W x 3 on the CPU, clipped and rounded to nearest."""
    return images.float().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).contiguous().cpu()


def to_grey_levels(images: torch.Tensor) -> torch.Tensor:
    """As `to_uint8`, but float32 in grey levels, neither clipped nor rounded."""
    return images.float().mul(255).permute(0, 2, 3, 1).contiguous().cpu()

"""This process among those that run one stage; alone by default.

Does not import torch until there are several: the data stages start fast without it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from leukosr.errors import LeukoError
from leukosr.files import new_folder

if TYPE_CHECKING:
    from torch import nn

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """This process among `count`; `fabric` is None if it is alone."""

    rank: int = 0
    count: int = 1
    fabric: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, writes, logs and prints."""
        return self.rank == 0

    def check_batch(self, key: str, batch: int) -> None:
        """Raise a LeukoError that names `key` where a batch cannot be shared out equally."""
        if batch % self.count:
            lower = batch - batch % self.count
            allowed = f"{lower} or {lower + self.count}" if lower else str(self.count)
            raise LeukoError(
                f"{key} = {batch}: the batch is shared out equally to {self.count} processes, so it must be a "
                f"multiple of {self.count}: use {allowed}"
            )

    def share(self, size: int) -> slice:
        """The part of a batch of `size` that is this process's: contiguous, equal to the others' where that divides.

        The last batch of an epoch may be smaller than the number of processes; then some parts are empty.
        """
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def synchronised(self, network: nn.Module) -> nn.Module:
        """The network with its batch norm over the images of all processes (in place); same state dict."""
        if self.fabric is None:
            return network
        from leukosr.engine.batch_norm import synchronise_batch_norm

        return synchronise_batch_norm(network)

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network to call in training: its backward pass averages the gradients of all processes.

        Parameters, state dicts and copies are those of `network` itself, so what is saved is independent of the
        number of processes. Every process must call this at the same time.
        """
        return network if self.fabric is None else self.fabric.setup_module(network, move_to_device=False)

    def sum(self, *values: float) -> tuple[float, ...]:
        """Sums over all processes."""
        if self.fabric is None:
            return values
        import torch
        import torch.distributed as dist

        numbers = torch.tensor(values, dtype=torch.float64, device=self.fabric.device)
        dist.all_reduce(numbers)
        return tuple(numbers.tolist())

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Means over all processes, by name."""
        sums = self.sum(*values.values())
        return {name: total / self.count for name, total in zip(values, sums, strict=True)}

    def owns(self, image: str) -> bool:
        """Whether this process handles the image of that id or path: the same choice on every machine."""
        return zlib.crc32(image.encode()) % self.count == self.rank

    def gather(self, values: Sequence[Value]) -> list[Value]:
        """The values of all processes, in the order of their ranks."""
        if self.fabric is None:
            return list(values)
        import torch.distributed as dist

        parts: list[Any] = [None] * self.count
        dist.all_gather_object(parts, list(values))
        return [value for part in parts for value in part]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.fabric is not None:
            self.fabric.barrier()

    def from_first(self, value: Value) -> Value:
        """The first process's `value`; that of the others is ignored."""
        return value if self.fabric is None else self.fabric.broadcast(value)


ALONE = Processes()


def launcher_number(name: str, default: int) -> int:
    """A number that a launcher such as torchrun puts into the environment; `default` where it is not set, or empty.

    Raises LeukoError for anything but a whole number of at least `default`.
    """
    text = os.environ.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= default):
        raise LeukoError(
            f"the environment variable {name} is '{text[:40]}'; launchers set it to a whole number from {default} on: "
            f"unset it, or start by torchrun"
        )
    return int(text or default)


@contextmanager
def shared_folder(target: Path, processes: Processes) -> Iterator[Path]:
    """A new folder that all processes fill and that replaces `target` once all are done.

    Several machines must share the disk of `target`.
    """
    if processes.first:
        with new_folder(target) as folder:
            processes.from_first(str(folder))
            yield folder
            processes.wait()
    else:
        yield Path(processes.from_first(""))
        processes.wait()

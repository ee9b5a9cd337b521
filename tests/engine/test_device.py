"""Compiled networks are the same networks, and are compiled only where that is wanted."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from leukosr.engine.device import COMPILED_STEPS, compiled

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "wanted", "steps", "expected"),
    [
        (CPU, "auto", COMPILED_STEPS, False),
        (CUDA, "auto", COMPILED_STEPS, True),
        (CUDA, "auto", COMPILED_STEPS - 1, False),
        (CUDA, "never", COMPILED_STEPS, False),
        (CPU, "always", 1, True),
    ],
)
def test_what_is_compiled(device: torch.device, wanted: Any, steps: int, expected: bool) -> None:
    network = torch.nn.Conv2d(3, 3, 3)
    assert (compiled(network, device, wanted, steps) is not network) == expected


def test_a_compiled_network_gives_the_same_and_trains_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    # traced and differentiated as on CUDA, but without the code that torch compiles for CPUs: torch 2.15's gave
    # NaN here, limited to AVX2 and after other tests in one process
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 3))
    batch = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    fast = compiled(network, CPU, "always", 1)
    torch.testing.assert_close(fast(batch), network(batch))
    network(batch).square().sum().backward()
    wanted = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    network.zero_grad()
    fast(batch).square().sum().backward()
    found = [parameter.grad for parameter in network.parameters()]
    torch.testing.assert_close(found, wanted)

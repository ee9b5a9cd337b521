"""Convolutions that compute in fp32 within bf16 autocast on the CPU: of very narrow images, and depthwise ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models import resnet50

from leukosr.engine.device import autocast

CPU = torch.device("cpu")
SIZES = [1 << power for power in range(12, 23, 2)]  # of the pieces of memory, 16 KiB to 16 MiB


def poison_freed_memory() -> None:
    """Fill memory that the next tensors will be given with NaN."""
    pieces = [torch.full((size,), float("nan")) for size in SIZES for _ in range(6)]
    del pieces


def test_gradients_of_a_transposed_convolution_are_those_of_fp32() -> None:
    torch.manual_seed(0)
    weight, images = torch.randn(64, 64, 3, 3), torch.randn(4, 64, 3, 1)
    exact, found = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    F.conv_transpose2d(images, exact, stride=2, padding=1).square().sum().backward()
    poison_freed_memory()
    with autocast(CPU, "bf16"):
        maps = F.conv_transpose2d(images, found, stride=2, padding=1)
    poison_freed_memory()
    maps.float().square().sum().backward()
    assert exact.grad is not None and found.grad is not None
    torch.testing.assert_close(found.grad, exact.grad, rtol=0, atol=0.03 * float(exact.grad.abs().max()))


@pytest.mark.parametrize(("kernel", "channels"), [(4, 16), (6, 16), (8, 8), (16, 4)])
def test_the_one_pixel_that_a_kernel_as_large_as_the_image_makes_is_that_of_fp32(kernel: int, channels: int) -> None:
    torch.manual_seed(0)
    images, weight = torch.randn(2, channels, kernel, kernel), torch.randn(16, channels, kernel, kernel)
    images, weight = (each.contiguous(memory_format=torch.channels_last) for each in (images, weight))
    exact = F.conv2d(images, weight, stride=kernel)
    with torch.inference_mode(), autocast(CPU, "bf16"):
        found = F.conv2d(images, weight, stride=(kernel,))
    torch.testing.assert_close(found.float(), exact, rtol=0, atol=0.03 * float(exact.abs().max()))


def test_where_autocast_is_off_within_bf16_nothing_changes() -> None:
    images, weight = torch.randn(1, 4, 1, 1), torch.randn(4, 4, 3, 3)
    with autocast(CPU, "bf16"), torch.autocast("cpu", enabled=False):
        assert F.conv2d(images, weight, stride=2, padding=1).dtype == torch.float32


def gradients(images: Tensor, weight: Tensor, stride: int, padding: int, groups: int) -> Tensor:
    """Of the weights of a convolution trained in bf16."""
    weight = weight.clone().requires_grad_()
    poison_freed_memory()
    with autocast(CPU, "bf16"):
        maps = F.conv2d(images, weight, stride=stride, padding=padding, groups=groups)
    assert maps.dtype == torch.bfloat16
    poison_freed_memory()
    maps.float().square().sum().backward()
    assert weight.grad is not None
    return weight.grad


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (3, 3, 1), (7, 4, 3)])
@pytest.mark.parametrize("groups", [1, 64])
def test_gradients_of_narrow_maps_are_those_of_fp32(
    kernel: int, stride: int, padding: int, groups: int, memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    weight = torch.randn(64, 64 // groups, kernel, kernel)
    for height in (1, 2, 3):
        for width in range(1, stride):
            images = torch.randn(4, 64, height, width).contiguous(memory_format=memory_format)
            exact = weight.clone().requires_grad_()
            F.conv2d(images, exact, stride=stride, padding=padding, groups=groups).square().sum().backward()
            assert exact.grad is not None
            found = gradients(images, weight, stride, padding, groups)
            torch.testing.assert_close(found, exact.grad, rtol=0, atol=0.03 * float(exact.grad.abs().max()))


@pytest.mark.parametrize("frozen", ["", "weight", "images"])
def test_a_depthwise_convolution_trains_in_fp32(frozen: str) -> None:
    """Its gradients are those of fp32 for the rounded result's own, and the result keeps autocast's type."""
    torch.manual_seed(0)
    weight, images = torch.randn(32, 1, 3, 3), torch.randn(2, 32, 9, 9)
    leaves = {"weight": weight, "images": images}
    trained = [each.requires_grad_() for name, each in leaves.items() if name != frozen]
    with autocast(CPU, "bf16"):
        found = F.conv2d(images, weight, padding=1, groups=32)
    exact = F.conv2d(images, weight, padding=1, groups=32)
    assert torch.equal(found, exact.bfloat16())
    slope = torch.randn(found.shape).bfloat16()
    for ours, theirs in zip(
        torch.autograd.grad(found, trained, slope), torch.autograd.grad(exact, trained, slope.float()), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_without_gradients_a_depthwise_convolution_stays_in_bf16() -> None:
    torch.manual_seed(0)
    images, weight = torch.randn(2, 32, 9, 9), torch.randn(32, 1, 3, 3).requires_grad_()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = F.conv2d(images, weight, padding=1, groups=32)
    with torch.no_grad(), autocast(CPU, "bf16"):
        assert torch.equal(F.conv2d(images, weight, padding=1, groups=32), expected)
    assert not torch.equal(F.conv2d(images, weight, padding=1, groups=32).bfloat16(), expected)


def test_a_resnet_trains_on_images_of_16_pixels() -> None:
    torch.manual_seed(0)
    network = resnet50(num_classes=2).to(memory_format=torch.channels_last)
    images = torch.rand(4, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    poison_freed_memory()
    with autocast(CPU, "bf16"):
        loss = F.cross_entropy(network(images).float(), torch.tensor([0, 1, 0, 1]))
    poison_freed_memory()
    loss.backward()
    assert all(each.grad is not None and bool(each.grad.isfinite().all()) for each in network.parameters())
    unseen = network.layer4[0].conv2.weight.grad[:, :, :, 0]  # the left column of the kernel meets padding alone
    assert not unseen.any()

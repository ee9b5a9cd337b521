"""Batch normalisation over the images of all processes that train together."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from leukosr.errors import LeukoError


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d whose statistics in training are those of the global batch; parts may differ or be empty.

    torch's own SyncBatchNorm does not run on CPUs; with one here CPU and CUDA compute the same.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise N x C x H x W; outside training exactly as nn.BatchNorm2d does."""
        if not self.training:
            return super().forward(input)
        mean, variance, count = _statistics(input.detach(), self.weight.dtype)
        self._follow(mean, variance * count / (count - 1))
        output: Tensor = _Normalise.apply(input, self.weight, self.bias, mean, variance, count, self.eps)
        return output

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of this batch."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)


def synchronise_batch_norm(network: nn.Module) -> nn.Module:
    """Replace every nn.BatchNorm2d inside a network (in place); parameters and their names stay."""
    for name, part in network.named_children():
        if type(part) is nn.BatchNorm2d:
            replaced = SynchronisedBatchNorm2d(part.num_features, part.eps, part.momentum).to(part.weight)
            replaced.load_state_dict(part.state_dict())
            setattr(network, name, replaced.train(part.training))
        else:
            synchronise_batch_norm(part)
    return network


def check_synchronised(network: nn.Module, name: str, remedy: str) -> None:
    """Raise LeukoError for a batch norm of the network's own kind: each process would normalise its part of a batch."""
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and not isinstance(part, SynchronisedBatchNorm2d):
            raise LeukoError(f"the batch norm of {name} cannot run in several processes: {remedy}")


def _statistics(images: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of every channel over all processes, and the number of values in it.

    Those of each process's part are gathered and put together: sums of squares would lose digits.
    """
    channels, own = images.shape[1], images.numel() // images.shape[1]
    part = torch.zeros(2 * channels + 1, dtype=dtype, device=images.device)
    if own:
        exact = images.to(dtype)
        part[:channels] = exact.mean((0, 2, 3))
        part[channels:-1] = exact.var((0, 2, 3), correction=0)
        part[-1] = own
    parts = [torch.empty_like(part) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, part)
    means, variances, counts = torch.stack(parts).split((channels, channels, 1), dim=1)
    count = counts.sum()
    mean = (means * counts).sum(0) / count
    variance = ((variances + (means - mean).square()) * counts).sum(0) / count
    return mean, variance, count


class _Normalise(torch.autograd.Function):
    """Normalisation by statistics that depend on the images of all processes, in both directions."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, count: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps), count)
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        mean, scale, weight_here = (part.view(1, -1, 1, 1) for part in (mean, scale, weight))
        normal, exact = (x - mean) * scale, grad.to(mean.dtype)
        bias_grad, weight_grad = exact.sum((0, 2, 3)), (exact * normal).sum((0, 2, 3))
        # the parameters' gradients stay those of this process's part: they are averaged with all others
        sums = torch.stack((bias_grad, weight_grad))
        dist.all_reduce(sums)
        level, slope = (sums / count).view(2, 1, -1, 1, 1)
        x_grad = (exact - level - normal * slope) * (weight_here * scale)
        return x_grad.to(x.dtype), weight_grad, bias_grad, None, None, None, None

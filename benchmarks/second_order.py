"""Real-ESRGAN's degradation of 256 x 256 images to 64 x 64, sharpening of the ground truth included."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.images import image_set, read_resized
from benchmarks.measure import MIB, Comparison, Options, Row, compare, peak_memory, seconds_of
from leukosr.degradation import SecondOrder, SecondOrderSettings, image_rng
from leukosr.degradation.kernels import BlurKernel
from leukosr.degradation.rounds import Noise, RoundDraw
from leukosr.engine.device import choose_device, to_batch, to_uint8
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.images.reading import read_rgb, write_png
from leukosr.superres.losses import usm_sharpen

BATCH, SIDE, SCALE = 12, 256, 4
BATCHES = 6  # a round: one draw decides the sizes of a whole batch, and some cost three times as much as others
KERNEL = 21
SPEED_GOAL, MEMORY_GOAL = 20, 1.1


def run(options: Options) -> list[Row]:
    """Two rows: images a second, and peak memory at many images against that at few."""
    device, workers = choose_device("auto"), count_workers("auto")
    count = max(options.pick(1200, 24), 4 * workers)  # fewer would be done without workers
    with tempfile.TemporaryDirectory() as temporary:
        sources = image_set(Path(temporary) / "set", 24)
        files = [Path(temporary) / f"{i}.png" for i in range(len(sources))]
        for file, image in zip(files, read_resized(sources, (SIDE, SIDE)), strict=True):
            write_png(file, image)
        rng, batches = np.random.default_rng(0), options.pick(BATCHES, 1)
        found = compare(
            lambda: [_plain_files(files[:BATCH], device, rng) for _ in range(batches)],
            partial(ours, files, count, workers),
            options.rounds, reference_items=BATCH * batches, our_items=count,
        )  # fmt: skip
        batch = to_batch(np.stack([read_rgb(file) for file in files[:BATCH]]), device, channels_last=False)
        share = seconds_of(lambda: dense_sharpen(batch)) / (float(np.median(found.reference)) * BATCH)
        note = f"{workers} workers; the dense 51 x 51 blur takes {100 * share:.0f} % of the reference"
        name = "second_order degradation, 256 to 64"
        allowed, limit = _limit(files, found, workers, options.pick(120, 12))
        goal = f"ratio >= {SPEED_GOAL}"
        speed = found.row("second_order", name, "images/s", goal, note=note, limit=limit, allowed=allowed)
        return [speed, _memory(files, workers, few=100, some=options.pick(1000, 200), many=options.pick(10_000, 400))]


def _limit(files: Sequence[Path], found: Comparison, workers: int, count: int) -> tuple[float, str]:
    """The ratio that cores which lose nothing would reach; what one needs for an image and for its parts, in words."""
    tasks = [(files[i % len(files)], i) for i in range(count)]
    whole = seconds_of(lambda: [degrade_one(task) for task in tasks]) / count
    batches = [to_batch(read_rgb(file)[None], torch.device("cpu"), channels_last=False) for file, _ in tasks]
    sharpening = seconds_of(lambda: [usm_sharpen(batch) for batch in batches]) / count
    reference = float(np.median(found.reference))
    share, best = 100 * sharpening / whole, reference / whole * workers
    return best, (
        f"an image takes one core {1000 * whole:.1f} ms (sharpening {share:.0f} %, the two rounds the rest) and the "
        f"reference {1000 * reference:.0f} ms on all cores, so {workers} cores that lose nothing reach {best:.1f}x. "
        "The goal was set where the reference took 278 ms"
    )


def ours(files: Sequence[Path], count: int, workers: int) -> int:
    """Degrade `count` images over the workers and keep none of them; how many there were."""
    tasks = [(files[i % len(files)], i) for i in range(count)]
    return sum(image.shape == (SIDE // SCALE, SIDE // SCALE, 3) for image in ordered_map(degrade_one, tasks, workers))


def degrade_one(task: tuple[Path, int]) -> np.ndarray:
    """Sharpen and degrade one image; `task` is its file and its number, which seeds its randomness."""
    file, number = task
    torch.set_num_threads(1)  # the workers are the parallelism
    cv2.setNumThreads(1)
    batch = to_batch(np.stack([read_rgb(file)]), torch.device("cpu"), channels_last=False)
    sharp = to_uint8(usm_sharpen(batch))[0].numpy()
    return SecondOrder(SecondOrderSettings(scale=SCALE))(sharp, image_rng(0, str(number)))


def _memory(files: Sequence[Path], workers: int, few: int, some: int, many: int) -> Row:
    low, middle, high = (peak_memory(ours, files, count, workers)[1] / MIB for count in (few, some, many))
    name = f"second_order degradation, peak memory at {many} images against {few}"
    return Row(
        "second_order", name, "MiB", low, high, high / low, None, f"ratio <= {MEMORY_GOAL}",
        note=f"the process and its {workers} workers together; {middle:.0f} MiB at {some}",
        limit=f"{some} images take {middle:.0f} MiB already: the peak is that of the largest draws, of which {few} "
        "images see few",
    )  # fmt: skip


def _plain_files(files: Sequence[Path], device: torch.device, rng: np.random.Generator) -> Tensor:
    images = np.stack([cv2.cvtColor(np.asarray(cv2.imread(str(file))), cv2.COLOR_BGR2RGB) for file in files])
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255).contiguous().to(device)
    return plain_batch(batch, rng)


@torch.no_grad()
def plain_batch(images: Tensor, rng: np.random.Generator) -> Tensor:
    """The published torch code's way: a whole batch at once, kernels drawn for each image, the rest for the batch.

    Its JPEG works on float tensors; here it is OpenCV's codec, which is faster. What is drawn comes from the
    project's own odds, so that both sides do the same work. N x 3 x H x W in [0, 1] to a quarter of the sides.
    """
    recipes = [SecondOrder(SecondOrderSettings(scale=SCALE)).draw(rng) for _ in images]
    shared = recipes[0]
    height, width = images.shape[2:]
    small = (height // SCALE, width // SCALE)
    x = dense_sharpen(images)
    x = _round(x, (height, width), shared.first, [recipe.first.kernel for recipe in recipes])
    x = _jpeg(x, shared.first.jpeg_quality)
    x = _round(x, small, shared.second, [recipe.second.kernel for recipe in recipes])
    quality = shared.second.jpeg_quality
    shrink: Callable[[Tensor], Tensor] = partial(F.interpolate, size=small, mode=shared.final_mode)
    sinc = [recipe.sinc for recipe in recipes]
    if shared.sinc_before_jpeg:
        return _jpeg(_filter_each(shrink(x), sinc), quality)
    return (_filter_each(shrink(_jpeg(x, quality)), sinc).clamp(0, 1) * 255).round() / 255


def dense_sharpen(images: Tensor, weight: float = 0.5, threshold: float = 10.0) -> Tensor:
    """Unsharp masking as published: one dense 51 x 51 convolution for the blur, another for the mask."""
    line = cv2.getGaussianKernel(51, 0)
    kernel = torch.from_numpy(line @ line.T).float().to(images.device)[None, None]

    def blur(x: Tensor) -> Tensor:
        planes = F.pad(x, (25, 25, 25, 25), mode="reflect").flatten(0, 1)[:, None]
        return F.conv2d(planes, kernel).view_as(x)

    residual = images - blur(images)
    mask = blur((residual.abs() * 255 > threshold).float())
    sharp = (images + weight * residual).clamp(0, 1)
    return mask * sharp + (1 - mask) * images


def _round(x: Tensor, base: tuple[int, int], draw: RoundDraw, kernels: Sequence[BlurKernel | None]) -> Tensor:
    size = (int(base[0] * draw.resizing.factor), int(base[1] * draw.resizing.factor))
    x = F.interpolate(_filter_each(x, kernels), size=size, mode=draw.resizing.mode)
    return _add_noise(x, draw.noise)


def _filter_each(x: Tensor, kernels: Sequence[BlurKernel | None]) -> Tensor:
    """Every image with its own kernel, all padded to 21 x 21, as groups of one convolution."""
    count, channels, height, width = x.shape
    padded = np.zeros((count, 1, KERNEL, KERNEL), np.float32)
    for place, kernel in zip(padded, kernels, strict=True):
        matrix = np.ones((1, 1), np.float32) if kernel is None else kernel.matrix()
        edge = (KERNEL - len(matrix)) // 2
        place[0, edge : edge + len(matrix), edge : edge + len(matrix)] = matrix
    weight = torch.from_numpy(padded).to(x.device).repeat_interleave(channels, 0)
    edge = KERNEL // 2
    planes = F.pad(x, (edge, edge, edge, edge), mode="reflect").view(1, count * channels, height + 20, width + 20)
    return F.conv2d(planes, weight, groups=count * channels).view_as(x)


def _add_noise(x: Tensor, noise: Noise) -> Tensor:
    signal = x.mean(1, keepdim=True) if noise.gray else x
    if noise.kind == "gaussian":
        return (x + torch.randn_like(signal) * (noise.strength / 255)).clamp(0, 1)
    signal = (signal.clamp(0, 1) * 255).round() / 255
    counts = [2.0 ** math.ceil(math.log2(len(torch.unique(image)))) for image in signal]
    levels = torch.tensor(counts, dtype=x.dtype, device=x.device).view(-1, 1, 1, 1)
    return (x + noise.strength * (torch.poisson(signal * levels) / levels - signal)).clamp(0, 1)


def _jpeg(x: Tensor, quality: int) -> Tensor:
    images = (x.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    decoded = []
    for image in images:
        encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded.append(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1])
    return torch.from_numpy(np.stack(decoded)).to(x.device).permute(0, 3, 1, 2).float().div(255).contiguous()

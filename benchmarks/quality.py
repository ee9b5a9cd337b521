"""PSNR and SSIM of a folder of images against their originals."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmarks.images import SIZE, image_set, published_params, read_resized
from benchmarks.measure import Options, Row, compare, seconds_of
from leukosr.config import Params
from leukosr.data.manifest import Item
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.evaluate.image_quality import ImageQuality
from leukosr.images.reading import read_rgb, write_png
from leukosr.images.resampling import resize
from leukosr.stages import image_comparison

GOAL, TOLERANCE = 4, 1e-6
Pair = tuple[Path, Path]


def run(options: Options) -> list[Row]:
    """Two rows: pairs a second, and the largest difference of a value."""
    params, workers = published_params(), count_workers("auto")
    count = max(options.pick(2400, 16), 4 * workers)  # as many as case study 1 compares in an arm
    with tempfile.TemporaryDirectory() as temporary:
        pairs = make_pairs(Path(temporary), count)
        few = pairs[: options.pick(100, 8)]
        found = compare(
            lambda: plain(few, params.quality.ssim_window),
            lambda: ours(pairs, params, workers),
            options.rounds, reference_items=len(few), our_items=count,
        )  # fmt: skip
        difference = largest_difference(plain(few, params.quality.ssim_window), ours(few, params, 1))
        limit = _limit(few, params, float(np.median(found.reference)), workers)
    name = f"PSNR and SSIM of {SIZE[0]}x{SIZE[1]} pairs"
    note = f"{workers} workers, SSIM window {params.quality.ssim_window}, files read"
    return [
        found.row("quality", name, "pairs/s", f"ratio >= {GOAL}", note=note, limit=limit),
        Row(
            "quality", f"{name}, largest difference of a value", "dB or 1", None, difference,
            goal=f"ours <= {TOLERANCE}", note=f"{len(few)} pairs",
        ),
    ]  # fmt: skip


def _limit(few: Sequence[Pair], params: Params, reference: float, workers: int) -> str:
    """What one core needs for a pair and for its parts, and what cores that lose nothing would reach."""
    cv2.setNumThreads(1)  # as in a worker
    tasks = _tasks(few, params)
    whole = seconds_of(lambda: [image_comparison.compare(task) for task in tasks]) / len(few)
    reading = seconds_of(lambda: [(read_rgb(made), read_rgb(original)) for made, original in few]) / len(few)
    return (
        f"a pair takes one core {1000 * whole:.2f} ms (decoding its two files {100 * reading / whole:.0f} %, comparing "
        f"them the rest) and the reference {1000 * reference:.2f} ms, so {workers} cores that lose nothing reach "
        f"{reference / whole * workers:.1f}x"
    )


def make_pairs(folder: Path, count: int) -> list[Pair]:
    """PNG images enlarged from a quarter of the size, which lies beside them, and their originals."""
    originals = image_set(folder / "set", count)
    pairs = [(folder / f"{i}.png", original) for i, original in enumerate(originals)]
    small = read_resized(originals, (SIZE[0] // 4, SIZE[1] // 4))
    for (made, _), image in zip(pairs, small, strict=True):
        write_png(made, resize(image, SIZE, "opencv_bicubic"))
        write_png(_low(made), image)
    return pairs


def _low(made: Path) -> Path:
    return made.with_name(f"{made.stem}-low.png")


def plain(pairs: Sequence[Pair], window: int) -> list[tuple[float, float]]:
    """PSNR and SSIM by scikit-image, pair after pair."""
    values = []
    for made, original in pairs:
        image, truth = np.asarray(Image.open(made)), np.asarray(Image.open(original))
        psnr = peak_signal_noise_ratio(truth, image, data_range=255)
        ssim = structural_similarity(truth, image, win_size=window, data_range=255, channel_axis=-1)
        values.append((float(psnr), float(ssim)))
    return values


def ours(pairs: Sequence[Pair], params: Params, workers: int) -> list[ImageQuality]:
    """What the stage `quality` does with its images."""
    return list(ordered_map(image_comparison.compare, _tasks(pairs, params), workers))


def _tasks(pairs: Sequence[Pair], params: Params) -> list[image_comparison.Comparison]:
    settings = params.upscale["bicubic"], params.image, params.quality
    return [
        image_comparison.Comparison(
            "bicubic",
            Item(made.stem, original.name, "", "", *SIZE[::-1]),
            original.parent,
            made.parent,
            _low(made),
            *settings,
        )
        for made, original in pairs
    ]


def largest_difference(reference: Sequence[tuple[float, float]], found: Sequence[ImageQuality]) -> float:
    """Over PSNR and SSIM of all pairs; equal images, whose PSNR is infinite or None, do not differ."""
    differences = [0.0]
    for (psnr, ssim), value in zip(reference, found, strict=True):
        differences.append(abs(ssim - value.ssim))
        if value.psnr is not None:
            differences.append(abs(psnr - value.psnr))
        elif np.isfinite(psnr):
            differences.append(float("inf"))
    return max(differences)

"""One large image in tiles: the memory is that of a tile, not that of the image. Takes minutes on a CPU."""

from __future__ import annotations

import time

import numpy as np
import torch

from benchmarks.images import published_params
from benchmarks.inference import SCALE, settings_of
from benchmarks.measure import MIB, Options, Row, peak_memory
from leukosr.engine.device import choose_device, place
from leukosr.superres.upscaler import upscale_images

TILE, OVERLAP = 256, 64
GOAL = 1.5


def run(options: Options) -> list[Row]:
    """Two rows: peak memory of the large image against that of one tile, and its seconds."""
    side = options.pick(2048, 384)
    (_, device_tile), tile = peak_memory(upscale, TILE)
    (seconds, device_large), large = peak_memory(upscale, side)
    on_device = choose_device("auto").type == "cuda"
    # the image itself and its enlargement have to be held, whatever the method
    held = 3 * (1 + SCALE**2) * (side**2 - TILE**2)
    peaks = [(device_tile if on_device else tile) / MIB, (device_large if on_device else large - held) / MIB]
    name = f"real_esrgan x4, tiled {side}x{side} LR image"
    note = f"tiles of {TILE} with an overlap of {OVERLAP}"
    where = "of the device" if on_device else f"besides {held / MIB:.0f} MiB of larger input and output"
    return [
        Row(
            "tiled", f"{name}, peak memory against one tile", "MiB", peaks[0], peaks[1], peaks[1] / peaks[0],
            goal=f"ratio <= {GOAL}", note=f"{note}; {where}",
        ),
        Row("tiled", name, "s", None, seconds, note=note),
    ]  # fmt: skip


def upscale(side: int) -> tuple[float, float]:
    """Upscale a square LR image in tiles; seconds, and peak bytes on the device where it has memory of its own."""
    params, device = published_params(), choose_device("auto")
    how = settings_of(params, "real_esrgan")
    torch.manual_seed(0)
    network = params.train_sr["real_esrgan"].build_generator(SCALE)
    model = place(network, device, how.channels_last)
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    started = time.perf_counter()
    for made in upscale_images(model, [image], SCALE, how, device, batch=1, tile=TILE, overlap=OVERLAP):
        assert made.shape == (side * SCALE, side * SCALE, 3)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    return time.perf_counter() - started, float(peak)

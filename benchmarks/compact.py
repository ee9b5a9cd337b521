"""The compact network against RRDBNet with 23 blocks, both as the stage `upscale` computes them, in fp32."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch

from benchmarks.images import compose_params, image_set, read_resized
from benchmarks.inference import SCALE, ours, settings_of
from benchmarks.measure import Options, Row, compare
from leukosr.engine.device import choose_device, place
from leukosr.superres import GENERATORS

GOAL = 20
SIZES = ((60, 80), (90, 90))  # LR of BCCD and of PBC


def run(options: Options) -> list[Row]:
    """A row a size."""
    params, device = compose_params("study=case1", "budget.precision=fp32"), choose_device("auto")
    how = settings_of(params, "real_esrgan")
    torch.manual_seed(0)
    large, small = (
        place(GENERATORS[name](SCALE).eval(), device, how.channels_last) for name in ("real_esrgan", "compact")
    )
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        files = image_set(Path(temporary) / "set", options.pick(16, 2))
        for size in SIZES:
            images = read_resized(files, size)
            few = images[: options.pick(2, 1)]
            found = compare(
                partial(ours, large, few, how, device),
                partial(ours, small, images, how, device),
                options.rounds,
                reference_items=len(few),
                our_items=len(images),
            )
            name = f"compact x4 against RRDBNet with 23 blocks at {size[0]}x{size[1]}"
            note = f"fp32, batches of {len(few)} and {min(how.batch, len(images))}"
            rows.append(found.row("compact", name, "images/s", f"ratio >= {GOAL}", note=note))
    return rows

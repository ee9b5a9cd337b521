"""How the cost of the data stages grows with the number of images: linear time, flat memory. Takes long."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.images import image_set, published_params
from benchmarks.measure import MIB, Growth, Options, in_child, peak_memory
from leukosr.config import Params
from leukosr.layout import Layout

COUNTS, QUICK_COUNTS = (1000, 4000, 12_000), (100, 200)
STAGES = ("prepare", "degrade", "upscale", "quality")
ARM = "srgan"


def run(options: Options) -> list[Growth]:
    """A line a stage and size. The arm is SRGAN, on the images that a classifier sees."""
    found = []
    for count in QUICK_COUNTS if options.quick else COUNTS:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            image_set(folder / "set", count)
            params = settings_for(folder / "set")
            layout = Layout(params.study.name, folder / "outputs", folder / "reports")
            in_child(save_untrained, params, layout)
            for stage in STAGES:
                seconds, peak = peak_memory(run_stage, stage, params, layout)
                processed = len(list(layout.arm(ARM).rglob("*.png"))) if stage in ("upscale", "quality") else count
                found.append(Growth(stage, count, processed, seconds, peak / MIB))
                print(f"growth: {stage} of {count} images: {seconds:.1f} s, {peak / MIB:.0f} MiB")
    return found


def settings_for(root: Path) -> Params:
    """Case study 1 on another folder, all of its images."""
    params = published_params("degrade=capstone")
    prepare = params.prepare.model_copy(update={"root": str(root), "reference": None})
    return params.model_copy(update={"prepare": prepare})


def save_untrained(params: Params, layout: Layout) -> None:
    """Weights for the arm: their values change no cost."""
    from leukosr.superres.weights import save_generator

    settings, scale = params.train_sr[ARM], params.image.scale
    save_generator(
        layout.sr(ARM) / "last.safetensors", settings.build_generator(scale), settings.architecture, scale,
        settings.generator.model_dump(),
    )  # fmt: skip


def run_stage(stage: str, params: Params, layout: Layout) -> float:
    """Run one stage as its command does; seconds without starting Python."""
    from rich.console import Console

    from leukosr.stages import degrade, prepare, quality, upscale
    from leukosr.stages.context import Context

    console = Console(quiet=True)
    started = time.perf_counter()
    if stage == "prepare":
        context = Context(params, layout, console)
        prepare.run(context)
    elif stage == "degrade":
        degrade.run(Context(params, layout, console))
    elif stage == "upscale":
        upscale.run(Context(params, layout, console), ARM)
    else:
        quality.run(Context(params, layout, console), ARM)
    return time.perf_counter() - started

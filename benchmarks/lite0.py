"""Training of a classifier whose convolutions are mostly depthwise, which bf16 alone makes slower on a CPU."""

from __future__ import annotations

from benchmarks.images import published_params
from benchmarks.measure import Options, Row
from benchmarks.resnet50 import compare_trainings

BATCH, GOAL = 8, 1


def run(options: Options) -> list[Row]:
    """One row: images a second. A matrix product is no limit here, because depthwise convolutions wait for memory."""
    settings = published_params(
        "classifier=lite0", "classifier.weights=none", f"budget.classify.batch={BATCH}", "classifier.epochs=1"
    ).classifier
    found, count, _ = compare_trainings(settings, options)
    note = f"{settings.precision}, its depthwise convolutions in fp32 on a CPU; {count} images"
    name = f"EfficientNet-Lite0 training from JPEG files of 240x320, batch {BATCH}"
    return [found.row("lite0", name, "images/s", f"ratio >= {GOAL}", note=note)]

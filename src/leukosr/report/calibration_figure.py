"""The figure of how often our own statistics are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from leukosr.evaluate.arms.calibration import Calibration
from leukosr.evaluate.arms.simulation import Design
from leukosr.report.style import SEQUENCE, new_figure

MARKS = {"accuracy": ("o", SEQUENCE[0]), "macro_f1": ("s", SEQUENCE[2])}
NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1"}


def calibration_figure(path: Path, found: Sequence[Calibration]) -> None:
    """Equal arms called different, coverage of the intervals, and the power by number of paired runs."""
    equal = [each for each in found if each.design.difference == 0]
    note = (
        f"simulated; {equal[0].comparisons} comparisons per design of equal arms, "
        f"{min(each.comparisons for each in found)} per point of the power curve; bars and bands: 95 % intervals"
    )
    with new_figure(path, 8.2, 7.0, note) as figure:
        panels = figure.subplot_mosaic([["called", "covered"], ["power", "power"]])
        designs = list(dict.fromkeys(each.design for each in equal))
        _called(panels["called"], equal, designs)
        _covered(panels["covered"], equal, designs)
        for panel in (panels["called"], panels["covered"]):
            panel.set_ylim(len(designs) - 0.5, -0.5)
            panel.grid(True, axis="x")
        panels["called"].set_yticks(range(len(designs)), [_name(design) for design in designs])
        panels["covered"].set_yticks(range(len(designs)), [""] * len(designs))
        _power(panels["power"], [each for each in found if each.design.difference and each.metric == "accuracy"])


def _called(panel: Axes, equal: Sequence[Calibration], designs: list[Design]) -> None:
    for shift, (metric, (mark, colour)) in zip((-0.12, 0.12), MARKS.items(), strict=True):
        own = [each for each in equal if each.metric == metric]
        values = [100 * each.called for each in own]
        errors = [[100 * (each.called - each.called_low) for each in own],
                  [100 * (each.called_high - each.called) for each in own]]  # fmt: skip
        places = [designs.index(each.design) + shift for each in own]
        panel.errorbar(values, places, xerr=errors, fmt=mark, color=colour, label=NAMES[metric])
    own = [each for each in equal if each.metric == "accuracy"]
    places = [float(designs.index(each.design)) for each in own]
    panel.scatter(
        [100 * each.mcnemar for each in own], places, marker="x", color=SEQUENCE[1], label="McNemar on images"
    )
    panel.axvline(5, color="#555555", linestyle=":")
    panel.set_xlabel("equal arms called different, %")
    panel.legend(loc="upper right")


def _covered(panel: Axes, equal: Sequence[Calibration], designs: list[Design]) -> None:
    for shift, (metric, (mark, colour)) in zip((-0.12, 0.12), MARKS.items(), strict=True):
        own = [each for each in equal if each.metric == metric and each.covered is not None]
        places = [designs.index(each.design) + shift for each in own]
        panel.scatter([100 * (each.covered or 0.0) for each in own], places, marker=mark, color=colour)
    panel.axvline(95, color="#555555", linestyle=":")
    panel.set_xlim(85, 100.5)
    panel.set_xlabel("intervals that hold the truth, %")


def _power(panel: Axes, found: Sequence[Calibration]) -> None:
    for colour, difference in zip(SEQUENCE, sorted({each.design.difference for each in found}), strict=False):
        own = [each for each in found if each.design.difference == difference]
        runs = [each.design.runs for each in own]
        words = "1 point" if difference == 0.01 else f"{100 * difference:g} points"
        panel.plot(runs, [100 * e.called for e in own], "o-", color=colour, label=words)
        low, high = [100 * e.called_low for e in own], [100 * e.called_high for e in own]
        panel.fill_between(runs, low, high, color=colour, alpha=0.15)
    panel.axhline(80, color="#555555", linestyle=":")
    panel.set_ylim(-3, 103)
    panel.grid(True)
    design = found[0].design
    images = design.class_images * len(design.class_sources)
    panel.set_xlabel(f"paired runs ({images:,} test images of {design.sources} sources)")
    panel.set_ylabel("differences found, %")
    panel.legend(title="true difference of accuracy", loc="center right")


def _name(design: Design) -> str:
    images = design.class_images * len(design.class_sources)
    uneven = "" if max(design.class_sources) < 2 * min(design.class_sources) else ", uneven"
    extra = "" if design.run_of_arm_sd == Design().run_of_arm_sd else f", run sd {100 * design.run_of_arm_sd:g}"
    return f"{design.sources} sources{uneven}, {images:,} images,\n{design.runs} runs{extra}"

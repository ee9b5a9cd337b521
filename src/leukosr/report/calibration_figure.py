"""The figure of how often our own statistics are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from leukosr.evaluate.calibration import Calibration
from leukosr.evaluate.simulation import Design
from leukosr.report.style import SEQUENCE, new_figure


def calibration_figure(path: Path, found: Sequence[Calibration]) -> None:
    """False wins of equal arms, coverage of the intervals, and the power by number of paired runs."""
    equal = [each for each in found if each.design.difference == 0]
    note = (
        f"simulated; {equal[0].comparisons} comparisons a design of equal arms, "
        f"{min(each.comparisons for each in found)} a point of the power curve; bars: 95 % intervals"
    )
    with new_figure(path, 8.2, 6.4, note) as figure:
        panels = figure.subplot_mosaic([["wins", "covered"], ["power", "power"]])
        wins, covered = panels["wins"], panels["covered"]
        names = [_name(each.design) for each in equal]
        places = range(len(equal))
        _points(
            wins, [100 * e.wins for e in equal], [(100 * e.wins_low, 100 * e.wins_high) for e in equal], SEQUENCE[0]
        )
        wins.scatter([100 * e.mcnemar for e in equal], places, marker="x", color=SEQUENCE[1], label="McNemar on images")
        wins.axvline(5, color="#555555", linestyle=":")
        wins.set_yticks(places, names)
        wins.invert_yaxis()
        wins.set_xlabel("equal arms called different, %")
        wins.legend(loc="lower right")
        bounds = [(100 * e.covered_low, 100 * e.covered_high) for e in equal]
        _points(covered, [100 * e.covered for e in equal], bounds, SEQUENCE[0])
        covered.sharey(wins)
        covered.tick_params(labelleft=False)
        covered.axvline(95, color="#555555", linestyle=":")
        covered.set_xlabel("intervals that hold the truth, %")
        _power(panels["power"], [each for each in found if each.design.difference])


def _points(panel: Axes, values: list[float], bounds: list[tuple[float, float]], colour: str) -> None:
    errors = [[v - low for v, (low, _) in zip(values, bounds, strict=True)],
              [high - v for v, (_, high) in zip(values, bounds, strict=True)]]  # fmt: skip
    panel.errorbar(values, range(len(values)), xerr=errors, fmt="o", color=colour, label="LeukoSR")
    panel.grid(True, axis="x")


def _power(panel: Axes, found: Sequence[Calibration]) -> None:
    for colour, difference in zip(SEQUENCE, sorted({each.design.difference for each in found}), strict=False):
        own = [each for each in found if each.design.difference == difference]
        runs = [each.design.runs for each in own]
        panel.plot(runs, [100 * e.wins for e in own], "o-", color=colour, label=f"{100 * difference:g} points")
        panel.fill_between(
            runs, [100 * e.wins_low for e in own], [100 * e.wins_high for e in own], color=colour, alpha=0.15
        )
    panel.axhline(80, color="#555555", linestyle=":")
    panel.set_ylim(-3, 103)
    panel.grid(True)
    panel.set_xlabel(f"paired runs ({found[0].design.sources} sources, {found[0].design.views} images each)")
    panel.set_ylabel("differences found, %")
    panel.legend(title="true difference", loc="center right")


def _name(design: Design) -> str:
    extra = "" if design.run_of_arm_sd == Design().run_of_arm_sd else f", run sd {100 * design.run_of_arm_sd:g} points"
    return f"{design.sources} sources × {design.views}, {design.runs} runs{extra}"

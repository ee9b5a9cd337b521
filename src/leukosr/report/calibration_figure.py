"""The figure of how often our own statistics are wrong, and the sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from leukosr.evaluate.arms.calibration import POWER, Calibration
from leukosr.quoting import counted
from leukosr.report.comparisons import NAMES
from leukosr.report.style import SEQUENCE, new_figure

MARKS = {"accuracy": ("o", SEQUENCE[0]), "macro_f1": ("s", SEQUENCE[2])}


def calibration_figure(path: Path, found: Sequence[Calibration]) -> None:
    """Coverage, false calls of equal arms, false equivalence at the margin, and the power by number of runs."""
    power = [each for each in found if each.name == POWER]
    judged = [each for each in found if each.name != POWER]
    names = list(dict.fromkeys(each.name for each in judged))
    count = min(each.comparisons for each in judged)
    of_power = f" ({power[0].comparisons:,} for power)" if power else ""
    note = f"simulated; {count:,} comparisons per dot{of_power}; bars: 95 % intervals; margin {_margin(found)} points"
    rows = "abc\nddd" if power else "abc"
    with new_figure(path, 9.4, 0.3 * len(names) + 1.6 + (2.6 if power else 0), note) as figure:
        panels = figure.subplot_mosaic(rows)
        _covered(panels["a"], judged, names)
        figure.legend(*panels["a"].get_legend_handles_labels(), loc="outside upper left", ncols=4, fontsize=8)
        _shares(panels["b"], [each for each in judged if each.difference == 0], names, "called different")
        _shares(panels["c"], [each for each in judged if each.difference], names, "equivalent or no gain")
        for name in "abc":
            panels[name].set_ylim(len(names) - 0.5, -0.5)
            panels[name].grid(True, axis="x")
            panels[name].set_yticks(range(len(names)), names if name == "a" else [""] * len(names))
        if power:
            _power(panels["d"], power)


def _covered(panel: Axes, found: Sequence[Calibration], names: list[str]) -> None:
    for metric, (mark, colour) in MARKS.items():
        for true, face in ((0.0, colour), (found[0].margin, "white")):
            own = [each for each in found if each.metric == metric and each.difference == true]
            places = [names.index(each.name) + (-0.15 if metric == "accuracy" else 0.15) for each in own]
            values = [100 * each.covered for each in own]
            bars = [
                [100 * (each.covered - each.covered_low) for each in own],
                [100 * (each.covered_high - each.covered) for each in own],
            ]
            label = f"{NAMES[metric]}, {'equal' if true == 0 else 'differ by the margin'}"
            panel.errorbar(values, places, xerr=bars, fmt=mark, color=colour, markerfacecolor=face, label=label)
    for limit in (94, 98):
        panel.axvline(limit, color="#555555", linestyle=":")
    panel.set_xlim(90, 100.5)
    panel.set_xlabel("intervals that hold the truth, %")


def _shares(panel: Axes, found: Sequence[Calibration], names: list[str], what: str) -> None:
    for metric, (mark, colour) in MARKS.items():
        own = [each for each in found if each.metric == metric]
        places = [names.index(each.name) for each in own]
        values = [100 * (each.called_different if what == "called different" else each.gain_denied) for each in own]
        panel.scatter(values, places, marker=mark, color=colour)
    panel.axvline(5, color="#555555", linestyle=":")
    panel.set_xlim(-0.3, 8)
    arms = "equal arms" if what == "called different" else "arms that differ by the margin"
    panel.set_xlabel(f"{arms}\n{what}, %")


def _power(panel: Axes, found: Sequence[Calibration]) -> None:
    for colour, difference in zip(SEQUENCE, sorted({each.difference for each in found}), strict=False):
        own = [each for each in found if each.difference == difference]
        words = "1 point" if difference == 0.01 else f"{100 * difference:g} points"
        panel.plot([e.design.runs for e in own], [100 * e.called_better for e in own], "o-", color=colour, label=words)
    panel.axhline(80, color="#555555", linestyle=":")
    panel.set_ylim(-3, 103)
    panel.grid(True)
    design = found[0].design
    panel.set_xlabel(f"paired runs ({design.images.sum():,} test images of {design.sources} sources)")
    panel.set_ylabel("called better, %")
    panel.legend(title="true difference of accuracy", loc="center right")


def calibration_sentence(found: Sequence[Calibration]) -> str:
    """The worst of each."""
    judged = [each for each in found if each.name != POWER]
    covered = [100 * each.covered for each in judged]
    called = max(100 * each.called_different for each in judged if each.difference == 0)
    denied = max(100 * each.gain_denied for each in judged if each.difference)
    size = f"{counted(len({each.name for each in judged}), 'design')}, "
    size += f"{counted(min(each.comparisons for each in judged), 'comparison')} each"
    return (
        f"{size}; intervals hold the truth in {min(covered):.1f} to {max(covered):.1f} %, equal arms are called "
        f"different in at most {called:.1f} %, arms that differ by the margin equivalent or without gain in at most "
        f"{denied:.1f} %"
    )


def _margin(found: Sequence[Calibration]) -> str:
    return f"{100 * found[0].margin:g}"

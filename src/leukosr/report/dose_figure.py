"""The figure of dose and response: scores by resolution, and below them what each experiment adds to the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from leukosr.report.comparisons import NAMES, has_interval
from leukosr.report.style import SEQUENCE, new_figure

if TYPE_CHECKING:
    from leukosr.report.dose_response import Response


def dose_figure(
    path: Path, responses: Sequence[Response], titles: Mapping[str, str], baseline: str, bound: str, budget: str
) -> None:
    """Above, scores against the LR side, one panel per noise level; below, differences with 95 % intervals, if any."""
    noises = sorted({each.dose.noise for each in responses})
    names = list(dict.fromkeys(each.name for each in responses))
    others = [name for name in names if name != bound]
    colours = {baseline: SEQUENCE[4], bound: SEQUENCE[2]} | dict(
        zip(others, cycle((*SEQUENCE[1::-1], *SEQUENCE[3:])), strict=False)
    )
    metric = NAMES[responses[0].found.metric]
    note = f"{budget}; means over runs, {responses[0].found.images} test images"
    note += "; bars: 95 % intervals over runs and sources" if any(has_interval(e.found) for e in responses) else ""
    with new_figure(path, 2.9 * len(noises) + 1.2, 5.2, note) as figure:
        panels = figure.subplots(2, len(noises), sharex=True, sharey="row", squeeze=False)
        for column, noise in enumerate(noises):
            own = [each for each in responses if each.dose.noise == noise]
            _scores(panels[0, column], own, titles, baseline, colours)
            _differences(panels[1, column], own, colours)
            panels[0, column].set_title(f"noise {noise:g}")
            panels[1, column].set_xlabel("height of LR images, pixels")
        panels[0, 0].set_ylabel(f"{metric}, %")
        panels[1, 0].set_ylabel(f"difference from {titles[baseline]}, points")
        panels[0, -1].legend(loc="best")


def _scores(
    panel: Axes, responses: Sequence[Response], titles: Mapping[str, str], baseline: str, colours: Mapping[str, str]
) -> None:
    lines = {name: [e for e in responses if e.name == name] for name in colours if name != baseline}
    first = next(each for each in lines.values() if each)
    panel.plot(
        *_points(first, [e.baseline_score for e in first]), color=colours[baseline], label=titles[baseline], marker="o"
    )
    for name, own in lines.items():
        panel.plot(*_points(own, [e.score for e in own]), color=colours[name], label=titles[name], marker="o")
    panel.grid(True, axis="y")


def _differences(panel: Axes, responses: Sequence[Response], colours: Mapping[str, str]) -> None:
    margin = 100 * responses[0].found.margin
    panel.axhspan(-margin, margin, color="#EEEEEE", zorder=0)
    panel.axhline(0, color="#555555", linewidth=0.8)
    for name in dict.fromkeys(each.name for each in responses):
        own = [each for each in responses if each.name == name]
        panel.plot(*_points(own, [each.found.difference for each in own]), color=colours[name], marker="o")
        for each in own:
            if has_interval(each.found) and each.found.ci_low is not None and each.found.ci_high is not None:
                panel.vlines(each.dose.lr[0], 100 * each.found.ci_low, 100 * each.found.ci_high, color=colours[name])
    sides = sorted({each.dose.lr[0] for each in responses})
    panel.set_xscale("log", base=2)
    panel.set_xticks(sides, [str(side) for side in sides])
    panel.grid(True, axis="y")


def _points(responses: Sequence[Response], values: Sequence[float]) -> tuple[list[int], list[float]]:
    return [each.dose.lr[0] for each in responses], [100 * value for value in values]

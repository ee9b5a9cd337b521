"""The scores of every experiment under two protocols, and the effect of the split alone: rows and a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from leukosr.data.splits import SPLITS
from leukosr.evaluate.arms.split_effect import SplitEffect, split_effect
from leukosr.evaluate.estimate import says_nothing
from leukosr.quoting import decimal
from leukosr.report.block import percent_with_interval, points_with_interval
from leukosr.report.charts import beside, label_rows
from leukosr.report.comparisons import NAMES
from leukosr.report.results import StudyResults
from leukosr.report.style import Look, new_figure
from leukosr.report.verdicts import predictions_of


def compared_protocols(results: Sequence[StudyResults]) -> tuple[StudyResults, StudyResults] | None:
    """The first protocol under which sources may be in two parts, and the first that keeps them apart; None without."""
    mixed = [each for each in results if each.experiments and not SPLITS[each.protocol].disjoint]
    disjoint = [each for each in results if each.experiments and SPLITS[each.protocol].disjoint]
    return (mixed[0], disjoint[0]) if mixed and disjoint else None


def split_effects(mixed: StudyResults, disjoint: StudyResults) -> list[SplitEffect]:
    """Every experiment under both by both metrics."""
    return [
        effect
        for name in mixed.experiments
        if name in disjoint.experiments
        for effect in split_effect(predictions_of(mixed, name), predictions_of(disjoint, name))
    ]


def effect_heads(effects: Sequence[SplitEffect], protocols: Sequence[str]) -> list[str]:
    """Those of the cells that `effect_rows` gives."""
    interval = " (95 % interval)" if any(each.difference.ci_low is not None for each in effects) else ""
    return [
        "experiment",
        "metric",
        *(f"{name.replace('_', ' ')}, %" for name in protocols),
        f"difference, points{interval}",
    ]


def effect_words(effects: Sequence[SplitEffect]) -> str:
    """What stands for the figure of the split's effect."""
    interval = " with 95 % intervals" if any(each.mixed.ci_low is not None for each in effects) else ""
    return f"Test accuracy of every experiment under both protocols{interval}."


def effect_rows(effects: Sequence[SplitEffect], label: Mapping[str, str]) -> list[list[str]]:
    """One row per experiment and metric, percent and points with intervals."""
    return [
        [
            label[e.arm],
            NAMES[e.metric],
            percent_with_interval(e.mixed),
            percent_with_interval(e.disjoint),
            points_with_interval(e.difference),
        ]
        for e in effects
    ]


def effect_figure(
    path: Path,
    effects: Sequence[SplitEffect],
    protocols: tuple[str, str],
    looks: Mapping[str, Look],
    note: str,
) -> None:
    """Accuracy of every experiment under both protocols, side by side; lines: 95 % intervals over runs and sources."""
    shown = [effect for effect in effects if effect.metric == "accuracy"]
    lines = "lines: 95 % intervals;\n" if any(e.mixed.ci_low is not None for e in shown) else ""
    names = [each.replace("_", " ") for each in protocols]
    with new_figure(path, 5.8, 0.55 * len(shown) + 1.2, note) as figure:
        panel = figure.subplots()
        for place, effect in enumerate(shown):
            for score, shift, filled in ((effect.mixed, -0.16, False), (effect.disjoint, 0.16, True)):
                colour = looks[effect.arm].colour
                low, high = score.ci_low, score.ci_high
                if low is not None and high is not None and not says_nothing(low, high, 1):
                    panel.hlines(place + shift, 100 * low, 100 * high, color=colour, linewidth=2)
                panel.plot(
                    100 * score.value,
                    place + shift,
                    marker="o",
                    markersize=7,
                    color=colour,
                    linestyle="none",
                    markerfacecolor=colour if filled else "white",
                )
            beside(panel, place, f"{decimal(100 * effect.difference.value, 1, '+')} points")
        for label, face in zip(names, ("white", "black"), strict=True):
            panel.plot(
                [], [], marker="o", markersize=7, color="black", markerfacecolor=face, label=label, linestyle="none"
            )
        figure.legend(loc="outside upper left", ncols=2)
        label_rows(panel, [looks[effect.arm].label for effect in shown])
        panel.set_xlabel(f"test accuracy, % ({lines}right: what {names[0]} adds)")

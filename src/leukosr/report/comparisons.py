"""Comparisons of arms as a table, sentences and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import ceil

from rich.console import Console

from leukosr.evaluate.arms.sample_size import SampleSize
from leukosr.evaluate.arms.significance import METHOD_NETWORKS, Comparison, Verdict
from leukosr.evaluate.estimate import TOO_FEW, TOO_WIDE, says_nothing
from leukosr.quoting import counted, decimal
from leukosr.report.tables import UNDEFINED
from leukosr.terminal import print_table

DIFFERENT: tuple[Verdict, ...] = ("clearly better", "clearly worse", "better", "worse")
NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1"}
HEADS = (
    "verdict",
    "metric",
    "difference, points\n(95 % interval)",
    "90 % interval",
    "first wins in\n… of runs",
    "p",
    "p (Holm)",
)
CONDITIONAL = (
    "p over runs holds for these sources alone, p over sources for these runs alone: each is below .05 far more often "
    "than in 5 % of equal arms, so neither decides anything."
)


def as_json(found: Sequence[Comparison]) -> str:
    """A list of objects with the fields of `Comparison`; undefined is null."""
    return json.dumps([asdict(each) for each in found], indent=2, allow_nan=False)


def print_comparisons(
    found: Sequence[Comparison], sizes: Sequence[SampleSize], console: Console, details: bool = False
) -> None:
    """Print what was compared, the differences in points with their verdicts, and what these can mean.

    The primary metric comes first.
    """
    found = sorted(found, key=lambda each: not each.primary)
    for size in sizes:
        console.print(size_sentence(size))
    print_table(console, ("arms", *HEADS), [[f"{each.a} – {each.b}", *row(each)] for each in found], left=3)
    for sentence in sentences(found):
        console.print(sentence)
    if details:
        columns = ("arms", "metric", "p over runs", "p over sources", "p, McNemar")
        print_table(console, columns, [[f"{each.a} – {each.b}", *conditional_row(each)] for each in found], left=2)
        console.print(CONDITIONAL)


def print_without_conflicts(
    found: Sequence[Comparison], without: Sequence[Comparison], images: int, console: Console
) -> None:
    """Print which verdicts change without images whose source has two labels, or by how much no verdict changes."""
    kept = f"Without the {counted(images, 'image')} of sources that have two labels"
    changed = [new for old, new in zip(found, without, strict=True) if verdict_text(new) != verdict_text(old)]
    if changed:
        console.print(f"{kept}, these verdicts change:")
        print_table(console, ("arms", *HEADS), [[f"{each.a} – {each.b}", *row(each)] for each in changed], left=3)
        return
    most = max(abs(new.difference - old.difference) for old, new in zip(found, without, strict=True))
    console.print(f"{kept}, no verdict changes, and no difference by more than {ceil(1000 * most) / 10:.1f} points.")


def verdict_text(found: Comparison) -> str:
    """The word, and whether the study declared other claims than this."""
    return found.verdict + (" (exploratory)" if found.declared is False else "")


def row(found: Comparison) -> list[str]:
    """The cells under `HEADS`."""
    return [
        verdict_text(found),
        NAMES[found.metric] + (" (primary)" if found.primary else ""),
        difference_text(found),
        (not _too_wide(found) and _bounds(found, found.ci90_low, found.ci90_high)) or UNDEFINED,
        _wins_text(found),
        *(p_text(p if found.enough_runs else None) for p in (found.p_value, found.p_holm)),
    ]


def _wins_text(found: Comparison) -> str:
    """`25 % (50 % tie)`: in how many pairs of runs the first arm is higher, and in how many neither is."""
    won, ties = f"{100 * found.frequency:.0f} %", _tied(found)
    return won if not ties else "all tie" if ties == 1 else f"{won} ({100 * ties:.0f} % tie)"


def _tied(found: Comparison) -> float:
    """The share of pairs of runs with one score."""
    return round(2 * (found.p_improvement - found.frequency), 9)


def conditional_row(found: Comparison) -> list[str]:
    """The metric, and the p values that hold for these sources or these runs alone."""
    over_runs = found.p_runs if found.enough_runs else None  # which could not be small
    return [NAMES[found.metric], *(p_text(p) for p in (over_runs, found.p_source, found.p_mcnemar))]


def difference_text(found: Comparison, unit: str = "", level: str = "") -> str:
    """`+1.2 (−0.3 … +2.7)`, in points; `+1.2 (2 runs: no interval)` where there are too few.

    unit: what follows the number. level: what follows the bounds.
    """
    why = "one source" if found.ci_low is None else counted(found.runs, "run")
    bounds = _bounds(found, found.ci_low, found.ci_high) or f"{why}: no interval"
    return f"{_points(found.difference)}{unit} ({bounds}{level})"


def has_interval(found: Comparison) -> bool:
    """Whether the interval of a difference is shown."""
    return found.enough_runs and found.ci_low is not None and not _too_wide(found)


def _too_wide(found: Comparison) -> bool:
    return found.ci_low is not None and found.ci_high is not None and says_nothing(found.ci_low, found.ci_high, 2)


def _bounds(found: Comparison, low: float | None, high: float | None) -> str:
    if low is None or high is None or not found.enough_runs:
        return ""
    return TOO_WIDE if says_nothing(low, high, 2) else f"{_points(low)} … {_points(high)}"


def _points(fraction: float) -> str:
    return decimal(100 * fraction, 1, "+")


def p_text(p: float | None) -> str:
    """A p value with two significant digits; an en dash where there is none."""
    return UNDEFINED if p is None else "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def sentences(found: Sequence[Comparison]) -> Iterator[str]:
    """On what arms were compared, what an inconclusive primary comparison excludes, what p and verdicts are about."""
    primary = [each for each in found if each.primary]
    for each in primary:
        yield f"{each.a} – {each.b}: {compared_on(each)}.{_left_open(each)}"
    if any(each.enough_runs for each in primary):
        family = "pairs" if all(each.declared is None for each in found) else "declared pairs, or all other pairs,"
        yield (
            "p is that of the test behind the word: against a gain as large as the margin for no gain, against a "
            "difference as large as the margin for equivalent, else against no difference. So a small p beside no gain "
            f"does not mean that the first is worse. p (Holm) is corrected for all {family} of the same metric."
        )
    yield about(primary)
    if any(each.declared is False for each in found):
        others = "by another metric or margin, or of a part of the images"
        yield f"Exploratory: not among the claims that the study declared, or asked {others}."


def compared_on(found: Comparison) -> str:
    """Images, sources and runs."""
    return f"compared on {images_text(found, 'shared images')}, {runs_text(found)}"


def images_text(found: Comparison, images: str = "images") -> str:
    """`300 images of 58 sources`, and what is not known of these: an image that names none counts as one."""
    if not found.without_source:
        return f"{found.images:,} {images} of {found.sources:,} source{'' if found.sources == 1 else 's'}"
    if found.without_source == found.images:
        return f"{found.images:,} {images} of unknown sources"
    return f"{found.images:,} {images}, {found.without_source:,} of them of unknown sources"


def runs_text(found: Comparison) -> str:
    """`8 paired runs`, and whether all of them tie."""
    if found.runs == 1:
        return "1 run"
    tie = ", which all tie" if _tied(found) == 1 else ""
    return f"{found.runs} {'paired' if found.paired else 'unpaired'} runs{tie}"


def _left_open(found: Comparison) -> str:
    denied = _denied_by_family(found)
    if found.verdict != "inconclusive":
        return denied
    if found.reason:
        return f" Inconclusive whatever the figures: {found.reason}."
    if found.smallest_margin is None or found.runs == 1 or _too_wide(found):
        return denied
    if found.smallest_margin < 0.0005:  # 0.0 points
        return denied or " Any gain is excluded (by the 90 % interval)."
    return (
        f"{denied} A gain of {100 * found.smallest_margin:.1f} points or more is excluded (by the 90 % interval), a "
        "smaller one is not."
    )


def _denied_by_family(found: Comparison) -> str:
    """Intervals are of one comparison; the word also takes Holm's correction for the others."""
    if found.alone == found.verdict:
        return ""
    family = {None: "pairs", True: "claims", False: "exploratory pairs"}[found.declared]
    tested = found.verdict == "inconclusive" and found.alone in DIFFERENT
    p = f" (p is then {p_text(found.p_holm)}, and a word requires less than .05)" if tested else ""
    return f" Judged alone, the verdict would be {found.alone}; after Holm's correction for all {family} it is not{p}."


def about(found: Sequence[Comparison]) -> str:
    """What the verdicts are about: runs vary less than methods do."""
    kinds: dict[str, list[str]] = {}
    for each in found:
        kinds.setdefault(_scope(each.networks), []).append(f"{each.a} – {each.b}")
    words = [
        scope if len(kinds) == 1 else f"{', '.join(names)}: {scope[0].lower()}{scope[1:]}"
        for scope, names in kinds.items()
    ]
    return f"A difference matters from {100 * found[0].margin:g} points on (the margin). {' '.join(words)}"


def _scope(networks: int | None) -> str:
    if networks is None:
        return (
            "Runs differ only in what their seeds drive: images, split, degradation and any SR network were chosen "
            "once, so a verdict on SR is about this network, not about its method."
        )
    if networks < METHOD_NETWORKS:
        which = "this network" if networks == 1 else f"these {networks} networks"
        return f"A verdict is about {which}, not about the method: that takes {METHOD_NETWORKS} SR seeds."
    return (
        f"The intervals include the SR seed, so a verdict is about this method; {networks} SR seeds leave "
        f"{networks - 1} degrees of freedom for it."
    )


def size_sentence(size: SampleSize) -> str:
    """The scores of one arm, and what its test images are worth."""
    scores = f"macro F1 {100 * size.macro_f1:.1f} %, accuracy {100 * size.accuracy:.1f} %"
    return f"{size.name}: {scores}. {worth_sentence(size)}"


def worth_sentence(size: SampleSize) -> str:
    """Images, sources and what they are worth."""
    worth = (
        ""
        if size.effective is None or size.icc is None
        else f", worth about {size.effective:.0f} independent ones (ICC {decimal(size.icc, 2)})"
    )
    if not size.known:
        return (
            f"The sources of the {size.images} test images are not all known, so copies of one micrograph may count as "
            "many: intervals may be too narrow, and every verdict is inconclusive."
        )
    worth = f"{size.images} test images of {size.sources} sources{worth}"
    if size.low is None or size.high is None:
        return f"{worth}; one source gives no interval."
    if size.runs == TOO_FEW:
        return f"{worth}; {TOO_FEW} runs give no interval."
    which = "of this one run" if size.runs == 1 else "over runs and sources"
    if says_nothing(size.low, size.high, 1):
        return f"{worth}; the 95 % interval of accuracy {which} is {TOO_WIDE}."
    return (
        f"{worth}; 95 % interval of accuracy {which}: {decimal(100 * size.low, 1)} to {decimal(100 * size.high, 1)} %."
    )

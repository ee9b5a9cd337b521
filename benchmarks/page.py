"""docs/benchmarks.md from the files of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from benchmarks.results import Results, read_results, shown
from benchmarks.roofline import BF16, COPY, FP32

HEAD = """# Benchmarks

Written by `make bench` from `benchmarks/results*.json`; do not edit. `python -m benchmarks NAME…` measures single
ones again, `--full` adds those that take long.

## How it is measured

The reference is a loop in `benchmarks/`, written in the plainest common way: fp32, contiguous, one image at a time or
a default DataLoader, scikit-image pair by pair, the steps of the published training loops. Ours is the code that the
stages run. Both run in the same process in turns, after a warm-up, with all cores; each benchmark has a fresh process
of its own. Figures are medians over the rounds (n); a ratio above 1 says how many times faster ours is (for memory:
ours by reference), with the quartiles of the rounds' ratios.

`tests/benchmarks/` shows that both sides do the same work: equal bytes (`capstone`), values equal to a millionth
(PSNR, SSIM), equal images and losses up to rounding (inference, the first step of each training). For `second_order`,
whose two sides draw differently, sharpening and filtering are equal up to rounding and the whole is alike.

A goal is what the measured machine allows: a network is to take at most 1.6 times as long as a matrix product of as
many operations would, in the precision that `auto` means there; a degradation at most 1.6 times as long as workers
that lose nothing. The goals were first set for a processor with AMX; those older ones stand in the notes.
"""


def write_page(results: Sequence[Path], page: Path) -> None:
    """Write the page: a chapter a file of results."""
    chapters = [_chapter(read_results(path)) for path in results]
    page.write_text("\n".join([HEAD, *chapters]), encoding="utf-8")


def _chapter(results: Results) -> str:
    facts = results.machine
    limited = facts["limited_by"]
    limits = f", made to behave like an older one by {' '.join(limited)}" if limited else ""
    machine = (
        f"{facts['cpu']}, {facts['cores']} cores{limits}; torch {facts['torch']} uses {facts['cpu_capability']}, "
        f"{'with' if facts['amx'] else 'without'} AMX; precision `auto` means "
        f"{'bf16' if facts['bf16_native'] else 'fp32'}."
    )
    parts = [f"## On {_title(facts)}", machine, _measured(results), _table(results.rows)]
    if notes := [f"- {row.name}: {_note(row)}." for row in results.rows if row.note or row.first_goal]:
        parts += ["\n".join(notes)]
    if missed := [row for row in results.rows if row.met is False]:
        parts += ["### Goals that are missed, and the limit", "\n".join(_limit(row, results.rows) for row in missed)]
    return "\n\n".join(parts) + "\n"


def _title(facts: dict[str, Any]) -> str:
    if facts["device"] != "cpu":
        return str(facts["device"])
    if not facts["bf16_native"]:
        return f"a processor without bf16 instructions ({facts['cpu_capability']})"
    return f"{facts['cpu']}, a processor with {'AMX' if facts['amx'] else 'AVX-512 BF16'}"


def _note(row: Row) -> str:
    """What is to know about a row, and the goal that it had on the processor where goals were first set."""
    first = f"the first goal, {row.first_goal}, was set for a processor with AMX" if row.first_goal else ""
    return "; ".join(part for part in (row.note, first) if part)


def _measured(results: Results) -> str:
    """When and at which commit; benchmark by benchmark where that differs."""
    found: dict[str, list[str]] = {}
    for row in results.rows:
        names = found.setdefault(row.measured or "at an unknown commit", [])
        if row.benchmark not in names:
            names.append(row.benchmark)
    if len(found) == 1:
        return f"Measured {next(iter(found))}."
    return "Measured " + "; ".join(f"{when}: {', '.join(names)}" for when, names in found.items()) + "."


def _table(rows: Sequence[Row]) -> str:
    lines = ["| what | unit | reference | ours | ratio (quartiles) | goal | n |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        ratio = shown(row.ratio)
        if row.spread is not None:
            low, high = (shown(value) for value in row.spread)
            ratio += f" ({low} … {high})"
        mark = {True: " ✓", False: " ✗", None: ""}[row.met]
        goal = (row.goal or "–").replace(">=", "≥").replace("<=", "≤")
        lines.append(
            f"| {row.name} | {row.unit} | {shown(row.reference)} | {shown(row.ours)} | {ratio} | {goal}{mark} "
            f"| {row.rounds} |"
        )
    return "\n".join(lines)


def _limit(row: Row, rows: Sequence[Row]) -> str:
    """What stands in the way of a goal: as measured by the benchmark, and the roofline."""
    sentences = [row.limit] if row.limit else []
    best = {other.name: other.ours for other in rows if other.benchmark == "roofline"}
    if row.work is not None and best:
        product = best[BF16 if row.work.precision == "bf16" else FP32]
        compute, move = row.work.flops / product / 1e9, row.work.bytes / best[COPY] / 1e9
        reached = row.work.flops / row.seconds / 1e9
        sentences.append(
            f"{row.work.flops / 1e9:.3g} GFLOP in {row.work.precision} and {row.work.bytes / 1e9:.3g} GB through its "
            f"operators. At the {product:.0f} GFLOP/s of a matrix product here that takes {compute:.3g} s; if nothing "
            f"stayed in a cache, the bytes at the {best[COPY]:.3g} GB/s of a copy take {move:.3g} s; measured: "
            f"{row.seconds:.3g} s ({reached:.0f} GFLOP/s, {100 * reached / product:.0f} % of the product)"
        )
        if row.reference is not None:
            reference = 1 / row.reference if row.unit.endswith("/s") else row.reference
            sentences.append(f"running as fast as a matrix product would be {reference / compute:.2f}x the reference")
    text = ". ".join(sentence[:1].upper() + sentence[1:] for sentence in sentences) or "No limit was measured"
    return f"- **{row.name}** ({shown(row.ratio if row.ratio is not None else row.ours)} for {row.goal}): {text}."

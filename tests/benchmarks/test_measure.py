"""Measuring itself: turns, goals, fresh processes, memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import images
from benchmarks.counting import count_work
from benchmarks.measure import MIB, Comparison, Row, compare, compare_within, in_child, peak_memory
from leukosr.images.reading import read_rgb


def test_reference_and_ours_run_in_turns_after_a_warm_up() -> None:
    calls: list[str] = []
    found = compare(
        lambda: calls.append("reference"), lambda: calls.append("ours"), 3, reference_items=2, our_items=4
    )  # fmt: skip
    assert "".join(call[0] for call in calls) == "ro" + "ro" + "or" + "ro"
    assert len(found.reference) == len(found.ours) == 3


def test_a_row_holds_the_medians_and_the_quartiles_of_the_ratios() -> None:
    found = Comparison([4.0, 8.0, 6.0], [1.0, 2.0, 2.0])
    rate = found.row("b", "n", "images/s", "ratio >= 4")
    assert (rate.reference, rate.ours, rate.ratio, rate.spread) == (1 / 6, 0.5, 4.0, (3.5, 4.0))
    assert rate.rounds == 3
    steps = found.row("b", "n", "s", "ratio >= 4.5")
    assert (steps.reference, steps.ours, steps.met) == (6.0, 2.0, False)
    assert rate.seconds == steps.seconds == 2.0


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (None, None), ("ratio >= 2", True), ("ratio >= 2.1", False), ("ours <= 5", True), ("ours <= 4.9", False),
        ("change <= 2.5", True), ("change <= 2.4", False),
    ],
)  # fmt: skip
def test_a_goal_is_a_comparison_of_the_row(goal: str | None, met: bool | None) -> None:
    assert Row("b", "n", "s", 2.5, 5.0, 2.0, goal=goal).met is met


def test_steps_of_a_training_are_timed_without_the_reference_between_them() -> None:
    def train(report: Callable[..., None]) -> None:
        for step in range(4):
            time.sleep(0.01)
            report(step, None)

    found = compare_within(train, lambda: time.sleep(0.05), warm_up=1)
    assert len(found.ours) == len(found.reference) == 3
    assert all(0.01 <= seconds < 0.05 for seconds in found.ours)
    assert all(seconds >= 0.05 for seconds in found.reference)


def test_a_child_is_another_process_and_its_error_comes_through() -> None:
    assert in_child(os.getpid) != os.getpid()
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        in_child(divmod, 1, 0)
    with pytest.raises(RuntimeError, match="died"):
        in_child(os._exit, 3)


def test_peak_memory_sees_what_was_freed_again() -> None:
    sleep = "__import__('time').sleep(0.3)"
    low, high = (peak_memory(eval, f"[b'x' * {size * MIB}, {sleep}][1]")[1] for size in (0, 300))
    assert 250 * MIB < high - low < 350 * MIB


def test_work_counts_two_operations_a_multiplication_and_the_bytes_of_operators_not_of_views() -> None:
    left, right = torch.ones(4, 8), torch.ones(8, 16)
    work = count_work(lambda: left.view(2, 2, 8).view(4, 8) @ right, "fp32", items=2)
    assert work.flops == 2 * 4 * 8 * 16 / 2
    assert work.bytes == 4 * (4 * 8 + 8 * 16 + 4 * 16) / 2


def test_images_are_drawn_where_there_are_no_real_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "DATA", tmp_path / "nowhere")
    monkeypatch.setattr(images, "SIZE", (64, 96))
    files = images.image_set(tmp_path / "set", 12)
    assert len(set(files)) == 12
    assert {read_rgb(file).shape for file in files} == {(64, 96, 3)}
    assert {file.relative_to(tmp_path / "set").parts[0] for file in files} == {"TRAIN", "TEST"}


def test_real_images_are_taken_evenly(tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("TRAIN", "TEST"):
        for file in files:
            copy = tmp_path / "data" / part / file.parent.name / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    monkeypatch.setattr(images, "DATA", tmp_path / "data")
    taken = images.image_set(tmp_path / "set", 8)
    assert sorted({file.relative_to(tmp_path / "set").parts[:2] for file in taken}) == [
        (part, label) for part in ("TEST", "TRAIN") for label in ("dark", "light")
    ]

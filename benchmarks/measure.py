"""How things are measured: rows, alternating comparisons, fresh processes and their peak memory."""

from __future__ import annotations

import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np
import psutil

MIB = 1024**2


@dataclass(frozen=True)
class Options:
    """How thorough a run is; `quick` only shows that everything works."""

    quick: bool = False

    @property
    def rounds(self) -> int:
        """Timed pairs of reference and ours."""
        return self.pick(5, 2)

    def pick(self, normal: int, quick: int) -> int:
        """The one of two amounts that fits."""
        return quick if self.quick else normal


@dataclass(frozen=True)
class Work:
    """What one image or step of ours takes: floating-point operations, bytes its operators read and write."""

    flops: float
    bytes: float
    precision: str


@dataclass(frozen=True)
class Row:
    """One line of the table.

    reference and ours: medians in `unit`; ratio: median of the rounds' ratios, above 1 where ours is faster
    (for memory: ours by reference); spread: the quartiles of these ratios (or of ours, where nothing is compared).
    goal: a comparison of `ratio`, `ours` or `change` (|ours - reference|), such as "ratio >= 4.5".
    allowed: the ratio that the measured machine would reach if nothing but its limit cost time; the runner sets it, and
    a goal from it, for rows with `work`. first_goal: the goal that was set on another processor.
    limit: what stands in the way of the goal, where the benchmark itself measures that. measured: the day and the
    commit, as the runner found them.
    """

    benchmark: str
    name: str
    unit: str
    reference: float | None
    ours: float
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    goal: str | None = None
    rounds: int = 1
    note: str = ""
    limit: str = ""
    work: Work | None = None
    allowed: float | None = None
    first_goal: str = ""
    measured: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        subject, sign, limit = self.goal.split()
        value = {"ratio": self.ratio, "ours": self.ours, "change": self.change}[subject]
        if value is None:
            return None
        return value >= float(limit) if sign == ">=" else value <= float(limit)

    @property
    def change(self) -> float | None:
        """How far ours is from the reference."""
        return None if self.reference is None else abs(self.ours - self.reference)

    @property
    def seconds(self) -> float:
        """Seconds that ours takes for one image or step."""
        return 1 / self.ours if self.unit.endswith("/s") else self.ours


@dataclass(frozen=True)
class Comparison:
    """Seconds an item of the reference and of ours, one of each a round."""

    reference: list[float]
    ours: list[float]

    @property
    def ratio(self) -> float:
        """How many times faster ours is: the median over the rounds."""
        return float(np.median(self._ratios))

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of the rounds' ratios."""
        return quartiles(self._ratios)

    @property
    def _ratios(self) -> list[float]:
        return [reference / ours for reference, ours in zip(self.reference, self.ours, strict=True)]

    def row(self, benchmark: str, name: str, unit: str, goal: str, **more: Any) -> Row:
        """The row of this comparison; `unit` is a rate ("images/s") or seconds ("s")."""
        medians = [float(np.median(seconds)) for seconds in (self.reference, self.ours)]
        reference, ours = [1 / seconds for seconds in medians] if unit.endswith("/s") else medians
        rounds = len(self.ours)
        return Row(benchmark, name, unit, reference, ours, self.ratio, self.spread, goal, rounds, **more)


def quartiles(values: list[float]) -> tuple[float, float]:
    """The first and the third quartile."""
    low, high = np.percentile(values, [25, 75])
    return float(low), float(high)


def synchronize() -> None:
    """Wait for the device, so that a clock read next has seen all work; loads torch for nobody."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds_of(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    synchronize()
    started = time.perf_counter()
    function()
    synchronize()
    return time.perf_counter() - started


def compare(
    reference: Callable[[], object],
    ours: Callable[[], object],
    rounds: int,
    *,
    reference_items: int = 1,
    our_items: int = 1,
) -> Comparison:
    """Time both in turns after a call of each to warm up; who goes first changes every round.

    In turns, so that a machine that slows down or has a neighbour treats both alike.
    """
    found = Comparison([], [])
    sides = [(reference, reference_items, found.reference), (ours, our_items, found.ours)]
    for function, _, _ in sides:
        function()
    for _ in range(rounds):
        for function, items, times in sides:
            times.append(seconds_of(function) / items)
        sides.reverse()
    return found


def compare_within(
    train: Callable[[Callable[..., None]], None],
    reference: Callable[[], object],
    *,
    warm_up: int = 1,
    items: int = 1,
) -> Comparison:
    """Time each step of a training in turns with the reference.

    `train(report)` is our training; it calls `report` after every step or epoch, and there the reference runs, off
    our clock. `items` are processed by a step of either; the first `warm_up` rounds do not count.
    """
    found = Comparison([], [])
    started = time.perf_counter()

    def report(*_: object) -> None:
        nonlocal started
        synchronize()
        found.ours.append((time.perf_counter() - started) / items)
        found.reference.append(seconds_of(reference) / items)
        started = time.perf_counter()

    train(report)
    return Comparison(found.reference[warm_up:], found.ours[warm_up:])


def in_child(function: Callable[..., Any], *args: Any) -> Any:
    """The result of a picklable call in a fresh process, where no earlier memory, thread or setting is left."""
    with _child(function, args) as (_, answers):
        return _answer(answers)


def resident_memory(process: psutil.Process) -> float:
    """Bytes of a process that lie in memory; pages that processes share count in each of them."""
    return float(process.memory_info().rss)


def private_memory(process: psutil.Process) -> float:
    """The same without pages of files, such as libraries and arrays that are mapped, where the system tells them."""
    found = process.memory_info()
    return float(found.rss - getattr(found, "shared", 0))


def peak_memory(
    function: Callable[..., Any], *args: Any, counted: Callable[[psutil.Process], float] = resident_memory
) -> tuple[Any, float]:
    """The same, and the highest memory in bytes of that process and all its workers together, 20 times a second."""
    with _child(function, args) as (process, answers):
        peak = 0.0
        while not answers.poll(0.05):
            peak = max(peak, _together(process.pid, counted))
        return _answer(answers), peak


@contextmanager
def _child(function: Callable[..., Any], args: tuple[Any, ...]) -> Iterator[tuple[SpawnProcess, Connection]]:
    context = multiprocessing.get_context("spawn")
    answers, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(sender, function, args))
    process.start()
    sender.close()  # the child's is the only end left: if it dies, reading ends instead of waiting for ever
    try:
        yield process, answers
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()


def _serve(sender: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        sender.send((function(*args), None))
    except Exception:
        sender.send((None, traceback.format_exc()))


def _answer(answers: Connection) -> Any:
    try:
        result, error = answers.recv()
    except EOFError:
        raise RuntimeError("the measured process died, perhaps for want of memory") from None
    if error is not None:
        raise RuntimeError(error)
    return result


def _together(pid: int | None, counted: Callable[[psutil.Process], float]) -> float:
    """The memory of a process and its children."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += counted(process)
    return total

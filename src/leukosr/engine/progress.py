"""Progress for people: rate and time left, as a bar on a terminal and as a line per minute in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as RichTask
from rich.text import Text

from leukosr.engine.this_process import is_first

Item = TypeVar("Item")


class RateColumn(ProgressColumn):
    """Steps per second."""

    def render(self, task: RichTask) -> Text:
        """Show the rate, or a dash before the first step."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "–/s", style="dim")


class LogLines:
    """The progress of work that a log file follows: a line when a minute has passed, so short work leaves none."""

    every = 60.0  # seconds
    start = 5.0  # seconds in which work that is resumed counts what it had done; that says nothing about its rate

    def __init__(self, total: int, description: str) -> None:
        self.total, self.description, self.done, self.before = total, description, 0, 0
        self.begun = self.said = self.counted = time.monotonic()

    def advance(self, steps: int, note: str) -> None:
        """Count steps, and print how many of how many, the rate and the time left if a line is due."""
        self.done += steps
        now = time.monotonic()
        if now - self.begun < self.start:
            self.before, self.counted = self.done, now
        if now - self.said < self.every or self.done == self.before or not is_first():
            return
        self.said = now
        rate = (self.done - self.before) / (now - self.counted)
        left = timedelta(seconds=round((self.total - self.done) / rate))
        line = f"{self.description}: {self.done:,} of {self.total:,}, {rate:.3g}/s, {left} left"
        print(line, *filter(None, [note]), sep=", ", file=sys.stderr, flush=True)


@contextmanager
def progress(total: int, description: str) -> Iterator[Callable[[int, str], None]]:
    """Show a bar for `total` steps, or lines where stderr is not a terminal; yields `advance(steps, note)`."""
    if not sys.stderr.isatty():  # not console.is_terminal: FORCE_COLOR makes that true for a log file
        yield LogLines(total, description).advance
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total, note="")
        yield lambda steps, note: bar.update(task, advance=steps, note=note)


def say(sentence: str) -> None:
    """Print a line about work to come; a bar that is shown stays below it."""
    if is_first():
        print(sentence, file=sys.stderr, flush=True)


def track(items: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Iterate with progress."""
    with progress(total, description) as advance:
        for item in items:
            yield item
            advance(1, "")

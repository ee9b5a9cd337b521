"""Progress for people: rate and time left on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as RichTask
from rich.text import Text

Item = TypeVar("Item")


class RateColumn(ProgressColumn):
    """Steps per second."""

    def render(self, task: RichTask) -> Text:
        """Show the rate, or a dash before the first step."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "–/s", style="dim")


@contextmanager
def progress(total: int, description: str) -> Iterator[Callable[[int, str], None]]:
    """Show a bar for `total` steps; yields `advance(steps, note)`. Silent where stderr is not a terminal."""
    console = Console(stderr=True)
    silent = not sys.stderr.isatty()  # not console.is_terminal: FORCE_COLOR makes that true for a log file
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=console, disable=silent, transient=True) as bar:
        task = bar.add_task(description, total=total, note="")
        yield lambda steps, note: bar.update(task, advance=steps, note=note)


def track(items: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Iterate with a bar."""
    with progress(total, description) as advance:
        for item in items:
            yield item
            advance(1, "")

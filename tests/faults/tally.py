"""Counting the trials of one kind of fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Trials of one kind of fault: how many were tried, and which went wrong and why."""

    kind: str = ""
    tried: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def trial(self, name: str) -> Iterator[None]:
        """One trial; an exception inside, of any type, is its failure."""
        self.tried += 1
        try:
            yield
        except Exception as error:
            self.failures[name] = f"{type(error).__name__}: {error}"[:300]

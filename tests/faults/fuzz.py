"""A coverage-guided fuzzer of the readers: `python -m tests.faults.fuzz tables --seconds 600`.

It mutates inputs, keeps those that reach lines in an order not seen before, and mutates these again. A reader gives a
value or raises LeukoError, within TIME_LIMIT seconds and MEMORY_LIMIT bytes; anything else is a failure, whose input is
saved. The last line says how many inputs were tried, how many were kept and how many failures there are; any is exit 1.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import psutil

from leukosr.errors import LeukoError

TIME_LIMIT = 5.0
MEMORY_LIMIT = 3 * 2**30
LONGEST = 20_000  # bytes of an input, but for what one mutation adds to it
NUMBERS = (b"0", b"-1", b"1.0", b"1e999", b"nan", b"0x" + b"f" * 5000, b"9" * 5000, b"18446744073709551616", b"-0.0")


class TookTooLong(BaseException):
    """The time limit; no reader catches it."""


@dataclass(frozen=True)
class Target:
    """Readers that are given one file. watched: parts of the names of modules whose lines count as coverage."""

    read: Callable[[Path], None]
    file: str
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...]
    watched: tuple[str, ...] = ("/leukosr/",)


@dataclass
class Fuzzer:
    """What was tried and found so far."""

    target: Target
    folder: Path
    rng: random.Random
    corpus: list[bytes] = field(default_factory=list)
    steps: set[tuple[int, int, int]] = field(default_factory=set)
    failures: dict[str, Path] = field(default_factory=dict)
    executions: int = 0

    def run(self, seconds: float) -> None:
        """Try inputs until the time is over."""
        end = time.monotonic() + seconds
        for seed in (*self.target.seeds, b""):
            self.attempt(seed)
        while time.monotonic() < end:
            self.attempt(mutated(self.rng, self.rng.choice(self.corpus), self.corpus, self.target.tokens))

    def attempt(self, content: bytes) -> None:
        """Give one input to the readers; keep it where it took a new way, save it where it failed."""
        path = self.folder / self.target.file
        path.write_bytes(content)
        self.executions += 1
        known = len(self.steps)
        error = failure(lambda: traced(self.target.watched, self.steps, lambda: self.target.read(path)))
        if isinstance(error, TookTooLong):  # tracing makes Python about ten times as slow
            error = failure(lambda: self.target.read(path))
        if error is not None:
            self._failed(error, content)
        if len(self.steps) > known or not self.corpus:
            self.corpus.append(content[:LONGEST])

    def _failed(self, error: BaseException, content: bytes) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = "" if isinstance(error, TookTooLong) else f" at {Path(last.filename).name}:{last.lineno}"
        name = f"{type(error).__name__}{place}"
        if name not in self.failures:
            self.failures[name] = self.folder / f"failure-{len(self.failures) + 1}"
            self.failures[name].write_bytes(content)
            print(f"{name}: {str(error)[:200]} -> {self.failures[name]}", flush=True)


def mutated(rng: random.Random, content: bytes, corpus: list[bytes], tokens: tuple[bytes, ...]) -> bytes:
    """A few random changes of an input."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((1, 2, 4, 16, 64, 1000)))
        match rng.randrange(8):
            case 0:
                data[start:end] = b""
            case 1:
                data[start:start] = rng.choice(tokens + NUMBERS)
            case 2:
                data[start:end] = rng.choice(tokens + NUMBERS)
            case 3:
                data[start:start] = data[start:end] * rng.choice((1, 2, 10, 300))
            case 4 if start < len(data):
                data[start] ^= 1 << rng.randrange(8)
            case 5:
                data[start:end] = rng.randbytes(end - start)
            case 6:
                other = rng.choice(corpus)
                data[start:] = other[rng.randrange(len(other) + 1) :]
            case _:
                data = data[:start] if rng.random() < 0.1 else data.replace(data[start:end] or b"\0", data[:3], 1)
    return bytes(data)


def failure(action: Callable[[], None]) -> BaseException | None:
    """What an action raises within the time limit that no reader should raise."""

    def stop(*_: object) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT)
    try:
        action()
    except LeukoError:
        return None
    except (Exception, TookTooLong) as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return None


def traced(watched: tuple[str, ...], steps: set[tuple[int, int, int]], action: Callable[[], None]) -> None:
    """Do something and collect every step from one line to the next in the watched modules."""
    seen: dict[CodeType, bool] = {}
    last: dict[int, int] = {}

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        code = id(frame.f_code)
        steps.add((code, last.get(code, 0), frame.f_lineno))
        last[code] = frame.f_lineno
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code not in seen:
            seen[frame.f_code] = any(part in frame.f_code.co_filename for part in watched)
        return line if seen[frame.f_code] else None

    sys.settrace(call)
    try:
        action()
    finally:
        sys.settrace(None)


def main() -> int:
    from tests.faults.readers import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    target = TARGETS[chosen.target]()
    most = psutil.Process().memory_info().vms + MEMORY_LIMIT
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    fuzzer = Fuzzer(target, Path(tempfile.mkdtemp(prefix="fuzz-")), random.Random(chosen.seed))
    fuzzer.run(chosen.seconds)
    print(
        f"{chosen.target}: {fuzzer.executions:,} executions in {chosen.seconds:g} s, corpus {len(fuzzer.corpus)}, "
        f"{len(fuzzer.steps):,} steps of code, {len(fuzzer.failures)} failures"
    )
    return 1 if fuzzer.failures else 0


if __name__ == "__main__":
    sys.exit(main())

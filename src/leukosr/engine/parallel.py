"""An ordered map over worker processes."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Literal, TypeVar

# One thread each, as the processes are the parallelism: OpenCV and BLAS would each start one thread per core in every
# worker, and these would wait for each other. Memory that an image's arrays freed is kept for the next image: glibc
# would return it to the system, and a new page costs more than most operations on it. Other C libraries ignore this.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """The cores that this process may use, which may be fewer than the machine has.

    CPU affinity, a cgroup quota and OMP_NUM_THREADS all limit it.
    """
    from joblib import cpu_count

    granted = int(cpu_count())
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(granted, int(asked)) if asked.isdecimal() and int(asked) else granted


def count_workers(wanted: Literal["auto"] | int) -> int:
    """The number of worker processes: `auto` is one for each usable core."""
    return usable_cores() if wanted == "auto" else wanted


def ordered_map(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """Apply a picklable function to every item, with results in the order of the items.

    Few items are processed here: starting workers would cost more than it saves.
    """
    if workers <= 1 or len(items) < 4 * workers:
        yield from map(function, items)
        return
    size = max(1, min(64, len(items) // (workers * 4)))
    # spawn: the same behaviour on every system, and no copy of torch's threads
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            with without_interrupts(), _worker_environment():
                # not pool.map: it cancels what is left from this thread, and where the workers received SIGTERM too,
                # Python 3.11's own thread finds cancelled work and ends with a traceback
                starts = range(0, len(items), size)
                waiting = deque(pool.submit(_apply, function, items[start : start + size]) for start in starts)
            while waiting:
                yield from waiting.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _apply(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What one task of a worker is: several items, as sending each one singly would cost more than most take."""
    return [function(item) for item in items]


@contextmanager
def _worker_environment() -> Iterator[None]:
    """Processes started inside get WORKER_ENVIRONMENT."""
    before = {name: os.environ.get(name) for name in WORKER_ENVIRONMENT}
    os.environ.update(WORKER_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def without_interrupts(*others: signal.Signals) -> Iterator[None]:
    """Block SIGINT, SIGHUP and `others` in this thread and, permanently, in processes that it starts.

    A terminal sends Ctrl-C to all of them; workers would print tracebacks. Only this process stops the work.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP, *others})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

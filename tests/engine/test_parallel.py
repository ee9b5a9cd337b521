from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from itertools import islice
from multiprocessing import active_children
from pathlib import Path

import pytest

from leukosr.engine.parallel import count_workers, ordered_map, usable_cores
from leukosr.errors import LeukoError
from leukosr.images.reading import read_rgb

# what the workers call is builtin or the package's own: a spawned worker does not find the functions of a test
PROCESS = "__import__('os').getpid()"


def test_results_come_in_the_order_of_the_items() -> None:
    items = list(range(200))
    assert list(ordered_map(math.sqrt, items, 2)) == [math.sqrt(item) for item in items]


def test_the_workers_change_nothing() -> None:
    items = [float(item) for item in range(40)]
    alone = list(ordered_map(math.exp, items, 1))
    assert list(ordered_map(math.exp, items, 2)) == alone
    assert list(ordered_map(math.exp, items, 3)) == alone


def test_much_work_is_done_in_other_processes_and_little_in_this_one() -> None:
    here = os.getpid()
    assert here not in set(ordered_map(eval, [PROCESS] * 8, 2))
    assert set(ordered_map(eval, [PROCESS] * 7, 2)) == {here}
    assert set(ordered_map(eval, [PROCESS] * 100, 1)) == {here}


def test_a_worker_computes_with_one_thread_and_this_process_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.delenv("OPENCV_FOR_THREADS_NUM", raising=False)
    threads = (
        "(__import__('cv2').getNumThreads(), __import__('numpy') and "
        "max(each['num_threads'] for each in __import__('threadpoolctl').threadpool_info()))"
    )
    assert set(ordered_map(eval, [threads] * 8, 2)) == {(1, 1)}
    kept = "__import__('os').environ['MALLOC_MMAP_THRESHOLD_']"  # memory is kept from image to image
    assert set(ordered_map(eval, [kept] * 8, 2)) == {"33554432"}
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert "OPENCV_FOR_THREADS_NUM" not in os.environ


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_comes_through_after_the_results_before_it(workers: int) -> None:
    results = ordered_map(math.sqrt, [4.0, 9.0, *[1.0] * 30, -1.0, 16.0], workers)
    assert list(islice(results, 2)) == [2.0, 3.0]
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        list(results)


def test_a_mistake_of_the_user_comes_through_with_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"0\.png does not exist"):
        list(ordered_map(read_rgb, [tmp_path / f"{number}.png" for number in range(20)], 2))


def test_stopping_early_leaves_the_rest_undone(tmp_path: Path) -> None:
    nap = "__import__('time').sleep(0.01) or open({!r}, 'w').close()"
    results = ordered_map(eval, [nap.format(str(tmp_path / str(number))) for number in range(1000)], 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert 1 <= len(list(tmp_path.iterdir())) < 1000


def test_an_end_that_reaches_the_workers_too_prints_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = Future.cancel
    failures: list[threading.ExceptHookArgs] = []

    def cancel_slowly(future: Future[object]) -> bool:
        cancelled = cancel(future)
        if cancelled and threading.current_thread() is threading.main_thread():
            time.sleep(0.05)  # long enough for the pool to find its workers dead
        return cancelled

    monkeypatch.setattr(Future, "cancel", cancel_slowly)
    monkeypatch.setattr(threading, "excepthook", failures.append)
    results = ordered_map(eval, ["__import__('time').sleep(0.05)"] * 100, 2)
    next(results)
    main = threading.main_thread().ident
    assert main is not None

    def end_all() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.01)  # this process is the first to know
        for worker in active_children():
            worker.terminate()

    # a shell's background jobs, and so this test in one, ignore SIGINT
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.2, end_all).start()
        with pytest.raises(KeyboardInterrupt):
            list(results)
    finally:
        signal.signal(signal.SIGINT, before)
    assert failures == []


def test_nothing_gives_nothing() -> None:
    assert list(ordered_map(math.sqrt, [], 4)) == []


@pytest.mark.parametrize(
    ("asked", "usable"), [("1", 1), ("3", 3), ("3,2", 3), ("64", 8), ("", 8), ("0", 8), ("many", 8)]
)
def test_auto_takes_the_granted_cores_or_the_fewer_that_are_asked_for(
    asked: str, usable: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert usable_cores() == usable
    assert count_workers("auto") == usable
    assert count_workers(5) == 5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity to set")
def test_a_process_that_may_use_one_core_counts_one() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); os.environ.pop('OMP_NUM_THREADS', None); "
        "from leukosr.engine.parallel import usable_cores; print(usable_cores())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_a_quota_of_the_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from joblib.externals.loky.backend import context

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda cores: 1)
    assert usable_cores() == 1

"""Calls that do not come back are given up."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from leukosr.tracking.calls import Caller


def test_calls_are_made_in_order_in_one_other_thread() -> None:
    caller = Caller()
    threads = {caller.call(threading.get_ident, 5) for _ in range(3)}
    assert len(threads) == 1 and threading.get_ident() not in threads
    assert caller.call(lambda: 6 * 7, 5) == 42


def fail(error: Exception) -> None:
    raise error


def test_the_error_of_a_call_is_the_callers_and_the_next_call_works() -> None:
    caller = Caller()
    for error in (ValueError("mine"), TimeoutError("the action's own")):
        with pytest.raises(type(error), match=str(error)):
            caller.call(partial(fail, error), 5)
    assert not caller.stuck and caller.call(lambda: 1, 5) == 1


def test_a_call_that_does_not_come_back_is_given_up_at_its_deadline() -> None:
    caller, released = Caller(), threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="no complete answer in 0 seconds"):
        caller.call(released.wait, 0.2)
    assert time.monotonic() - started < 5
    assert caller.stuck
    released.set()


def test_the_thread_ends_after_the_last_call() -> None:
    caller, done = Caller(), list[int]()
    before = threading.active_count()
    caller.close()
    deadline = time.monotonic() + 5
    while threading.active_count() == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before - 1
    assert done == []

"""SIGTERM and a closed terminal end work as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from leukosr.engine.stopping import AGAIN_AFTER_S, ENDING, asked_to_stop, stopped_like_ctrl_c


@pytest.fixture(autouse=True)
def as_a_shell_starts_commands() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    # which tests ignore that a shell started in the background
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_the_work_is_interrupted_cleared_up_and_ends_with_the_code_that_shells_expect(number: signal.Signals) -> None:
    seen: list[str | bool] = []
    with pytest.raises(SystemExit) as end, stopped_like_ctrl_c():
        try:
            os.kill(os.getpid(), number)
            seen.append("went on")
        except KeyboardInterrupt:
            os.kill(os.getpid(), number)  # as an impatient user does; the clearing up goes on
            seen.append(asked_to_stop())
            raise
    assert seen == [True]
    assert end.value.code == 128 + number
    assert not asked_to_stop()
    assert signal.getsignal(number) == signal.SIG_DFL


@pytest.mark.parametrize("error", [OSError("the terminal is gone"), SystemExit(130), RuntimeError("workers are gone")])
def test_whatever_error_comes_of_it_is_no_mistake(error: BaseException) -> None:
    with pytest.raises(SystemExit) as end, stopped_like_ctrl_c():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise error from None
    assert end.value.code == 143


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(1)])
def test_without_a_signal_everything_comes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as end, stopped_like_ctrl_c():
        raise error
    assert end.value is error


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDING])
def test_a_signal_in_a_destructor_where_python_drops_exceptions_is_not_lost(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    class Closing:
        def __del__(self) -> None:
            signal.raise_signal(number)

    before = sys.unraisablehook
    went_on: list[bool] = []
    started = time.monotonic()
    with pytest.raises((SystemExit, KeyboardInterrupt)) as end, stopped_like_ctrl_c():
        Closing()
        went_on.append(True)
        time.sleep(60)
        went_on.append(False)
    assert went_on == [True] and time.monotonic() - started < 30, "a wait must end, too"
    assert getattr(end.value, "code", 128 + signal.SIGINT) == 128 + number
    assert capsys.readouterr().err == ""
    assert sys.unraisablehook is before


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_while_the_first_is_dropped_loses_neither(
    second: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closing:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    class Interrupted(threading.Thread):
        def start(self) -> None:
            monkeypatch.undo()
            signal.raise_signal(second)
            super().start()

    monkeypatch.setattr(threading, "Thread", Interrupted)
    started = time.monotonic()
    with pytest.raises(SystemExit) as end, stopped_like_ctrl_c():
        Closing()
        time.sleep(60)
    assert end.value.code == 128 + signal.SIGTERM and time.monotonic() - started < 30


def test_work_that_ends_before_a_dropped_signal_comes_again_is_done() -> None:
    class Closing:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    with stopped_like_ctrl_c():
        Closing()
        assert asked_to_stop()
    time.sleep(3 * AGAIN_AFTER_S)
    assert not asked_to_stop()


def test_other_errors_in_destructors_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_value))

    class Broken:
        def __del__(self) -> None:
            raise ValueError("mine")

    with stopped_like_ctrl_c():
        Broken()
    assert [str(error) for error in told] == ["mine"]


def test_a_signal_that_is_ignored_as_under_nohup_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stopped_like_ctrl_c():
        os.kill(os.getpid(), signal.SIGHUP)
        assert not asked_to_stop()


def test_ctrl_c_while_a_class_is_defined_is_ctrl_c() -> None:
    """Up to Python 3.11 `__set_name__` wraps what it raises into a RuntimeError, a KeyboardInterrupt, too."""

    def wrapped() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise RuntimeError("Error calling __set_name__") from interrupt

    with pytest.raises(SystemExit) as stop, stopped_like_ctrl_c():
        wrapped()
    assert stop.value.code == 128 + signal.SIGINT
    with pytest.raises(RuntimeError, match="another"), stopped_like_ctrl_c():
        raise RuntimeError("another") from ValueError()

"""SIGTERM and SIGHUP (a terminal that closes) work like Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

# Windows has no SIGHUP
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
# what shells expect of a process that a signal has ended
INTERRUPTED = tuple(128 + number for number in (signal.SIGINT, *ENDING))
# until a signal that was lost is sent again, so that what it was lost in has ended, on a busy machine, too
AGAIN_AFTER_S = 0.1

_received: int | None = None
_pending: int | None = None  # was dropped, and is sent again soon


def asked_to_stop() -> bool:
    """Whether this process received SIGTERM or SIGHUP; errors that follow are consequences."""
    return _received is not None or _pending is not None


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Interrupt the work inside at the first SIGTERM or SIGHUP, and then exit with 128 + the signal's number.

    Errors that follow from it (other processes may have got the signal, the terminal may be gone) are suppressed, as
    are those that Python makes of Ctrl-C, e.g. while it defines a class.
    An ignored signal, as under nohup, stays ignored. A signal that comes while Python runs a destructor or a weak
    reference's callback, where it drops every exception, Ctrl-C's too, interrupts a tenth of a second later.
    """
    global _received, _pending
    taken = [number for number in ENDING if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _interrupt)
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_send_again_if_dropped, hook)
    try:
        yield
    except BaseException as error:
        number = _pending if _received is None else _received
        if number is None and _made_of_ctrl_c(error):
            number = signal.SIGINT
        if number is None:
            raise
        raise SystemExit(128 + number) from error
    finally:
        sys.unraisablehook = hook
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
        _received = _pending = None


def _made_of_ctrl_c(error: BaseException) -> bool:
    """Whether another error was raised from a KeyboardInterrupt."""
    cause = error.__cause__
    return cause is not None and (isinstance(cause, KeyboardInterrupt) or _made_of_ctrl_c(cause))


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _received
    if _received is None:  # a second one would interrupt the clean-up
        _received = number
        raise KeyboardInterrupt


def _send_again_if_dropped(hook: Callable[[Any], Any], unraisable: Any) -> None:
    global _received, _pending
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        hook(unraisable)
        return
    while True:
        try:
            _pending, _received = _received or _pending or signal.SIGINT, None
            left = threading.Event()
            threading.Thread(target=_send_again, args=(left,), daemon=True).start()
            left.set()
            return
        except KeyboardInterrupt:  # a second signal, which this function would swallow together with the first
            continue


def _send_again(left: threading.Event) -> None:
    """Once the hook has been left and unless the work has ended, send what is pending to the main thread."""
    left.wait()
    time.sleep(AGAIN_AFTER_S)
    main, number = threading.main_thread().ident, _pending
    if number is None:
        return
    if hasattr(signal, "pthread_kill") and main is not None:  # only this wakes the main thread from a blocking wait
        signal.pthread_kill(main, number)
    else:  # Windows
        signal.raise_signal(number)

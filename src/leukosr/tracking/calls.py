"""Calls with a deadline: a slow server must not delay a training."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any


class Caller:
    """Makes calls one after the other in one thread, in which MLflow also keeps its active runs.

    A thread cannot be stopped: after a missed deadline it is abandoned, and ends with the process.
    """

    def __init__(self) -> None:
        self.stuck = False
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        Thread(target=self._work, daemon=True, name="MLflow").start()

    def call(self, action: Callable[[], Any], seconds: float) -> Any:
        """What `action` returns or raises; TimeoutError where that takes longer than `seconds`."""
        future: Future[Any] = Future()
        self._calls.put((future, action))
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():  # it is the action's own
                raise
            self.stuck = True
            raise TimeoutError(f"no complete answer in {seconds:.0f} seconds") from None

    def close(self) -> None:
        """End the thread once the calls so far are made."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, action = call
            try:
                future.set_result(action())
            except BaseException as error:  # the caller handles it
                future.set_exception(error)

"""Work that somebody waits for: it ends where nobody does any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.modules.module import register_module_forward_pre_hook


class Abandoned(Exception):
    """Whoever asked for the work has gone away."""


@contextmanager
def while_wanted(gone: threading.Event) -> Iterator[None]:
    """Raise Abandoned at the start, and before the next layer of any network, once `gone` is set.

    The layers of all threads are watched, so one such block is open at a time.
    """

    def look(*_: object) -> None:
        if gone.is_set():
            raise Abandoned

    look()
    watching = register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        watching.remove()

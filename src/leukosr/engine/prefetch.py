"""Make the next item while the current one is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")


def prefetched(make: Callable[[Key], Item], keys: Iterable[Key]) -> Iterator[Item]:
    """Yield `make(key)` for every key in order, one item ahead in a thread. Errors of `make` come through."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for key in keys:
            following = pool.submit(make, key)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()

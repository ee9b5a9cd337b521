from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from tests.patience import PATIENCE

from leukosr.engine.prefetch import prefetched


def test_items_come_in_the_order_of_the_keys() -> None:
    assert list(prefetched(lambda key: key * key, range(20))) == [key * key for key in range(20)]


def test_no_keys_give_no_items() -> None:
    assert list(prefetched(str, [])) == []


def test_the_next_item_is_made_while_the_current_one_is_in_use() -> None:
    made = {key: threading.Event() for key in range(4)}

    def make(key: int) -> int:
        made[key].set()
        return key

    items = prefetched(make, range(4))
    assert next(items) == 0
    assert made[1].wait(PATIENCE)
    assert not made[2].wait(0.05)  # one ahead and no more
    assert list(items) == [1, 2, 3]


def test_an_error_comes_through_in_its_place() -> None:
    def make(key: int) -> int:
        if key == 2:
            raise ValueError("image 2 is broken")
        return key

    items = prefetched(make, range(5))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="image 2 is broken"):
        next(items)


def test_endless_keys_can_be_left_early() -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    items = prefetched(str, endless())
    assert [next(items) for _ in range(3)] == ["0", "1", "2"]
    items.close()  # type: ignore[attr-defined]
    assert len(taken) == 4

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from leukosr.images.store import ImageStore, Subset


class Reader:
    """Decodes a key into an image of that grey level and counts."""

    def __init__(self) -> None:
        self.reads: Counter[int] = Counter()

    def __call__(self, key: int) -> np.ndarray:
        self.reads[key] += 1
        return np.full((10, 10, 3), key, np.uint8)


def test_images_are_decoded_once_and_only_when_asked_for() -> None:
    reader = Reader()
    store = ImageStore([7, 8, 9], reader)
    assert (len(store), reader.reads.total()) == (3, 0)
    for _ in range(3):
        assert store[1][0, 0, 0] == 8
    assert reader.reads == {8: 1}
    assert store[1] is store[1]


def test_images_past_the_limit_are_decoded_at_every_access() -> None:
    reader = Reader()
    store = ImageStore(list(range(5)), reader, limit=2 * 300 + 299)
    for _ in range(3):
        for index in range(5):
            assert store[index][0, 0, 0] == index
    assert reader.reads == {0: 1, 1: 1, 2: 3, 3: 3, 4: 3}


def test_a_limit_of_nothing_keeps_nothing() -> None:
    reader = Reader()
    store = ImageStore([4], reader, limit=0)
    assert (int(store[0].max()), int(store[0].max())) == (4, 4)
    assert reader.reads == {4: 2}


def test_an_error_of_reading_comes_through_and_is_not_kept() -> None:
    broken = [True]

    def read(_: int) -> np.ndarray:
        if broken:
            broken.pop()
            raise OSError("disk")
        return np.zeros((2, 2, 3), np.uint8)

    store = ImageStore([1], read)
    with pytest.raises(OSError, match="disk"):
        store[0]
    assert store[0].shape == (2, 2, 3)


def test_iterating_ends_after_the_last_image() -> None:
    assert [int(image[0, 0, 0]) for image in ImageStore([3, 4], Reader())] == [3, 4]  # type: ignore[attr-defined]


def test_a_batch_is_decoded_by_several_threads_once_each_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukosr.images.store.usable_cores", lambda: 4)
    reader = Reader()
    store = ImageStore(list(range(20)), reader)
    for _ in range(2):
        assert [int(image.max()) for image in store.take([7, 3, 19, 4])] == [7, 3, 19, 4]
    assert reader.reads == {7: 1, 3: 1, 19: 1, 4: 1}


def test_threads_keep_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukosr.images.store.usable_cores", lambda: 4)
    reader = Reader()
    store = ImageStore(list(range(40)), reader, limit=10 * 300)
    for _ in range(2):
        store.load(range(40))
    assert sum(reader.reads.values()) == 40 + 30


def test_a_subset_has_an_order_of_its_own_and_leaves_the_keeping_to_the_store() -> None:
    reader = Reader()
    store = ImageStore([7, 8, 9], reader)
    first, second = Subset(store, [2, 0]), Subset(store, [0])
    assert (len(first), len(second)) == (2, 1)
    assert [int(image.max()) for image in first.take([0, 1])] == [9, 7]
    assert int(second.take([0]).max()) == 7
    assert reader.reads == {9: 1, 7: 1}

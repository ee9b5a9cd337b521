"""What keeps the search for sources small in memory changes nothing of what it finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leukosr.data.provenance import store, words
from leukosr.data.provenance.features import DETAIL
from leukosr.data.provenance.words import WordIndex, _largest


@pytest.mark.parametrize("wanted", [1, 3, 8, 40, 50])
def test_the_largest_values_come_in_the_order_of_a_stable_sort(wanted: int) -> None:
    rng = np.random.default_rng(wanted)
    for values in (rng.integers(0, 4, 40), np.zeros(40), rng.random(40)):
        expected = np.argsort(-values.astype(float), kind="stable")[:wanted]
        assert np.array_equal(_largest(values.astype(np.float32), wanted)[:wanted], expected)


def test_blocks_are_joined_to_the_bytes_that_one_array_has(tmp_path: Path) -> None:
    rng, blocks = np.random.default_rng(0), []
    for number, counts in enumerate(([2, 0, 3], [1, 4])):
        arrays = {
            "counts": np.array(counts), "points": rng.random((sum(counts), 2), np.float32),
            "descriptors": rng.integers(0, 256, (sum(counts), 128), np.uint8),
            "detail": rng.integers(-9, 9, (len(counts), 4, 4), np.int8),
            "content": rng.integers(0, 256, (len(counts), 2), np.uint8),
        }  # fmt: skip
        store.write_part(tmp_path / f"{number}.npz", **arrays)
        blocks.append(arrays)
    store._merge([tmp_path / "0.npz", tmp_path / "1.npz"], tmp_path / "features")
    for name in store.ARRAYS[1:]:
        np.save(tmp_path / "whole.npy", np.concatenate([block[name] for block in blocks]))
        assert (tmp_path / "features" / f"{name}.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert np.load(tmp_path / "features" / "starts.npy").tolist() == [0, 2, 2, 5, 6, 10]


def test_how_many_rows_are_held_at_once_changes_no_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, images, each = np.random.default_rng(1), 60, 12
    store.write_part(
        tmp_path / "0.npz", counts=np.full(images, each), points=np.zeros((images * each, 2), np.float32),
        descriptors=rng.integers(0, 256, (images * each, 128), np.uint8),
        detail=np.zeros((images, DETAIL, DETAIL), np.int8),
        content=np.zeros((images, DETAIL**2 // 8), np.uint8),
    )  # fmt: skip
    store._merge([tmp_path / "0.npz"], tmp_path / "features")
    index, alone = WordIndex(store.FeatureStore(tmp_path / "features"), 64), np.arange(images)
    found = list(index.candidates(alone, 5))
    monkeypatch.setattr(words, "CELLS", images * 7)
    assert found == list(index.candidates(alone, 5)) and len(found) > images

"""Other draws of the classifiers' roles."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

from leukosr.config import FlipsAndLight
from leukosr.data.augment import augment
from leukosr.data.manifest import Row
from leukosr.data.redraw import redrawn
from leukosr.data.separation import check_disjoint


def manifest() -> list[Row]:
    roles = ["classifier_train"] * 6 + ["classifier_val"] * 2 + ["classifier_test"] * 4 + ["sr_train"] * 3
    return [
        Row(f"{label}/{source}-{copy}", "x", label, f"{label}{source}", 8, 8,
            {"paper": "sr_train" if role == "sr_train" else f"classifier_{'train' if source % 4 else 'test'}",
             "source_disjoint": role})
        for label in ("a", "b")
        for source, role in enumerate(roles)
        for copy in range(3)
    ]  # fmt: skip


@pytest.mark.parametrize("protocol", ["paper", "source_disjoint"])
def test_counts_stay_and_what_sr_uses_stays(protocol: str) -> None:
    rows = manifest()
    drawn = redrawn(rows, protocol, 5)
    count = Counter((row.label, row.role(protocol)) for row in rows)
    assert Counter((row.label, row.role(protocol)) for row in drawn) == count
    assert drawn != rows
    assert redrawn(rows, protocol, 0) == rows
    assert redrawn(rows, protocol, 5) == drawn != redrawn(rows, protocol, 6)
    for old, new in zip(rows, drawn, strict=True):
        assert old.id == new.id
        assert (old.role(protocol) == "sr_train") == (new.role(protocol) == "sr_train")


def test_sources_stay_whole() -> None:
    drawn = redrawn(manifest(), "source_disjoint", 3)
    check_disjoint(drawn, "source_disjoint")
    roles = defaultdict(set)
    for row in drawn:
        roles[row.source].add(row.role("source_disjoint"))
    assert all(len(found) == 1 for found in roles.values())


def test_a_source_that_shows_cells_of_several_classes_keeps_its_role() -> None:
    rows = [replace(row, source="both") if row.source in ("a0", "b0") else row for row in manifest()]
    for seed in range(1, 20):
        drawn = redrawn(rows, "source_disjoint", seed)
        check_disjoint(drawn, "source_disjoint")
        assert {row.role("source_disjoint") for row in drawn if row.source == "both"} == {"classifier_train"}


def images(count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 10, 12, 3), dtype=np.uint8)


def test_no_strength_changes_nothing() -> None:
    batch = images()
    assert augment(batch, [FlipsAndLight(kind="flips_and_light", strength=0.0)], np.random.default_rng(0)) is batch


def test_weak_augmentation_only_flips() -> None:
    batch = images(40)
    changed = augment(batch, [FlipsAndLight(kind="flips_and_light", strength=1e-9)], np.random.default_rng(0))
    seen = set()
    for image, other in zip(batch, changed, strict=True):
        flips = {(r, c): image[::r, ::c] for r in (1, -1) for c in (1, -1)}
        seen |= {key for key, flipped in flips.items() if np.array_equal(flipped, other)}
    assert len(seen) == 4


def test_augmentation_repeats_with_its_generator_and_leaves_its_input() -> None:
    batch = images()
    before = batch.copy()
    first, second = (
        augment(batch, [FlipsAndLight(kind="flips_and_light", strength=0.8)], np.random.default_rng(3))
        for _ in range(2)
    )
    assert np.array_equal(first, second) and np.array_equal(batch, before)
    assert first.dtype == np.uint8 and not np.array_equal(first, batch)

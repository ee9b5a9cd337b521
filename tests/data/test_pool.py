"""A study of few images takes them from all sources, whatever its protocols make of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from leukosr.config import Params, Prepare
from leukosr.data.manifest import make_rows
from leukosr.data.separation import check_disjoint
from leukosr.data.splits import study_roles
from leukosr.data.splits.pool import pooled
from leukosr.data.splits.shares import Candidate
from leukosr.errors import LeukoError

SOURCES = {"monocyte": (4, 2), "neutrophil": (30, 9)}  # in TRAIN and TEST; each has ten copies
PROTOCOLS = ("validation_of_train", "official", "source_disjoint")


def images() -> list[Candidate]:
    found = [
        Candidate(f"{part}/{label}/{copy}_{place}", f"{part}/{label}/{copy}_{place}.jpg", label,
                  f"{label}-{part}-{place}", 320, 240, part)
        for label, counts in SOURCES.items()
        for part, count in zip(("train", "test"), counts, strict=True)
        for place in range(count)
        for copy in range(10)
    ]  # fmt: skip
    return [*found, Candidate("simple/1", "simple/1.jpg", "monocyte", "", 320, 240, "reference")]


def used(items: list[Candidate]) -> list[Candidate]:
    return [item for item in items if item.part != "reference"]


@pytest.fixture(scope="session")
def settings(compose_params: Callable[..., Params]) -> Prepare:
    return compose_params("study=enhancement", "budget=published").prepare


def test_all_sources_are_there_and_classes_are_alike_where_they_can_be() -> None:
    chosen = used(pooled(images(), 80, seed=0))
    assert len({item.source for item in chosen}) == 45
    assert Counter(item.label for item in chosen) == {"monocyte": 40, "neutrophil": 40}
    copies = Counter(item.source for item in chosen if item.label == "monocyte")
    assert set(copies.values()) == {6, 7}, "in turn"


def test_a_class_of_many_sources_keeps_one_image_of_each() -> None:
    chosen = used(pooled(images(), 60, seed=0))
    assert Counter(item.label for item in chosen) == {"monocyte": 21, "neutrophil": 39}


def test_fewer_images_than_sources_are_shared_out_equally() -> None:
    chosen = used(pooled(images(), 12, seed=0))
    assert Counter(item.label for item in chosen) == {"monocyte": 6, "neutrophil": 6}
    assert len({item.source for item in chosen}) == 12


def test_references_stay_and_null_takes_everything() -> None:
    everything = images()
    assert pooled(everything, None, seed=0) == everything
    assert pooled(everything, 10_000, seed=0) == everything
    assert everything[-1] in pooled(everything, 12, seed=0)


def test_the_seed_draws_the_copies() -> None:
    assert pooled(images(), 60, seed=0) == pooled(images(), 60, seed=0) != pooled(images(), 60, seed=1)


def test_unknown_sources_and_too_few_images_are_refused() -> None:
    unknown = [replace(images()[0], source=""), *images()[1:]]
    with pytest.raises(LeukoError, match=r"pool = 60: .* 1 of 450 have none, e\.g\. train/monocyte/0_0\.jpg"):
        pooled(unknown, 60, seed=0)
    with pytest.raises(LeukoError, match="must be at least 2, an image of each class"):
        pooled(images(), 1, seed=0)


def test_the_protocols_of_the_study_share_the_pool(settings: Prepare) -> None:
    roles = study_roles(images(), settings.model_copy(update={"pool": 80}), 0, PROTOCOLS)
    assert set(roles) == set(PROTOCOLS)
    seen = {image for given in roles.values() for image, role in given.items() if role not in ("unused", "reference")}
    assert len(seen) == 80
    check_disjoint(make_rows(images(), roles), "source_disjoint")
    sizes = [Counter(role for role in roles["source_disjoint"].values() if role.startswith("fold_"))]
    assert len(sizes[0]) == 3, "every image of the disjoint protocol is tested once"


def test_without_sr_no_source_is_set_aside_for_it(settings: Prepare) -> None:
    roles = study_roles(images(), settings.model_copy(update={"pool": 80}), 0, ("source_disjoint",))
    assert not [role for role in roles["source_disjoint"].values() if role.startswith("sr_")]
    with_sr = settings.source_disjoint.model_copy(update={"sr_train": 0.1, "classifier_train": 0.6})
    changed = settings.model_copy(update={"pool": 80, "source_disjoint": with_sr})
    assert "sr_val" in study_roles(images(), changed, 0, ("source_disjoint",))["source_disjoint"].values()

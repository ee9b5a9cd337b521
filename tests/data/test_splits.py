from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from leukosr.config import Params, Prepare, parse_params
from leukosr.data.manifest import ROLES, is_tested, make_rows
from leukosr.data.separation import check_disjoint, refuse_trained_tests
from leukosr.data.splits import SPLITS, shown_name, strictest, study_roles
from leukosr.data.splits.paper import paper, searched_images
from leukosr.data.splits.shares import Candidate, training_images, whole_shares, with_fewer
from leukosr.data.splits.source_disjoint import source_disjoint
from leukosr.errors import LeukoError
from leukosr.quoting import counted

BCCD = {
    "EOSINOPHIL": {"TRAIN": 2497, "TEST": 623, "TEST_SIMPLE": 13},
    "LYMPHOCYTE": {"TRAIN": 2483, "TEST": 620, "TEST_SIMPLE": 6},
    "MONOCYTE": {"TRAIN": 2478, "TEST": 620, "TEST_SIMPLE": 4},
    "NEUTROPHIL": {"TRAIN": 2499, "TEST": 624, "TEST_SIMPLE": 48},
}
BOTH = ("paper", "source_disjoint")
PARTS = {"TRAIN": "train", "TEST": "test", "TEST_SIMPLE": "reference", "ALL": "all"}


def images_of(counts: dict[str, dict[str, int]]) -> list[Candidate]:
    """A set with so many images a class and part."""
    return [
        Candidate(f"{part}/{label}/{number}", f"{part}/{label}/{number}.jpg", label, "", 320, 240, PARTS[part])
        for label, parts in counts.items()
        for part, count in parts.items()
        for number in range(count)
    ]


@pytest.fixture(scope="session")
def case1(compose_params: Callable[..., Params]) -> Prepare:
    return compose_params("study=case1", "budget=paper").prepare


def limited(prepare: Prepare, **limits: int | None) -> Prepare:
    per_class = prepare.per_class.model_copy(update=limits)
    return prepare.model_copy(update={"per_class": per_class})


def by_class(roles: dict[str, str], label: str) -> Counter[str]:
    return Counter(role for image_id, role in roles.items() if f"/{label}/" in image_id)


def test_bccd_gets_the_roles_of_the_case_study(case1: Prepare) -> None:
    roles = paper(images_of(BCCD), case1, seed=0)
    assert Counter(roles.values()) == {
        "sr_train": 9957 - 100,
        "sr_val": 100,
        "classifier_train": 1989,
        "classifier_test": 498,
        "reference": 71,
    }
    assert by_class(roles, "EOSINOPHIL")["classifier_train"] == 498  # 80 % of 623, each class by itself
    assert by_class(roles, "NEUTROPHIL")["classifier_train"] == 499
    for image_id, role in roles.items():
        part = image_id.split("/")[0]
        assert role.split("_")[0] == {"TRAIN": "sr", "TEST": "classifier", "TEST_SIMPLE": "reference"}[part]


def test_a_set_without_train_and_test_is_cut_80_20_and_that_80_20_again(case1: Prepare) -> None:
    images = images_of({"a": {"ALL": 1000}, "b": {"ALL": 503}})
    roles = paper(images, limited(case1, sr_val=10), seed=0)
    assert by_class(roles, "a") == {"sr_train": 790, "sr_val": 10, "classifier_train": 160, "classifier_test": 40}
    assert by_class(roles, "b") == {"sr_train": 392, "sr_val": 10, "classifier_train": 81, "classifier_test": 20}


def test_limits_leave_the_rest_unused(case1: Prepare) -> None:
    settings = limited(case1, sr_train=40, sr_val=2, classifier=48, reference=5)
    roles = paper(images_of(BCCD), settings, seed=0)
    expected = {"sr_train": 40, "sr_val": 2, "classifier_train": 38, "classifier_test": 10}
    for label, parts in BCCD.items():
        found = by_class(roles, label)
        shown = min(5, parts["TEST_SIMPLE"])
        assert found == {**expected, "reference": shown, "unused": sum(parts.values()) - 90 - shown}


def test_a_larger_training_budget_keeps_the_validation_images_and_the_smaller_set(case1: Prepare) -> None:
    def chosen(sr_train: int, role: str) -> set[str]:
        roles = paper(images_of(BCCD), limited(case1, sr_train=sr_train, sr_val=2), seed=0)
        return {image_id for image_id, found in roles.items() if found == role}

    assert chosen(40, "sr_val") == chosen(400, "sr_val")
    assert chosen(40, "sr_train") < chosen(400, "sr_train")


def test_no_reference_images_are_shown_when_the_limit_is_zero(case1: Prepare) -> None:
    roles = paper(images_of(BCCD), limited(case1, reference=0), seed=0)
    assert {role for image_id, role in roles.items() if image_id.startswith("TEST_SIMPLE")} == {"unused"}


@pytest.mark.parametrize(("count", "train"), [(2, 1), (3, 2), (4, 3), (5, 4)])
def test_few_images_still_give_one_to_train_on_and_one_to_test(case1: Prepare, count: int, train: int) -> None:
    images = images_of({"a": {"TRAIN": 3, "TEST": count}, "b": {"TRAIN": 3, "TEST": 9}})
    found = by_class(paper(images, case1, seed=0), "a")
    assert (found["classifier_train"], found["classifier_test"]) == (train, count - train)


@pytest.mark.parametrize("count", [0, 1])
def test_a_class_with_too_few_images_to_classify_is_named(case1: Prepare, count: int) -> None:
    images = images_of({"a": {"TRAIN": 30, "TEST": count}, "b": {"TRAIN": 30, "TEST": 9}})
    with pytest.raises(LeukoError, match=f"class a has {counted(count, 'image')} for the classifier: at least 2"):
        paper(images, case1, seed=0)


def test_a_single_training_image_is_trained_on_and_not_kept_for_validation(case1: Prepare) -> None:
    images = images_of({"a": {"TRAIN": 1, "TEST": 5}, "b": {"TRAIN": 30, "TEST": 5}})
    assert paper(images, case1, seed=0)["TRAIN/a/0"] == "sr_train"


@pytest.mark.parametrize("protocol", SPLITS)
@pytest.mark.parametrize("counts", [{}, {"a": {"TRAIN": 9, "TEST": 9}}])
def test_one_class_is_no_set_to_classify(protocol: str, case1: Prepare, counts: dict[str, dict[str, int]]) -> None:
    with pytest.raises(LeukoError, match=rf"one class only \({next(iter(counts), 'none')}\)"):
        study_roles(images_of(counts), case1, 0, [protocol])


def test_a_class_of_reference_images_alone_does_not_count(case1: Prepare) -> None:
    images = images_of({"a": {"TRAIN": 9, "TEST": 9}, "b": {"TEST_SIMPLE": 9}})
    with pytest.raises(LeukoError, match=r"one class only \(a\)"):
        study_roles(images, case1, 0, ["paper"])


SIZES = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(0, 30), st.integers(2, 30)), min_size=2)
LIMITS = st.fixed_dictionaries(
    {
        "sr_train": st.none() | st.integers(1, 40),
        "sr_val": st.integers(0, 40),
        "classifier": st.none() | st.integers(2, 40),
        "reference": st.none() | st.integers(0, 5),
    }
)


@settings(max_examples=60, deadline=None)
@given(SIZES, LIMITS, st.integers(0, 5), st.integers(0, 2**31), st.randoms(use_true_random=False))
def test_every_image_has_one_role_of_its_part_whatever_the_order(
    case1: Prepare,
    sizes: dict[str, tuple[int, int]],
    limits: dict[str, int | None],
    reference: int,
    seed: int,
    shuffler: Any,
) -> None:
    counts = {name: {"TRAIN": train, "TEST": test, "TEST_SIMPLE": reference} for name, (train, test) in sizes.items()}
    images = images_of(counts)
    prepare = limited(case1, **limits)
    roles = paper(images, prepare, seed)
    assert roles.keys() == {image.id for image in images}
    allowed = {
        "TRAIN": {"sr_train", "sr_val", "unused"},
        "TEST": {"classifier_train", "classifier_test", "unused"},
        "TEST_SIMPLE": {"reference", "unused"},
    }
    assert all(role in allowed[image_id.split("/")[0]] for image_id, role in roles.items())
    for name in counts:
        found = by_class(roles, name)
        assert found["classifier_train"] > 0 and found["classifier_test"] > 0
        for role in ("sr_train", "sr_val", "reference"):
            assert limits[role] is None or found[role] <= limits[role]  # type: ignore[operator]
        total = found["classifier_train"] + found["classifier_test"]
        assert limits["classifier"] is None or total <= limits["classifier"]
    shuffler.shuffle(images)
    assert paper(images, prepare, seed) == roles


def test_another_seed_gives_other_roles(case1: Prepare) -> None:
    images = images_of({"a": {"TRAIN": 50, "TEST": 50}, "b": {"TRAIN": 50, "TEST": 50}})
    first, second = paper(images, case1, seed=0), paper(images, case1, seed=1)
    assert first != second
    assert Counter(first.values()) == Counter(second.values())


def test_classes_of_one_size_are_shuffled_each_by_itself(case1: Prepare) -> None:
    roles = paper(images_of({"a": {"TRAIN": 50, "TEST": 50}, "b": {"TRAIN": 50, "TEST": 50}}), case1, seed=0)
    assert any(role != roles[image_id.replace("/a/", "/b/")] for image_id, role in roles.items())


def test_a_class_more_leaves_the_roles_of_the_others(case1: Prepare) -> None:
    two = {"a": {"TRAIN": 50, "TEST": 50}, "b": {"TRAIN": 50, "TEST": 50}}
    roles = paper(images_of({**two, "c": {"TRAIN": 9, "TEST": 9}}), case1, seed=0)
    assert roles.items() >= paper(images_of(two), case1, seed=0).items()


def test_the_split_depends_on_no_other_setting_of_the_study(compose_raw: Callable[..., Any]) -> None:
    raw = compose_raw("study=case1", "budget=paper", "claims=null")
    raw["study"]["seeds"], raw["image"]["kernel"] = [7, 8, 9], "pillow_bicubic"
    images = images_of({"a": {"TRAIN": 50, "TEST": 50}, "b": {"TRAIN": 50, "TEST": 50}})
    plain = parse_params(compose_raw("study=case1", "budget=paper"), "conf")
    assert paper(images, parse_params(raw, "conf").prepare, 0) == paper(images, plain.prepare, 0)


def source_disjoint_roles(
    images: list[Candidate],
    sources: Mapping[str, str],
    settings: Prepare,
    seed: int,
    most: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """The roles of images with these sources."""
    return source_disjoint(with_sources(images, sources), settings, seed, most)


def with_sources(images: list[Candidate], sources: Mapping[str, str]) -> list[Candidate]:
    return [replace(image, source=sources.get(image.id, "")) for image in images]


def sourced(counts: dict[str, dict[str, int]], sources: int, seed: int = 0) -> tuple[list[Candidate], dict[str, str]]:
    """A set whose images are drawn from so many sources, each of any class and part."""
    images = images_of(counts)
    drawn = np.random.default_rng(seed).integers(sources, size=len(images))
    return images, {image.id: f"s{number}" for image, number in zip(images, drawn, strict=True)}


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abc"), st.tuples(*[st.integers(0, 25)] * 3), min_size=1),
    st.sampled_from([("TRAIN", "TEST", "TEST_SIMPLE"), ("ALL", "ALL", "ALL")]),
    st.integers(1, 30),
    st.integers(0, 2**31),
    st.randoms(use_true_random=False),
)
def test_no_source_plays_two_roles(
    case1: Prepare,
    sizes: dict[str, tuple[int, ...]],
    parts: tuple[str, ...],
    sources: int,
    seed: int,
    shuffler: Any,
) -> None:
    counts = {name: dict(zip(parts, numbers, strict=True)) for name, numbers in sizes.items()}
    images, source_of = sourced(counts, sources, seed)
    assume(images)
    try:
        roles = source_disjoint_roles(images, source_of, case1, seed)
    except LeukoError as error:
        assert " to share out" in str(error)
        return
    assert roles.keys() == source_of.keys()
    assert set(roles.values()) <= set(ROLES)
    played = defaultdict(set)
    for image_id, role in roles.items():
        if role not in ("unused", "reference"):
            played[source_of[image_id]].add(role)
        assert (role == "reference") == image_id.startswith("TEST_SIMPLE/")
        assert image_id.startswith("TEST/") <= (role == "classifier_test")
    assert all(len(found) == 1 for found in played.values())
    shuffler.shuffle(images)
    assert source_disjoint_roles(images, source_of, case1, seed) == roles


def each_its_own(counts: dict[str, dict[str, int]], siblings: int) -> tuple[list[Candidate], dict[str, str]]:
    """A set in which `siblings` successive images of a class share a source."""
    images = images_of(counts)
    groups = [image.id.rsplit("/", 1) for image in images]
    return images, {"/".join(group): f"{group[0]}-{int(group[1]) // siblings}" for group in groups}


def test_the_sources_of_each_class_are_cut_by_the_fractions(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"ALL": 200}, "b": {"ALL": 100}}, siblings=5)
    roles = source_disjoint_roles(images, sources, case1, seed=0)
    parts = {"sr_train": 15, "sr_val": 1, "classifier_train": 12, "classifier_val": 4, "classifier_test": 8}
    assert by_class(roles, "a") == {role: 5 * count for role, count in parts.items()}
    half = {"sr_train": 7, "sr_val": 1, "classifier_train": 6, "classifier_val": 2, "classifier_test": 4}
    assert by_class(roles, "b") == {role: 5 * count for role, count in half.items()}


def test_an_official_test_part_is_the_test_and_the_rest_is_shared_in_proportion(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"TRAIN": 80, "TEST": 30}}, siblings=1)
    roles = source_disjoint_roles(images, sources, case1, seed=0)
    assert Counter(roles.values()) == {
        "sr_train": 39, "sr_val": 1, "classifier_train": 30, "classifier_val": 10, "classifier_test": 30,
    }  # fmt: skip
    assert all((role == "classifier_test") == image_id.startswith("TEST/") for image_id, role in roles.items())


def test_training_images_of_a_test_source_are_left_out(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"TRAIN": 20, "TEST": 5}}, siblings=1)
    sources["TRAIN/a/3"] = sources["TEST/a/0"]
    assert source_disjoint_roles(images, sources, case1, seed=0)["TRAIN/a/3"] == "unused"


def test_reference_images_are_never_trained_on_whatever_their_source(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"TRAIN": 20, "TEST": 5, "TEST_SIMPLE": 25}}, siblings=1)
    for number in range(20):
        sources[f"TEST_SIMPLE/a/{number}"] = sources[f"TRAIN/a/{number}"]
    roles = source_disjoint_roles(images, sources, case1, seed=0)
    assert {role for image_id, role in roles.items() if image_id.startswith("TEST_SIMPLE")} == {"reference"}


def test_images_of_unknown_source_get_no_role(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"ALL": 20}}, siblings=1)
    del sources["ALL/a/7"]
    assert source_disjoint_roles(images, sources, case1, seed=0).keys() == sources.keys()
    assert source_disjoint_roles(images, {}, case1, seed=0) == {}


@pytest.mark.parametrize(("parts", "needed"), [({"ALL": 30}, 5), ({"TRAIN": 30, "TEST": 9}, 4)])
def test_a_class_with_too_few_sources_is_named(case1: Prepare, parts: dict[str, int], needed: int) -> None:
    images, sources = each_its_own({"a": parts, "b": parts}, siblings=1)
    for image_id in sources:
        if "/b/" in image_id:
            sources[image_id] = f"{image_id.split('/')[0]}-{int(image_id.rsplit('/', 1)[1]) % (needed - 1)}"
    with pytest.raises(
        LeukoError, match=f"class b has {counted(needed - 1, 'source')} to share out; at least {needed}"
    ):
        source_disjoint_roles(images, sources, case1, seed=0)


@pytest.mark.parametrize(
    ("total", "expected"), [(4, [1, 1, 1, 1]), (5, [2, 1, 1, 1]), (10, [4, 3, 1, 2]), (7, [3, 2, 1, 1])]
)
def test_shares_are_whole_and_none_is_empty(total: int, expected: list[int]) -> None:
    assert whole_shares(total, [0.4, 0.3, 0.1, 0.2]) == expected


@given(st.integers(4, 400), st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_shares_add_up(total: int, shares: list[float]) -> None:
    counts = whole_shares(total, shares)
    assert sum(counts) == total
    assert min(counts) >= 1


def test_classifiers_validate_on_no_more_images_than_they_are_tested_on(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"ALL": 200}, "b": {"ALL": 200}}, siblings=5)
    roles = source_disjoint_roles(images, sources, limited(case1, classifier=20), seed=0)
    found = by_class(roles, "b")
    assert (found["classifier_train"], found["classifier_val"], found["classifier_test"]) == (16, 4, 4)


def test_sr_takes_no_more_images_than_the_budget_allows(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"ALL": 200}, "b": {"ALL": 200}}, siblings=10)
    roles = source_disjoint_roles(images, sources, limited(case1, sr_train=30, sr_val=4), seed=0)
    assert by_class(roles, "a") == {
        "sr_train": 30, "sr_val": 4, "classifier_train": 60, "classifier_val": 20, "classifier_test": 40, "unused": 46,
    }  # fmt: skip


@pytest.mark.parametrize("parts", [{"TRAIN": 80, "TEST": 40, "TEST_SIMPLE": 9}, {"ALL": 120}])
def test_the_images_whose_sources_are_sought_hold_all_that_the_paper_protocol_uses(
    case1: Prepare, parts: dict[str, int]
) -> None:
    settings = limited(case1, sr_train=20, sr_val=2, classifier=10, reference=3)
    images = images_of({"a": parts, "b": parts})
    chosen = searched_images(images, settings.per_class, settings.sr_fraction, seed=0)
    used = {image_id for image_id, role in paper(images, settings, seed=0).items() if role != "unused"}
    assert used <= chosen
    assert len(chosen) == 2 * (32 + 10 + 3 if "TRAIN" in parts else 32 + 10)
    everything = searched_images(images, limited(case1, sr_train=None, classifier=None).per_class, 0.8, seed=0)
    assert len(everything) == len(images)


def test_a_class_whose_training_images_are_all_of_test_sources_is_named(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"TRAIN": 5, "TEST": 5}, "b": {"TRAIN": 20, "TEST": 5}}, siblings=1)
    for number in range(5):
        sources[f"TRAIN/a/{number}"] = sources[f"TEST/a/{number}"]
    with pytest.raises(LeukoError, match="class a has 0 sources to share out"):
        source_disjoint_roles(images, sources, case1, seed=0)


def test_classifiers_train_on_no_more_images_than_asked(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"TRAIN": 90, "TEST": 30}, "b": {"TRAIN": 90, "TEST": 30}}, siblings=3)
    roles = source_disjoint_roles(images, sources, case1, 0, {"a": 10, "b": 24})
    assert [by_class(roles, label)["classifier_train"] for label in "ab"] == [10, 24]
    assert by_class(roles, "a")["classifier_test"] == 30
    few = source_disjoint_roles(images, sources, limited(case1, classifier=10), 0)
    assert [by_class(few, "a")[role] for role in ("classifier_train", "classifier_test")] == [8, 2]


def test_beside_a_disjoint_sr_part_the_paper_protocol_classifies_other_images(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"ALL": 60}, "b": {"ALL": 60}}, siblings=3)
    roles = study_roles(with_sources(images, sources), case1, 0, BOTH)
    for image_id, role in roles["paper"].items():
        assert role.startswith("classifier") <= (not roles["source_disjoint"][image_id].startswith("sr"))
    assert sum(role == "classifier_test" for role in roles["paper"].values()) > 10


def test_under_both_protocols_images_of_unknown_source_may_be_many(case1: Prepare) -> None:
    settings = limited(case1, sr_train=20, sr_val=2, classifier=10, reference=3)
    for parts in ({"TRAIN": 200, "TEST": 60}, {"ALL": 260}):
        images, sources = each_its_own({"a": parts, "b": parts}, siblings=2)
        chosen = searched_images(images, settings.per_class, settings.sr_fraction, seed=0)
        sought = {image_id: source for image_id, source in sources.items() if image_id in chosen}
        assert len(sought) < len(images)
        mixed = study_roles(with_sources(images, sought), settings, 0, BOTH)["paper"]
        used = {image_id for image_id, role in mixed.items() if role.startswith("classifier")}
        assert used and used <= chosen
        assert training_images(images, mixed)["a"] == 8
        fewer = with_fewer(images, mixed, {"a": 3, "b": 8}, seed=0)
        assert training_images(images, fewer) == {"a": 3, "b": 8}
        assert with_fewer(images[::-1], mixed, {"a": 3, "b": 8}, seed=0) == fewer


def folded(prepare: Prepare, folds: int) -> Prepare:
    fractions = prepare.source_disjoint.model_copy(update={"folds": folds})
    return prepare.model_copy(update={"source_disjoint": fractions})


@pytest.mark.parametrize("parts", [{"ALL": 120}, {"TRAIN": 80, "TEST": 40}])
@pytest.mark.parametrize("folds", [2, 5])
def test_folds_hold_whole_sources_and_all_that_classifiers_would_have(
    case1: Prepare, parts: dict[str, int], folds: int
) -> None:
    images, sources = each_its_own({"a": parts, "b": parts}, siblings=3)
    plain = source_disjoint_roles(images, sources, case1, seed=4)
    roles = source_disjoint_roles(images, sources, folded(case1, folds), seed=4)
    assert {i for i, role in roles.items() if role.startswith("fold_")} == {
        i for i, role in plain.items() if role.startswith("classifier_")
    }
    assert {role for role in roles.values() if role.startswith("fold_")} == {f"fold_{k + 1}" for k in range(folds)}
    played = defaultdict(set)
    for image_id, role in roles.items():
        if role.startswith(("fold_", "sr_")):
            played[sources[image_id]].add(role)
    assert all(len(found) == 1 for found in played.values())
    sizes = [by_class(roles, label)[f"fold_{k + 1}"] for label in "ab" for k in range(folds)]
    assert max(sizes) - min(sizes) <= 6  # two sources: each fold has its part of each class
    assert roles == source_disjoint_roles(images[::-1], sources, folded(case1, folds), seed=4)
    assert roles != source_disjoint_roles(images, sources, folded(case1, folds), seed=5)


def test_more_folds_than_a_class_has_sources_is_named(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"ALL": 60}, "b": {"ALL": 24}}, siblings=3)
    with pytest.raises(LeukoError, match=r"class b has 4 sources for the classifiers, too few for 6 folds.*to 4 or"):
        source_disjoint_roles(images, sources, folded(case1, 6), seed=0)


def test_classifiers_of_folds_train_on_as_many_images_as_asked(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"TRAIN": 90, "TEST": 60}, "b": {"TRAIN": 90, "TEST": 60}}, siblings=1)
    roles = source_disjoint_roles(images, sources, folded(case1, 3), 0, {"a": 40, "b": 24})
    counts = {label: by_class(roles, label) for label in "ab"}
    assert [sum(counts[label][f"fold_{k}"] for k in (1, 2, 3)) for label in "ab"] == [60, 36]
    few = source_disjoint_roles(images, sources, folded(limited(case1, classifier=12), 3), 0)
    assert [by_class(few, "a")[f"fold_{k}"] for k in (1, 2, 3)] == [4, 4, 4]


def test_both_protocols_train_on_as_many_images_of_each_class(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"ALL": 100}, "b": {"ALL": 60}}, siblings=2)
    for folds in (None, 3):
        prepare = case1 if folds is None else folded(case1, folds)
        roles = study_roles(with_sources(images, sources), prepare, 0, BOTH)
        counts = [training_images(images, roles[protocol]) for protocol in BOTH]
        assert counts[0] == counts[1] and counts[0].keys() == {"a", "b"}
        alone = study_roles(with_sources(images, sources), prepare, 0, ["source_disjoint"])["source_disjoint"]
        assert roles["source_disjoint"].keys() == alone.keys()
        assert {alone[i] for i, role in roles["source_disjoint"].items() if role != alone[i]} <= {"classifier_train"}


def split_sets() -> st.SearchStrategy[list[Candidate]]:
    """Sets of up to three classes, or none; with parts of their own or without; most images have a source."""

    def image(number: int, drawn: tuple[str, str, str]) -> Candidate:
        part, label, source = drawn
        return Candidate(f"{number}", f"{number}.png", label, source, 9, 9, part)

    parts = st.sampled_from([("train", "val", "test", "reference"), ("train", "test"), ("all",)])
    one = parts.flatmap(
        lambda allowed: st.lists(
            st.tuples(st.sampled_from(allowed), st.sampled_from("abc"), st.sampled_from(("", *"0123456789ABCDEF"))),
            min_size=20, max_size=150,
        )
    )  # fmt: skip
    return one.map(lambda drawn: [image(number, each) for number, each in enumerate(drawn)])


@pytest.mark.parametrize("protocol", SPLITS)
@settings(max_examples=60, deadline=None)
@given(split_sets(), LIMITS, st.integers(0, 2**31), st.booleans(), st.randoms(use_true_random=False))
def test_every_split_keeps_what_it_claims(
    protocol: str,
    case1: Prepare,
    images: list[Candidate],
    limits: dict[str, int | None],
    seed: int,
    classifies: bool,
    shuffler: Any,
) -> None:
    prepare, split = limited(case1, **limits), SPLITS[protocol]
    if not classifies:
        images = [replace(image, label="") for image in images]
    try:
        given_roles = study_roles(images, prepare, seed, [protocol], classifies)
    except LeukoError as error:
        assert str(error)[0].islower() and len(str(error)) < 400  # a sentence of its own, not what a library says
        return
    roles = given_roles[protocol]
    rows = make_rows(images, given_roles)
    assert {part for role in roles.values() for part in role.split("+")} <= set(ROLES)
    assert roles.keys() == {image.id for image in images if image.source or not split.disjoint}
    references = [row for row in rows if part_of(images, row.id) == "reference"]
    assert {row.role(protocol) for row in references} <= {"reference", "unused", ""}
    if split.disjoint and any(is_tested(row, protocol) for row in rows):
        check_disjoint(rows, protocol)
    for row in rows:
        trained = ("sr_train", "sr_val", *(() if split.leaks else ("classifier_train",)))
        assert not (is_tested(row, protocol) and row.plays(protocol, *trained))
        if split.own_sr_part or not classifies:
            assert "+" not in row.role(protocol)
        assert classifies or not row.role(protocol).startswith(("classifier", "fold"))
    shuffler.shuffle(images)
    assert study_roles(images, prepare, seed, [protocol], classifies) == given_roles


def part_of(images: list[Candidate], image_id: str) -> str:
    return next(image.part for image in images if image.id == image_id)


@pytest.mark.parametrize("protocol", SPLITS)
def test_every_split_tests_images_of_every_class_that_nothing_was_trained_on(protocol: str, case1: Prepare) -> None:
    parts = {"TRAIN": 90, "TEST": 30, "TEST_SIMPLE": 5}
    images = with_sources(*each_its_own({"a": parts, "b": parts}, siblings=3))
    for classifies, test in ((True, "classifier_test"), (False, "sr_test")):
        rows = make_rows(images, study_roles(images, case1, 0, [protocol], classifies))
        assert {row.label for row in rows if row.plays(protocol, test)} == {"a", "b"}
        assert {row.label for row in rows if row.plays(protocol, "sr_train")} == {"a", "b"}
        assert any(row.plays(protocol, "sr_val") for row in rows)
    other = study_roles(images, limited(case1, sr_train=10), 1, [protocol])
    assert other != study_roles(images, limited(case1, sr_train=10), 2, [protocol])


@pytest.mark.parametrize("protocol", [name for name, split in SPLITS.items() if split.disjoint])
def test_a_split_by_source_needs_sources(protocol: str, case1: Prepare) -> None:
    images = images_of({"a": {"ALL": 30}, "b": {"ALL": 30}})
    with pytest.raises(LeukoError, match=rf"sources of the images in \S+ are not known, and {protocol} needs them"):
        study_roles(images, case1, 0, [protocol])


def test_the_official_parts_are_those_of_the_set(case1: Prepare) -> None:
    images = [
        Candidate(f"{label}/{part}/{n}", "x.png", label, "", 9, 9, part)
        for label in "ab" for part, count in {"train": 20, "val": 6, "test": 8, "reference": 2}.items()
        for n in range(count)
    ]  # fmt: skip
    roles = study_roles(images, case1, 0, ["official"])["official"]
    meant = {"train": "sr_train+classifier_train", "val": "sr_val+classifier_val", "test": "classifier_test"}
    assert roles == {image.id: meant.get(image.part, image.part) for image in images}
    alone = study_roles(images, case1, 0, ["official"], classifies=False)["official"]
    meant = {"train": "sr_train", "val": "sr_val", "test": "sr_test"}
    assert alone == {image.id: meant.get(image.part, image.part) for image in images}


@pytest.mark.parametrize("counts", [{"ALL": 30}, {"TRAIN": 30}, {"TEST": 30}])
def test_a_set_without_parts_of_its_own_has_no_official_split(case1: Prepare, counts: dict[str, int]) -> None:
    with pytest.raises(
        LeukoError, match=r"class a has no (train|test) part of its own: name the folders prepare.train"
    ):
        study_roles(images_of({"a": counts, "b": counts}), case1, 0, ["official"])


def test_a_fifth_of_train_by_name_is_what_003_tests_on(case1: Prepare) -> None:
    roles = study_roles(images_of(BCCD), case1, 0, ["validation_of_train"])["validation_of_train"]
    tested = [image_id for image_id, role in roles.items() if role == "classifier_test"]
    assert Counter(image_id.split("/")[1] for image_id in tested) == {
        "EOSINOPHIL": 499, "LYMPHOCYTE": 496, "MONOCYTE": 495, "NEUTROPHIL": 499,
    }  # fmt: skip
    assert Counter("classifier_train" in role for role in roles.values())[True] == 9957 - 1989
    names = sorted(image_id for image_id in roles if image_id.startswith("TRAIN/MONOCYTE/"))
    assert {roles[name] for name in names[:495]} == {"classifier_test"}
    assert {role for image_id, role in roles.items() if image_id.startswith("TEST/")} == {"unused"}


def test_80_10_10_of_all_images_whatever_their_part(case1: Prepare) -> None:
    roles = study_roles(images_of(BCCD), case1, 0, ["random_80_10_10"])["random_80_10_10"]
    counts = Counter(role.split("+")[-1] for role in roles.values())
    assert counts["reference"] == 71
    assert [round(counts[f"classifier_{part}"] / 12444, 3) for part in ("train", "val", "test")] == [0.8, 0.1, 0.1]
    tested = {image_id.split("/")[0] for image_id, role in roles.items() if role == "classifier_test"}
    assert tested == {"TRAIN", "TEST"}


def test_patients_are_cut_80_10_10_and_those_of_several_classes_are_whole(case1: Prepare) -> None:
    images, sources = each_its_own({"a": {"ALL": 80}, "b": {"ALL": 80}}, siblings=4)
    sources |= {f"ALL/b/{n}": f"ALL/a-{n // 4}" for n in range(40)}  # ten patients show both classes
    images = with_sources(images, sources)
    rows = make_rows(images, study_roles(images, case1, 0, ["patient_disjoint"]))
    patients = {row.source: row.role("patient_disjoint").split("+")[-1] for row in rows}
    assert Counter(patients.values()) == {"classifier_train": 24, "classifier_val": 3, "classifier_test": 3}
    assert all(row.role("patient_disjoint").split("+")[-1] == patients[row.source] for row in rows)


def test_a_class_of_two_patients_is_refused(case1: Prepare) -> None:
    images = with_sources(*each_its_own({"a": {"ALL": 40}, "b": {"ALL": 8}}, siblings=4))
    with pytest.raises(LeukoError, match="class b has no patient left for val: add images of three patients or more"):
        study_roles(images, case1, 0, ["patient_disjoint"])


def test_several_protocols_train_sr_under_the_strictest_and_classifiers_on_as_many_images(case1: Prepare) -> None:
    parts = {"TRAIN": 150, "TEST": 50}
    images = with_sources(*each_its_own({"a": parts, "b": parts}, siblings=2))
    protocols = ["validation_of_train", "official", "source_disjoint", "patient_disjoint"]
    assert strictest(protocols) == "source_disjoint"
    assert strictest(protocols[:2]) == "validation_of_train"
    roles = study_roles(images, case1, 0, protocols)
    assert list(roles) == protocols
    counts = {protocol: training_images(images, given) for protocol, given in roles.items()}
    assert len({tuple(sorted(count.items())) for count in counts.values()}) == 1


def test_a_part_of_its_own_for_sr_holds_what_sr_trains_on_with_the_classifiers(
    case1: Prepare, compose_params: Callable[..., Params]
) -> None:
    images = with_sources(*each_its_own({"a": {"ALL": 100}, "b": {"ALL": 100}}, siblings=5))
    study = compose_params("study=case1", "study.protocol=[patient_disjoint,paper]").study
    rows = make_rows(images, study_roles(images, case1, 0, study.protocols))
    assert any(row.role("patient_disjoint") == "sr_train+classifier_train" for row in rows)
    assert any(is_tested(row, "paper") for row in rows)
    refuse_trained_tests(rows, study)


def test_where_nothing_is_classified_sr_is_tested_on_what_it_was_not_trained_on(case1: Prepare) -> None:
    images = [replace(image, label="") for image in images_of({"a": {"TRAIN": 20, "TEST": 9, "TEST_SIMPLE": 2}})]
    roles = study_roles(images, limited(case1, sr_val=3), 0, ["paper"], classifies=False)["paper"]
    assert Counter(roles.values()) == {"sr_train": 17, "sr_val": 3, "sr_test": 9, "reference": 2}


def test_as_counted_trains_on_the_published_share_of_the_test_images(case1: Prepare) -> None:
    rows = make_rows(images_of(BCCD), study_roles(images_of(BCCD), case1, 0, ["as_counted"]))
    for label, parts in BCCD.items():
        own = [row for row in rows if row.label == label]
        tested = [row for row in own if is_tested(row, "as_counted")]
        assert {row.path.split("/")[0] for row in tested} == {"TEST"}
        assert len(tested) == parts["TEST"]
        pool = sum(row.plays("as_counted", "classifier_train", "classifier_val") for row in own)
        assert pool == parts["TRAIN"] + parts["TEST"]  # the growth of the published folder
        assert sum(row.plays("as_counted", "classifier_train") for row in tested) == pytest.approx(
            0.8 * len(tested), rel=0.1
        )


def test_as_counted_needs_the_parts_of_the_set(case1: Prepare) -> None:
    images = images_of({"a": {"TRAIN": 9, "TEST": 9}, "b": {"ALL": 9}})
    with pytest.raises(LeukoError, match="class b has no train part of its own"):
        study_roles(images, case1, 0, ["as_counted"])


def test_a_protocol_that_leaks_says_so_wherever_it_is_named() -> None:
    assert [shown_name(name) for name in SPLITS if SPLITS[name].leaks] == ["as_counted (leaks by design)"]
    assert shown_name("official") == "official"
    assert "in training" in SPLITS["as_counted"].words


OWN_PARTS = {label: {"train": 40, "val": 6, "test": 12} for label in ("a", "b")}


def with_own_parts(**shared: str) -> list[Candidate]:
    """Two classes in three parts; every image its own source, but for those that share one."""
    return [
        Candidate(name, f"{name}.jpg", label, shared.get(name, name), 360, 363, part)
        for label, parts in OWN_PARTS.items()
        for part, count in parts.items()
        for name in (f"{label}_{part}_{number}" for number in range(count))
    ]


def test_official_sr_apart_shares_the_train_part_and_keeps_val_and_test(case1: Prepare) -> None:
    settings = limited(case1, sr_val=4).model_copy(update={"sr_fraction": 0.5})
    roles = study_roles(with_own_parts(), settings, 0, ["official_sr_apart"])["official_sr_apart"]
    for label in OWN_PARTS:
        found = Counter((name.split("_")[1], role) for name, role in roles.items() if name.startswith(label))
        assert found == {
            ("train", "sr_train"): 16,
            ("train", "sr_val"): 4,
            ("train", "classifier_train"): 20,
            ("val", "classifier_val"): 6,
            ("test", "classifier_test"): 12,
        }


def test_official_sr_apart_uses_no_image_whose_source_is_in_a_later_part(case1: Prepare) -> None:
    shared = {"a_train_0": "x", "a_val_0": "x", "b_test_0": "x", "b_train_1": "y", "b_val_1": "y"}
    roles = study_roles(with_own_parts(**shared), case1, 0, ["official_sr_apart"])["official_sr_apart"]
    assert {name: roles[name] for name in shared} == {
        "a_train_0": "unused",
        "a_val_0": "unused",
        "b_test_0": "classifier_test",
        "b_train_1": "unused",
        "b_val_1": "classifier_val",
    }


def test_official_sr_apart_needs_parts_of_the_set(case1: Prepare) -> None:
    images = [replace(image, part="all") for image in with_own_parts()]
    with pytest.raises(LeukoError, match="class a has 0 sources in the set's train part and 0 images in its test"):
        study_roles(images, case1, 0, ["official_sr_apart"])


@pytest.mark.parametrize("protocols", [[name] for name in SPLITS] + [["paper", "source_disjoint"]])
def test_roles_within_a_budget_do_not_depend_on_the_order_in_which_a_disk_lists_images(
    protocols: list[str], case1: Prepare
) -> None:
    parts = {"TRAIN": 120, "TEST": 60}
    images = with_sources(*each_its_own({"a": parts, "b": parts}, siblings=4))
    prepare = limited(case1, sr_train=30, sr_val=4, classifier=20)
    roles = study_roles(images, prepare, 0, protocols)
    assert any(role == "unused" for given in roles.values() for role in given.values())
    assert study_roles(images[::-1], prepare, 0, protocols) == roles


def test_in_folds_of_patients_the_budget_is_shared_out_evenly(case1: Prepare) -> None:
    images = with_sources(*each_its_own({"a": {"ALL": 80}, "b": {"ALL": 80}}, siblings=8))
    prepare = limited(folded(case1, 5), classifier=25)
    roles = study_roles(images, prepare, 0, ["patient_disjoint"])["patient_disjoint"]
    source_of = {image.id: image.source for image in images}
    kept = Counter(source_of[image_id] for image_id, role in roles.items() if role.startswith("fold_"))
    assert sorted(kept.values()) == [2] * 10 + [3] * 10  # 25 of each class's 10 patients, who have 8 images each


def test_a_class_whose_patients_lie_in_one_fold_is_refused_where_anything_is_classified(case1: Prepare) -> None:
    images = images_of({"a": {"ALL": 60}, "b": {"ALL": 60}, "c": {"ALL": 8}})
    images = [replace(i, source="p0" if i.label == "c" else f"p{int(i.id.split('/')[2]) % 9}") for i in images]
    message = (
        "class c lies in one fold of patients alone.*add images of it from more patients, or list the other classes"
    )
    with pytest.raises(LeukoError, match=message):
        study_roles(images, folded(case1, 3), 0, ["patient_disjoint"])
    two = [replace(i, source=f"q{n % 2}") if i.label == "c" else i for n, i in enumerate(images)]
    roles = study_roles(two, folded(case1, 3), 0, ["patient_disjoint"])["patient_disjoint"]
    assert len(by_class(roles, "c")) == 2, "each is tested by classifiers that saw the other patient's"
    unlabelled = [replace(i, label="") for i in images if i.label == "a"]
    few = limited(folded(case1, 2), classifier=2)  # of two patients, who are in one fold under some of the seeds
    for seed in range(10):
        assert study_roles(unlabelled, few, seed, ["patient_disjoint"], classifies=False)


@pytest.mark.parametrize("budget", [None, 24])
@pytest.mark.parametrize("folds", [2, 10])
def test_beside_folds_of_patients_protocols_train_on_equally_many_images(
    case1: Prepare, folds: int, budget: int | None
) -> None:
    images = images_of({"a": {"ALL": 100}, "b": {"ALL": 60}})
    images = [replace(i, source=f"p{int(i.id.split('/')[2]) % 30}") for i in images]
    prepare = limited(folded(case1, folds), classifier=budget)
    roles = study_roles(images, prepare, 0, ["patient_disjoint", "random_80_10_10"])
    first, second = (training_images(images, each) for each in roles.values())
    assert first == second and set(first) == {"a", "b"}
    used = (by_class(roles["patient_disjoint"], label) - Counter(unused=len(images)) for label in "ab")
    assert budget is None or all(each.total() <= budget for each in used)

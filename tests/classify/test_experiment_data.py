"""What an experiment trains, validates and tests on: roles decide, whatever the arms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from leukosr.classify.experiment_data import ArmImages, ExperimentData, held_out
from leukosr.classify.subject import ClassifierSubject
from leukosr.config import Experiment, Params
from leukosr.data.manifest import Row
from leukosr.engine.seeding import StreamRoots
from leukosr.errors import LeukoError

ROLES = ("classifier_train", "classifier_train", "classifier_train", "classifier_test")


def rows_of(roles: Sequence[str] = ROLES) -> list[Row]:
    return [
        Row(f"{label}/{number}", f"{label}/{number}.png", label, f"{label}{number // 2}", 8, 8, {"paper": role})
        for label in ("a", "b")
        for number, role in enumerate(roles)
    ]


@pytest.fixture
def arms(tmp_path: Path) -> dict[str, Path]:
    """Images of three arms; red says the arm and green which image."""
    for red, (arm, side) in enumerate({"raw": 32, "bicubic": 40, "other": 40}.items()):
        for green, row in enumerate(rows_of()):
            file = tmp_path / arm / f"{row.id}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (side, side), (red, green, 0)).save(file)
    return {arm: tmp_path / arm for arm in ("raw", "bicubic", "other")}


@pytest.fixture
def data(arms: dict[str, Path], compose_params: Callable[..., Params]) -> Callable[..., ExperimentData]:
    recipe = compose_params("study=demo").classifier

    def make(train: list[str], test: str, roles: Sequence[str] = ROLES, **changes: object) -> ExperimentData:
        experiment = Experiment(reads="", train=train, test=test, classifier=recipe.model_copy(update=changes),
                                protocols=None, seeds=None)  # fmt: skip
        rows = rows_of(roles)
        images = ArmImages(
            rows, {arm: arms[arm] for arm in experiment.arms}, experiment.classifier, torch.device("cpu")
        )
        return ExperimentData(rows, "paper", experiment, images)

    return make


def seen(images: object) -> list[tuple[int, int]]:
    """Arm and number of every image."""
    store = images.images  # type: ignore[attr-defined]
    return [tuple(int(v) for v in image[0, 0, :2]) for image in store.take(range(len(store)))]  # type: ignore[misc]


@pytest.mark.parametrize("validation", [None, 0.34])
@pytest.mark.parametrize(
    ("train", "test"), [(["raw"], "raw"), (["bicubic", "other"], "raw"), (["bicubic", "other"], "other")]
)
def test_a_test_image_is_in_no_training_set_in_any_arm(
    train: list[str], test: str, validation: float | None, data: Callable[..., ExperimentData]
) -> None:
    found = data(train, test, validation=validation)
    (split,) = found.splits
    trained, held = found.train(split, seed=1)
    tested = {number for _, number in seen(found.test(split))}
    assert tested == {3, 7}
    used = [*seen(trained), *(seen(held) if held else [])]
    assert len(used) == len(set(used)) == 6 * len(train)  # the images of all arms together
    assert not tested & {number for _, number in used}
    if held:
        assert not {number for _, number in seen(trained)} & {number for _, number in seen(held)}
    assert [int(label) for label in found.test(split).labels] == [0, 1]
    assert all(label == number // 4 for label, (_, number) in zip(trained.labels, seen(trained), strict=True))


def test_arms_of_different_sizes_are_refused_or_shrunk_to_one(data: Callable[..., ExperimentData]) -> None:
    with pytest.raises(LeukoError, match=r"raw are 32x32 pixels, those of bicubic 40x40.*classifier\.size"):
        refused = data(["raw", "bicubic"], "raw")
        refused.train(refused.splits[0], 1)
    found = data(["raw", "bicubic"], "raw", size=(32, 32))
    assert found.train(found.splits[0], 1)[0].batch(range(12))[0].shape == (12, 32, 32, 3)


def test_a_search_refuses_arms_of_different_sizes_as_a_study_does(
    arms: dict[str, Path], compose_params: Callable[..., Params]
) -> None:
    params = compose_params("study=demo")
    experiment = params.classify["raw"].model_copy(update={"train": ["raw", "bicubic"]})
    subject = ClassifierSubject(experiment, rows_of(), arms, "paper", params.runtime)
    with pytest.raises(LeukoError, match=r"raw are 32x32 pixels, those of bicubic 40x40.*classifier\.size"):
        subject.tune({}, StreamRoots(1, {}))


def test_the_validation_part_is_the_seeds_own_the_same_in_every_experiment(data: Callable[..., ExperimentData]) -> None:
    one, other = data(["raw"], "raw", validation=0.34), data(["bicubic"], "raw", validation=0.34)
    parts = [
        {number for _, number in seen(each.train(each.splits[0], seed)[1])}
        for seed in range(8)
        for each in (one, other)
    ]
    assert parts[::2] == parts[1::2]
    assert len({frozenset(part) for part in parts}) > 1
    assert all(len(part) == 2 for part in parts)  # of each class one of three


def test_the_protocols_own_validation_part_is_used_and_missed_where_there_is_none(
    data: Callable[..., ExperimentData],
) -> None:
    roles = ("classifier_train", "classifier_train", "classifier_val", "classifier_test")
    found = data(["raw"], "raw", roles, validation="protocol")
    trained, held = found.train(found.splits[0], 1)
    assert held is not None
    assert {number for _, number in seen(held)} == {2, 6} and len(seen(trained)) == 4
    assert len(found.used) == 8
    with pytest.raises(LeukoError, match="the protocol paper has no validation part here"):
        data(["raw"], "raw", validation="protocol")


def test_under_source_disjoint_whole_sources_are_held_out() -> None:
    rows = [row for row in rows_of() if row.role("paper") == "classifier_train"]
    train, held = held_out(rows, 0.5, 3, by_source=True)
    assert train and held
    assert not {row.source for row in train} & {row.source for row in held}


def of(label: str, *sources: str) -> list[Row]:
    """An image of each source to train on."""
    return [Row(f"{label}/{s}", f"{label}/{s}.png", label, s, 8, 8, {"paper": "classifier_train"}) for s in sources]


@pytest.mark.parametrize(("by_source", "unit"), [(False, "image"), (True, "source")])
def test_a_class_with_too_few_images_or_sources_for_a_validation_part_is_named(by_source: bool, unit: str) -> None:
    rows = [*of("a", "s1", "s2", "s3"), *of("b", "t1")]
    with pytest.raises(LeukoError, match=rf"class b has 1 {unit} to train on.*classifier\.validation to null"):
        held_out(rows, 0.2, 1, by_source=by_source)


def test_no_class_loses_all_its_training_images_to_validation() -> None:
    with pytest.raises(LeukoError, match=r"part of 0\.9 takes all training images of class a: lower"):
        held_out(of("a", "s1", "s2"), 0.9, 1, by_source=False)
    shared = [*of("a", "s1", "s2", "s3", "s4"), *of("b", "s1", "s2")]  # b's sources may be those held out of a, too

    def answer(seed: int) -> str:
        try:
            parts = held_out(shared, 0.5, seed, by_source=True)
        except LeukoError as error:
            return str(error)
        return " ".join("".join(sorted({row.label for row in part})) for part in parts)

    refusal = "classify: a validation part of 0.5 takes all training images of class b"
    assert {answer(seed).partition(": lower")[0] for seed in range(20)} == {"ab ab", refusal}


def test_images_are_read_as_they_are(data: Callable[..., ExperimentData]) -> None:
    found = data(["bicubic"], "raw")
    assert found.train(found.splits[0], 1)[0].images.take([0])[0].shape == (40, 40, 3)
    assert found.test(found.splits[0]).images.take([0])[0].shape == (32, 32, 3)
    assert np.array_equal(found.test(found.splits[0]).images.take([0])[0][0, 0], [0, 3, 0])


def test_training_images_repeat_and_are_limited_by_class_and_seed(data: Callable[..., ExperimentData]) -> None:
    made = data(["bicubic", "other"], "bicubic")
    made.experiment = made.experiment.model_copy(update={"repeat": 2, "limit": {"other": 1}})
    (split,) = made.splits
    images, _ = made.train(split, 0)
    shown = seen(images)
    once, again = shown[: len(shown) // 2], shown[len(shown) // 2 :]
    assert once == again
    assert [arm for arm, _ in once] == 6 * [1] + 2 * [2]  # three of either class as they are, one of either
    assert sorted(images.labels[6:8]) == [0, 1]
    drawn = {tuple(seen(made.train(split, seed)[0])) for seed in range(8)}
    assert len(drawn) > 1
    assert seen(made.train(split, 0)[0]) == shown


def test_how_sure_a_classifier_is_rests_on_the_images_that_it_was_not_trained_on_as_its_test_shows_them(
    data: Callable[..., ExperimentData],
) -> None:
    found = data(["bicubic", "other"], "raw", validation=0.34)
    (split,) = found.splits
    parts = set()
    for seed in range(8):
        trained, held = found.train(split, seed)
        asked = found.validation(split, seed)
        assert held is not None and asked is not None
        ids, images = asked
        shown = seen(images)
        assert {arm for arm, _ in shown} == {0}  # raw, which is tested
        assert {number for _, number in shown} == {number for _, number in seen(held)}
        assert not {number for _, number in shown} & {number for _, number in seen(trained)}
        assert [rows_of()[number].id for _, number in shown] == ids
        parts.add(tuple(ids))
    assert len(parts) > 1
    assert data(["raw"], "raw").validation(split, 1) is None


@pytest.mark.parametrize("part", ["train", "validation"])
def test_under_a_protocol_that_keeps_sources_apart_both_parts_are_of_whole_sources(
    part: str, data: Callable[..., ExperimentData]
) -> None:
    found = data(["raw"], "raw", ("classifier_train",) * 4, validation=0.5)
    found.protocol = "source_disjoint"
    (split,) = found.splits
    for seed in range(8):
        held = found.train(split, seed)[1] if part == "train" else found.validation(split, seed)[1]  # type: ignore[index]
        sources = [rows_of()[number].source for _, number in seen(held)]
        assert len(sources) == 4 and len(set(sources)) == 2, "both images of one source of either class"

"""Networks of one class each: they make images to train on, and never one that is tested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from leukosr.config import ByClass, Params, parse_params
from leukosr.data.manifest import Row
from leukosr.data.separation import untested_rows
from leukosr.errors import LeukoError

STUDY = ["study=srgan_vgg19"]


def row(name: str, **roles: str) -> Row:
    return Row(name, f"{name}.png", "a", name, 8, 8, roles)


def test_only_what_no_protocol_tests_may_be_made() -> None:
    rows = [row("one", paper="classifier_train"), row("two", paper="classifier_test"), row("three", paper="unused")]
    assert [each.id for each in untested_rows(rows, ["paper"], "own")] == ["one", "three"]


@pytest.mark.parametrize("role", ["classifier_train", "classifier_val", "sr_train+classifier_train", "fold_1"])
def test_an_image_that_one_protocol_tests_and_another_trains_on_is_refused(role: str) -> None:
    rows = [row("one", paper="classifier_test", official=role)]
    with pytest.raises(LeukoError, match=r"arm own .* official trains on 1 of 1 test images, e\.g\. one: leave out"):
        untested_rows(rows, ["paper", "official"], "own")


def test_images_that_are_counted_into_training_are_refused_by_count() -> None:
    both = "classifier_test+classifier_train"
    rows = [row("one", as_counted=both), row("two", as_counted="classifier_test"), row("three", as_counted=both)]
    with pytest.raises(LeukoError, match=r"as_counted trains on 2 of 3 test images.*take another study\.protocol"):
        untested_rows(rows, ["as_counted"], "own")


def test_each_class_has_a_training_of_its_own(compose_params: Callable[..., Params]) -> None:
    params = compose_params(*STUDY)
    arm = params.upscale["srgan_keras_classes"]
    assert isinstance(arm, ByClass)
    assert {label: params.train_sr[name].only_class for label, name in arm.trainings.items()} == {
        each: each for each in ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")
    }
    one = arm.of_class("MONOCYTE")
    assert (one.by, one.training, one.weights) == ("training", "srgan_keras_monocyte", arm.weights)
    assert {params.classify[name].test for name in params.classify if "srgan_keras_classes" in
            params.classify[name].train} == {"ground_truth"}  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (["classify", "with_class_srgan", "test"], "srgan_keras_classes", "its images tell the label: train on them"),
        (
            ["train_sr", "srgan_keras_monocyte", "class"],
            None,
            r"trainings\.MONOCYTE = .*class is None, it must be MONO",
        ),
        (["upscale", "srgan_keras_classes", "trainings", "MONOCYTE"], "other", "'other': no such training"),
        (["upscale", "srgan_keras_classes", "reads"], "outputs", "must be outputs/srgan_vgg19/sr, where its training"),
        (["compared"], ["ground_truth"], "compared: must list ground_truth, bicubic, srgan_keras, by study.measures"),
        (["sweep", "arm"], "with_class_srgan", "which has no images to test and to draw a split from; choose another"),
        (["classify", "with_bicubic", "limit"], {"raw": 5}, "limit: 'raw' is none of the arms in train"),
        (["classify", "originals_twice", "repeat"], 0, "greater than or equal to 1"),
    ],
)
def test_what_would_show_a_label_is_refused(
    keys: list[str], value: object, said: str, compose_raw: Callable[..., Any]
) -> None:
    raw = compose_raw(*STUDY)
    place = raw
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    with pytest.raises(LeukoError, match=said):
        parse_params(raw, "conf")

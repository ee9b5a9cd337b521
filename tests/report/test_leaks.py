"""A protocol that leaks by design says so on its page, with its numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from leukosr.config import Params
from leukosr.data.manifest import Item, make_rows
from leukosr.report.verdicts import leakage


def test_test_images_in_training_are_counted(compose_params: Callable[..., Params]) -> None:
    items = [Item(str(number), f"{number}.png", "a", "", 8, 8) for number in range(3)]
    roles = {"0": "classifier_train+classifier_test", "1": "classifier_val+classifier_test", "2": "classifier_train"}
    rows, params = make_rows(items, {"as_counted": roles, "official": roles}), compose_params("study=demo")
    (sentence,) = leakage(rows, "as_counted", params)
    assert sentence.startswith("This protocol leaks by design: 1 of the 2 test images are training images")
    assert leakage(rows, "official", params) == []


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ("raw,bicubic", ["1 of 200 test images (0.5 %) share a micrograph with the classifiers' training images."]),
        ("raw,bicubic_colour", ["the classifiers' training", "SR training"]),
    ],
)
def test_sr_is_spoken_of_where_an_arm_learns_from_its_images(
    compose_params: Callable[..., Params], arms: str, said: list[str]
) -> None:
    items = [Item(str(number), f"{number}.png", "a", f"source-{max(number, 1)}", 8, 8) for number in range(201)]
    roles = {str(number): "classifier_test" for number in range(1, 201)} | {"0": "classifier_train"}
    sentences = leakage(make_rows(items, {"paper": roles}), "paper", compose_params("study=demo", f"arms=[{arms}]"))
    assert len(sentences) == len(said)
    assert all(words in sentence for words, sentence in zip(said, sentences, strict=True))

"""A protocol that leaks by design says so on its page, with its numbers."""

from __future__ import annotations

from collections.abc import Callable

from leukosr.config import Params
from leukosr.data.manifest import Item, make_rows
from leukosr.report.verdicts import leakage


def test_test_images_in_training_are_counted(compose_params: Callable[..., Params]) -> None:
    items = [Item(str(number), f"{number}.png", "a", "", 8, 8) for number in range(3)]
    roles = {"0": "classifier_train+classifier_test", "1": "classifier_val+classifier_test", "2": "classifier_train"}
    rows, study = make_rows(items, {"as_counted": roles, "official": roles}), compose_params("study=demo").study
    (sentence,) = leakage(rows, "as_counted", study)
    assert sentence.startswith("This protocol leaks by design: 1 of the 2 test images are training images")
    assert leakage(rows, "official", study) == []

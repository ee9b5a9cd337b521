"""Temperature, and the probability from which on an answer is sure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from leukosr.classify.confidence import (
    Answered,
    Validation,
    answered,
    calibrated,
    champion,
    fitted_temperature,
    sure_above,
)
from leukosr.errors import LeukoError


def drawn(count: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a classifier whose logits are `temperature` times too large, and true classes."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (count, 4))
    true = softmax(logits, axis=1)
    return softmax(logits * temperature, axis=1), np.array([rng.choice(4, p=each) for each in true])


def said(confidence: list[float], right: list[bool]) -> Answered:
    return Answered(np.array(confidence), np.array(right))


def validation(first: dict[str, float], macro_f1: float = 0.5) -> Validation:
    """Of two classes; `first` is the probability of the first one by image, and all images show it."""
    probabilities = tuple((each, 1 - each) for each in first.values())
    labels = (0,) * len(first)
    return Validation(temperature=1, macro_f1=macro_f1, images=tuple(first), labels=labels, probabilities=probabilities)


@pytest.mark.parametrize("temperature", [0.5, 1, 3])
def test_the_temperature_of_overconfident_and_timid_classifiers_is_found(temperature: float) -> None:
    probabilities, labels = drawn(4000, temperature)
    assert fitted_temperature(probabilities, labels) == pytest.approx(temperature, rel=0.1)


def test_a_few_images_that_are_all_right_do_not_make_a_classifier_certain() -> None:
    probabilities = np.tile([0.7, 0.2, 0.1], (5, 1))
    temperature = fitted_temperature(probabilities, np.zeros(5, int))
    assert calibrated(probabilities, temperature)[0, 0] == pytest.approx(6 / 7, abs=0.02)


def test_calibrated_probabilities_sum_to_1_and_name_the_same_class_even_where_one_is_0() -> None:
    probabilities = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    found = calibrated(probabilities, 2.5)
    assert np.allclose(found.sum(1), 1)
    assert (found.argmax(1) == probabilities.argmax(1)).all()


def test_sure_answers_of_the_validation_part_are_wrong_as_rarely_as_asked() -> None:
    confidence = list(np.linspace(0.5, 0.999, 400))
    rng = np.random.default_rng(1)
    right = [bool(rng.random() < each) for each in confidence]
    threshold = sure_above(said(confidence, right), 0.1)
    assert threshold is not None
    sure = np.array(confidence) >= threshold
    assert (np.sum(sure & ~np.array(right)) + 1) / (np.sum(sure) + 1) <= 0.1
    lower = np.sort(np.array(confidence)[~sure])[::-1]
    assert all(
        (np.sum((np.array(confidence) >= each) & ~np.array(right)) + 1) / (np.sum(np.array(confidence) >= each) + 1)
        > 0.1
        for each in lower
    )


def test_nineteen_images_without_an_error_allow_5_percent_and_eighteen_do_not() -> None:
    for count, found in ((18, None), (19, 0.9)):
        assert sure_above(said([0.9] * count, [True] * count), 0.05) == found


def test_images_that_are_equally_sure_stand_or_fall_together() -> None:
    assert sure_above(said([0.9] * 40, [True] * 30 + [False] * 10), 0.05) is None


def test_several_classifiers_are_judged_by_their_mean_on_the_images_that_all_were_validated_on() -> None:
    """Two classifiers are wrong on another image each, surely; their mean is right on both, and less sure."""
    first = validation({"a": 0.9, "b": 0.05, "c": 0.8, "only here": 0.1})
    second = validation({"only there": 0.1, "c": 0.8, "b": 0.99, "a": 0.2})
    found = answered([first, second])
    assert found.confidence.tolist() == pytest.approx([0.55, 0.52, 0.8])
    assert found.right.tolist() == [True, True, True]


def test_eight_classifiers_of_ten_images_prove_no_more_than_one() -> None:
    one = validation({str(place): 0.9 for place in range(10)})
    assert sure_above(answered([one] * 8), 0.05) is None


def test_classifiers_validated_on_different_images_call_nothing_sure() -> None:
    apart = answered([validation({"a": 0.9}), validation({"b": 0.9})])
    assert len(apart.right) == 0 and sure_above(apart, 0.05) is None


def test_the_champion_has_the_best_validation_score_and_without_one_is_the_first() -> None:
    scored = [validation({"a": 0.9}, macro_f1) for macro_f1 in (0.5, 0.8, 0.8)]
    assert champion(scored) == 1
    assert champion([None, None]) == 0


def test_what_is_written_is_read_and_a_damaged_entry_is_named() -> None:
    probabilities, labels = drawn(50, 2)
    written = Validation.of([f"i{place}" for place in range(50)], probabilities, labels, list("abcd"))
    assert Validation.read({Validation.key: written.model_dump_json()}, Path("w")) == written
    assert Validation.read({}, Path("w")) is None
    for damaged in ("{", '{"temperature": 1e9}', written.model_dump_json().replace('"i1"', '"i0"')):
        with pytest.raises(LeukoError, match="w has a damaged header"):
            Validation.read({Validation.key: damaged}, Path("w"))

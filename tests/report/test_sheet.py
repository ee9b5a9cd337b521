"""The reporting sheet: answers from the study, and gaps named."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.report.results import load_results
from leukosr.report.sections import lead_sentence
from leukosr.report.sheet import Item, sheet, sheet_markdown

REFORMS = {1: "abc", 2: "abcde", 3: "abcdefg", 4: "abc", 5: "abcdef", 6: "abc", 7: "abc", 8: "ab"}  # 32 items


def items_of(params: Params, outputs: Path) -> list[Item]:
    results = load_results(Layout("demo", outputs=outputs), params, "paper")
    return sheet(params, [results], {"torch": "2"}, "dvc exp run -S study=demo")


def test_every_item_of_reforms_is_asked_once(params: Params, outputs: Path) -> None:
    asked = [
        number for item in items_of(params, outputs) if "REFORMS" in item.numbers
        for number in re.findall(r"\d[a-g]", item.numbers.split("CLAIM")[0])
    ]  # fmt: skip
    assert sorted(asked) == [f"{module}{letter}" for module, letters in REFORMS.items() for letter in letters]


def test_every_item_of_claim_is_asked_once(params: Params, outputs: Path) -> None:
    asked: list[int] = []
    for item in items_of(params, outputs):
        _, _, numbers = item.numbers.partition("CLAIM ")
        for part in filter(None, numbers.split(", ")):
            first, _, last = part.partition(" to ")
            asked += range(int(first), int(last or first) + 1)
    assert sorted(asked) == list(range(3, 43))  # 1 and 2 are the paper's title and abstract


def test_gaps_are_named_until_a_statement_fills_them(
    params: Params, outputs: Path, compose_params: Callable[..., Params]
) -> None:
    plain = sheet_markdown(params, items_of(params, outputs))
    gaps = plain.split("| item |")[0]
    assert "- CLAIM 42: funding" in gaps and "- REFORMS 1a, CLAIM 3: the population" in gaps
    said = compose_params("study=demo", "budget=smoke", "+report.statements.funding=none | at all")
    filled = sheet_markdown(said, items_of(said, outputs))
    assert "CLAIM 42" not in filled.split("| item |")[0] and "none \\| at all |" in filled
    assert int(filled.split(" of ")[0].split()[-1]) == int(plain.split(" of ")[0].split()[-1]) + 1


def test_a_statement_that_no_item_asks_for_is_refused(compose_params: Callable[..., Params]) -> None:
    with pytest.raises(LeukoError, match=r"report\.statements.*founding"):
        compose_params("study=demo", "budget=smoke", "+report.statements.founding=none")


def test_answers_come_from_the_study(params: Params, outputs: Path) -> None:
    text = sheet_markdown(params, items_of(params, outputs))
    assert "8 images: 4 eosinophil, 4 neutrophil" in text and "dvc exp run -S study=demo" in text
    assert params.budget.note in text and "torch 2" in text


def test_a_protocol_that_leaks_does_not_say_that_test_images_are_kept_apart(params: Params, outputs: Path) -> None:
    results = load_results(Layout("demo", outputs=outputs), params, "paper")
    answers = {
        item.numbers: item.answer for item in sheet(params, [results, replace(results, protocol="as_counted")], {}, "")
    }
    assert answers["REFORMS 6a"] == "They are not under as_counted: classifiers train on test images, by design."
    assert "other images" in lead_sentence(params, results)
    lead = lead_sentence(params, replace(results, protocol="as_counted"))
    assert re.search(r"tested on \d+ images[^,]*, some of which were trained on, so that one image is", lead)


def test_a_study_of_image_quality_alone_speaks_of_no_classifier(
    outputs: Path, params: Params, compose_params: Callable[..., Params]
) -> None:
    results = load_results(Layout("demo", outputs=outputs), params, "paper")
    quality = compose_params("study=demo_sr", "budget=smoke")
    said = [item.answer or "" for item in sheet(quality, [replace(results, experiments={})], {}, "")]
    assert not [
        answer for answer in said if re.search("classif|experiment|macro|Holm|label conflicts|of the cell", answer)
    ]
    assert any("PSNR and SSIM" in answer for answer in said)


def test_initial_weights_are_those_of_sr_too(
    params: Params, outputs: Path, compose_params: Callable[..., Params]
) -> None:
    results = load_results(Layout("demo", outputs=outputs), params, "paper")
    answers = {
        item.numbers: item.answer
        for item in sheet(compose_params("study=case1_weights", "budget=published"), [results], {}, "command")
    }
    assert "real_esrgan: pretrained/realesrgan_x4plus" in (answers["CLAIM 24"] or "")
    assert "realesrgan_x4plus: pretrained/realesrgan_x4plus" in (answers["REFORMS 5a, CLAIM 22, 25"] or "")

"""The answer at the top of a page says no more than its verdicts and intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from leukosr.config import Params
from leukosr.evaluate.arms.significance import WORDS, Comparison, Verdict
from leukosr.evaluate.estimate import Estimate, says_nothing
from leukosr.layout import Layout
from leukosr.report.answer import HEADLINES, sr_experiments, study_answer, verdict_answer
from leukosr.report.block import percent_with_interval, points_with_interval
from leukosr.report.comparisons import HEADS, row, sentences
from leukosr.report.results import ArmResults, StudyResults, load_results
from leukosr.report.style import Look
from leukosr.report.verdicts import judge

from .conftest import fabricate

FOUND = Comparison(
    a="Real-ESRGAN", b="raw LR", metric="macro_f1", primary=True, difference=0.077, ci_low=-0.008, ci_high=0.162,
    ci90_low=0.005, ci90_high=0.149, margin=0.02, smallest_margin=0.149, frequency=0.75, p_improvement=0.75,
    p_value=0.07, p_holm=0.14, verdict="inconclusive", reason=None, p_runs=None, p_source=None, p_mcnemar=None, runs=8,
    paired=True, networks=None, images=400, sources=60,
)  # fmt: skip
SR = {"Real-ESRGAN", "SRGAN"}


def test_an_inconclusive_study_has_not_shown_it_and_gives_difference_interval_and_runs() -> None:
    answer = verdict_answer({"paper": [FOUND]}, SR, None)
    assert list(answer.sentences) == [
        "Does super-resolution help here? Not shown.",
        "  Real-ESRGAN – raw LR: inconclusive, +7.7 points of macro F1 (−0.8 … +16.2), 8 paired runs",
    ]


def test_two_runs_give_no_verdict_and_no_difference_to_read_into() -> None:
    few = replace(FOUND, runs=2, reason="2 paired runs, and a verdict takes 6")
    (part,) = verdict_answer({"paper": [few, replace(few, a="SRGAN")]}, SR, None).parts
    assert part.headline == "No verdict is possible: 2 paired runs, and a verdict takes 6" and not part.lines


@pytest.mark.parametrize("word", WORDS)
def test_every_verdict_has_its_headline_and_only_gains_answer_yes(word: Verdict) -> None:
    (part,) = verdict_answer({"paper": [replace(FOUND, verdict=word, declared=True)]}, SR, None).parts
    assert part.headline == HEADLINES[word]
    assert part.headline.startswith("Yes") == (word in ("better", "clearly better"))
    assert f"raw LR: {word}, " in part.lines[0]


def test_an_undeclared_gain_is_exploratory_and_a_gain_in_one_comparison_is_in_part() -> None:
    gain = replace(FOUND, verdict="clearly better")
    (alone,) = verdict_answer({"paper": [gain]}, SR, None).parts
    (some,) = verdict_answer({"paper": [gain, replace(FOUND, b="bicubic")]}, SR, None).parts
    assert alone.headline == "Yes (exploratory: not declared before the first run)"
    assert some.headline == "In part (exploratory: not declared before the first run)"
    assert not any("(exploratory)" in line for line in (*alone.lines, *some.lines)), "the headline says it of all"
    (harmful,) = verdict_answer({"paper": [replace(FOUND, verdict="worse"), FOUND]}, SR, None).parts
    assert harmful.headline == "Not shown"


@pytest.mark.parametrize(
    ("declared", "other", "headline"),
    [
        ("clearly better", "inconclusive", "Yes"),
        ("clearly better", "clearly better", "Yes"),
        ("clearly better", "worse", "Yes"),
        ("worse", "clearly better", HEADLINES["worse"]),
        ("inconclusive", "clearly better", "Not shown"),
    ],
)
def test_declared_claims_alone_give_the_headline_and_others_are_marked(
    declared: Verdict, other: Verdict, headline: str
) -> None:
    found = [
        replace(FOUND, verdict=declared, declared=True),
        replace(FOUND, b="bicubic", verdict=other, declared=False),
    ]
    (part,) = verdict_answer({"paper": found}, SR, None).parts
    assert part.headline == headline
    assert f": {declared}, " in part.lines[0] and f": {other} (exploratory), " in part.lines[1]


def test_the_split_by_source_answers_first_and_the_other_one_with_its_caveat() -> None:
    found = {"paper": [FOUND], "source_disjoint": [FOUND]}
    first, second = verdict_answer(found, SR, "Copies share micrographs.").parts
    assert (first.where, second.where) == ("Protocol source_disjoint", "Protocol paper")
    assert "Copies share micrographs." in second.lines and "Copies share micrographs." not in first.lines


def test_controls_are_left_out_where_sr_is_compared_and_stand_alone_where_it_is_not() -> None:
    control = replace(FOUND, a="ground truth", b="bicubic", verdict="clearly better")
    assert len(verdict_answer({"paper": [FOUND, control]}, SR, None).parts[0].lines) == 1
    assert verdict_answer({"paper": [control]}, SR, None).question == "Is the first of each pair better?"
    (nothing,) = verdict_answer({"paper": []}, SR, None).parts
    assert nothing.lines == ["The study compares no two arms."]


def test_a_network_that_adds_no_pixel_is_a_control_which_sr_is_compared_with(
    compose_params: Callable[..., Params],
) -> None:
    params = compose_params("study=pbc_answer", "budget=answer")
    sr = sr_experiments(params)
    assert {"srgan", "real_esrnet", "real_esrgan", "realesrgan_x4plus", "task_driven"} <= sr
    assert not sr & {"denoise", "bicubic", "bicubic_colour", "unsharp", "ground_truth"}
    asked = [
        replace(FOUND, a=a, b=b, verdict="clearly better", declared=True) for a, b in params.study.comparisons or ()
    ]
    against = [replace(each, verdict="inconclusive") if each.b == "denoise" else each for each in asked]
    (part,) = verdict_answer({"official_sr_apart": against}, sr, None).parts
    assert part.headline == "In part" and len(part.lines) == 10


@pytest.mark.parametrize(
    ("words", "headline"),
    [
        (("clearly better", "better"), HEADLINES["better"]),
        (("equivalent", "no gain"), HEADLINES["no gain"]),
        (("worse", "clearly worse"), HEADLINES["worse"]),
        (("worse", "no gain"), HEADLINES["no gain"]),
        (("no gain", "inconclusive"), "Not shown"),
        (("better", "worse"), "In part"),
    ],
)
def test_several_verdicts_answer_what_all_of_them_say(words: tuple[Verdict, ...], headline: str) -> None:
    found = [replace(FOUND, verdict=word, declared=True) for word in words]
    assert verdict_answer({"paper": found}, SR, None).parts[0].headline == headline


def test_the_secondary_metric_does_not_answer() -> None:
    other = replace(FOUND, metric="accuracy", primary=False, verdict="clearly better")
    (part,) = verdict_answer({"paper": [FOUND, other]}, SR, None).parts
    assert part.headline == "Not shown" and len(part.lines) == 1


@pytest.fixture
def results(params: Params, tmp_path: Path) -> StudyResults:
    return load_results(Layout("demo", fabricate(tmp_path / "outputs")), params, "paper")


def test_a_study_without_classifiers_answers_by_its_differences_of_psnr(
    compose_params: Callable[..., Params], results: StudyResults
) -> None:
    params = compose_params("study=demo_sr", "budget=smoke")
    shifted = dict(results.arms)
    random = np.random.default_rng(1)
    for name, gain in (("srgan", -2.0), ("real_esrgan", 3.0)):
        plain = shifted["bicubic"].per_image
        own = plain.assign(psnr=plain["psnr"] + gain + random.normal(0, 0.1, len(plain)))
        shifted[name] = replace(shifted[name], per_image=own, every_network=own)
    quality = replace(results, experiments={}, arms=shifted)
    answer = study_answer(params, [quality], [])
    (part,) = answer.parts
    assert answer.question == "Does super-resolution raise the PSNR here?" and part.headline == "In part"
    assert any(line.startswith("Real-ESRGAN – bicubic: +3.") and " dB (+2." in line for line in part.lines)


@pytest.mark.parametrize(
    ("pairs", "question", "headline"),
    [
        ("[[srgan,bicubic],[real_esrgan,srgan]]", "Does super-resolution raise the PSNR here?", "No, it is lower"),
        ("[[bicubic,srgan]]", "Is the PSNR of the first of each pair higher?", "Yes"),
    ],
)
def test_psnr_answers_for_sr_where_it_stands_first_and_else_for_what_does(
    compose_params: Callable[..., Params], results: StudyResults, pairs: str, question: str, headline: str
) -> None:
    params = compose_params("study=demo_sr", "budget=smoke", f"study.comparisons={pairs}")
    own = results.arms["bicubic"].per_image
    own = own.assign(psnr=own["psnr"] - np.random.default_rng(1).normal(2.0, 0.1, len(own)))
    lower = replace(results.arms["srgan"], per_image=own, every_network=own)
    quality = replace(results, experiments={}, arms={**results.arms, "srgan": lower})
    answer = study_answer(params, [quality], [])
    assert (answer.question, answer.parts[0].headline) == (question, headline)


def test_a_difference_of_psnr_whose_interval_holds_0_answers_nothing(
    compose_params: Callable[..., Params], results: StudyResults
) -> None:
    params = compose_params("study=demo_sr", "budget=smoke", "study.comparisons=[[srgan,bicubic]]")
    plain = results.arms["bicubic"].per_image
    own = plain.assign(psnr=plain["psnr"] + np.tile([-1.0, -1.0, 2.0, 2.0], 2))
    arms = {**results.arms, "srgan": replace(results.arms["srgan"], per_image=own, every_network=own)}
    (part,) = study_answer(params, [replace(results, experiments={}, arms=arms)], []).parts
    assert part.headline == "Not shown" and part.lines[0].startswith("SRGAN – bicubic: +0.50 dB (−")


def test_the_answer_of_a_study_is_that_of_its_verdicts(params: Params, results: StudyResults) -> None:
    answer = study_answer(params, [results], judge(params, [results]))
    assert answer.parts[0].headline.startswith("No verdict is possible: not every image names its source")


def test_an_interval_that_covers_more_than_half_of_what_is_possible_is_not_shown() -> None:
    assert says_nothing(-0.97, 1.0, 2) and not says_nothing(-0.5, 0.5, 2)
    assert points_with_interval(Estimate(0.04, -0.97, 1.0)) == "+4.0 (too wide to say anything)"
    assert points_with_interval(Estimate(0.04, -0.1, 0.2)) == "+4.0 (−10.0 … +20.0)"
    assert percent_with_interval(Estimate(0.04, 0.0, 0.9)) == "4.0 (too wide to say anything)"
    wide = dict(zip(HEADS, row(replace(FOUND, ci_low=-0.97, ci_high=1.0)), strict=True))
    assert wide["difference, points\n(95 % interval)"] == "+7.7 (too wide to say anything)"
    assert not any("is excluded" in each for each in sentences([replace(FOUND, ci_low=-0.97, ci_high=1.0)]))
    assert any("is excluded" in each for each in sentences([FOUND]))


@pytest.mark.parametrize(
    ("frequency", "with_ties", "words"),
    [(0.0, 0.5, "all tie"), (0.25, 0.5, "25 % (50 % tie)"), (0.75, 0.75, "75 %"), (0.0, 0.0, "0 %")],
)
def test_runs_that_tie_are_not_called_lost(frequency: float, with_ties: float, words: str) -> None:
    cells = dict(zip(HEADS, row(replace(FOUND, frequency=frequency, p_improvement=with_ties)), strict=True))
    assert cells["first wins in\n… of runs"] == words


def test_an_answer_by_runs_that_all_tie_says_so() -> None:
    (part,) = verdict_answer({"paper": [replace(FOUND, frequency=0.0, p_improvement=0.5)]}, SR, None).parts
    assert part.lines[0].endswith("8 paired runs, which all tie")


def idle_arm(label: str, **seeds: bool) -> ArmResults:
    """An arm of which a network did not train; `seeds` say of which SR seeds."""
    facts = {"did_not_train": True, "per_sr_seed": {key[1:]: {"did_not_train": each} for key, each in seeds.items()}}
    unread = pd.DataFrame()
    return ArmResults(Look(label, "#000000"), cast(Any, None), unread, unread, facts)


def test_a_network_that_did_not_train_is_named_and_answers_nothing() -> None:
    gain = replace(FOUND, verdict="no gain", declared=True)
    found = [gain, replace(gain, a="SRGAN", verdict="better")]
    (both,) = verdict_answer({"paper": found}, SR, None, {"Real-ESRGAN": [idle_arm("Real-ESRGAN")]}).parts
    assert both.headline == HEADLINES["better"]
    assert both.lines[-1].startswith("Did not train: Real-ESRGAN, within 0.01 dB of what went in")
    (alone,) = verdict_answer({"paper": [gain]}, SR, None, {"Real-ESRGAN": [idle_arm("Real-ESRGAN")]}).parts
    assert alone.headline == "Not shown"
    of_second = {FOUND.b: [idle_arm("Real-ESRGAN"), idle_arm("denoised")]}
    (beaten,) = verdict_answer({"paper": [replace(gain, verdict="better")]}, SR, None, of_second).parts
    assert beaten.headline == "Not shown", "what it is compared with did not train"
    assert beaten.lines[-1].startswith("Did not train: Real-ESRGAN, denoised, within")


def test_of_several_networks_those_that_did_not_train_are_named_by_seed() -> None:
    gain = replace(FOUND, verdict="no gain", declared=True)
    idle = {"Real-ESRGAN": [idle_arm("Real-ESRGAN", _1=False, _2=True, _3=False)]}
    (part,) = verdict_answer({"paper": [gain]}, SR, None, idle).parts
    assert part.headline == HEADLINES["no gain"], "two networks trained"
    assert part.lines[-1].startswith("Did not train: Real-ESRGAN (SR seed 2 of 1, 2, 3), within")


def test_the_answer_of_a_study_names_what_did_not_train(params: Params, tmp_path: Path) -> None:
    outputs = fabricate(tmp_path / "idle")
    facts = outputs / "demo/quality/srgan/metrics.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "did_not_train": True}))
    found = load_results(Layout("demo", outputs), params, "paper")
    (part,) = study_answer(params, [found], judge(params, [found])).parts
    assert any(line.startswith("Did not train: SRGAN, within") for line in part.lines)


def test_the_sure_mistakes_come_first() -> None:
    from leukosr.evaluate.arms.mistakes import confident_mistakes

    rows = [("a", "x", 0.9, 0.1), ("b", "y", 0.6, 0.4), ("c", "y", 0.8, 0.2), ("d", "y", 0.1, 0.9)]
    table = pd.DataFrame(
        [(image, seed, true, "x" if x > 0.5 else "y", x, y) for image, true, x, y in rows for seed in (1, 2)],
        columns=["image", "seed", "true", "predicted", "p_x", "p_y"],
    )
    found = confident_mistakes(table, ("x", "y"), 5)
    assert [(each.image, each.said, each.wrong, each.runs) for each in found] == [("c", "x", 2, 2), ("b", "x", 2, 2)]
    assert [each.confidence for each in found] == pytest.approx([0.8, 0.6])
    assert [each.image for each in confident_mistakes(table, ("x", "y"), 1)] == ["c"]

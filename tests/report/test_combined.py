"""`leukosr combine`: a study whose arms are in several published results."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.declared import SIDECAR, read_sidecar, write_sidecar
from leukosr.evaluate.arms.pairs import pair
from leukosr.report.combine import combined_arms, refuse_unlike_classifiers
from leukosr.report.combined_claims import _unpaired, in_order
from leukosr.report.combined_page import write_combined
from leukosr.report.pieces import read_pieces
from leukosr.tables import read_own_table

from .conftest import with_few_images

ROOT = Path(__file__).parents[2]
RESULTS, CONF = ROOT / "results", ROOT / "conf"
PROBE, UNTRAINED = RESULTS / "pbc-answer-probe", RESULTS / "pbc-answer-published"
FIRST, SECOND = RESULTS / "pbc-answer-finetuned", RESULTS / "pbc-answer-finetuned-1"


def copied(
    folder: Path, original: Path, name: str = "", change: Callable[[dict[str, Any]], None] | None = None
) -> Path:
    """A published result that a test may change: its name, and its parameters."""
    result = copytree(original, folder / (name or original.name), ignore=lambda _, names: {"figures"} & {*names})
    if change is not None:
        params = yaml.safe_load((result / "params.yaml").read_text())
        change(params)
        (result / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return result


def test_a_study_put_together_is_judged_as_its_one_result_was(tmp_path: Path) -> None:
    """The arms of pbc_answer_probe, alone in one result: other results change neither scores nor verdicts."""
    page, answer, _ = write_combined(tmp_path, "pbc_answer_probe", [PROBE, UNTRAINED], conf=CONF)
    claims = read_own_table(tmp_path / "verdicts.csv").query("metric == 'macro_f1'")
    assert claims[["first", "second", "verdict"]].to_numpy().tolist() == [
        ["real_esrnet", "bicubic", "no gain"],
        ["ground_truth", "bicubic", "clearly better"],
        ["real_esrnet", "denoise", "inconclusive"],
    ]
    said = json.loads((PROBE / "summary.json").read_text())
    found = json.loads((tmp_path / "summary.json").read_text())
    for name, scores in said.items():
        for measure in ("psnr", "ssim", "accuracy", "accuracy_sd", "macro_f1", "macro_f1_sd", "n_runs", "n_test"):
            assert found[name][measure] == pytest.approx(scores[measure]), (name, measure)
    assert [*found] == [*said, "realesrgan_x4plus"]
    text = page.read_text(encoding="utf-8")
    for sentence in (line.strip() for part in answer.parts for line in part.lines):
        assert sentence in text
    assert "put together from 2 results" in text
    assert "Not covered by any claim of the study: raw LR; bicubic + colour map; unsharp masking; RealESRGAN" in text
    assert {each["result"] for each in json.loads((tmp_path / "about.json").read_text())["results"]} == {
        PROBE.name,
        UNTRAINED.name,
    }


def test_the_same_results_give_the_same_bytes_and_their_order_no_other_verdicts(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, PROBE, UNTRAINED)
    for name, pieces in (("one", few), ("two", few), ("back", few[::-1])):
        write_combined(tmp_path / name, "pbc_answer_probe", pieces, conf=CONF)
    files = [each.relative_to(tmp_path / "one") for each in sorted((tmp_path / "one").rglob("*")) if each.is_file()]
    assert all((tmp_path / "one" / each).read_bytes() == (tmp_path / "two" / each).read_bytes() for each in files)
    tables = [read_own_table(tmp_path / name / "verdicts.csv") for name in ("one", "back")]
    assert tables[0][["first", "second", "verdict"]].equals(tables[1][["first", "second", "verdict"]])


def test_a_claim_that_no_result_had_among_its_own_is_exploratory(tmp_path: Path) -> None:
    """The study claims something of real_esrnet against bicubic; one result claimed it, with seeds 1 to 6."""
    few = with_few_images(tmp_path, PROBE, UNTRAINED)
    own, *_ = write_combined(tmp_path / "own", "pbc_answer_probe", few, conf=CONF)
    declared = read_own_table(tmp_path / "own/verdicts.csv").query("metric == 'macro_f1'")["declared"]
    assert declared.tolist() == ["True"] * 3
    (few[0] / "plots/confusion/real_esrnet.claims.json").unlink()
    page, *_ = write_combined(tmp_path / "none", "pbc_answer_probe", few, conf=CONF)
    declared = read_own_table(tmp_path / "none/verdicts.csv").query("metric == 'macro_f1'")["declared"]
    assert declared.tolist() == ["False", "True", "False"]
    marked = [text.read_text(encoding="utf-8").count("(exploratory)</td>") for text in (own, page)]
    assert marked[1] == marked[0] + 2


@pytest.mark.parametrize(("seeds", "declared"), [([1, 2, 3], True), ([1, 2, 3, 4, 5, 6], True), ([1, 2, 9], False)])
def test_a_result_may_have_claimed_something_of_fewer_seeds(seeds: list[int], declared: bool, tmp_path: Path) -> None:
    table = copied(tmp_path, PROBE) / "plots/confusion/real_esrnet.csv"
    origin = read_sidecar(table)
    assert origin is not None
    changed = replace(origin, claims=origin.claims.model_copy(update={"seeds": seeds}))
    write_sidecar(table.parent, changed)
    (table.parent / SIDECAR).rename(table.parent / f"real_esrnet.{SIDECAR}")
    piece = read_pieces([table.parents[2], UNTRAINED])[0][0]
    own, bicubic = (piece.snapshot.said(name, piece.protocol) for name in ("real_esrnet", "bicubic"))
    assert piece.declares("real_esrnet", "bicubic", origin.claims, pair(own, bicubic)) is declared
    for lacking in (own.table["seed"] == 3, (own.table["seed"] == 3) & (own.table["sr_seed"] == 2)):
        fewer = pair(replace(own, table=own.table[~lacking]), bicubic)  # of each network, or of one
        assert not piece.declares("real_esrnet", "bicubic", origin.claims, fewer)


def test_networks_are_paired_by_seed_and_those_of_other_seeds_in_their_order() -> None:
    arms = combined_arms(read_pieces([FIRST, SECOND])[0])
    one = arms["real_esrgan"].predictions  # networks 0 and 1
    other = replace(one, table=one.table.assign(sr_seed=one.table["sr_seed"] + 2))
    paired = pair(*in_order(one, other))
    assert paired.left_out == 0 and {run.sr_seed for run in paired.runs} == {0, 1}
    half = replace(one, table=one.table.assign(sr_seed=one.table["sr_seed"] + 1))  # networks 1 and 2
    renamed = in_order(one, half)[1].table["sr_seed"]
    assert [*renamed] == [{1: 1, 2: 0}[seed] for seed in half.table["sr_seed"]]  # a seed of both stays a pair
    three = replace(
        arms["real_esrgan"], label="B", predictions=replace(one, table=one.table[one.table["sr_seed"] == 1])
    )
    assert _unpaired(arms["real_esrgan"], three) == [
        "RealESRGAN_x4plus, fine-tuned [0] in RealESRGAN_x4plus, fine-tuned – B"
    ]
    assert in_order(one, arms["bicubic"].predictions) == (one, arms["bicubic"].predictions)


def test_where_a_method_has_more_networks_as_many_are_paired_as_the_other_has() -> None:
    arms = combined_arms(read_pieces([FIRST, SECOND])[0])
    two = arms["real_esrgan"]  # networks 0 and 1
    table = two.predictions.table
    of_zero = table[table["sr_seed"] == 0]
    more = [of_zero.assign(sr_seed=3), of_zero.assign(sr_seed=1), of_zero.assign(sr_seed=5, predicted="neutrophil")]
    three = replace(two, label="B", predictions=replace(two.predictions, table=pd.concat(more, ignore_index=True)))
    paired = pair(*in_order(two.predictions, three.predictions))
    assert {run.sr_seed for run in paired.runs} == {0, 1}  # 1 with 1, and 0 with 3
    assert not (paired.first.hits != paired.second.hits)[[run.sr_seed == 0 for run in paired.runs]].any()
    assert _unpaired(two, three) == ["B [5] in RealESRGAN_x4plus, fine-tuned – B"]
    assert _unpaired(three, two) == ["B [5] in B – RealESRGAN_x4plus, fine-tuned"]


def test_networks_of_one_arm_are_runs_of_one_arm() -> None:
    arm = combined_arms(read_pieces([FIRST, SECOND])[0])["real_esrgan"]
    assert arm.networks == [0, 1] and arm.predictions.runs == 12 and len(arm.pieces) == 2
    apart = [pd.read_csv(each / "plots/confusion/real_esrgan.csv") for each in (FIRST, SECOND)]
    joined = arm.predictions.table
    for seed, own in enumerate(apart):
        kept = joined[joined["sr_seed"] == seed]
        assert kept["predicted"].tolist() == own["predicted"].tolist()
    psnr = [json.loads((each / "summary.json").read_text())["real_esrgan"]["psnr"] for each in (FIRST, SECOND)]
    assert arm.quality("psnr") == pytest.approx(sum(psnr) / 2)


def test_what_no_network_made_counts_once() -> None:
    arm = combined_arms(read_pieces([FIRST, SECOND])[0])["bicubic"]
    assert (arm.networks, arm.predictions.runs) == ([], 6)
    assert [each.name for each in arm.pieces] == [FIRST.name] and [each.name for each in arm.again] == [SECOND.name]


def otherwise(section: str, **values: object) -> Callable[[dict[str, Any]], None]:
    def change(params: dict[str, Any]) -> None:
        place = params
        for name in section.split("."):
            place = place[name]
        place.update(values)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (otherwise("degrade", noise_sigma=10.0), r"differ in degrade\.noise_sigma, so they are not pieces of one"),
        (otherwise("image", scale=2), r"differ in image\.scale"),
        (otherwise("prepare", sr_fraction=0.3), r"differ in prepare\.sr_fraction"),
        (otherwise("study", protocol="official"), r"differ in study\.protocol"),
        (otherwise("classify.bicubic.classifier", frozen="none"), "bicubic, but the classifiers differ in frozen"),
        (otherwise("study", seed=5), r"differ in study\.seed"),
        (otherwise("classify.real_esrgan", train=["real_esrgan", "ground_truth"]), r"differ in classify\.train"),
        (otherwise("upscale.real_esrgan", tile=64), r"differ in upscale\.real_esrgan\.tile"),
        (otherwise("upscale.bicubic", by="file", reads="mine.pth"), r"differ in upscale\.bicubic\.by"),
        (otherwise("train_sr.real_esrgan", batch=4), r"are made differ in train_sr\.real_esrgan\.batch"),
        (otherwise("classify.real_esrgan", limit={"real_esrgan": 20}), r"differ in classify\.limit\.real_esrgan"),
        (otherwise("classify.bicubic.classifier", head_start="linear"), "bicubic, but the classifiers differ in head"),
        (otherwise("train_sr.real_esrgan", seed=None), "both have real_esrgan by a network of seed 0"),
    ],
)  # fmt: skip
def test_results_that_are_not_pieces_of_one_study_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    other = copied(tmp_path, SECOND, change=change)
    with pytest.raises(LeukoError, match=said):
        combined_arms(read_pieces([FIRST, other])[0])


def test_other_cells_are_refused(tmp_path: Path) -> None:
    other = copied(tmp_path, SECOND)
    roles = (other / "roles.csv").read_text().splitlines(keepends=True)
    (other / "roles.csv").write_text("".join(roles[:-1]))
    with pytest.raises(LeukoError, match=r"differ in roles\.csv"):
        read_pieces([FIRST, other])[0]


def test_how_things_are_computed_may_differ(tmp_path: Path) -> None:
    other = copied(tmp_path, SECOND, change=otherwise("train_sr.real_esrgan", precision="fp32"))
    assert combined_arms(read_pieces([FIRST, other])[0])["real_esrgan"].networks == [0, 1]


def test_results_without_roles_are_named(tmp_path: Path) -> None:
    other = copied(tmp_path, SECOND)
    (other / "roles.csv").unlink()
    assert SECOND.name in read_pieces([FIRST, other])[1][0] and not read_pieces([FIRST, SECOND])[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda params: params.pop("prepare"), r"params\.yaml lacks prepare, so it is incomplete"),
        (lambda params: params["study"].pop("seed"), r"params\.yaml lacks study\.seed"),
        (lambda params: params["classify"].pop("bicubic"), r"params\.yaml lacks classify\.bicubic"),
    ],
)
def test_incomplete_results_are_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    with pytest.raises(LeukoError, match=said):
        read_pieces([FIRST, copied(tmp_path, SECOND, change=change)])


def test_predictions_that_were_cut_are_refused(tmp_path: Path) -> None:
    other = copied(tmp_path, SECOND)
    table = other / "plots/confusion/real_esrgan.csv"
    table.write_text("\n".join(table.read_text().split("\n")[:-9]) + "\n")
    with pytest.raises(LeukoError, match=r"real_esrgan\.csv is not the table that was published: its .*: restore it"):
        combined_arms(read_pieces([FIRST, other])[0])


def test_a_result_that_does_not_say_where_it_is_from_is_refused(tmp_path: Path) -> None:
    other = copied(tmp_path, SECOND)
    (other / "about.json").unlink()
    with pytest.raises(LeukoError, match=r"about\.json is not there"):
        read_pieces([FIRST, other])


def test_another_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"pbc_answer_second_order differ in degrade\.method"):
        write_combined(tmp_path / "out", "pbc_answer_second_order", [PROBE, UNTRAINED], conf=CONF)


def test_one_result_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match="name two results or more"):
        read_pieces([FIRST])
    with pytest.raises(LeukoError, match="two of the results have one name"):
        read_pieces([FIRST, copied(tmp_path, FIRST)])


def test_claims_on_experiments_of_other_classifiers_are_refused(tmp_path: Path) -> None:
    change = otherwise("classify.realesrgan_x4plus.classifier", learning_rate=0.5)
    pieces, _ = read_pieces([PROBE, copied(tmp_path, UNTRAINED, change=change)])
    with pytest.raises(
        LeukoError, match="differ in learning_rate, so their difference would not be that of the images"
    ):
        refuse_unlike_classifiers(combined_arms(pieces), [("realesrgan_x4plus", "bicubic")])


def test_claims_on_what_no_result_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        LeukoError, match="has claims on real_esrgan, srgan, task_driven, and none of the results has them"
    ):
        write_combined(tmp_path / "out", "pbc_answer", [PROBE, UNTRAINED], conf=CONF)
    with pytest.raises(LeukoError, match="the study demo declares no claims"):
        write_combined(tmp_path / "out", "demo", [PROBE, UNTRAINED], conf=CONF)
    with pytest.raises(LeukoError, match=r"has no study 'demoo', expected one of .*did you mean demo"):
        write_combined(tmp_path / "out", "demoo", [PROBE, UNTRAINED], conf=CONF)
    with pytest.raises(LeukoError, match=r"cannot be composed with studdy\.seed=1: Could not override 'studdy\.seed'"):
        write_combined(tmp_path / "out", "demo", [PROBE, UNTRAINED], ["studdy.seed=1"], CONF)
    with pytest.raises(LeukoError, match="-S study=demo names another study: name the study with --study alone"):
        write_combined(tmp_path / "out", "pbc_answer_probe", [PROBE, UNTRAINED], ["study=demo"], CONF)


def test_a_classifier_that_is_not_the_studys_own_is_said(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, SECOND)
    page, *_ = write_combined(tmp_path / "other", "pbc_answer_finetuned", few, ["classifier=lite0"], CONF)
    assert (
        "a linear probe, is not the one that the study sets and declared its claims for: they differ in head_start, "
        in page.read_text(encoding="utf-8")
    )
    page, *_ = write_combined(tmp_path / "own", "pbc_answer_finetuned", few, conf=CONF)
    assert "is not the one that the study sets" not in page.read_text(encoding="utf-8")


def test_all_networks_of_one_arm_weigh_alike_in_its_quality() -> None:
    """One result has two networks, with their mean, and the other has one."""
    arm = combined_arms(read_pieces([FIRST, SECOND])[0])["real_esrgan"]
    facts: list[dict[str, Any]] = [{"psnr": 30.0, "per_sr_seed": {"0": {}, "1": {}}}, {"psnr": 27.0}]
    pieces: Any = tuple(SimpleNamespace(quality=lambda _, each=each: each) for each in facts)
    assert replace(arm, pieces=pieces).quality("psnr") == pytest.approx(29.0)

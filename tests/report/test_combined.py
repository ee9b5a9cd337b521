"""`leukosr combine`: a study whose arms are in several published results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from leukosr.cli import app
from leukosr.errors import LeukoError
from leukosr.report.combine import combined_arms, read_pieces
from leukosr.report.combined_page import write_combined
from leukosr.tables import read_own_table

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
    page, answer = write_combined(tmp_path, "pbc_answer_probe", [PROBE, UNTRAINED], conf=CONF)
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
    assert {each["result"] for each in json.loads((tmp_path / "about.json").read_text())["results"]} == {
        PROBE.name,
        UNTRAINED.name,
    }


def test_the_same_results_give_the_same_bytes_and_compare_judges_as_the_page(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_combined(tmp_path / name, "pbc_answer_probe", [PROBE, UNTRAINED], conf=CONF)
    files = [each.relative_to(tmp_path / "one") for each in sorted((tmp_path / "one").rglob("*")) if each.is_file()]
    assert all((tmp_path / "one" / each).read_bytes() == (tmp_path / "two" / each).read_bytes() for each in files)
    folder = tmp_path / "one/plots/confusion"
    arms = [str(folder / f"{name}.csv") for name in ("real_esrnet", "bicubic")]
    found = next(each for each in json.loads(CliRunner().invoke(app, ["compare", *arms, "--json"]).output)
                 if each["primary"])  # fmt: skip
    assert (found["verdict"], found["declared"], round(found["p_holm"], 3)) == ("no gain", True, 0.015)


def test_networks_of_one_arm_are_runs_of_one_arm() -> None:
    arm = combined_arms(read_pieces([FIRST, SECOND]))["real_esrgan"]
    assert arm.networks == [0, 1] and arm.predictions.runs == 12 and len(arm.pieces) == 2
    apart = [pd.read_csv(each / "plots/confusion/real_esrgan.csv") for each in (FIRST, SECOND)]
    joined = arm.predictions.table
    for seed, own in enumerate(apart):
        kept = joined[joined["sr_seed"] == seed]
        assert kept["predicted"].tolist() == own["predicted"].tolist()
    psnr = [json.loads((each / "summary.json").read_text())["real_esrgan"]["psnr"] for each in (FIRST, SECOND)]
    assert arm.quality("psnr") == pytest.approx(sum(psnr) / 2)


def test_what_no_network_made_counts_once() -> None:
    arm = combined_arms(read_pieces([FIRST, SECOND]))["bicubic"]
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
        (otherwise("train_sr.real_esrgan", batch=4), "how its images are made differ in train_sr.batch"),
        (otherwise("train_sr.real_esrgan", seed=None), "both have real_esrgan by a network of seed 0"),
    ],
)  # fmt: skip
def test_results_that_are_not_pieces_of_one_study_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    other = copied(tmp_path, SECOND, change=change)
    with pytest.raises(LeukoError, match=said):
        combined_arms(read_pieces([FIRST, other]))


def test_other_cells_are_refused(tmp_path: Path) -> None:
    other = copied(tmp_path, SECOND)
    roles = (other / "roles.csv").read_text().splitlines(keepends=True)
    (other / "roles.csv").write_text("".join(roles[:-1]))
    with pytest.raises(LeukoError, match=r"differ in roles\.csv"):
        read_pieces([FIRST, other])


def test_how_things_are_computed_may_differ(tmp_path: Path) -> None:
    other = copied(tmp_path, SECOND, change=otherwise("train_sr.real_esrgan", precision="fp32"))
    assert combined_arms(read_pieces([FIRST, other]))["real_esrgan"].networks == [0, 1]


def test_one_result_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match="name two results or more"):
        read_pieces([FIRST])
    with pytest.raises(LeukoError, match="two of the results have one name"):
        read_pieces([FIRST, copied(tmp_path, FIRST)])


def test_claims_on_experiments_of_other_classifiers_are_refused(tmp_path: Path) -> None:
    def change(params: dict[str, Any]) -> None:
        for name in ("bicubic", "ground_truth"):
            del params["classify"][name]  # only real_esrgan is left, with a classifier of its own
        params["classify"]["real_esrgan"]["classifier"]["learning_rate"] = 0.5

    other = copied(tmp_path, FIRST, change=change)
    summary = json.loads((other / "summary.json").read_text())
    (other / "summary.json").write_text(json.dumps({"real_esrgan": summary["real_esrgan"]}))
    page = (other / "index.html").read_text()
    for label in ("bicubic", "ground truth"):
        page = page.replace(f'<tr><th scope="row">{label}</th>', "<tr>", 1)
    (other / "index.html").write_text(page)
    with pytest.raises(
        LeukoError, match="differ in learning_rate, so their difference would not be that of the images"
    ):
        write_combined(tmp_path / "out", "pbc_answer_finetuned", [PROBE, other], conf=CONF)
    assert not (tmp_path / "out").exists()


def test_claims_on_what_no_result_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match="has claims on real_esrgan, srgan, task_driven, and none of the results"):
        write_combined(tmp_path / "out", "pbc_answer", [PROBE, UNTRAINED], conf=CONF)
    with pytest.raises(LeukoError, match="the study demo declares no claims"):
        write_combined(tmp_path / "out", "demo", [PROBE, UNTRAINED], conf=CONF)
    with pytest.raises(LeukoError, match="composes nothing of study=nothing"):
        write_combined(tmp_path / "out", "nothing", [PROBE, UNTRAINED], conf=CONF)


def test_a_classifier_that_is_not_the_studys_own_is_said(tmp_path: Path) -> None:
    page, _ = write_combined(tmp_path, "pbc_answer_finetuned", [FIRST, SECOND], ["classifier=lite0"], CONF)
    assert "a linear probe, is not the one that the study sets" in page.read_text(encoding="utf-8")
    page, _ = write_combined(tmp_path, "pbc_answer_finetuned", [FIRST, SECOND], conf=CONF)
    assert "is not the one that the study sets" not in page.read_text(encoding="utf-8")

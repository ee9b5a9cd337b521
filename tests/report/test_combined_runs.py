"""Which runs a study that was put together is judged on, and what its page says of the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from leukosr.errors import LeukoError
from leukosr.report.combine import combined_arms
from leukosr.report.combined_page import write_combined
from leukosr.report.pieces import read_pieces
from leukosr.report.snapshot import Snapshot
from leukosr.tables import read_own_table, write_frame

from .conftest import publish_scores, with_few_images

ROOT = Path(__file__).parents[2]
RESULTS, CONF = ROOT / "results", ROOT / "conf"
PROBE, UNTRAINED = RESULTS / "pbc-answer-probe", RESULTS / "pbc-answer-published"
FIRST, SECOND = RESULTS / "pbc-answer-finetuned", RESULTS / "pbc-answer-finetuned-1"


def reseeded(result: Path, names: list[str], seeds: dict[str, str]) -> None:
    """Give the classifiers of some experiments other seeds; those that `seeds` does not name are left out."""
    for name in names:
        path = result / f"plots/confusion/{name}.csv"
        table = read_own_table(path)
        kept = table[table["seed"].isin([*seeds])]
        write_frame(path.with_suffix(".new"), kept.assign(seed=kept["seed"].map(seeds)))
        path.with_suffix(".new").replace(path)
    publish_scores(result)


def page_of(folder: Path, results: list[Path], study: str = "pbc_answer_finetuned") -> str:
    page, *_ = write_combined(folder, study, results, conf=CONF)
    return page.read_text(encoding="utf-8")


def test_what_no_network_made_is_taken_from_the_result_with_most_runs(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, SECOND)
    reseeded(few[0], ["bicubic"], {seed: seed for seed in "123"})
    for order in (few, few[::-1]):
        arm = combined_arms(read_pieces(order)[0])["bicubic"]
        assert arm.predictions.runs == 6
        assert ([each.name for each in arm.pieces], [each.name for each in arm.again]) == ([SECOND.name], [FIRST.name])
    reseeded(few[1], ["bicubic"], {seed: str(int(seed) + 6) for seed in "123456"})  # six, none of them the study's
    for order in (few, few[::-1]):
        arm = combined_arms(read_pieces(order)[0], seeds=range(1, 7))["bicubic"]
        assert ([each.name for each in arm.pieces], arm.predictions.runs) == ([FIRST.name], 3)


def test_runs_without_a_partner_of_their_seed_are_counted_on_the_page(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, SECOND)
    assert "whose classifier seed both have" not in page_of(tmp_path / "all", few)
    reseeded(few[1], ["real_esrgan"], {seed: str(int(seed) + 3) for seed in "123456"})  # 4 to 9, bicubic has 1 to 6
    text = page_of(tmp_path / "some", few)
    assert (
        "Compared on the runs whose classifier seed both have: "
        "RealESRGAN_x4plus, fine-tuned – bicubic (9 of 12 runs and 6 of 6)." in text
    )
    assert read_own_table(tmp_path / "some/verdicts.csv")["runs"].tolist()[0] == "9"


def test_arms_without_a_common_seed_are_judged_and_their_cells_left_undefined(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, UNTRAINED)
    reseeded(few[0], ["real_esrgan"], {seed: str(int(seed) + 6) for seed in "123456"})
    reseeded(few[0], ["bicubic", "ground_truth"], {seed: seed for seed in "123"})  # those of UNTRAINED count
    text = page_of(tmp_path / "out", few)
    undefined = [line for line in text.split("<tr>") if "fine-tuned – bicubic" in line and line.count(">–</td>") == 3]
    assert len(undefined) == 1  # of the table of cells: corrected, broken, recovered
    assert "whose classifier seed both have" not in text  # unpaired: all runs of both count
    first = read_own_table(tmp_path / "out/verdicts.csv").query("metric == 'macro_f1'").iloc[0]
    assert (first["runs"], first["declared"]) == ("6", "False")  # its claim was of the seeds 1 to 6


def test_a_network_none_of_whose_runs_has_a_partner_is_counted(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, SECOND)
    reseeded(few[1], ["real_esrgan"], {seed: str(int(seed) + 6) for seed in "123456"})
    text = page_of(tmp_path / "out", few)
    assert "RealESRGAN_x4plus, fine-tuned – bicubic (6 of 12 runs and 6 of 6)" in text


def test_a_claim_is_not_the_declared_one_where_the_second_experiment_has_other_seeds(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, SECOND)
    for each in few:
        reseeded(each, ["bicubic"], {seed: str(int(seed) + 6) for seed in "123456"})
    page_of(tmp_path / "out", few)
    claims = read_own_table(tmp_path / "out/verdicts.csv").query("metric == 'macro_f1'")
    assert claims["declared"].tolist() == ["False", "False"]


def test_unpaired_experiments_leave_no_network_out(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, PROBE, UNTRAINED)
    path = few[0] / "plots/confusion/denoise.csv"
    table = read_own_table(path)
    write_frame(path.with_suffix(".new"), table[table["sr_seed"] != "3"])
    path.with_suffix(".new").replace(path)
    publish_scores(few[0])
    text = page_of(tmp_path / "paired", few, "pbc_answer_probe")
    assert "for want of a network of the other method: Real-ESRNet [3] in Real-ESRNet – denoised" in text
    reseeded(few[0], ["denoise"], {seed: str(int(seed) + 6) for seed in "123456"})
    text = page_of(tmp_path / "unpaired", few, "pbc_answer_probe")
    assert "for want of a network" not in text and "in the order of their seeds" not in text
    assert "Real-ESRNet – denoised, then bicubic (" not in text


def test_results_under_another_protocol_than_the_claims_are_refused(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, SECOND)
    with pytest.raises(LeukoError, match=r"claims something under official, .* set its protocol with -S"):
        write_combined(tmp_path / "out", "pbc_answer_finetuned", few, ["study.protocol=official"], CONF)


def test_a_result_without_a_budget_is_named(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, SECOND)
    params = few[0] / "params.yaml"
    settings = yaml.safe_load(params.read_text(encoding="utf-8"))
    del settings["budget"]["name"]
    params.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(LeukoError, match=rf"{FIRST.name}/params.yaml lacks budget.name, so it is incomplete"):
        page_of(tmp_path / "out", few)
    assert Snapshot(few[0]).budget_note == settings["budget"]["note"]


def test_a_page_that_combine_wrote_is_no_piece(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, SECOND)
    page_of(tmp_path / "page", few)
    with pytest.raises(LeukoError, match=r"page was written by `leukosr combine`: name the results that it was put"):
        read_pieces([few[0], tmp_path / "page"])


def test_settings_that_make_another_study_are_named_in_the_remedy(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, SECOND)
    setting = "prepare.sr_fraction=0.4"
    with pytest.raises(LeukoError, match=rf"differ in prepare.sr_fraction: .*, or leave out -S {setting}"):
        write_combined(tmp_path / "out", "pbc_answer_finetuned", few, ["classifier=lite0", setting], CONF)


def test_settings_of_another_edition_are_said_not_to_be_compared(tmp_path: Path) -> None:
    few = with_few_images(tmp_path, FIRST, SECOND)
    assert read_pieces(few)[1] == []
    params = few[1] / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8") + "of_another_edition: {}\n", encoding="utf-8")
    (note,) = read_pieces(few)[1]
    assert note.startswith(f"Settings that only one result names could not be compared for {SECOND.name}, ")

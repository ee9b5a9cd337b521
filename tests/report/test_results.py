"""Results are read as written, and a missing or damaged file is named with its remedy."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from leukosr.config import ArmLook, Params
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.report.curves import _while_all_train, classifier_curves
from leukosr.report.results import ClassScores, load_results
from leukosr.report.sections import class_rows, experiment_rows, f1_by_class, image_facts, sr_rows
from leukosr.report.style import Look, arm_looks, experiment_looks

from .conftest import ARMS, CLASSES


def test_all_arms_experiments_and_trainings_are_read(params: Params, outputs: Path) -> None:
    results = load_results(Layout("demo", outputs), params, "paper")
    assert tuple(results.arms) == tuple(results.experiments) == ARMS
    assert tuple(results.trainings) == ("srgan", "real_esrgan")
    assert results.classes == CLASSES
    assert results.arms["ground_truth"].quality.psnr is None
    assert results.arms["ground_truth"].per_image["psnr"].isna().all()
    assert results.experiments["srgan"].scores.per_class["neutrophil"].precision is None
    assert list(results.rejected["reason"]) == ["cannot be decoded"]


def test_a_class_that_looks_like_a_missing_value_stays_text(params: Params, outputs: Path) -> None:
    path = outputs / "demo" / "manifest.csv"
    path.write_text(path.read_text().replace(",eosinophil,", ",NA,"))
    rows = load_results(Layout("demo", outputs), params, "paper").manifest
    assert {row.label for row in rows} == {"NA", "neutrophil"}


def test_the_members_of_an_ensemble_are_read_and_drawn(params: Params, outputs: Path, tmp_path: Path) -> None:
    path = outputs / "demo/classify/raw/paper/history.csv"
    head, *rows = path.read_text().splitlines()
    members = [f"{row},member-{number}" for row in rows for number in (1, 2)]
    path.write_text("\n".join([f"{head},member", *members]) + "\n")
    raw = load_results(Layout("demo", outputs), params, "paper").experiments["raw"]
    assert list(raw.history["member"][:2]) == ["member-1", "member-2"]
    classifier_curves(tmp_path / "curves.png", raw.look, raw.history, "smoke budget")
    assert (tmp_path / "curves.png").is_file()


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("manifest.csv", "dvc repro prepare"),
        ("rejected.csv", "dvc repro prepare"),
        ("quality/bicubic/metrics.json", "dvc repro quality@bicubic"),
        ("quality/raw/per_image.csv", "dvc repro quality@raw"),
        ("classify/srgan/paper/metrics.json", "dvc repro classify@srgan"),
        ("classify/ground_truth/paper/predictions.csv", "dvc repro classify@ground_truth"),
        ("sr/real_esrgan/history.csv", "dvc repro train_sr@real_esrgan"),
        ("sr/srgan/samples.png", "dvc repro train_sr@srgan"),
    ],
)
def test_a_missing_file_is_named_with_the_command_that_makes_it(
    params: Params, outputs: Path, file: str, command: str
) -> None:
    (outputs / "demo" / file).unlink()
    with pytest.raises(LeukoError) as caught:
        load_results(Layout("demo", outputs), params, "paper")
    assert str(outputs / "demo" / file) in str(caught.value)
    assert command in str(caught.value)


def test_damaged_metrics_name_the_missing_entry(params: Params, outputs: Path) -> None:
    path = outputs / "demo/quality/raw/metrics.json"
    path.write_text(json.dumps({"n": 1, "precision": None}))
    with pytest.raises(LeukoError, match=r"metrics\.json has no entry 'psnr'.*quality@raw"):
        load_results(Layout("demo", outputs), params, "paper")


def test_a_cell_that_is_no_number_is_an_error(params: Params, outputs: Path) -> None:
    path = outputs / "demo/classify/raw/paper/history.csv"
    path.write_text(path.read_text().replace("0.001", "fast", 1))
    with pytest.raises(LeukoError, match="column 'learning_rate' holds no number"):
        load_results(Layout("demo", outputs), params, "paper")


def test_a_row_of_an_experiment_says_its_rate_and_how_its_last_layer_starts(params: Params, outputs: Path) -> None:
    results = load_results(Layout("demo", outputs), params, "paper")
    first = params.classify["raw"]
    changed = first.classifier.model_copy(update={"learning_rate": 0.0003, "head_start": "linear"})
    others = params.model_copy(
        update={"classify": {**params.classify, "raw": first.model_copy(update={"classifier": changed})}}
    )
    how, plain = (experiment_rows(each, results)[0][3] for each in (others, params))
    assert ", learning rate 0.0003, " in how and ", last layer from ±1/√inputs" in how
    assert ", learning rate 0.001, " in plain and "last layer" not in plain


def test_scores_by_class_stand_under_their_own_heads(params: Params, outputs: Path) -> None:
    results = load_results(Layout("demo", outputs), params, "paper")
    raw, scores = results.experiments["raw"], ClassScores(precision=0.25, recall=0.5, f1=1 / 3, support=7)
    raw = replace(raw, scores=replace(raw.scores, per_class=dict.fromkeys(CLASSES, scores)))
    results = replace(results, experiments={"raw": raw})
    assert class_rows(results)[0] == [raw.look.label, CLASSES[0], "25.0", "50.0", "33.3", "7"]
    assert f1_by_class(results)[0] == [CLASSES[0], "7", "33.3"]


def test_an_image_of_an_arm_was_right_as_often_as_the_experiment_that_tests_on_the_arm_says(
    params: Params, outputs: Path
) -> None:
    results = load_results(Layout("demo", outputs), params, "paper")
    experiments = {
        name: replace(
            results.experiments[name], predictions=results.experiments[name].predictions.assign(predicted=said)
        )
        for name, said in (("raw", "eosinophil"), ("bicubic", "neutrophil"))
    }
    facts = image_facts(replace(results, experiments=experiments), "bicubic")
    assert facts["TEST/eosinophil/2"].endswith(" dB, right 0/2")
    assert facts["TEST/neutrophil/2"].endswith(" dB, right 2/2")


def test_a_row_of_a_training_says_its_last_and_its_best_psnr(params: Params, outputs: Path) -> None:
    path = outputs / "demo/sr/srgan/metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "last_val_psnr": 20.5}))
    row = sr_rows(params, load_results(Layout("demo", outputs), params, "paper"))[0]
    assert (row[0], row[3:6]) == ("SRGAN", ["20.50", "21.00", "20"])


def test_the_images_of_an_arm_are_those_of_its_first_network(params: Params, outputs: Path) -> None:
    path = outputs / "demo/quality/srgan/per_image.csv"
    table = pd.read_csv(path)
    networks = pd.concat([table.assign(sr_seed=seed, psnr=20.0 + seed) for seed in (3, 4)])
    networks.to_csv(path, index=False)
    arm = load_results(Layout("demo", outputs), params, "paper").arms["srgan"]
    assert arm.per_image["psnr"].tolist() == [23.0] * len(table) and len(arm.every_network) == 2 * len(table)


def test_validation_is_drawn_where_there_is_any(params: Params, outputs: Path, tmp_path: Path) -> None:
    raw = load_results(Layout("demo", outputs), params, "paper").experiments["raw"]
    watched = raw.history.assign(val_loss=2 * raw.history["loss"], val_accuracy=0.25)
    for name, history in (("plain", raw.history), ("watched", watched)):
        classifier_curves(tmp_path / f"{name}.png", raw.look, history, "smoke budget")
    plain, seen = ((tmp_path / f"{name}.png").read_bytes() for name in ("plain", "watched"))
    assert plain != seen


def test_the_mean_of_trainings_ends_where_the_first_of_them_stops() -> None:
    """One of two that stopped early: the mean of the other alone would jump."""
    history = pd.DataFrame({"epoch": [1, 2, 1, 2, 3], "seed": [1, 1, 2, 2, 2], "loss": [4.0, 2.0, 2.0, 0.0, 9.0]})
    assert _while_all_train(history, "loss").to_dict() == {1: 3.0, 2: 1.0}


def test_an_experiment_has_its_title_and_colour_unless_its_name_is_that_of_an_arm(params: Params) -> None:
    both = params.classify["raw"].model_copy(update={"train": ("raw", "bicubic")})
    given = {"both": ArmLook(title="raw and bicubic", colour="#123456"), "raw": ArmLook(title="LR", colour="#654321")}
    shown = experiment_looks(
        params.model_copy(
            update={
                "classify": {"both": both, "raw": both, "srgan": params.classify["srgan"]},
                "report": params.report.model_copy(update={"looks": {**params.report.looks, **given}}),
            }
        )
    )
    assert shown["both"] == Look("raw and bicubic", "#123456")
    assert shown["raw"].label == "raw", "the title is the arm's"
    assert shown["srgan"] == arm_looks(params)["srgan"]

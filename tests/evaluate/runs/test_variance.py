"""`leukosr variance`: tables of trials, anyone's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from shutil import copyfile

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from PIL import Image
from typer.testing import CliRunner

from leukosr.cli import app
from leukosr.errors import LeukoError
from leukosr.evaluate.runs.components import components
from leukosr.evaluate.runs.trials import Trials, read_trials
from leukosr.evaluate.runs.variance import analyse
from leukosr.report.variance_figures import variance_figures


def table(count: int = 64) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    split, init = rng.integers(12, size=count), rng.integers(12, size=count)
    rates = np.array([0.001, 0.01])[np.arange(count) % 2]
    value = 0.8 + rng.normal(0, 0.03, 12)[split] + rng.normal(0, 0.003, 12)[init] + rng.normal(0, 0.002, count)
    return pd.DataFrame(
        {"trial": range(count), "learning_rate": rates, "split": split, "init": init, "accuracy": value}
    )


def written(tmp_path: Path, frame: pd.DataFrame) -> Path:
    path = tmp_path / "trials.csv"
    frame.to_csv(path, index=False)
    return path


def test_json_names_rates_streams_and_points(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["variance", str(written(tmp_path, table(32))), "--json"])
    assert result.exit_code == 0
    found = json.loads(result.output)
    assert set(found["by_learning_rate"]) == {"0.001", "0.01"}
    assert set(found["components"]) == {"split", "init", "residual"}
    assert set(found["components"]["split"]) >= {"sd", "ci_low", "ci_high"}
    assert found["components"]["split"]["ci_low"] <= 0.03 <= found["components"]["split"]["ci_high"]
    assert found["carries_more"] == [["split", "init"]]
    assert set(found["two_runs_differ_by"]) == {"1", "2", "5"}
    by_rate = [own["accuracy"].max() - own["accuracy"].min() for _, own in table(32).groupby("learning_rate")]
    assert found["range"] == pytest.approx(max(by_rate))


def test_learning_rates_that_agree_in_six_digits_stay_apart(tmp_path: Path) -> None:
    close = table(32).replace({"learning_rate": {0.01: 0.00100000001}})
    result = CliRunner().invoke(app, ["variance", str(written(tmp_path, close)), "--json"])
    assert set(json.loads(result.output)["by_learning_rate"]) == {"0.001", "0.00100000001"}


def test_folder_gets_the_record_and_figures(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    result = CliRunner().invoke(app, ["variance", str(written(tmp_path, table())), "--out", str(out)])
    assert result.exit_code == 0
    assert "split carries more than init" in result.output
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        "components.png", "differences.png", "runs.png", "variance.json",
    ]  # fmt: skip
    for path in out.glob("*.png"):
        with Image.open(path) as picture:
            assert picture.width > 300


def test_failed_and_pruned_trials_are_left_out_and_counted(tmp_path: Path) -> None:
    frame = table().assign(state="COMPLETE")
    frame.loc[3, "accuracy"] = np.nan
    frame.loc[5, "accuracy"], frame.loc[5, "state"] = 0.1, "PRUNED"
    trials = read_trials(written(tmp_path, frame), "accuracy")
    assert (len(trials.table), trials.failed) == (62, 2)
    assert trials.table["value"].min() > 0.5


def test_designed_trials_do_not_count_as_whole_runs(tmp_path: Path) -> None:
    frame = table().assign(varied=["all", "split"] * 32)
    trials = read_trials(written(tmp_path, frame), "accuracy")
    assert trials.runs.tolist() == [True, False] * 32


def one_at_a_time(tmp_path: Path, interaction: float, noise: float) -> list[str]:
    """Ten draws of each of two streams, ten of both, five repeats; what is said of them."""
    rng = np.random.default_rng(0)
    effects = {name: rng.normal(0, 0.02, 21) for name in ("init", "order")}
    rows = [("init", k, 0) for k in range(1, 11)] + [("order", 0, k) for k in range(1, 11)]
    rows += [("all", k, k) for k in range(11, 21)] + [("none", 0, 0)] * 5
    frame = pd.DataFrame(rows, columns=["varied", "init", "order"])
    value = 0.8 + effects["init"][frame["init"]] + effects["order"][frame["order"]] + rng.normal(0, noise, len(frame))
    value = value + np.where(frame["varied"] == "all", rng.normal(0, interaction, len(frame)), 0)
    path = written(tmp_path, frame.assign(trial=range(len(frame)), learning_rate=0.001, accuracy=value))
    return CliRunner().invoke(app, ["variance", str(path)]).output.splitlines()


def test_streams_that_do_not_add_up_are_told(tmp_path: Path) -> None:
    adding = "\n".join(one_at_a_time(tmp_path, 0.0, 0.0))
    assert "Exact repeats are equal, so the hardware adds nothing." in adding
    assert "if the streams added up it would be" in adding and ", which the interval does not exclude." in adding
    assert "They do more together than by themselves." in "\n".join(one_at_a_time(tmp_path, 0.15, 0.0))
    assert "Exact repeats differ by an sd of 0." in "\n".join(one_at_a_time(tmp_path, 0.0, 0.002))


def test_importances_rank_what_moves_the_value(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["variance", str(written(tmp_path, table())), "--json"])
    found = json.loads(result.output)["importances"]
    assert set(found) == {"learning_rate", "split", "init"}
    assert sum(found.values()) == pytest.approx(1)
    assert max(found, key=found.get) == "split"
    rows = [(rate, init) for rate in (0.1, 0.2, 0.3) for init in range(3)] * 3
    alike = pd.DataFrame(rows, columns=["learning_rate", "init"])
    value = 0.5 + 0.1 * ((alike["learning_rate"] == 0.1).to_numpy() + (alike["init"] == 1).to_numpy(float))
    path = written(tmp_path, alike.assign(trial=range(len(rows)), accuracy=value))
    found = json.loads(CliRunner().invoke(app, ["variance", str(path), "--json"]).output)["importances"]
    assert found["init"] == pytest.approx(0.5, abs=0.03), "a level at the end weighs as much as one in the middle"
    shown = CliRunner().invoke(app, ["variance", str(written(tmp_path, table()))]).output
    assert "Importances by Optuna's fANOVA, without intervals: split" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="learning_rate"), "lacks the column learning_rate"),
        (lambda t: t.assign(trial=0), "has trial 0 twice"),
        (lambda t: t.assign(trial=["", *t["trial"][1:].astype(str)]), "empty cell in the column trial, line 2: every"),
        (lambda t: t.assign(accuracy="high"), "has 'high' in the column accuracy"),
        (lambda t: t.assign(split=""), "empty cell in the column split, trial 0"),
        (lambda t: t.assign(accuracy=""), "holds 0 finished trials"),
        (lambda t: t.assign(accuracy=["61.5", *t["accuracy"][1:].astype(str)]), "has both .* and 61.5 in the column"),
    ],
)
def test_mistakes_are_named(change: object, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, change(table()))  # type: ignore[operator]
    with pytest.raises(LeukoError, match=message):
        read_trials(path, "accuracy")


def test_what_a_trial_was_is_no_metric(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match="--metric is learning_rate, which says what a trial was"):
        read_trials(written(tmp_path, table()), "learning_rate")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"none\.csv does not exist"):
        read_trials(tmp_path / "none.csv", "accuracy")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/runs.csv").touch()
    with pytest.raises(LeukoError, match=r"is a folder: name a CSV file in it, which has a/runs\.csv$"):
        read_trials(tmp_path, "accuracy")


def test_other_metrics_may_lie_on_both_sides_of_one(tmp_path: Path) -> None:
    frame = table()
    frame["loss"] = [0.8, 1.2] * (len(frame) // 2)
    assert read_trials(written(tmp_path, frame), "loss").table["value"].max() == 1.2


def test_a_mean_just_below_0_is_not_minus_zero(tmp_path: Path) -> None:
    frame = table().assign(learning_rate=0.01, split=range(64), init=range(64), gain=[-0.10004, 0.1] * 32)
    tables = [str(written(tmp_path, frame)), str(copyfile(tmp_path / "trials.csv", tmp_path / "again.csv"))]
    for files in (tables[:1], tables):
        printed = CliRunner().invoke(app, ["variance", *files, "--metric", "gain"]).output
        assert " 0.0" in printed and not re.search(r"[-−]0\.0+\b", printed)


def test_runs_that_share_seeds_say_how_few_of_them_do_not(tmp_path: Path) -> None:
    """Eight runs of the factorial design with two seeds a stream."""
    pairs = [(first, second) for first in (1, 2) for second in (1, 2)] * 2
    runs = pd.DataFrame(pairs, columns=["init", "order"]).assign(
        trial=range(8), learning_rate=0.001, split=[1, 2, 2, 1, 2, 1, 1, 2], accuracy=[0.5, 0.7, 0.6, 0.8] * 2
    )
    said = CliRunner().invoke(app, ["variance", str(written(tmp_path, runs))]).output
    assert "no more than 2 share no seed" in said and "paired runs" not in said and "of all pairs" not in said
    assert "not measurable from 8 runs of 2 seeds a stream" in " ".join(said.split())


def test_few_runs_say_that_they_are_few_and_draw_no_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = pd.DataFrame({"trial": range(6), "learning_rate": 0.001, "init": range(6), "accuracy": [0.5, 0.7] * 3})
    few, enough = (
        CliRunner().invoke(app, ["variance", str(written(tmp_path, runs[:count]))]).output for count in (5, 6)
    )
    assert "5 runs of one configuration cannot say how far runs lie apart: 6 or more can." in few
    assert "paired runs" not in few
    folder = tmp_path / "figures"
    two_streams = pd.DataFrame(
        {"trial": range(8), "learning_rate": [0.001] * 4 + [0.01] * 4, "init": [0, 0, 1, 1] * 2, "order": [0, 1] * 4}
    ).assign(accuracy=[0.5, 0.55, 0.6, 0.62] * 2)
    trials = read_trials(written(tmp_path, two_streams), "accuracy")
    folder.mkdir()
    (folder / "differences.png").touch()  # of an earlier call
    drawn: list[int] = []
    monkeypatch.setattr(Axes, "hlines", lambda panel, *args, **options: drawn.append(1))
    files = variance_figures(folder, trials, analyse(trials), "note")
    assert {path.name for path in files} == {path.name for path in folder.iterdir()} == {"runs.png", "components.png"}
    assert not drawn, "an interval"
    assert "paired runs" in enough
    assert "cannot say" not in enough


def test_two_runs_show_no_sd(tmp_path: Path) -> None:
    runs = pd.DataFrame({"trial": range(8), "learning_rate": 0.001, "init": range(8), "accuracy": [0.5, 0.7] * 4})
    two, eight = (
        CliRunner().invoke(app, ["variance", str(written(tmp_path, runs[:count]))]).output for count in (2, 8)
    )
    assert "not measurable from 2 runs" in two and "14.14" not in two
    assert "10.69 (" in eight and "not measurable" not in eight


def streams_apart(draws: dict[str, np.ndarray], base: float = 0.8) -> Trials:
    """Each stream varied by itself, so many seeds."""
    rows: list[dict[str, float | str]] = [{**dict.fromkeys(draws, "0"), "value": base}]
    for stream, values in draws.items():
        rows += [{**dict.fromkeys(draws, "0"), stream: str(n + 1), "value": base + v} for n, v in enumerate(values)]
    frame = pd.DataFrame(rows).assign(learning_rate=0.01, trial=range(len(rows)))
    return Trials(frame, tuple(draws), np.zeros(len(rows), bool), "accuracy", 0)


@pytest.mark.parametrize("drawn", ["normal", "t3", "skewed"])
def test_equal_streams_carry_alike_and_unequal_ones_do_not(drawn: str) -> None:
    """Audit, row 10: intervals that do not overlap are wrong in 20 to 25 % where runs are not normal."""
    called = []
    for number in range(200):
        rng = np.random.default_rng(number)
        both = {
            "normal": rng.normal(0, 1, (2, 12)),
            "t3": rng.standard_t(3, (2, 12)) / 3**0.5,
            "skewed": rng.exponential(1, (2, 12)) - 1,
        }[drawn]  # fmt: skip
        found = components(streams_apart({"init": 0.01 * both[0], "order": 0.01 * both[1]}))
        called.append(bool(found.carries_more))
    assert np.mean(called) <= 0.05 + 0.03
    rng = np.random.default_rng(0)
    unlike = {"init": rng.normal(0, 0.05, 12), "order": rng.normal(0, 0.005, 12)}
    assert components(streams_apart(unlike)).carries_more == [("init", "order")]


def test_runs_that_are_all_equal_say_nothing_and_no_rounding_passes_for_variance(tmp_path: Path) -> None:
    equal = table().assign(accuracy=0.1 + 0.2)  # 0.30000000000000004
    file, out = written(tmp_path, equal), tmp_path / "out"
    result = CliRunner().invoke(app, ["variance", str(file), "--out", str(out)])
    assert result.exit_code == 0
    assert "All runs of one learning rate have the same score" in result.output
    assert "paired runs" not in result.output
    record = json.loads((out / "variance.json").read_text())
    parts = [part for part in record["components"].values() if part is not None]
    assert {part[name] for part in parts for name in ("sd", "ci_low", "ci_high")} == {0.0}
    assert record["seeds_needed"] == {}


def test_of_many_equal_streams_pairs_are_hardly_ever_told_apart() -> None:
    """Ten pairs, each tested at 5 %, would be told apart in 9 % of these tables."""
    called = []
    for number in range(150):
        rng = np.random.default_rng(number)
        equal = {stream: 0.01 * rng.standard_t(3, 12) for stream in ("split", "sr_init", "init", "order", "augment")}
        called.append(bool(components(streams_apart(equal)).carries_more))
    assert np.mean(called) <= 0.05

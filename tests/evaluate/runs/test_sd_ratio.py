"""`leukosr variance A.csv B.csv …`: whose runs lie closer together?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats
from typer.testing import CliRunner

from leukosr.cli import app
from leukosr.evaluate.runs.sd_ratio import sd_ratio

Draw = Callable[[np.random.Generator, int], np.ndarray]
SHAPES: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.uniform(size=n),
    "skewed": lambda rng, n: -rng.gamma(2, size=n),
}


def runs(tmp_path: Path, name: str, sd: float, count: int = 16, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    seeds = range(1, count + 1)
    frame = pd.DataFrame(
        {"trial": range(count), "learning_rate": 0.001, "init": seeds, "order": seeds, "varied": "all",
         "accuracy": 0.8 + rng.normal(0, sd, count)}
    )  # fmt: skip
    path = tmp_path / f"{name}.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("true", [1.0, 0.2])
def test_the_interval_covers_what_is_planted(shape: str, true: float) -> None:
    rng = np.random.default_rng(1)
    draw, covered = SHAPES[shape], 0
    for _ in range(600):
        found = sd_ratio(true * draw(rng, 12), draw(rng, 12))
        assert found is not None and found.ci_low is not None and found.ci_high is not None
        covered += found.ci_low <= true <= found.ci_high
    assert 0.92 <= covered / 600 <= 0.99


def test_the_ratio_is_that_of_the_sds_and_turns_round() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=10), rng.normal(size=14)
    there, back = sd_ratio(one, other), sd_ratio(other, one)
    assert there is not None and back is not None and there.ci_low is not None and back.ci_high is not None
    assert there.value == pytest.approx(one.std(ddof=1) / other.std(ddof=1))
    assert there.ci_low == pytest.approx(1 / back.ci_high, rel=0.002)
    assert sd_ratio(np.full(8, 0.5), one) is None


def test_the_ends_are_where_bonetts_test_turns_for_samples_of_unlike_size() -> None:
    """Bonett 2006, formula 4 and step 3, for as many runs as one has and the other has not."""
    rng = np.random.default_rng(2)
    values, reference = rng.normal(size=7), rng.normal(size=30)
    found = sd_ratio(values, reference)
    z = stats.norm.ppf(0.975)

    def statistic(ratio: float) -> float:
        samples = [values / ratio, reference]
        corrected = [each.var(ddof=1) * len(each) / (len(each) - z) for each in samples]
        middles = [stats.trim_mean(each, 1 / (2 * (len(each) - 4) ** 0.5)) for each in samples]
        fourth = sum(((each - middle) ** 4).sum() for each, middle in zip(samples, middles, strict=True))
        squares = sum((len(each) - 1) * each.var(ddof=1) for each in samples)
        kurtosis = sum(map(len, samples)) * fourth / squares**2
        error = sum((kurtosis - (len(each) - 3) / len(each)) / (len(each) - 1) for each in samples) ** 0.5
        return float(np.log(corrected[0] / corrected[1]) / error)

    assert found is not None and found.ci_low is not None and found.ci_high is not None
    assert [statistic(found.ci_low), statistic(found.ci_high)] == pytest.approx([z, -z], abs=0.01)


def test_more_comparisons_have_wider_intervals(tmp_path: Path) -> None:
    files = [str(runs(tmp_path, f"t{k}", 0.05, seed=k)) for k in range(4)]
    two, four = (
        json.loads(CliRunner().invoke(app, ["variance", *some, "--json"]).output) for some in (files[:2], files)
    )
    assert two[1]["ratio"]["value"] == four[1]["ratio"]["value"]
    assert four[1]["ratio"]["ci_low"] < two[1]["ratio"]["ci_low"]


def test_tables_are_compared_with_the_first(tmp_path: Path) -> None:
    files = [
        runs(tmp_path, "constant", 0.08),
        runs(tmp_path, "decay", 0.01, seed=1),
        runs(tmp_path, "same", 0.08, seed=2),
    ]
    shown = CliRunner().invoke(app, ["variance", *map(str, files), "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert "decay: its runs lie closer together than those of constant" in shown.output
    assert "same: inconclusive" in shown.output
    record = json.loads((tmp_path / "out" / "spreads.json").read_text())
    assert [each["name"] for each in record] == ["constant", "decay", "same"]
    assert record[0]["ratio"] is None and record[1]["ratio"]["ci_high"] < 0.5
    with Image.open(tmp_path / "out" / "spreads.png") as picture:
        assert picture.width > 600
    as_json = CliRunner().invoke(app, ["variance", *map(str, files), "--json"])
    assert json.loads(as_json.output) == record


def test_losses_on_both_sides_of_1_are_in_one_unit(tmp_path: Path) -> None:
    files = [runs(tmp_path, f"t{k}", 0.05, seed=k) for k in range(2)]
    for place, file in enumerate(files):
        table = pd.read_csv(file)
        table.assign(loss=table["accuracy"] + place).to_csv(file, index=False)
    shown = CliRunner().invoke(app, ["variance", *map(str, files), "--metric", "loss"])
    assert shown.exit_code == 0, shown.output


def test_tables_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    first = runs(tmp_path, "first", 0.05)
    crossed = pd.read_csv(first).assign(init=[1, 2] * 8)
    crossed.to_csv(tmp_path / "crossed.csv", index=False)
    rates = pd.read_csv(first).assign(learning_rate=[0.001, 0.01] * 8)
    rates.to_csv(tmp_path / "rates.csv", index=False)
    few = runs(tmp_path, "few", 0.05, count=4)
    percent = pd.read_csv(first)
    percent.assign(accuracy=100 * percent["accuracy"]).to_csv(tmp_path / "percent.csv", index=False)
    for name, words in (
        (tmp_path / "crossed.csv", "crossed has runs that share the seed of a stream"),
        (tmp_path / "rates.csv", "rates has 2 learning rates"),
        (tmp_path / "percent.csv", "percent and first are not in one unit"),
        (few, "few has 4 runs: comparing sds takes 5 or more"),
    ):
        result = CliRunner().invoke(app, ["variance", str(first), str(name)])
        assert result.exit_code != 0
        assert words in str(result.exception)

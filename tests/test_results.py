"""What the published snapshots claim, checked against the files beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from sklearn.metrics import accuracy_score, f1_score
from typer.testing import CliRunner

from leukosr.cli import app
from leukosr.data.manifest import read_manifest
from leukosr.data.separation import check_disjoint
from leukosr.data.splits import SPLITS
from leukosr.evaluate.arms.cells import RUN
from leukosr.evaluate.arms.declared import Origin, read_sidecar
from leukosr.evaluate.arms.predictions import read_predictions
from leukosr.evaluate.claims import Claims
from leukosr.evaluate.runs.sd_ratio import as_records, steadiness
from leukosr.evaluate.runs.trials import read_trials
from leukosr.evaluate.runs.variance import analyse, as_json
from leukosr.report.page import LARGEST
from leukosr.report.publish import ON_THE_PAGE

RESULTS = Path(__file__).resolve().parents[1] / "results"
SNAPSHOTS = sorted(path.parent for path in RESULTS.glob("*/params.yaml"))


def protocol(snapshot: Path) -> str:
    return str(yaml.safe_load((snapshot / "params.yaml").read_text())["study"]["protocol"])


BY_SOURCE = [each for each in SNAPSHOTS if (split := SPLITS.get(protocol(each))) is None or split.disjoint]


def test_the_real_sets_are_published_by_source() -> None:
    assert {"case1-leakage", "case1-published-weights", "pbc-leakage"} <= {snapshot.name for snapshot in BY_SOURCE}


@pytest.mark.parametrize("snapshot", BY_SOURCE, ids=lambda snapshot: snapshot.name)
def test_no_source_of_a_real_set_plays_two_parts(snapshot: Path) -> None:
    name = protocol(snapshot) if SPLITS.get(protocol(snapshot)) else "source_disjoint"  # of `both` the second
    check_disjoint(read_manifest(snapshot / "manifest.csv"), name)
    # the same by other means
    table = pd.read_csv(snapshot / "manifest.csv", dtype=str)
    if (snapshot / "roles.csv").is_file():  # else the manifest itself holds the roles, as it once did
        roles = pd.read_csv(snapshot / "roles.csv", dtype=str).query("protocol == @name")
        table = table.merge(roles.rename(columns={"image": "id", "role": "role_source_disjoint"}), on="id")
    used = table[~table.role_source_disjoint.isin(["unused", "reference"])]
    parts = used.role_source_disjoint.replace({"sr_val": "sr_train"}).groupby(used.source).nunique()
    assert used.source.notna().all()
    folds = yaml.safe_load((snapshot / "params.yaml").read_text())["prepare"].get("source_disjoint", {}).get("folds")
    assert len(parts) >= (8 if folds else 30)
    assert parts.max() == 1


@pytest.mark.parametrize("page", sorted(RESULTS.glob("*/index.html")), ids=lambda page: page.parent.name)
def test_a_published_page_can_be_sent_and_holds_its_photographs_alone(page: Path) -> None:
    assert page.stat().st_size < LARGEST
    assert not [path for name in ON_THE_PAGE for path in (page.parent / "figures").glob(name)]


PREDICTIONS = sorted(RESULTS.glob("*/plots/confusion/*.csv"))


@pytest.mark.parametrize("file", PREDICTIONS, ids=lambda file: f"{file.parents[2].name}-{file.stem}")
def test_published_scores_follow_from_the_published_predictions(file: Path) -> None:
    summary = json.loads((file.parents[2] / "summary.json").read_text(encoding="utf-8"))
    protocols = [name for name in SPLITS if file.stem.endswith(f"_{name}")]
    arm = file.stem.removesuffix(f"_{max(protocols, key=len)}") if protocols else file.stem
    said = summary[arm] if arm in summary else summary[file.stem.removeprefix(f"{arm}_")][arm]
    found = read_predictions(file, arm).table
    runs = [
        (accuracy_score(run["true"], run["predicted"]), f1_score(run["true"], run["predicted"], average="macro"))
        for _, run in found.groupby([name for name in RUN if name in found])
    ]
    assert (said["n_runs"], said["n_test"]) == (len(runs), found["image"].nunique())
    assert [said["accuracy"], said["macro_f1"]] == pytest.approx(pd.DataFrame(runs).mean().tolist())


DECLARED = [each for each in SNAPSHOTS if yaml.safe_load((each / "params.yaml").read_text()).get("claims")]


@pytest.mark.parametrize("snapshot", DECLARED, ids=lambda snapshot: snapshot.name)
def test_declared_claims_travel_with_published_predictions(snapshot: Path) -> None:
    declared = Claims.model_validate(yaml.safe_load((snapshot / "params.yaml").read_text())["claims"])
    for file in (snapshot / "plots" / "confusion").glob("*.csv"):
        split = protocol(snapshot)
        if split == "both":  # a file for each experiment and split
            split = next(name for name in ("source_disjoint", "paper") if file.stem.endswith(f"_{name}"))
        assert read_sidecar(file) == Origin(file.stem.removesuffix(f"_{split}"), split, declared)


@pytest.mark.parametrize(
    ("snapshot", "arm", "verdict", "p"),  # in a family of three, and of two
    [
        ("pbc-answer-probe", "real_esrnet", "no gain", 0.015),
        ("pbc-answer-published", "realesrgan_x4plus", "equivalent", 0.017),
    ],
)
def test_a_published_claim_is_judged_as_its_page_says(snapshot: str, arm: str, verdict: str, p: float) -> None:
    folder = RESULTS / snapshot / "plots" / "confusion"
    arms = [str(folder / f"{name}.csv") for name in (arm, "bicubic")]
    found = json.loads(CliRunner().invoke(app, ["compare", *arms, "--json"]).output)[1]
    assert (found["metric"], found["verdict"], found["declared"]) == ("macro_f1", verdict, True)
    assert round(found["p_holm"], 3) == p


TRIALS = sorted(path.parent for path in RESULTS.rglob("trials.csv"))


@pytest.mark.parametrize("folder", TRIALS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_what_is_said_of_published_trials_follows_from_them(folder: Path) -> None:
    said = json.loads((folder / "variance.json").read_text(encoding="utf-8"))
    found = json.loads(as_json(analyse(read_trials(folder / "trials.csv", "accuracy"))))
    assert found["failed"] == 0
    assert {key: said[key] for key in found} == approximately(found)


def approximately(found: Any) -> Any:
    """Nested numbers to seven digits, as bootstraps and eigenvectors differ in the last ones between machines."""
    if isinstance(found, dict):
        return {key: approximately(value) for key, value in found.items()}
    return pytest.approx(found, rel=1e-6, abs=1e-7) if isinstance(found, float) else found


@pytest.mark.parametrize("arm", ["raw", "real_esrgan"])
def test_published_spreads_are_those_of_the_published_trials(arm: str) -> None:
    folder = RESULTS / "case1-variance" / arm
    said = json.loads((folder / "spreads.json").read_text(encoding="utf-8"))
    tables = [(each["name"], read_trials(folder / each["name"] / "trials.csv", "accuracy")) for each in said]
    assert said == [approximately(each) for each in json.loads(json.dumps(as_records(steadiness(tables))))]
    assert len({len(trials.table) for _, trials in tables}) == 1

"""Experiments beside the default ones: several arms, another arm to test on, other recipes, protocols and seeds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.settings import Architecture
from leukosr.classify.weights import load_classifier
from leukosr.cli import app
from leukosr.config import Params, parse_params
from leukosr.engine.weights import write_tensors
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.pretrained.download import sha256_of
from leukosr.report.page import write_report
from leukosr.report.results import load_results
from leukosr.report.verdicts import study_pairs
from leukosr.stages import classify
from leukosr.stages.context import Context

from .conftest import TINY, Study

BOTH = {"reads": "outputs/demo/arms", "train": ["bicubic", "srgan"], "test": "ground_truth", "protocols": None}
OWN = {"backbone": "shufflenet_v2_x0_5", "head": {"hidden": [8], "dropout": 0.5}, "validation": 0.5, "keep": "best",
       "schedule": "plateau", "size": [32, 32], "norm_layers": "group", "optimizer": "sgd",
       "augmentations": [{"kind": "rotation", "amount": 15}]}  # fmt: skip


@pytest.fixture(scope="module")
def params(compose_raw: Callable[..., Any]) -> Params:
    raw = compose_raw(*TINY)
    recipe = {**raw["classifier"], **OWN}
    raw["classify"]["both"] = {**BOTH, "classifier": recipe, "seeds": [2]}
    raw["classify"]["moved"] = {**BOTH, "train": ["bicubic"], "classifier": raw["classifier"], "seeds": None}
    raw["study"]["comparisons"] = [["moved", "ground_truth"]]
    return parse_params(raw, "params.yaml")


@pytest.fixture
def done(study: Study, params: Params, tmp_path: Path, quiet: Console, mlflow_store: str, small_resnet: None) -> Layout:
    """The study's outputs with those of the new experiments, in the working directory."""
    shutil.copytree(study.outputs, tmp_path / "outputs" / "demo")
    layout = Layout("demo")
    for name in ("both", "moved"):
        classify.run(Context(params, layout, quiet), name)
    return layout


@pytest.mark.slow
def test_experiments_have_their_own_predictions_runs_and_rows(
    done: Layout, params: Params, study: Study, tmp_path: Path
) -> None:
    said = {name: pd.read_csv(done.classify(name, "paper") / "predictions.csv") for name in ("both", "moved", "raw")}
    assert set(said["both"]["seed"]) == {2} and set(said["moved"]["seed"]) == {1, 2}
    tests = [set(table["image"]) for table in said.values()]
    assert tests[0] == tests[1] == tests[2]
    folder = done.classify("both", "paper")
    metrics = json.loads((folder / "metrics.json").read_text())
    alone = json.loads((done.classify("raw", "paper") / "metrics.json").read_text())
    held = 2 * params.budget.per_class.classifier  # type: ignore[operator]
    assert metrics["n_train"] < 2 * alone["n_train"] <= held * 10
    assert {"val_loss", "val_accuracy"} < set(pd.read_csv(folder / "history.csv"))
    loaded = load_classifier(folder / "weights" / "seed-2.safetensors")
    assert (loaded.architecture.backbone, loaded.architecture.head.hidden) == ("shufflenet_v2_x0_5", (8,))

    runs = mlflow.search_runs(experiment_names=["demo"], output_format="list")
    tags = {run.data.tags["experiment"]: run.data.tags for run in runs}
    assert set(tags) == {"both", "moved"} and "arm" not in tags["moved"]

    results = load_results(done, params, "paper")
    assert (results.experiments["moved"].arm, list(results.arms)) == ("ground_truth", list(params.arms))
    page = write_report(tmp_path / "report", params, results, {}).read_text(encoding="utf-8")
    assert "Classifiers of 5 classes were trained in 7 experiments" in page
    assert "bicubic + SRGAN" in page and "MLP head of 8" in page and "moved – ground truth" in page
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert list(summary) == [*params.arms, "both", "moved"]
    other = done.classify("ground_truth", "paper") / "predictions.csv"
    answer = CliRunner().invoke(app, ["compare", str(done.classify("moved", "paper") / "predictions.csv"), str(other)])
    assert answer.exit_code == 0 and "moved" in answer.output


@pytest.mark.slow
def test_training_on_an_arm_is_the_same_whatever_it_is_tested_on(done: Layout) -> None:
    tables = [pd.read_csv(done.classify(name, "paper") / "history.csv") for name in ("moved", "bicubic")]
    assert tables[0].drop(columns="seconds").equals(tables[1].drop(columns="seconds"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": ["bicubic", "none"]}, "classify.both: unknown arm 'none'; the arms of this study are raw, bicubic"),
        ({"reads": "outputs/demo/arms/bicubic"}, "classify.both.reads = .*/bicubic: must be outputs/demo/arms"),
        ({"protocols": ["source_disjoint"]}, "both.protocols: 'source_disjoint' is none of the study's, paper"),
        ({"seeds": [1, 1]}, r"seeds must differ from each other, got \[1, 1\]"),
        ({"train": ["bicubic", "bicubic"]}, "train must not repeat an arm"),
        ({"classifier": {"keep": "best"}}, "validation = null: keep: best needs a validation part"),
        ({"classifier": {"weight_decay": 0.1}}, "weight_decay = 0.1: adam has none; set optimizer to adamw or sgd"),
        ({"classifier": {"norm_layers": "frozen_batch"}}, "random weights have no statistics to keep"),
        ({"classifier": {"backbone": "hf-hub:x/y"}}, "only a name of torchvision's, or timm/ and one of timm's"),
        ({"classifier": {"augmentations": [{"kind": "blur"}]}}, "0.kind = 'blur': input should be 'flip'"),
        ({"classifier": {"augmentations": [{"kind": "zoom", "amount": 2}]}}, "a zoom is at most 0.9"),
    ],
)  # fmt: skip
def test_an_experiment_that_cannot_be_is_refused(
    changes: dict[str, Any], said: str, compose_raw: Callable[..., Any]
) -> None:
    raw = compose_raw("study=demo")
    recipe = {**raw["classifier"], **changes.get("classifier", {})}
    raw["classify"]["both"] = {**BOTH, "seeds": None, **changes, "classifier": recipe}
    with pytest.raises(LeukoError, match=said):
        parse_params(raw, "params.yaml")


@pytest.mark.parametrize(
    ("own", "left"),
    [
        ({"seeds": [8]}, [("real_esrgan", "raw"), ("real_esrgan", "bicubic")]),
        ({"seeds": [2, 8]}, [(arm, other) for arm in ("srgan", "real_esrgan") for other in ("raw", "bicubic")]),
        (
            {"protocols": ["official"]},
            [("srgan", "bicubic"), ("real_esrgan", "raw"), ("real_esrgan", "bicubic")],
        ),
    ],
)
def test_experiments_are_compared_where_they_share_a_protocol_and_a_seed(
    own: dict[str, Any], left: list[tuple[str, str]], compose_raw: Callable[..., Any]
) -> None:
    raw = compose_raw("study=demo", "study.protocol=[paper,official]", "study.seeds=[1,2]")
    raw["classify"]["raw"]["protocols"] = ["paper"]
    raw["classify"]["srgan"] |= own
    assert study_pairs(parse_params(raw, "params.yaml")) == left
    raw["study"]["comparisons"] = [["srgan", "raw"]]
    if ("srgan", "raw") in left:
        parse_params(raw, "params.yaml")
    else:
        with pytest.raises(LeukoError, match=r"study.comparisons: \['srgan', 'raw'\] must have a protocol and a seed"):
            parse_params(raw, "params.yaml")


@pytest.mark.parametrize("name", ["Both", "both-2", "both 2"])
def test_an_experiment_is_named_as_arms_and_trainings_are(name: str, compose_raw: Callable[..., Any]) -> None:
    raw = compose_raw("study=demo")
    raw["classify"][name] = raw["classify"]["raw"]
    with pytest.raises(LeukoError, match=f"classify.{name} = '{name}': only lower-case letters, digits and _"):
        parse_params(raw, "params.yaml")


def test_a_study_may_give_an_experiment_another_recipe(compose_params: Callable[..., Params]) -> None:
    entry = "{reads: outputs/demo/arms/raw, train: [raw], test: raw, protocols: null, seeds: null}"
    params = compose_params(f"+classify.vgg={entry}", "+classifier@classify.vgg.classifier=vgg19_frozen")
    assert (params.classify["vgg"].classifier.backbone, params.classify["raw"].classifier.backbone) == (
        "vgg19",
        "resnet50",
    )


def test_published_weights_are_named_with_their_digest_in_metrics_and_mlflow(
    study: Study, compose_raw: Callable[..., Any], tmp_path: Path, quiet: Console, mlflow_store: str, small_resnet: None
) -> None:
    params = parse_params(compose_raw(*TINY, "classifier.weights=pretrained/mine", "study.seeds=[1]"), "conf")
    shutil.copytree(study.outputs, tmp_path / "outputs" / "demo")
    context = Context(params, Layout("demo"), quiet)
    with pytest.raises(
        LeukoError, match=r"pretrained/mine\.safetensors is not here: run `leukosr weights add mine PATH`"
    ):
        classify.run(context, "raw")
    file = Path("pretrained/mine.safetensors")
    write_tensors(file, ClassifierNetwork(Architecture(backbone="resnet50"), 7).network.state_dict(), {})
    classify.run(context, "raw")
    wanted = {"weights": "pretrained/mine", "weights_sha256": sha256_of(file)}
    metrics = json.loads((context.layout.classify("raw", "paper") / "metrics.json").read_text())
    (run,) = mlflow.search_runs(
        experiment_names=["demo"], filter_string="tags.stage = 'classify'", output_format="list"
    )
    for held in (metrics, run.data.params):
        assert {name: held[name] for name in wanted} == wanted
    of_random_ones = study.outputs / "classify" / "raw" / "paper" / "metrics.json"
    assert not wanted.keys() & json.loads(of_random_ones.read_text()).keys()


def test_two_experiments_are_compared_once_however_they_are_named(compose_raw: Callable[..., Any]) -> None:
    raw = compose_raw("study=demo", "study.comparisons=[[bicubic,srgan],[real_esrgan,bicubic]]")
    family = [{"first": "srgan", "second": "bicubic", "protocol": raw["study"]["protocol"]}]
    raw["claims"] = {"metric": "macro_f1", "margin": 0.02, "seeds": raw["study"]["seeds"], "family": family}
    assert study_pairs(parse_params(raw, "params.yaml")) == [("srgan", "bicubic"), ("real_esrgan", "bicubic")]

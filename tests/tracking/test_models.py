"""Models that MLflow keeps: what they are called, what they answer, and where they can be loaded."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.patience import PATIENCE

from leukosr import tracking
from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.panel import Panel
from leukosr.classify.weights import save_classifier
from leukosr.config import Architecture, Params
from leukosr.evaluate.arms.pairs import Run
from leukosr.images.reading import png_bytes
from leukosr.layout import Layout
from leukosr.superres.networks.srgan import SRGANGenerator
from leukosr.superres.upscaler import upscale_batch
from leukosr.superres.weights import save_generator
from leukosr.tracking import classifier_record
from leukosr.tracking.classifier_record import ClassifierRecord, log_epoch
from leukosr.tracking.models import NEEDED, SERVED_MODEL, requirements
from leukosr.tracking.served_model import Computed

CLASSES = ["eosinophil", "lymphocyte", "monocyte"]


@pytest.fixture
def classifier(small_resnet: None, tmp_path: Path) -> Path:
    return save(tmp_path / "seed-1.safetensors", Architecture(backbone="resnet50"))


def save(path: Path, architecture: Architecture) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ClassifierNetwork(architecture, 3).eval()
    save_classifier(path, network, architecture, CLASSES, (48, 48))
    return path


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def log(weights: Path, name: str) -> str:
    with tracking.run("with model", experiment="demo", tags={}) as run:
        run.model(weights, name)
        run.register(weights.name, "demo-raw", "the first seed")
    return str(run.models[weights.name])


def test_a_logged_classifier_names_its_classes_for_bytes_base64_and_pixels_of_any_size(
    classifier: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    uri, small, large = log(classifier, "classifier-raw-seed-1"), noise(40, 48), noise(90, 70)
    panel = Panel.load([classifier], torch.device("cpu"))
    expected = [panel.answer(small), panel.answer(large)]
    classifier.unlink()  # the model has its own copy
    model = mlflow.pyfunc.load_model(uri)
    cells = [png_bytes(small), base64.b64encode(png_bytes(large)).decode()]
    for images in (cells, [small, large.tolist()]):
        found = model.predict(pd.DataFrame({"image": images}))
        assert list(found.columns) == ["predicted", *(f"p_{name}" for name in CLASSES), "warnings"]
        assert found.to_dict("records") == expected


def test_a_logged_model_has_a_name_classes_signature_example_code_and_pinned_requirements(
    classifier: Path, mlflow_store: str
) -> None:
    info = mlflow.models.get_model_info(log(classifier, "classifier-raw-seed-1"))
    (logged,) = mlflow.search_logged_models(experiment_ids=["1"], output_format="list")
    assert logged.name == "classifier-raw-seed-1"
    assert info.metadata is not None and json.loads(info.metadata["classes"]) == CLASSES
    assert info.signature is not None and "p_monocyte" in str(info.signature.outputs)
    folder = Path(mlflow.artifacts.download_artifacts(info.model_uri))
    example = json.loads((folder / "serving_input_example.json").read_text())
    assert list(example["dataframe_split"]["columns"]) == ["image"]
    assert (folder / "code" / "leukosr" / "classify" / "panel.py").is_file()
    written = (folder / "requirements.txt").read_text().splitlines()
    assert set(requirements()) <= set(written) and any(line.startswith("torch==") for line in written)


def test_a_logged_generator_answers_with_enlarged_images(mlflow_store: str, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SRGANGenerator(scale=2, features=4, blocks=1).eval()
    save_generator(tmp_path / "last.safetensors", network, "srgan", 2, {"features": 4, "blocks": 1})
    image = noise(12, 20)
    model = mlflow.pyfunc.load_model(log(tmp_path / "last.safetensors", "generator-srgan"))
    (cell,) = model.predict(pd.DataFrame({"image": [png_bytes(image)]}))["image"]
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(cell), np.uint8), cv2.IMREAD_COLOR_RGB)
    (wanted,) = upscale_batch(network, [image], Computed(), torch.device("cpu"))
    assert pixels is not None and np.array_equal(pixels, wanted)


@pytest.mark.slow
def test_the_requirements_are_what_the_served_code_imports() -> None:
    script = """
import ast, sys
from importlib.metadata import packages_distributions
from pathlib import Path
import mlflow
exec(compile(Path(sys.argv[1]).read_text(), sys.argv[1], "exec"))
files = [sys.argv[1]] + [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "leukosr"]
nodes = [node for file in files for node in ast.parse(Path(file).read_text()).body]
names = {each.name for node in nodes if isinstance(node, ast.Import) for each in node.names}
names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
known = packages_distributions()
print(*{known[top][0].lower() for name in names if (top := name.split(".")[0]) in known and top != "leukosr"})
"""
    command = [sys.executable, "-c", script, str(SERVED_MODEL)]
    found = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert found - {"mlflow", "mlflow-tracing"} == set(NEEDED) - {"timm"}  # which only its backbones import


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("no image!", "not base64"),
        (b"GIF89a", "not an image file"),
        (np.zeros((4, 4)), "has shape"),
        ([], "has shape"),
        ([[[1, 2, 3]], [[1, 2, 3], [4, 5, 6]]], "not a table of pixels"),
        (np.zeros((1, 9, 3), np.uint8), "the image is 1x9; networks need at least 2 pixels a side"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(
    cell: object, message: str, classifier: Path, mlflow_store: str
) -> None:
    model = mlflow.pyfunc.load_model(log(classifier, "classifier-raw-seed-1"))
    with pytest.raises(MlflowException, match=message) as refused:  # a server answers any other with a stack trace
        model.predict(pd.DataFrame({"image": [cell]}))
    assert refused.value.get_http_status_code() == 400
    assert "stack_trace" not in json.loads(refused.value.serialize_as_json())


@pytest.mark.parametrize(("seeds", "registered"), [([1, 2], True), ([2], False)])
def test_a_run_of_one_seed_alone_does_not_replace_the_champion_of_the_study(
    seeds: list[int], registered: bool, small_resnet: None, compose_params: Callable[..., Params], tmp_path: Path
) -> None:
    for seed in seeds:
        save(tmp_path / f"weights/seed-{seed}.safetensors", Architecture(backbone="resnet50"))
    (tmp_path / "metrics.json").write_text("{}")
    params = compose_params("study=demo", "budget=smoke")
    params = params.model_copy(update={"runtime": params.runtime.model_copy(update={"log_models": True})})
    tracked = Mock(spec=tracking.Run)
    ClassifierRecord(params, "raw", Layout("demo"), seeds, {"paper": tmp_path}).finish_protocol(tracked, "paper")
    assert tracked.register.called == registered


def test_a_classifier_is_logged_with_its_own_weights_and_not_with_those_of_a_seed_that_begins_alike(
    compose_params: Callable[..., Params], tmp_path: Path
) -> None:
    (tmp_path / "weights").mkdir()
    for name in ("seed-1-fold-1", "seed-1-fold-2", "seed-10-fold-1", "seed-10-fold-2"):
        (tmp_path / f"weights/{name}.safetensors").touch()
    params = compose_params("study=demo", "budget=smoke", "runtime.log_models=true")
    record, tracked = ClassifierRecord(params, "raw", Layout("demo"), [1, 10], {"paper": tmp_path}), Mock()
    record.finish_run(tracked, Run(1), {}, tmp_path)
    assert [call.args[1] for call in tracked.model.call_args_list] == [
        "classifier-raw-seed-1-fold-1", "classifier-raw-seed-1-fold-2"
    ]  # fmt: skip


def test_the_classifier_of_each_network_is_logged_later_with_its_own_curve(
    compose_params: Callable[..., Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, folder = Layout("demo", tmp_path / "outputs"), tmp_path / "paper"
    for path in (layout.manifest, layout.roles, folder / "metrics.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"per_seed": {"1-sr-1": {}, "1-sr-2": {}}}))
    rows = ["seed,sr_seed,epoch,loss,accuracy", "1,1,1,0.25,0.5", "1,2,1,0.75,0.5"]
    (folder / "history.csv").write_text("\n".join(rows) + "\n")
    losses = defaultdict[str, list[float]](list)

    @contextmanager
    def child(name: str, **_: Any) -> Iterator[Mock]:
        tracked = Mock()
        yield tracked
        logged = [call.args[0] for call in tracked.metrics.call_args_list]
        losses[name] += [each["train_loss"] for each in logged if "train_loss" in each]

    monkeypatch.setattr(classifier_record, "run", child)
    params = compose_params("study=demo", "budget=smoke", "runtime.log_models=false")
    ClassifierRecord(params, "raw", layout, [1], {"paper": folder}, (1, 2)).replay(Mock())
    assert losses == {"classify raw seed 1-sr-1": [0.25], "classify raw seed 1-sr-2": [0.75]}


def test_folds_and_members_of_one_seed_have_curves_of_their_own() -> None:
    tracked, row = Mock(), {"epoch": 3, "loss": 0.5, "accuracy": 1.0}
    parts: list[Mapping[str, str]] = [{}, {"fold": "fold-1"}, {"fold": "fold-1", "member": "member-2"}]
    for part in parts:
        log_epoch(tracked, {**row, **part})
    assert [next(iter(call.args[0])) for call in tracked.metrics.call_args_list] == [
        "train_loss", "fold-1_train_loss", "fold-1_member-2_train_loss"
    ]  # fmt: skip


@pytest.mark.slow
def test_the_champion_is_served_with_its_own_code_and_answers_a_posted_image(mlflow_store: str, tmp_path: Path) -> None:
    log(save(tmp_path / "seed-1.safetensors", Architecture(backbone="squeezenet1_1")), "classifier-raw-seed-1")
    assert str(MlflowClient().get_model_version_by_alias("demo-raw", "champion").version) == "1"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "leukosr").mkdir(parents=True)
    # stands before every installed LeukoSR, so only the code that travels with the model can be loaded
    (elsewhere / "leukosr" / "__init__.py").write_text("raise ImportError('the installed LeukoSR was imported')")
    command = ["models", "serve", "-m", "models:/demo-raw@champion", "--env-manager", "local", "-p", str(port)]
    path = os.pathsep.join([str(elsewhere)])
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *command],
        cwd=elsewhere, env=os.environ | {"PYTHONPATH": path, "MLFLOW_REGISTRY_URI": mlflow_store},
    )  # fmt: skip
    try:
        body = {
            "dataframe_split": {"columns": ["image"], "data": [[base64.b64encode(png_bytes(noise(60, 80))).decode()]]}
        }
        answer = post(f"http://127.0.0.1:{port}/invocations", body, server)
    finally:
        server.terminate()
        server.wait(PATIENCE)
    (row,) = answer["predictions"]
    assert row["predicted"] in CLASSES
    assert sum(row[f"p_{name}"] for name in CLASSES) == pytest.approx(1)


def post(url: str, body: object, server: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The answer of a server that may still be starting."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    for _ in range(PATIENCE):
        assert server.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return dict(json.load(reply))
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        except OSError:
            time.sleep(1)
    raise AssertionError("the server does not answer")

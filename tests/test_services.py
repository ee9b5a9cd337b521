"""The services of compose.yaml: what the file says, and the same programs without containers on loopback."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from rich.console import Console
from tests.postgresql import free_port, postgresql_server

from leukosr import tracking
from leukosr.images.reading import png_bytes
from leukosr.superres.networks.srgan import SRGANGenerator
from leukosr.superres.weights import save_generator
from leukosr.tracking.served_model import image_of
from leukosr.tracking.trial_storage import open_storage

ROOT = Path(__file__).resolve().parents[1]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
OWN = ["bucket", "mlflow", "dashboard", "worker"]
KEYS = {"AWS_ACCESS_KEY_ID": "leukosr", "AWS_SECRET_ACCESS_KEY": "leukosr-test", "AWS_DEFAULT_REGION": "us-east-1"}
PATIENCE = 240


def test_every_service_waits_for_services_that_exist_and_whose_health_is_known() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other], (name, other)
            assert how["condition"] != "service_completed_successfully" or SERVICES[other]["restart"] == "no", other


def test_images_of_others_name_a_version_and_ours_are_built_here() -> None:
    assert all(SERVICES[name]["build"] == "." for name in OWN)
    for name in SERVICES.keys() - OWN:
        _, _, tag = SERVICES[name]["image"].partition(":")
        assert tag and tag != "latest", name


def test_ports_are_open_on_this_machine_alone_and_no_password_stands_in_the_file() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    secrets = re.findall(r"(?:PASSWORD|ACCESS_KEY): (.*)", text)
    assert secrets and all(value.startswith("${") for value in secrets)


def test_the_image_runs_as_an_ordinary_user_on_the_pinned_versions() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["1000"]
    assert "--constraint requirements.txt" in text
    taken = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all(f"!{name}" in taken for name in line.split()), line


def get(url: str, **headers: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        content: bytes = answer.read()
        return content


def command_of(service: str, port: int, database: str) -> list[str]:
    """The command of a service in compose.yaml, with another address, port and database."""
    asked = SERVICES[service]["command"]
    own = {"mlflow": "5000", "optuna-dashboard": "8080"}[asked[0]]
    changed = [re.sub(r"postgresql://\S+", database, each).replace("0.0.0.0", "127.0.0.1") for each in asked]
    program = Path(sys.executable).with_name(changed[0])
    return [str(program), *(each.replace(own, str(port)) for each in changed[1:])]


@contextmanager
def serving(command: list[str], ready: str, folder: Path, **environment: str) -> Iterator[None]:
    """A server that answers at `ready`; it and its children end with the block."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: get(ready), process, log)
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_for(look: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            look()
            return
        except OSError:
            said = log.read_text(errors="replace")[-3000:]
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
        time.sleep(0.5)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server with the bucket `leukosr`."""
    for package in ("moto", "boto3", "dvc_s3"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'moto[server]==5.2.5' -r requirements-s3.txt")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, f"{url}/moto-api/data.json", tmp_path_factory.mktemp("s3")):
        urllib.request.urlopen(urllib.request.Request(f"{url}/leukosr", method="PUT"), timeout=10).close()
        yield url


@pytest.mark.slow
def test_mlflow_on_postgresql_and_s3_keeps_a_run_and_gives_its_model_back(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = SRGANGenerator(scale=2, features=4, blocks=1).eval()
    save_generator(tmp_path / "last.safetensors", network, "srgan", 2, {"features": 4, "blocks": 1})
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with postgresql_server() as database:
        command = [*command_of("mlflow", port, database), "--workers=1"]
        with serving(command, f"{url}/health", tmp_path, MLFLOW_S3_ENDPOINT_URL=s3, **KEYS):
            assert b"OK" in get(f"{url}/health", Host=f"mlflow:{port}"), "workers call it by the name of its service"
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            with tracking.run("served", experiment="demo", tags={}, console=Console(), watched="none") as run:
                run.metrics({"psnr": 20.5})
                run.model(tmp_path / "last.safetensors", "demo-srgan")
            (stored,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
            assert (stored.info.status, stored.data.metrics["psnr"]) == ("FINISHED", 20.5)
            assert b"last.safetensors" in get(f"{s3}/leukosr?list-type=2&prefix=mlflow/")
            (model,) = mlflow.search_logged_models(experiment_ids=[stored.info.experiment_id], output_format="list")
            cells = pd.DataFrame({"image": [png_bytes(np.zeros((6, 8, 3), np.uint8))]})
            (made,) = mlflow.pyfunc.load_model(model.model_uri).predict(cells)["image"]
            assert image_of(made).shape == (12, 16, 3)


@pytest.mark.slow
def test_the_dashboard_shows_the_sweeps_of_the_database(tmp_path: Path) -> None:
    port = free_port()
    with postgresql_server() as database:
        optuna.create_study(study_name="a sweep", storage=open_storage(database, 60))
        url = f"http://127.0.0.1:{port}"
        with serving(command_of("dashboard", port, database), f"{url}/dashboard/", tmp_path):
            assert "a sweep" in [
                each["study_name"] for each in json.loads(get(f"{url}/api/studies"))["study_summaries"]
            ]


@pytest.mark.slow
def test_dvc_pushes_to_s3_and_an_empty_clone_pulls_from_it(s3: str, tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    (origin / "images").mkdir(parents=True)
    (origin / "images" / "1.png").write_bytes(b"an image")

    def do(folder: Path, *command: str) -> None:
        subprocess.run(command, cwd=folder, env={**os.environ, **KEYS}, check=True, capture_output=True)

    dvc = (sys.executable, "-m", "dvc")
    do(origin, "git", "init", "--quiet")
    do(origin, *dvc, "init", "--quiet")
    do(origin, *dvc, "add", "--quiet", "images")
    do(origin, *dvc, "remote", "add", "--default", "storage", "s3://leukosr/dvc")
    do(origin, *dvc, "remote", "modify", "storage", "endpointurl", s3)
    do(origin, *dvc, "push", "--quiet")
    do(origin, "git", "add", "--all")
    do(origin, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "images")
    do(tmp_path, "git", "clone", "--quiet", str(origin), str(clone))
    assert not (clone / "images").exists()
    do(clone, *dvc, "pull", "--quiet")
    assert (clone / "images" / "1.png").read_bytes() == b"an image"

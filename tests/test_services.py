"""The services of compose.yaml: what the file says, and the dashboard; tests/pipeline/test_on_services.py runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import optuna
import pytest
from tests.postgresql import free_port, postgresql_server
from tests.services import ROOT, SERVICES, command_of, get, serving

from leukosr.tracking.trial_storage import open_storage

OWN = ["bucket", "mlflow", "dashboard", "worker"]


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

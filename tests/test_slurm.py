"""The job files in slurm/: what they ask for and start on each node, and what SLURM says where there is one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
JOBS = sorted((ROOT / "slurm").glob("*.sbatch"))
OPTION = re.compile(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", re.MULTILINE)
SHARED = {"LEUKOSR_OPTUNA_STORAGE": "postgresql://user@host/optuna", "MLFLOW_TRACKING_URI": "http://host:5000"}
SCONTROL = r"""case "$*" in
  "show hostnames node-[a-b]") printf "%s\n" node-a node-b ;;
  requeue*) echo "$*" > "$SLURM_SUBMIT_DIR/requeued" ;;
  *) exit 1 ;;
esac"""
# stand-ins: srun runs its command once per node, the programs of the environment print how they were called
PROGRAMS = {
    "scontrol": SCONTROL,
    "srun": 'shift; for SLURM_NODEID in 0 1; do export SLURM_NODEID; "$@"; done',
    **dict.fromkeys(("torchrun", "dvc", "leukosr"), 'printf "%s\\n" "$(basename "$0") $*"'),
}


def name_of(job: Path) -> str:
    return job.stem


def options(job: Path) -> dict[str, str]:
    return dict(OPTION.findall(job.read_text(encoding="utf-8")))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an environment of stand-ins."""
    for name, script in PROGRAMS.items():
        folder = tmp_path / ("bin" if name in ("scontrol", "srun") else ".venv/bin")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(0o755)
    return tmp_path


def start(job: str, project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a job file as SLURM's first node would, in another folder."""
    process = begin(job, project, *arguments, **environment)
    output, errors = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def begin(job: str, project: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The same, without waiting for its end; its processes are a group."""
    given = {
        "PATH": f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}", "SLURM_SUBMIT_DIR": str(project),
        "SLURM_JOB_ID": "71234", "SLURM_JOB_NODELIST": "node-[a-b]", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "4",
    }  # fmt: skip
    command = ["bash", str(ROOT / "slurm" / f"{job}.sbatch"), *arguments]
    return subprocess.Popen(
        command, cwd="/", env=given | environment, text=True, start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("job", JOBS, ids=name_of)
def test_a_job_is_named_limited_and_requeued_when_its_node_fails(job: Path) -> None:
    asked = options(job)
    lines = [line for line in job.read_text(encoding="utf-8").splitlines() if line.startswith("#SBATCH")]
    assert len(asked) == len(lines), "every option is written once, with two dashes and an equals sign"
    assert asked["job-name"] == f"leukosr-{job.stem}"
    assert {"nodes", "cpus-per-task", "mem", "time", "requeue", "signal", "output"} <= asked.keys()
    assert asked["open-mode"] == "append", "what was said before a node failed is kept"
    subprocess.run(["bash", "-n", str(job)], check=True)


@pytest.mark.parametrize("job", JOBS, ids=name_of)
def test_shellcheck_finds_nothing(job: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (Debian: apt-get install shellcheck)")
    subprocess.run(["shellcheck", "--shell=bash", str(job)], check=True)


@pytest.mark.parametrize("job", JOBS, ids=name_of)
def test_slurm_would_take_the_job(job: Path) -> None:
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True, check=False).returncode:
        pytest.skip("no SLURM answers here")
    found = subprocess.run(["sbatch", "--test-only", str(job)], text=True, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr


def test_a_study_runs_in_the_folder_that_it_was_submitted_from(project: Path) -> None:
    assert start("study", project).stdout == "dvc repro\n"
    assert start("study", project, "-S", "study=case1").stdout == "dvc exp run -S study=case1\n"


def test_torchrun_joins_the_nodes_of_a_training(project: Path) -> None:
    found = start("train", project, "train-sr", "--training", "srgan")
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == [
        f"torchrun --nnodes 2 --node-rank {rank} --nproc-per-node 4 --master-addr node-a --master-port 31234 "
        "-m leukosr train-sr --training srgan"
        for rank in (0, 1)
    ]


def test_workers_of_a_sweep_need_a_database_and_a_server_that_they_share(project: Path) -> None:
    assert start("sweep", project, **SHARED).stdout == "leukosr sweep\n"
    for missing in SHARED:
        found = start("sweep", project, **{name: value for name, value in SHARED.items() if name != missing})
        assert found.returncode != 0 and missing in found.stderr and not found.stdout


@pytest.mark.parametrize("job", JOBS, ids=name_of)
def test_a_job_goes_back_into_the_queue_before_its_time_limit_and_runs_again(job: Path, project: Path) -> None:
    quick = {name: (project / ".venv/bin" / name).read_text() for name in ("torchrun", "dvc", "leukosr")}
    for name in quick:
        (project / ".venv/bin" / name).write_text('#!/bin/bash\ntouch "$SLURM_SUBMIT_DIR/working"; exec sleep 60\n')
    cut = begin(job.stem, project, **SHARED)
    wait_for(project / "working")
    cut.send_signal(signal.SIGUSR1)  # as --signal asks for, to the shell alone
    wait_for(project / "requeued")
    assert (project / "requeued").read_text() == "requeue 71234\n"
    assert cut.poll() is None, "it waits until SLURM ends it, so that the work can clear up"
    os.killpg(cut.pid, signal.SIGTERM)
    assert cut.wait(PATIENCE) != 0
    for name, script in quick.items():
        (project / ".venv/bin" / name).write_text(script)
    again = start(job.stem, project, **SHARED)
    assert again.returncode == 0 and again.stdout, again.stderr


@pytest.mark.parametrize("job", JOBS, ids=name_of)
def test_where_slurm_refuses_to_requeue_the_work_goes_on_to_its_end(job: Path, project: Path) -> None:
    (project / "bin/scontrol").write_text(f"#!/bin/bash\n{SCONTROL}\n[[ $* != requeue* ]]\n")
    for name in ("torchrun", "dvc", "leukosr"):
        (project / ".venv/bin" / name).write_text(
            '#!/bin/bash\ncd "$SLURM_SUBMIT_DIR"; touch working; until [ -e requeued ]; do sleep 0.05; done\n'
        )
    job_run = begin(job.stem, project, **SHARED)
    wait_for(project / "working")
    job_run.send_signal(signal.SIGUSR1)
    assert job_run.wait(PATIENCE) == 0


@pytest.mark.parametrize("job", JOBS, ids=name_of)
def test_a_job_fails_as_its_work_does(job: Path, project: Path) -> None:
    for name in ("torchrun", "dvc", "leukosr"):
        (project / ".venv/bin" / name).write_text("#!/bin/bash\nexit 3\n")
    assert start(job.stem, project, **SHARED).returncode == 3


def wait_for(path: Path) -> None:
    for _ in range(20 * PATIENCE):
        if path.exists() and (path.name == "working" or path.read_text()):
            return
        time.sleep(0.05)
    raise AssertionError(f"{path.name} did not come")

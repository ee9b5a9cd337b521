"""The command line: results on stdout, one `error:` line and exit code 1 for a user's mistake."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import leukosr
from leukosr import cli
from leukosr.cli.entry import app
from leukosr.data import manifest
from leukosr.data.manifest import Row

Outcome = tuple[int, str, str]


@pytest.fixture
def leukosr_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run `leukosr …` in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["leukosr", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def project(compose_raw: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a params.yaml."""
    write_params(tmp_path, compose_raw("study=demo", "budget=smoke"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return tmp_path


def write_params(folder: Path, raw: Any) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def write_manifest(project: Path) -> None:
    (project / "outputs" / "demo").mkdir(parents=True)
    rows = [Row(f"TEST/{c}/{i}", f"TEST/{c}/{i}.jpg", c, "", 128, 128, {"paper": role}) for c in "ab"
            for i, role in enumerate(("classifier_train", "classifier_test"))]  # fmt: skip
    manifest.write_manifest(project / "outputs" / "demo" / "manifest.csv", rows)


def error_line(outcome: Outcome) -> str:
    """The one line of a refused command."""
    code, out, err = outcome
    assert code == 1
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def test_version(leukosr_cli: Callable[..., Outcome]) -> None:
    assert leukosr_cli("--version") == (0, f"leukosr {leukosr.__version__}\n", "")


def test_which_names_study_and_budget(leukosr_cli: Callable[..., Outcome], project: Path) -> None:
    named = "study demo (Demo: synthetic smears, 5 classes), budget smoke\n"
    drawn = "images: not in datasets/demo yet; `make repro` draws them\n"
    assert leukosr_cli("which") == (0, named + drawn, "")
    (project / "datasets" / "demo").mkdir(parents=True)
    assert leukosr_cli("which") == (0, f"{named}images: in datasets/demo\n", "")


def test_show_without_a_report_names_the_command_that_makes_one(
    leukosr_cli: Callable[..., Outcome], project: Path
) -> None:
    message = "study demo has no report in reports/demo yet: run `make repro`"
    assert error_line(leukosr_cli("show")) == message


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ("synthesize: [1\n", "conf/study/mine.yaml is not valid YAML"),
        ("study: 1\nstudy: 2\n", "conf/study/mine.yaml line 2: the key 'study' stands twice"),
        ("- synthesize\n", "get them with `leukosr data add none PATH`"),
        ("synthesize: {none: 3, other: {folder: datasets/none}}\n", "get them with `leukosr synthesize --set other`"),
    ],
)
def test_studies_of_any_form_are_looked_at(
    study: str, said: str, leukosr_cli: Callable[..., Outcome], project: Path, compose_raw: Callable[..., Any]
) -> None:
    raw = compose_raw("study=demo", "budget=smoke", "prepare.root=datasets/none")
    write_params(project, raw)
    (project / "conf" / "study").mkdir(parents=True)
    (project / "conf" / "study" / "mine.yaml").write_text(study)
    code, _, err = leukosr_cli("which")
    assert (code, len(err.splitlines())) == (1, 1)
    assert said in err


def test_help_lists_a_command_a_stage(leukosr_cli: Callable[..., Outcome]) -> None:
    code, out, _ = leukosr_cli("--help")
    assert code == 0
    for command in ("synthesize", "prepare", "degrade", "train-sr", "upscale", "quality", "classify", "report"):
        assert command in out


def test_help_groups_the_commands(leukosr_cli: Callable[..., Outcome]) -> None:
    out = leukosr_cli("--help")[1]
    places = [out.index(f"─ {panel} ─") for panel in ("Start here", "Your images", "Claims", "Pipeline")]
    assert places == sorted(places)
    assert places[0] < out.index("doctor") < places[1] < out.index(" data ") < places[2] < out.index("compare")
    assert places[1] < out.index(" extract ") < places[2]
    assert places[3] < out.index(" verify ") and places[3] < out.index(" sync ")


def test_missing_parameters_are_named(
    leukosr_cli: Callable[..., Outcome], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "params.yaml").unlink()
    assert "params.yaml does not exist" in error_line(leukosr_cli("which"))
    assert "other.yaml does not exist" in error_line(leukosr_cli("which", "--params", "other.yaml"))
    (project / ".dvc").mkdir()
    assert error_line(leukosr_cli("show")).endswith("`git checkout params.yaml` restores the committed one")
    (project / "docs").mkdir()
    monkeypatch.chdir(project / "docs")
    assert error_line(leukosr_cli("show")).endswith(f"run the command in the root of the project, {project}")


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "pred/a.csv", "pred/b.csv"),
        ("plan", "pred/a.csv", "pred/b.csv"),
        ("variance", "pred/a.csv"),
        ("calibrate", "--out", "x", "--design", "pred"),
        ("enhance", "pred", "x", "--weights", "y"),
        ("provenance", "pred", "--out", "x"),
        ("extract", "pred", "--out", "x"),
        ("rejudge", "pred"),
        ("side-by-side", "pred/a", "pred/b", "--out", "x"),
        ("dose-response", "pred/a", "pred/b", "--out", "x"),
        ("forest", "pred/a", "--out", "x"),
        ("combine", "pred/a", "pred/b", "--study", "pbc_answer", "--out", "x"),
        ("data", "tiles", "pred", "--out", "x", "--height", "64", "--width", "64"),
        ("weights", "add", "mine", "pred"),
        ("export", "onnx", "pred/g.pth", "x.onnx"),
    ],
    ids=" ".join,
)
def test_a_path_that_does_not_exist_is_named_with_what_was_meant(
    command: tuple[str, ...], leukosr_cli: Callable[..., Outcome], project: Path
) -> None:
    (project / "preds").mkdir()
    message = error_line(leukosr_cli(*command))
    assert re.fullmatch(r"pred\S* does not exist: name .*; did you mean preds\?", message), message


def test_wrong_parameter_is_named_with_its_value(
    leukosr_cli: Callable[..., Outcome], project: Path, compose_raw: Callable[..., Any]
) -> None:
    raw = compose_raw("study=demo", "budget=smoke")
    raw["image"]["height"] = 130
    write_params(project, raw)
    assert "130 is not divisible by scale 4" in error_line(leukosr_cli("prepare"))
    raw["image"] |= {"height": 128, "hieght": 1}
    write_params(project, raw)
    assert "params.yaml: unknown key 'image.hieght'" in error_line(leukosr_cli("degrade"))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("classifier", "batch"), 1, "classifier.batch = 1: input should be greater than or equal to 2"),
        (("train_sr", "real_esrgan", "stages", 1, "name"), "net", "names of the stages must differ"),
    ],
)
def test_parameters_that_training_could_not_work_with_are_refused(
    path: tuple[Any, ...], value: Any, message: str,
    leukosr_cli: Callable[..., Outcome], project: Path, compose_raw: Callable[..., Any],
) -> None:  # fmt: skip
    raw = section = compose_raw("study=demo", "budget=smoke")
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    write_params(project, raw)
    assert message in error_line(leukosr_cli("which"))


@pytest.mark.parametrize(
    "command",
    [
        ("degrade",), ("train-sr", "--method", "srgan"), ("upscale", "--arm", "raw"), ("quality", "--arm", "raw"),
        ("classify", "--arm", "raw"),
    ],
)  # fmt: skip
def test_missing_manifest_names_the_stage_that_makes_it(
    command: tuple[str, ...], leukosr_cli: Callable[..., Outcome], project: Path
) -> None:
    assert "dvc repro prepare" in error_line(leukosr_cli(*command))


@pytest.mark.parametrize("command", ["quality", "classify"])
def test_missing_arm_names_the_stage_that_makes_it(
    command: str, leukosr_cli: Callable[..., Outcome], project: Path
) -> None:
    write_manifest(project)
    message = error_line(leukosr_cli(command, "--arm", "srgan"))
    assert "outputs/demo/arms/srgan does not exist yet: run `dvc repro upscale@srgan`" in message


def test_missing_lr_and_weights_name_their_stages(leukosr_cli: Callable[..., Outcome], project: Path) -> None:
    write_manifest(project)
    assert "run `dvc repro degrade`" in error_line(leukosr_cli("upscale", "--arm", "bicubic"))
    assert "run `dvc repro degrade`" in error_line(leukosr_cli("train-sr", "--method", "srgan"))
    for image in ("a/0", "a/1", "b/0", "b/1"):
        file = project / "outputs" / "demo" / "lr" / "TEST" / f"{image}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert "run `dvc repro train_sr@srgan`" in error_line(leukosr_cli("upscale", "--arm", "srgan"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("upscale", "unknown arm 'esrgan'; the arms of this study are"),
        ("quality", "unknown arm 'esrgan'; the arms of this study are"),
        ("classify", "this study has no arm or experiment 'esrgan'; it classifies"),
    ],
)
def test_an_unknown_name_is_answered_with_those_of_the_study(
    command: str, message: str, leukosr_cli: Callable[..., Outcome], project: Path
) -> None:
    known = "raw, bicubic, srgan, real_esrgan, ground_truth"
    assert (
        error_line(leukosr_cli(command, "--arm", "esrgan")) == f"{message} {known}; did you mean srgan or real_esrgan?"
    )


def test_unknown_training_is_answered_with_the_trainings(leukosr_cli: Callable[..., Outcome], project: Path) -> None:
    message = error_line(leukosr_cli("train-sr", "--method", "bicubic"))
    assert message == "this study has no training 'bicubic'; it trains srgan, real_esrgan"


def test_one_seed_would_replace_the_results_of_all_and_is_refused(
    leukosr_cli: Callable[..., Outcome], project: Path
) -> None:
    write_manifest(project)
    assert "add --out FOLDER" in error_line(leukosr_cli("classify", "--arm", "raw", "--seed", "3"))
    message = error_line(leukosr_cli("classify", "--arm", "raw", "--seed", "-1", "--out", "one"))
    assert "--seed is -1" in message


def test_wrong_usage_is_exit_code_2(leukosr_cli: Callable[..., Outcome], project: Path) -> None:
    assert leukosr_cli("upscale")[0] == 2
    assert leukosr_cli("classify", "--arm", "raw", "--seed", "three")[0] == 2
    assert leukosr_cli("no-such-stage")[0] == 2


def test_text_in_brackets_survives_in_an_error(leukosr_cli: Callable[..., Outcome], project: Path) -> None:
    message = error_line(leukosr_cli("upscale", "--arm", "[bold]x[/bold]"))
    assert "unknown arm '[bold]x[/bold]'" in message


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted; nothing half-written is left"),
        (MemoryError(), 1, "error: out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "error: out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 1, "error: out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), 1, "error: out of memory"),
    ],
)
def test_interruption_and_lack_of_memory_are_said_in_one_line(
    error: BaseException, code: int, said: str,
    leukosr_cli: Callable[..., Outcome], project: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("leukosr.stages.prepare.run", raising(error))
    outcome = leukosr_cli("prepare")
    assert outcome[0] == code
    assert outcome[2].startswith(said)
    assert len(outcome[2].splitlines()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_end_is_answered_like_ctrl_c(
    number: signal.Signals, code: int,
    leukosr_cli: Callable[..., Outcome], project: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("leukosr.stages.prepare.run", lambda *_: os.kill(os.getpid(), number))
    before = signal.signal(number, signal.SIG_DFL)
    try:
        outcome = leukosr_cli("prepare")
    finally:
        signal.signal(number, before)
    assert outcome[0] == code
    assert outcome[2].startswith("interrupted; nothing half-written is left")


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_what_nobody_foresaw_is_one_sentence_with_a_report(
    leukosr_cli: Callable[..., Outcome], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    error = RuntimeError("no [b]such thing[/b] at postgresql://me:hunter2@host/db\nsecond line")
    monkeypatch.setattr("leukosr.stages.prepare.run", raising(error))
    code, out, err = leukosr_cli("prepare", "--params", "params.yaml")
    assert (code, out, len(err.splitlines())) == (70, "", 1)
    assert err.startswith(
        "error: RuntimeError: no [b]such thing[/b] at postgresql://…@host/db - this is a bug in LeukoSR"
    )
    report = Path(err.strip().rsplit(" file ", 1)[1])
    assert project / ".leukosr" / "crashes" in report.resolve().parents
    content = report.read_text()
    assert "leukosr prepare --params params.yaml" in content
    assert f"leukosr {leukosr.__version__}" in content and "torch " in content
    assert "Traceback" in content and "in fail" in content and "second line" in content
    assert "hunter2" not in content and "SECRET_TOKEN" not in content


def test_a_report_goes_elsewhere_where_the_folder_cannot_be_written(
    leukosr_cli: Callable[..., Outcome], project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("leukosr.stages.prepare.run", raising(KeyError("x")))
    (project / ".leukosr").write_text("a file in the way")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, _, err = leukosr_cli("prepare")
    assert code == 70
    assert Path(err.strip().rsplit(" file ", 1)[1]).parent == tmp_path
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    code, _, err = leukosr_cli("prepare")
    assert code == 70
    assert err.endswith("this is a bug in LeukoSR; no report could be saved (No such file or directory)\n")


def test_errors_of_the_system_are_not_called_faults(
    leukosr_cli: Callable[..., Outcome], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leukosr.stages.prepare.run", raising(PermissionError(13, "Permission denied", "outputs")))
    assert error_line(leukosr_cli("prepare")) == "outputs: Permission denied; fix that and run again"
    monkeypatch.setattr("leukosr.stages.prepare.run", raising(FileNotFoundError(2, "No such file", "x")))
    assert leukosr_cli("prepare")[0] == 70


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE", "LOCAL_RANK"])
def test_what_launchers_set_is_read_with_care(
    name: str, leukosr_cli: Callable[..., Outcome], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    for value in ("two", "-1", "1e3", "9" * 5000, "²"):
        for each, usual in launched.items():
            monkeypatch.setenv(each, value if each == name else usual)
        message = error_line(leukosr_cli("prepare"))
        assert f"the environment variable {name} is '{value[:40]}'; launchers set it to a whole number" in message
    for each in launched:
        monkeypatch.setenv(each, "")
    assert "dvc repro prepare" in error_line(leukosr_cli("upscale", "--arm", "raw"))


def test_enhance_reports_its_mistakes_like_a_stage(leukosr_cli: Callable[..., Outcome], project: Path) -> None:
    message = error_line(leukosr_cli("enhance", "none.png", "out.png", "--weights", "none.pth"))
    assert message == "none.png does not exist: name an image or a folder of images"


def test_installed_command_prints_one_error_line(project: Path) -> None:
    command = shutil.which("leukosr", path=str(Path(sys.executable).parent))
    assert command is not None
    result = subprocess.run([command, "degrade"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: outputs/demo/manifest.csv does not exist: run `dvc repro prepare`\n"


@pytest.mark.parametrize(
    ("command", "stage"),
    [
        (("upscale", "--arm", "bicubic"), "degrade"),
        (("train-sr", "--method", "srgan"), "degrade"),
        (("quality", "--arm", "raw"), "upscale@raw"),
        (("classify", "--arm", "raw"), "upscale@raw"),
    ],
)
def test_a_missing_image_names_the_stage_that_makes_it_again(
    command: tuple[str, ...], stage: str, leukosr_cli: Callable[..., Outcome], project: Path
) -> None:
    rows = [Row(f"a/{i}", f"a/{i}.jpg", "a", "", 128, 128, {"paper": role}) for i, role in
            enumerate(("sr_train", "sr_val", "classifier_train", "classifier_test"))]  # fmt: skip
    for folder in ("lr", "arms/raw"):
        (project / "outputs" / "demo" / folder).mkdir(parents=True)
    manifest.write_manifest(project / "outputs" / "demo" / "manifest.csv", rows)
    message = error_line(leukosr_cli(*command))
    assert f"(2 of 2 missing): make it again with `dvc repro --force --single-item {stage}`" in message


PUBLISHED = Path(__file__).parent.parent / "results" / "case1-leakage" / "plots" / "confusion"


def test_plan_says_that_no_number_of_runs_suffices(leukosr_cli: Callable[..., Outcome]) -> None:
    pilot = [str(PUBLISHED / f"{name}_source_disjoint.csv") for name in ("real_esrgan", "bicubic")]
    code, printed, _ = leukosr_cli("plan", *pilot, "--difference", "0.02", "--margin", "0.02", "--json")
    found = json.loads(printed)
    assert code == 0 and found["runs_needed"] is None and found["smallest_difference_with_infinite_runs"] > 0.05
    assert found["grid"][0].keys() == {"runs", "sources", "sr_seeds", "trainings", "power"}
    assert len(found["found"]) == len(found["grid"])
    assert sum(found["grid"][0]["power"].values()) == pytest.approx(1)
    code, printed, _ = leukosr_cli("plan", *pilot, "--runs", "8")
    assert code == 0 and "No number of runs suffices" in printed


def test_plan_takes_the_sd_of_networks_beside_a_pilot_of_one_and_no_other(
    leukosr_cli: Callable[..., Outcome],
) -> None:
    pilot = [str(PUBLISHED / f"{name}_source_disjoint.csv") for name in ("real_esrgan", "bicubic")]
    code, printed, _ = leukosr_cli("plan", *pilot, "--sd-sr", "0.01", "--sr-seeds", "3", "--runs", "8", "--json")
    assert code == 0 and json.loads(printed)["components"]["networks"] == pytest.approx(1e-4)
    for option in ("--sd-run", "--sd-source", "--sd-cell", "--score"):
        said = error_line(leukosr_cli("plan", *pilot, option, "0"))
        assert said.endswith(f"how good the arms are: leave out {option}")
    assert "from two of them on: give --sr-seeds" in error_line(leukosr_cli("plan", *pilot, "--sd-sr", "0.01"))


@pytest.mark.parametrize(
    ("command", "option"),
    [("plan a.csv b.csv --margin 0.02 --margin 0.05", "--margin"), ("predict cells --model raw --model sr", "--model")],
)
def test_an_option_of_one_value_is_refused_twice(
    leukosr_cli: Callable[..., Outcome], command: str, option: str
) -> None:
    code, _, said = leukosr_cli(*command.split())
    assert code == 2 and f"Option '{option}' takes one value, and was given 2 times." in said


def test_a_shell_completes_after_an_option_that_is_given_twice(
    leukosr_cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_LEUKOSR_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "leukosr plan --margin 0.02 --margin 0.03 --pri")
    monkeypatch.setenv("COMP_CWORD", "6")
    code, printed, _ = leukosr_cli()
    assert (code, printed.strip()) == (0, "--primary")


def test_compare_says_where_nothing_is_left_without_doubtful_labels(
    leukosr_cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    rows = [f"{image},s{1 if image in 'xy' else 2},{seed},{true},a\n" for seed in range(7)
            for image, true in (("x", "a"), ("y", "b"), ("v", "a"), ("w", "a"))]  # fmt: skip
    for name, images in (("one", "xy"), ("other", "xyvw")):
        head = "image,source,seed,true,predicted\n"
        (tmp_path / f"{name}.csv").write_text(head + "".join(row for row in rows if row[0] in images))
    code, printed, said = leukosr_cli("compare", str(tmp_path / "one.csv"), str(tmp_path / "other.csv"))
    assert code == 0 and "2 shared images of 1 source, " in " ".join(printed.split())
    assert "without the images of sources that have two labels, at least one arm has no images left" in " ".join(
        said.split()
    )


def test_plan_says_where_a_pilot_sees_no_variance(leukosr_cli: Callable[..., Outcome], tmp_path: Path) -> None:
    """Two arms that guess: their runs and sources differ by chance alone, and the plan would be far too hopeful."""
    for arm in ("one", "other"):
        rng = np.random.default_rng(len(arm))
        rows = [
            (seed, f"{source}.png", source, "ab"[source % 2], rng.choice(["a", "b"]))
            for seed in range(6)
            for source in range(12)
        ]
        table = pd.DataFrame(rows, columns=["seed", "image", "source", "true", "predicted"])
        table.assign(p_a=0.5, p_b=0.5).to_csv(tmp_path / f"{arm}.csv", index=False)
    code, printed, _ = leukosr_cli("plan", str(tmp_path / "one.csv"), str(tmp_path / "other.csv"), "--runs", "6")
    assert code == 0 and "lie apart is 0" in printed and "Powers may be too hopeful" in printed
    pilot = [str(PUBLISHED / f"{name}_source_disjoint.csv") for name in ("real_esrgan", "bicubic")]
    assert "too hopeful" not in leukosr_cli("plan", *pilot, "--runs", "8")[1]


def test_plan_takes_components_and_refuses_half_of_them(leukosr_cli: Callable[..., Outcome]) -> None:
    known = ("--sd-source", "0.1", "--sd-run", "0.02", "--sources", "100,400", "--sd-sr", "0.01", "--sr-seeds", "1,3")
    code, printed, _ = leukosr_cli("plan", *known, "--difference", "0.05", "--json")
    found = json.loads(printed)
    assert code == 0 and isinstance(found["runs_needed"], int)
    assert {(each["sources"], each["sr_seeds"]) for each in found["grid"]} == {
        (s, k) for s in (100, 400) for k in (1, 3)
    }
    assert error_line(leukosr_cli("plan", "--sd-source", "0.1")).endswith("of two arms, or give --sources")
    for option in ("--sd-run", "--sd-sr"):
        assert "did you mean 0.05, 5 points?" in error_line(leukosr_cli("plan", option, "5", "--sources", "9"))
    assert "one source shows no variance" in error_line(leukosr_cli("plan", "--sd-source", "0.1", "--sources", "1"))
    assert "expected whole numbers from 1 to 999,999" in error_line(
        leukosr_cli("plan", *known, "--runs", "1" + "0" * 20)
    )
    assert "did you mean accuracy?" in error_line(leukosr_cli("plan", *known, "--primary", "acuracy"))
    assert "--columns belongs to a pilot" in error_line(leukosr_cli("plan", *known, "--columns", "true=label"))
    nothing = ("--sd-source", "0", "--sources", "20")
    assert "no source varies: give one of them above 0" in error_line(leukosr_cli("plan", *nothing))
    assert "--margin is 0, expected more than 0" in error_line(leukosr_cli("plan", *known, "--margin", "0"))
    assert "--runs is '8;9'" in error_line(leukosr_cli("plan", *known, "--runs", "8;9"))
    assert "did you mean 0.05, 5 points?" in error_line(leukosr_cli("plan", *known, "--difference", "5"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("extract cells --cells cells --out x", "--cells belongs to the stage of a study: leave out FOLDER"),
        ("extract cells --params mine.yaml --cells a", "--cells, --params belong to the stage of a study: leave out"),
        ("extract --masks masks", "--masks belongs to a FOLDER: name the folder of images"),
        ("provenance cells --set images --out x", "--set belongs to the stage of a study: leave out FOLDER"),
        ("provenance cells --params params.yaml", "--params belongs to the stage of a study: leave out FOLDER"),
        ("provenance --similarity 0", "--similarity belongs to a FOLDER: name the folder of images"),
        ("provenance --inliers 6 --neighbours 9", "--inliers, --neighbours belong to a FOLDER: name the folder"),
        ("predict cells --model raw --threshold 0.9 --most-errors 0.01", "both say which answers are sure: give one"),
    ],
)
def test_an_option_that_nothing_would_read_is_refused(
    command: str, said: str, leukosr_cli: Callable[..., Outcome], project: Path
) -> None:
    assert said in error_line(leukosr_cli(*command.split()))


COMMANDS = [
    (*group, command.name or command.callback.__name__.replace("_", "-"))
    for group, typer_app in (((), app), *(((each.name,), each.typer_instance) for each in app.registered_groups))
    for command in typer_app.registered_commands
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_calls_every_value_by_a_word_in_capitals(
    command: tuple[str, ...], leukosr_cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = leukosr_cli(*command, "--help")
    assert code == 0
    arguments = re.findall(r"Usage: .*\[OPTIONS\](.*)", out)
    values = re.findall(r"^│[ *]+--[a-z-]+(?:,--[a-z-]+)* +(\S+)  ", out, re.MULTILINE)
    assert len(arguments) == 1 and len(values) >= out.count("--params")
    assert [word for word in (*arguments, *values) if not word.startswith("--") and word != word.upper()] == []
    assert not re.search("<[a-z]", out), "no type as Typer writes it"
    assert not re.search(r"--[a-z-]+ +--no-", out), "a flag is off unless it is given"
    assert not re.search(r"  (…|Of (an?|the) )", out), "what helps with an option is read without the one above it"
    assert f"Example: leukosr {' '.join(command)}" in out


@pytest.mark.parametrize("group", [(), *((each.name,) for each in app.registered_groups)], ids=" ".join)
def test_help_of_a_group_has_flags_without_values(group: tuple[str, ...], leukosr_cli: Callable[..., Outcome]) -> None:
    code, out, _ = leukosr_cli(*group, "--help")
    assert code == 0 and "--help " in out
    assert not re.search("<[a-z]", out), "no type as Typer writes it"


@pytest.mark.parametrize("stage", ["synthesize", "extract", "report"])
@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_processes_the_first_alone_does_a_stage_that_is_not_shared(
    leukosr_cli: Callable[..., Outcome], project: Path, monkeypatch: pytest.MonkeyPatch, stage: str, rank: int
) -> None:
    did: list[str] = []
    monkeypatch.setattr(f"leukosr.stages.{stage}.run", lambda *_: did.append(stage))
    for name, value in {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank}.items():
        monkeypatch.setenv(name, str(value))
    assert leukosr_cli(stage) == (0, "", "")
    assert did == [stage] * (rank == 0)

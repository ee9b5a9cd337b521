"""Trainings of any name, on one class, from a seed of their own, without a discriminator, on LR drawn afresh."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from rich.console import Console

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.stages import train_sr, upscale
from leukosr.stages.context import Context

from .conftest import TINY, Study

Train = Callable[..., Path]


@pytest.fixture
def trained(
    compose_params: Callable[..., Params],
    inside: Study,
    quiet: Console,
    mlflow_template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Train:
    """The folder of a training `one` of a method, with overrides, on the images of the finished study."""
    shutil.copyfile(mlflow_template, tmp_path / "own.db")  # that of the study is counted by other tests
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'own.db'}")

    def run(*changes: str, method: str = "srgan") -> Path:
        depth = "generator.convolutions" if method == "distil" else "generator.blocks"
        sizes = {
            "generator.features": 4,
            depth: 1,
            "patch": 32,
            "batch": 2,
            "stages.0.iterations": 4,
            "validate_every": 2,
        }
        tiny = [f"train_sr.one.{key}={value}" for key, value in sizes.items()]
        params = compose_params(*TINY, f"+method@train_sr.one={method}", *tiny, *changes)
        folder = tmp_path / hashlib.sha256(repr((method, changes)).encode()).hexdigest()[:12]
        train_sr.run(Context(params, inside.layout, quiet, folder), "one")
        return folder

    return run


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "last.safetensors").read_bytes()).hexdigest()


def metrics(folder: Path) -> dict[str, object]:
    return json.loads((folder / "metrics.json").read_text())


def test_a_method_without_a_discriminator_trains(trained: Train) -> None:
    folder = trained(method="srresnet")
    assert metrics(folder)["discriminator_parameters"] is None
    assert list(pd.read_csv(folder / "history.csv").filter(like="loss_")) == ["loss_generator", "loss_image"]


def test_a_training_has_the_seed_of_the_study_unless_it_names_one(trained: Train) -> None:
    plain, own, named = trained(), trained("train_sr.one.seed=7"), trained("train_sr.one.seed=0")
    assert weights(plain) == weights(named)
    assert weights(plain) != weights(own)


def test_a_training_of_one_class_sees_its_images_alone(trained: Train) -> None:
    everything, one = metrics(trained()), metrics(trained("train_sr.one.class=monocyte"))
    assert (everything["n_train"], everything["n_val"]) == (10, 5)
    assert (one["n_train"], one["n_val"]) == (2, 1)
    with pytest.raises(LeukoError, match=r"train_sr\.one\.class = 'mono': the classes are basophil, .*neutrophil"):
        trained("train_sr.one.class=mono")


def test_a_network_of_one_class_makes_no_test_image(
    trained: Train, inside: Study, compose_params: Callable[..., Params], quiet: Console, tmp_path: Path
) -> None:
    weights_file = trained("train_sr.one.class=monocyte") / "last.safetensors"
    arm = "{reads: %s, from: low, by: file, tile: 0, overlap: 64, batch: 8, precision: auto, channels_last: true}"
    params = compose_params(*TINY, f"+upscale.labelled={arm % weights_file}")
    with pytest.raises(LeukoError, match=r"upscale.labelled: its network was trained on the class monocyte alone"):
        upscale.run(Context(params, inside.layout, quiet, tmp_path / "arm"), "labelled")
    assert not (tmp_path / "arm").exists()


def test_lr_may_be_drawn_afresh_for_every_sample(trained: Train) -> None:
    files, fresh, again = trained(), trained("degrade.on_the_fly=true"), trained("degrade.on_the_fly=true")
    assert weights(files) != weights(fresh)
    assert weights(fresh) == weights(again)
    assert weights(fresh) != weights(trained("degrade.on_the_fly=true", "degrade.noise_sigma=50"))


def test_weights_to_start_from_must_be_there(trained: Train) -> None:
    with pytest.raises(LeukoError, match=r"^train_sr\.one\.start: none\.pth does not exist: name a weight file$"):
        trained("train_sr.one.start=none.pth")


def test_a_student_learns_from_another_training_of_the_study(trained: Train) -> None:
    teacher = trained(method="srresnet") / "last.safetensors"
    folder = trained(f"train_sr.one.teacher={teacher}", method="distil")
    assert metrics(folder)["generator_parameters"] == 2_044  # of Compact(features=4, convolutions=1)
    assert list(pd.read_csv(folder / "history.csv").filter(like="loss_")) == ["loss_generator", "loss_image"]
    both = trained(f"train_sr.one.teacher={teacher}", "train_sr.one.originals=0.5", method="distil")
    assert "loss_originals" in pd.read_csv(both / "history.csv")
    assert weights(both) != weights(folder)


def test_a_teacher_must_be_there(trained: Train) -> None:
    with pytest.raises(LeukoError, match=r"^train_sr\.one\.teacher: none\.safetensors does not exist: name"):
        trained("train_sr.one.teacher=none.safetensors", method="distil")


def test_a_training_starts_from_weights_by_their_word_and_says_which(trained: Train, inside: Study) -> None:
    plain = trained()
    word = "pretrained/mine.safetensors"  # those that conf/config.yaml lists under starts need no suffix
    file = inside.folder / word
    file.parent.mkdir(exist_ok=True)
    shutil.copyfile(plain / "last.safetensors", file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    started = trained(f"train_sr.one.start={word}")
    assert weights(started) != weights(plain)
    assert {key: value for key, value in metrics(started).items() if key.startswith("weights")} == {
        "weights": word,
        "weights_sha256": digest,
    }
    (run,) = mlflow.search_runs(
        search_all_experiments=True, filter_string=f"params.weights = '{word}'", output_format="list"
    )
    assert run.data.params["weights_sha256"] == digest
    assert not [key for key in metrics(plain) if key.startswith("weights")]


def test_a_missing_word_is_answered_with_the_command_that_brings_it(trained: Train) -> None:
    with pytest.raises(
        LeukoError, match=r"x4plus\.safetensors is not here: run `leukosr weights fetch realesrgan_x4plus`"
    ):
        trained("train_sr.one.start=pretrained/realesrgan_x4plus")

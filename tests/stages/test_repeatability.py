"""The same parameters give the same results: again, with more workers, and after a cut."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from leukosr.classify.trainer import ClassifierTraining
from leukosr.engine.seeding import Root
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.stages import classify, degrade, prepare, quality, synthesize, train_sr, upscale
from leukosr.stages.context import Context

from .conftest import Study


def digests(folder: Path, pattern: str = "*") -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob(pattern)
        if path.is_file()
    }


def without_seconds(path: Path) -> Any:
    if path.suffix == ".csv":
        return pd.read_csv(path).drop(columns="seconds", errors="ignore").to_csv()
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}


def assert_same_results(one: Path, other: Path, names: tuple[str, ...]) -> None:
    for name in names:
        assert without_seconds(one / name) == without_seconds(other / name), name


def test_data_stages_give_the_same_bytes_again(inside: Study, quiet: Console, tmp_path: Path) -> None:
    params = inside.params
    synthesize.run(Context(params, Layout("demo"), quiet, tmp_path / "set"), "demo")
    assert digests(tmp_path / "set") == digests(inside.folder / "set")
    prepare.run(Context(params, Layout("demo"), quiet, tmp_path / "prepared"))
    tables = [digests(inside.outputs, name) for name in ("manifest.csv", "roles.csv", "rejected.csv")]
    assert digests(tmp_path / "prepared", "*.csv") == tables[0] | tables[1] | tables[2]
    upscale.run(Context(params, inside.layout, quiet, tmp_path / "arm"), "srgan")
    assert digests(tmp_path / "arm") == digests(inside.outputs / "arms" / "srgan")


@pytest.mark.parametrize("workers", [1, 3])
def test_lr_images_do_not_depend_on_the_workers(workers: int, inside: Study, quiet: Console, tmp_path: Path) -> None:
    runtime = inside.params.runtime.model_copy(update={"workers": workers})
    degrade.run(Context(inside.params.model_copy(update={"runtime": runtime}), inside.layout, quiet, tmp_path))
    assert digests(tmp_path / "lr") == digests(inside.outputs / "lr")


def test_quality_does_not_depend_on_the_workers(inside: Study, quiet: Console, tmp_path: Path) -> None:
    runtime = inside.params.runtime.model_copy(update={"workers": 2})
    quality.run(
        Context(inside.params.model_copy(update={"runtime": runtime}), inside.layout, quiet, tmp_path / "q"), "srgan"
    )
    assert digests(tmp_path / "q") == digests(inside.outputs / "quality" / "srgan")


def test_quality_refuses_an_arm_of_another_size(inside: Study, quiet: Console, tmp_path: Path) -> None:
    shutil.copytree(inside.outputs, tmp_path / inside.layout.study)
    layout = Layout(inside.layout.study, tmp_path)
    small = next(layout.arm("bicubic").rglob("*.png"))
    Image.new("RGB", (8, 8)).save(small)
    with pytest.raises(LeukoError, match=f"{small.name} is 8x8 .*upscale@bicubic"):
        quality.run(Context(inside.params, layout, quiet), "bicubic")
    assert digests(layout.quality("bicubic")) == digests(inside.outputs / "quality" / "bicubic")


def test_lr_images_depend_on_the_seed_of_the_study(inside: Study, quiet: Console, tmp_path: Path) -> None:
    seeded = inside.params.study.model_copy(update={"seed": 1})
    degrade.run(Context(inside.params.model_copy(update={"study": seeded}), inside.layout, quiet, tmp_path))
    first, second = digests(tmp_path / "lr"), digests(inside.outputs / "lr")
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())


@pytest.mark.parametrize("method", ["srgan", "real_esrgan"])
def test_sr_training_gives_the_same_weights_again(method: str, inside: Study, quiet: Console, tmp_path: Path) -> None:
    train_sr.run(Context(inside.params, inside.layout, quiet, tmp_path / "sr"), method)
    first = inside.outputs / "sr" / method
    assert digests(tmp_path / "sr", "*.safetensors") == digests(first, "*.safetensors")
    assert_same_results(tmp_path / "sr", first, ("history.csv", "metrics.json"))


@pytest.mark.usefixtures("small_resnet")
def test_classifiers_give_the_same_predictions_again(inside: Study, quiet: Console, tmp_path: Path) -> None:
    classify.run(Context(inside.params, inside.layout, quiet, tmp_path / "c"), "srgan")
    first = inside.outputs / "classify" / "srgan" / "paper"
    assert digests(tmp_path / "c", "*.safetensors") == digests(first, "*.safetensors")
    assert digests(tmp_path / "c", "predictions.csv") == digests(first, "predictions.csv")
    assert_same_results(tmp_path / "c", first, ("history.csv", "metrics.json"))


@pytest.mark.usefixtures("small_resnet")
def test_one_seed_alone_gives_what_it_gives_among_others(inside: Study, quiet: Console, tmp_path: Path) -> None:
    classify.run(Context(inside.params, inside.layout, quiet, tmp_path / "c"), "raw", seeds=[2])
    together = pd.read_csv(inside.outputs / "classify" / "raw" / "paper" / "predictions.csv")
    alone = pd.read_csv(tmp_path / "c" / "predictions.csv")
    pd.testing.assert_frame_equal(alone, together[together["seed"] == 2].reset_index(drop=True))
    metrics = json.loads((tmp_path / "c" / "metrics.json").read_text())
    assert (metrics["n_runs"], metrics["accuracy_sd"]) == (1, None)


@pytest.mark.usefixtures("small_resnet")
def test_classify_cut_in_its_second_seed_goes_on_there_and_equals_an_uninterrupted_stage(
    inside: Study, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, trained = tmp_path / "c", list[tuple[Root, int]]()
    published_epoch = ClassifierTraining._epoch

    def epoch(self: ClassifierTraining, number: int) -> dict[str, Any]:
        if (self.seed, number) == (2, 2) and (2, 2) not in trained:
            trained.append((2, 2))
            raise KeyboardInterrupt
        trained.append((self.seed, number))
        return published_epoch(self, number)

    monkeypatch.setattr(ClassifierTraining, "_epoch", epoch)
    runtime = inside.params.runtime.model_copy(update={"checkpoint_seconds": 0})
    params = inside.params.model_copy(update={"runtime": runtime})
    with pytest.raises(KeyboardInterrupt):
        classify.run(Context(params, inside.layout, quiet, target), "bicubic")
    assert not target.exists()
    trained_before = list(trained)
    classify.run(Context(params, inside.layout, quiet, target), "bicubic")
    assert trained_before == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert trained[4:] == [(2, 2)]
    first = inside.outputs / "classify" / "bicubic" / "paper"
    assert digests(target, "*.safetensors") == digests(first, "*.safetensors")
    assert digests(target, "predictions.csv") == digests(first, "predictions.csv")
    assert_same_results(target, first, ("history.csv", "metrics.json"))
    assert list((inside.folder / ".leukosr" / "resume").iterdir()) == []


def test_sr_training_cut_between_validations_equals_an_uninterrupted_stage(
    inside: Study, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leukosr.superres.trainer import SRTraining

    steps: list[int] = []
    published_step = SRTraining._step

    def step(self: SRTraining, *batch: Any) -> dict[str, float]:
        steps.append(self.progress.iteration)
        if steps == [0, 1, 2]:
            raise KeyboardInterrupt
        return published_step(self, *batch)

    monkeypatch.setattr(SRTraining, "_step", step)
    runtime = inside.params.runtime.model_copy(update={"checkpoint_seconds": 0})
    params = inside.params.model_copy(update={"runtime": runtime})
    with pytest.raises(KeyboardInterrupt):
        train_sr.run(Context(params, inside.layout, quiet, tmp_path / "sr"), "real_esrgan")
    assert not (tmp_path / "sr").exists()
    train_sr.run(Context(params, inside.layout, quiet, tmp_path / "sr"), "real_esrgan")
    assert steps == [0, 1, 2, 2, 3, 4]
    first = inside.outputs / "sr" / "real_esrgan"
    assert digests(tmp_path / "sr", "*.safetensors") == digests(first, "*.safetensors")
    assert_same_results(tmp_path / "sr", first, ("history.csv", "metrics.json"))


def test_cut_training_is_not_continued_with_other_settings(
    inside: Study, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = inside.params.runtime.model_copy(update={"checkpoint_seconds": 0})
    params = inside.params.model_copy(update={"runtime": runtime})
    monkeypatch.setattr(train_sr, "_write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_sr.run(Context(params, inside.layout, quiet, tmp_path / "sr"), "srgan")
    monkeypatch.undo()
    monkeypatch.chdir(inside.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{inside.folder / 'mlflow.db'}")
    window = params.quality.model_copy(update={"ssim_window": 7})
    train_sr.run(Context(params.model_copy(update={"quality": window}), inside.layout, quiet, tmp_path / "sr"), "srgan")
    history, first = (
        pd.read_csv(folder / "history.csv") for folder in (tmp_path / "sr", inside.outputs / "sr" / "srgan")
    )
    assert not np.isclose(history["val_ssim"], first["val_ssim"]).any()
    for left in (inside.folder / ".leukosr" / "resume").glob("*/*.pt"):
        left.unlink()
        left.parent.rmdir()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            lambda p, c, lay: train_sr.run(Context(p, lay, c), "esrgan"),
            "^this study has no training 'esrgan'; it trains srgan, real_esrgan; did you mean srgan or real_esrgan",
        ),
        (
            lambda p, c, lay: upscale.run(Context(p, lay, c), "esrgan"),
            "^unknown arm 'esrgan'.*raw, bicubic.*; did you mean srgan",
        ),
        (lambda p, c, lay: quality.run(Context(p, lay, c), "esrgan"), "unknown arm 'esrgan'"),
        (lambda p, c, lay: classify.run(Context(p, lay, c), "esrgan"), "no arm or experiment 'esrgan'"),
        (lambda p, c, lay: synthesize.run(Context(p, lay, c), "other"), "unknown set 'other'; known are demo"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(
    run: Callable[..., None], message: str, inside: Study, quiet: Console
) -> None:
    with pytest.raises(LeukoError, match=message):
        run(inside.params, quiet, inside.layout)


def test_weights_of_another_method_are_refused(inside: Study, quiet: Console, tmp_path: Path) -> None:
    layout = replace(Layout("demo"), outputs=tmp_path)
    (tmp_path / "demo" / "sr").mkdir(parents=True)
    (tmp_path / "demo" / "sr" / "srgan").symlink_to(inside.outputs / "sr" / "real_esrgan")
    (tmp_path / "demo" / "lr").symlink_to(inside.outputs / "lr")
    for name in ("manifest.csv", "roles.csv"):
        (tmp_path / "demo" / name).symlink_to(inside.outputs / name)
    with pytest.raises(LeukoError, match=r"holds real_esrgan x4, expected srgan x4: run `dvc repro train_sr@srgan`"):
        upscale.run(Context(inside.params, layout, quiet), "srgan")
    assert not (tmp_path / "demo" / "arms" / "srgan").exists()

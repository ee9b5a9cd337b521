"""What is offered, and that an image is shown and named as the commands do it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from leukosr.app.given import as_stored, given_image
from leukosr.app.models import StudyModels
from leukosr.app.networks import Networks
from leukosr.classify.predict import Predictor, SuperResolution, predict_path
from leukosr.config import Jpeg
from leukosr.errors import LeukoError
from leukosr.images.reading import as_hr, png_bytes, to_degrade, write_png
from leukosr.images.resampling import resize
from leukosr.layout import Layout
from leukosr.superres.enhance import How, enhance_path

from .conftest import picture, picture_bytes

MOST = 10_000


def test_what_is_trained_is_offered_and_the_rest_named_with_its_remedy(models: StudyModels) -> None:
    assert [each.name for each in models.arms] == ["raw", "bicubic", "srgan", "ground_truth", "pretrained/tiny"]
    assert [each.name for each in models.arms if not each.chosen] == ["pretrained/tiny"]
    assert [each.name for each in (*models.arms, *models.experiments) if each.original] == [
        "ground_truth", "ground_truth/paper"
    ]  # fmt: skip
    assert [each.name for each in models.experiments] == ["raw/paper", "srgan/paper", "ground_truth/paper"]
    missing = "\n".join(models.missing)
    assert "run `dvc repro train_sr@real_esrgan`" in missing and "run `dvc repro classify@bicubic`" in missing
    assert "was trained on the class monocyte alone" in missing and "needs a mask of each image" in missing
    assert "backbone" not in missing and "imagenet" not in missing and len(models.missing) == 5


@pytest.mark.parametrize("name", ["raw", "bicubic", "srgan", "pretrained/tiny"])
def test_a_low_resolution_image_of_any_size_is_shown_in_every_arm(name: str, models: StudyModels) -> None:
    given = given_image(models.params, picture_bytes(22, 30), original=False, most_pixels=MOST)
    version = models.version(given, name)
    assert version.image.shape == ((22, 30, 3) if name == "raw" else (88, 120, 3))
    assert version.image.dtype == np.uint8
    assert models.version(given, name) is version, "made once"


def test_arms_are_made_as_the_study_and_enhance_make_them(models: StudyModels, tmp_path: Path) -> None:
    given = given_image(models.params, picture_bytes(), original=False, most_pixels=MOST)
    assert np.array_equal(models.version(given, "raw").image, picture())
    expected = resize(picture(), (128, 160), models.params.image.enlarging)
    assert np.array_equal(models.version(given, "bicubic").image, expected)
    write_png(tmp_path / "low.png", picture())
    weights = Path("outputs/demo/sr/srgan/last.safetensors")
    done = enhance_path(
        tmp_path / "low.png", tmp_path / "high.png", weights, tile=256, overlap=64, precision="fp32", device_name="cpu"
    )
    shown = models.version(given, "srgan")
    assert (tmp_path / "high.png").read_bytes() == png_bytes(shown.image)
    assert [f"{weights}: {note.text}" for note in shown.notes] == done.notes
    assert {note.of for note in shown.notes} == {"SRGAN"}


def test_an_original_is_degraded_as_in_the_study_and_shown_itself(models: StudyModels) -> None:
    image = models.params.image
    given = given_image(models.params, picture_bytes(200, 260), original=True, most_pixels=10**5)
    assert given.low.shape[:2] == image.lr_size
    again = given_image(models.params, picture_bytes(200, 260), original=True, most_pixels=10**5)
    assert np.array_equal(given.low, again.low)
    original = as_hr(to_degrade(picture(200, 260), image), image)
    assert np.array_equal(models.version(given, "ground_truth").image, original)
    low = given_image(models.params, picture_bytes(), original=False, most_pixels=MOST)
    with pytest.raises(LeukoError, match="say that the image is one"):
        models.version(low, "ground_truth")


def test_an_original_is_as_large_as_a_camera_makes_it_and_its_reduction_is_limited(models: StudyModels) -> None:
    original = picture_bytes(1040, 1388)
    assert given_image(models.params, original, original=True, most_pixels=MOST).low.shape == (32, 32, 3)
    with pytest.raises(LeukoError, match=r"to 32x32 pixels, more than the 1,000 .* --max-pixels 1024"):
        given_image(models.params, original, original=True, most_pixels=1000)


@pytest.mark.parametrize("experiment", ["raw", "srgan"])
def test_the_classifiers_say_what_predict_says(experiment: str, models: StudyModels, tmp_path: Path) -> None:
    write_png(tmp_path / "low.png", picture())
    sr = Path("outputs/demo/sr/srgan/last.safetensors") if experiment == "srgan" else None
    found = predict_path(
        tmp_path / "low.png", Path(f"outputs/demo/classify/{experiment}/paper"), sr=sr, explain=tmp_path / "maps",
        threshold=None, most_errors=0.05, precision="fp32", device_name="cpu",
    )  # fmt: skip
    (expected,) = found.table.drop(columns="image").to_dict("records")
    given = given_image(models.params, picture_bytes(), original=False, most_pixels=MOST)
    answer = models.answer(given, f"{experiment}/paper")
    assert answer.row == expected and answer.no_map == ""
    assert given.maps[f"{experiment}/paper"].shape == models.version(given, experiment).image.shape
    assert len(answer.notes) == len(found.done.notes)
    assert all(any(said.endswith(note.text) for said in found.done.notes) for note in answer.notes)
    assert experiment == "srgan" or any("Grad-CAM of raw LR" in note.of for note in answer.notes)


def test_an_answer_stands_without_a_grad_cam(models: StudyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise LeukoError("no feature map")

    monkeypatch.setattr(Predictor, "explained", refuse)
    given = given_image(models.params, picture_bytes(), original=False, most_pixels=MOST)
    answer = models.answer(given, "raw/paper")
    assert answer.no_map == "no feature map" and answer.row["predicted"] and not given.maps


def test_names_that_are_not_offered_are_refused(models: StudyModels) -> None:
    given = given_image(models.params, picture_bytes(), original=False, most_pixels=MOST)
    for name in ("real_esrgan", "../../etc/passwd", "pretrained/backbone", ""):
        with pytest.raises(LeukoError, match="is not an arm"):
            models.version(given, name)
        with pytest.raises(LeukoError, match="is not an experiment"):
            models.answer(given, name)


def test_no_network_is_read_before_it_is_asked_for(models: StudyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("read at the start")

    monkeypatch.setattr("leukosr.superres.weights.read_tensors", refuse)
    monkeypatch.setattr("leukosr.classify.weights.read_tensors", refuse)
    again = StudyModels(models.params, Layout("demo"), precision="fp32", device_name="cpu", most_errors=0.05)
    assert (again.arms, again.experiments, again.missing) == (models.arms, models.experiments, models.missing)


def test_a_damaged_network_is_refused_when_it_is_asked_for(models: StudyModels) -> None:
    sound, damaged = Path("pretrained/tiny.safetensors"), Path("pretrained/damaged.safetensors")
    damaged.write_bytes(sound.read_bytes()[:-1] + b"!")
    try:
        again = StudyModels(models.params, Layout("demo"), precision="fp32", device_name="cpu", most_errors=0.05)
        assert "pretrained/damaged" in [each.name for each in again.arms]
        given = given_image(models.params, picture_bytes(), original=False, most_pixels=MOST)
        with pytest.raises(LeukoError, match="its SHA-256 is not that of its bytes"):
            again.version(given, "pretrained/damaged")
    finally:
        damaged.unlink()


def test_waiting_is_estimated_by_the_pixels_of_all_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def network(image: np.ndarray) -> np.ndarray:
        nonlocal now
        now += image.size / 3 / 1000
        return image

    monkeypatch.setattr(SuperResolution, "load", lambda *_: network)
    for module in ("app.networks", "superres.pace"):
        monkeypatch.setattr(f"leukosr.{module}.time", SimpleNamespace(monotonic=lambda: now))
    networks = Networks(How("fp32"), torch.device("cpu"))
    photo = np.zeros((360, 360, 3), np.uint8)
    assert networks.seconds(Path("w"), photo[:100, :100]) == now == 0
    assert networks.seconds(Path("w"), photo) == pytest.approx(4 * 212**2 / 1000)  # 360 in two tiles that share 64
    assert now < 3


def test_an_image_is_seen_after_the_file_format_of_its_arm() -> None:
    image = picture()
    assert as_stored(image, "png") is image
    stored = as_stored(image, Jpeg(jpeg=50))
    assert stored.shape == image.shape and not np.array_equal(stored, image)
    assert np.array_equal(as_stored(image.astype(np.float32) + 0.2, "npy"), image)

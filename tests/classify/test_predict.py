"""Classification of a user's own files and folders, and where the classifiers looked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from leukosr import cli
from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.confidence import Validation
from leukosr.classify.ensemble import Ensemble
from leukosr.classify.gradcam import attention
from leukosr.classify.panel import weight_files
from leukosr.classify.predict import Predicted, predict_path
from leukosr.classify.settings import Architecture
from leukosr.classify.weights import save_classifier
from leukosr.cli.own_arm import on_arm
from leukosr.errors import LeukoError
from leukosr.images.appearance import TrainingImages
from leukosr.images.reading import read_rgb, write_jpeg, write_png
from leukosr.superres.networks.srgan import SRGANGenerator
from leukosr.superres.weights import save_generator

CLASSES = ["eosinophil", "monocyte"]
PLAIN = Architecture(backbone="resnet50")


def network(seed: int, architecture: Architecture = PLAIN) -> ClassifierNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ClassifierNetwork(architecture, len(CLASSES)).eval()


def draw(path: Path, height: int = 40, width: int = 48, seed: int = 0) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    write_png(path, image)
    return image


@pytest.fixture
def experiment(small_resnet: None, tmp_path: Path) -> Path:
    """Two seeds of an experiment, with ranges and 40 validation images of which the surer half is right."""
    seen = TrainingImages.of(5, lambda seed: draw(tmp_path / "unused.png", seed=seed), drawn=False)
    confidence = np.linspace(0.999, 0.2, 40)
    said = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.array([0] * 20 + [1] * 20)
    for seed in (1, 2):
        note = {
            TrainingImages.key: seen.model_dump_json(),
            Validation.key: Validation.of(list(map(str, range(40))), said, labels, CLASSES).model_dump_json(),
        }
        file = tmp_path / "classify" / "raw" / "paper" / "weights" / f"seed-{seed}.safetensors"
        save_classifier(file, network(seed), PLAIN, CLASSES, None, note)
    return tmp_path / "classify" / "raw"


def predict(source: Path, model: Path, **changes: Any) -> Predicted:
    settings: dict[str, Any] = {
        "sr": None, "explain": None, "threshold": None, "most_errors": 0.05, "precision": "fp32", "device_name": "cpu"
    }  # fmt: skip
    return predict_path(source, model, **(settings | changes))


def softmax_of(model: nn.Module, image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        batch = torch.tensor(image).permute(2, 0, 1)[None].float() / 255
        return torch.softmax(model(batch).double(), 1).numpy()[0]


def test_one_classifier_without_validation_says_its_softmax_and_that_nothing_is_calibrated(
    small_resnet: None, tmp_path: Path
) -> None:
    model = network(1)
    save_classifier(tmp_path / "w.safetensors", model, PLAIN, CLASSES, None)
    image = draw(tmp_path / "a.png")
    found = predict(tmp_path / "a.png", tmp_path / "w.safetensors")
    (row,) = found.table.to_dict("records")
    expected = softmax_of(model, image)
    assert [row["p_eosinophil"], row["p_monocyte"]] == pytest.approx(expected.tolist(), abs=1e-6)
    assert (row["image"], row["predicted"], row["sure"]) == ("a.png", CLASSES[int(expected.argmax())], "")
    on_model, _ = found.done.notes
    assert "no ranges stored" in on_model and "not calibrated" in on_model and on_model.count("w.safetensors") == 1


def test_the_seeds_of_an_experiment_answer_by_the_mean_of_their_calibrated_probabilities(
    experiment: Path, tmp_path: Path
) -> None:
    images = [draw(tmp_path / "in" / name, seed=seed) for seed, name in enumerate(("a.png", "deep/b.png"))]
    found = predict(tmp_path / "in", experiment)
    assert list(found.table["image"]) == ["a.png", "deep/b.png"]
    for image, row in zip(images, found.table.to_dict("records"), strict=True):
        plain = np.mean([softmax_of(network(seed), image) for seed in (1, 2)], axis=0)
        assert row["p_eosinophil"] + row["p_monocyte"] == pytest.approx(1)
        assert row["p_eosinophil"] != pytest.approx(plain[0], abs=1e-4)
        assert row["predicted"] == CLASSES[int(plain.argmax())]
    assert found.done.notes == [] and set(found.table["warnings"]) == {""}


def test_an_answer_is_sure_from_the_threshold_on(experiment: Path, tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    strict, loose = (predict(tmp_path / "a.png", experiment, threshold=each) for each in (0.999, 0.5))
    assert (strict.table["sure"].tolist(), loose.table["sure"].tolist()) == ([False], [True])
    assert strict.answers[0].endswith(" %, not sure") and loose.answers[0].endswith(" %, sure")
    never = predict(tmp_path / "a.png", experiment, most_errors=0.001)
    assert never.table["sure"].tolist() == [False] and "no answer is sure" in never.done.notes[0]


@pytest.mark.parametrize(("protocol", "said"), [("paper", True), ("source_disjoint", False)])
def test_a_validation_that_may_show_training_cells_is_said_to_promise_too_much(
    protocol: str, said: bool, small_resnet: None, tmp_path: Path
) -> None:
    probabilities, labels = np.tile([[0.9, 0.1]], (40, 1)), np.zeros(40, int)
    validation = Validation.of(list(map(str, range(40))), probabilities, labels, CLASSES)
    note = {"protocol": protocol, Validation.key: validation.model_dump_json()}
    save_classifier(tmp_path / "w.safetensors", network(1), PLAIN, CLASSES, None, note)
    draw(tmp_path / "a.png")
    notes = predict(tmp_path / "a.png", tmp_path / "w.safetensors").done.notes
    assert any("promise too much" in note for note in notes) == said


def test_an_image_unlike_the_training_images_is_marked(experiment: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "in" / "small.png", 20, 24)
    mixed = predict(tmp_path / "in", experiment)
    found = mixed.table.set_index("image")["warnings"]
    assert found["a.png"] == "" and "size 20 x 24, trained on 40 x 48 (height x width)" in found["small.png"]
    small = predict(tmp_path / "in" / "small.png", experiment)
    assert mixed.done.notes == [] and "name it with --sr" in small.done.notes[0]


def test_with_sr_the_enlarged_image_is_classified(experiment: Path, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        save_generator(tmp_path / "sr.safetensors", SRGANGenerator(2, 4, 1), "srgan", 2, {"features": 4, "blocks": 1})
    draw(tmp_path / "small.png", 20, 24)
    found = predict(tmp_path / "small.png", experiment, sr=tmp_path / "sr.safetensors")
    assert "size" not in found.table["warnings"][0]
    assert "sr.safetensors: no ranges stored" in found.done.notes[0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_an_image_of_another_mode_is_classified_without_a_warning_of_torch(
    mode: str, experiment: Path, tmp_path: Path
) -> None:
    image = draw(tmp_path / "a.png")
    Image.fromarray(image).convert(mode).save(tmp_path / "a.png")
    found = predict(tmp_path / "a.png", experiment).table["warnings"][0]
    assert ("grey, trained on coloured images" in found) == (mode == "L")


def test_classifiers_of_another_arm_than_the_network_makes_are_said_to_be(
    small_resnet: None, compose_raw: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for experiment in ("raw", "srgan", "mixed"):
        note = {"study": "demo", "experiment": experiment}
        save_classifier(Path(f"{experiment}.safetensors"), network(1), PLAIN, CLASSES, None, note)
    made = SRGANGenerator(2, 4, 1)
    for study, training in (("demo", "srgan"), ("demo", "real_esrgan"), ("demo_sr", "srgan")):
        file = Path("outputs", study, "sr", training, "seed-1", "last.safetensors")
        save_generator(file, made, "srgan", 2, {"features": 4, "blocks": 1}, {"study": study})

    def said(experiment: str, training: str, study: str = "demo") -> list[str]:
        return on_arm(
            Path(f"{experiment}.safetensors"), Path("outputs", study, "sr", training, "seed-1/last.safetensors")
        )

    assert said("srgan", "srgan") == []
    (other,), (none,) = said("srgan", "real_esrgan"), said("raw", "srgan")
    assert "meant for images of the arm srgan, given images enlarged by real_esrgan" in other
    assert "meant for images of the arm raw, given images enlarged by srgan" in none
    assert "enlarged by srgan of the study demo_sr" in said("srgan", "srgan", "demo_sr")[0]
    raw = compose_raw("study=demo", "budget=smoke")
    raw["classify"]["mixed"] = raw["classify"]["srgan"] | {"train": ["raw", "srgan"], "reads": "outputs/demo/arms"}
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    assert said("mixed", "srgan") == []
    assert "meant for images of the arm srgan, given" in said("mixed", "real_esrgan")[0]


def test_overlays_are_written_for_each_image_and_always_the_same(experiment: Path, tmp_path: Path) -> None:
    image = draw(tmp_path / "in" / "deep" / "a.png")
    write_jpeg(tmp_path / "in" / "deep" / "a.jpg", image, 90)
    for folder in ("one", "two"):
        predict(tmp_path / "in", experiment, explain=tmp_path / folder)
    assert sorted(each.name for each in (tmp_path / "one" / "deep").iterdir()) == ["a_jpg.png", "a_png.png"]
    one, two = (tmp_path / folder / "deep" / "a_png.png" for folder in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert read_rgb(one).shape == image.shape and not np.array_equal(read_rgb(one), image)


@pytest.mark.parametrize("backbone", ["squeezenet1_1", "mobilenet_v3_small", "regnet_y_400mf", "timm/convnext_atto"])
def test_grad_cam_finds_the_last_feature_map_of_a_backbone(backbone: str) -> None:
    model = network(0, Architecture(backbone=backbone))
    image = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    found = attention(model, image, 1)
    height, width = found.shape
    assert width > height > 1
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() in (0, 1)


def test_grad_cam_is_what_the_papers_equations_say(small_resnet: None) -> None:
    model, image = network(3), torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    last = model.network.get_submodule("body")
    kept: list[torch.Tensor] = []
    with last.register_forward_hook(lambda _, __, output: kept.append(output)):
        logits = model(image)
    (gradient,) = torch.autograd.grad(logits[0, 1], kept[0])
    raw = torch.relu((gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1))[0].detach().numpy()
    assert np.allclose(attention(model, image, 1), raw / raw.max(), atol=1e-6)
    assert np.allclose(attention(Ensemble([model, model]), image, 1), raw / raw.max(), atol=1e-6)


def test_overlays_of_few_fields_are_said_to_tell_little(experiment: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "small.png", 6, 20)
    draw(tmp_path / "in" / "large.png", 48, 40)
    notes = predict(tmp_path / "in", experiment, explain=tmp_path / "maps").done.notes
    assert [note for note in notes if note.startswith("the overlays show 3x10 fields")]
    found = predict(tmp_path / "in" / "large.png", experiment, explain=tmp_path / "maps")
    assert not [note for note in found.done.notes if "fields" in note]


def test_an_image_too_small_for_the_network_or_an_overlay_does_not_stop_the_others(
    experiment: Path, tmp_path: Path
) -> None:
    draw(tmp_path / "in" / "flat.png", 2, 20)
    draw(tmp_path / "in" / "large.png", 48, 40)
    found = predict(tmp_path / "in", experiment, explain=tmp_path / "maps")
    assert list(found.table["image"]) == ["flat.png", "large.png"]
    assert "1 image too small for a Grad-CAM overlay: flat.png" in found.done.notes
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["large_png.png"]

    squeezenet = network(0, Architecture(backbone="squeezenet1_1"))
    save_classifier(tmp_path / "w.safetensors", squeezenet, Architecture(backbone="squeezenet1_1"), CLASSES, None)
    found = predict(tmp_path / "in", tmp_path / "w.safetensors")
    assert list(found.table["image"]) == ["large.png"]
    assert found.done.failed == ["flat.png: the image has too few pixels for this network: give a larger one"]
    with pytest.raises(LeukoError, match=r"flat\.png: the image has too few pixels"):
        predict(tmp_path / "in" / "flat.png", tmp_path / "w.safetensors")


def test_overlays_replace_no_file_of_the_user(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "photos" / "a_png.png")
    before = (tmp_path / "photos" / "a_png.png").read_bytes()
    asked = ["predict", "in", "--model", str(experiment), "--explain", "photos"]
    done = CliRunner().invoke(cli.app, asked)
    assert isinstance(done.exception, LeukoError) and "holds files that this command did not write" in str(
        done.exception
    )
    assert (tmp_path / "photos" / "a_png.png").read_bytes() == before
    assert not (tmp_path / "predictions.csv").exists()
    for _ in range(2):
        assert CliRunner().invoke(cli.app, [*asked[:-1], "maps", "--out", "maps/table.csv"]).exit_code == 0


def test_a_transformer_has_nothing_that_grad_cam_could_show() -> None:
    model = network(0, Architecture(backbone="timm/vit_tiny_patch16_224"))
    with pytest.raises(LeukoError, match="no feature map near its end"):
        attention(model, torch.zeros(1, 3, 64, 64), 0)


def test_weights_are_found_by_file_and_by_folder(experiment: Path, tmp_path: Path) -> None:
    files = [experiment / "paper" / "weights" / f"seed-{seed}.safetensors" for seed in (1, 2)]
    assert weight_files(files[0]) == files[:1]
    assert weight_files(experiment) == weight_files(experiment / "paper") == weight_files(files[0].parent) == files
    with pytest.raises(LeukoError, match=r"holds no weights of classifiers"):
        weight_files(tmp_path)
    save_classifier(experiment / "official" / "weights" / "seed-1.safetensors", network(1), PLAIN, CLASSES, None)
    with pytest.raises(LeukoError, match=r"several protocols: name .*official.* or .*paper"):
        weight_files(experiment)


def test_files_that_are_no_images_or_damaged_are_named_and_the_others_classified(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_bytes(b"no image")
    (tmp_path / "in" / "c.txt").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["leukosr", "predict", "in", "--model", str(experiment)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    printed = capsys.readouterr()
    assert stop.value.code == 1
    assert "failed: in/b.png" in printed.err and "left out: in/c.txt" in printed.err
    assert "predict: 1 image (" in printed.out and "1 failed, 1 file left out" in printed.out
    assert list(pd.read_csv("predictions.csv")["image"]) == ["a.png"]


def test_a_table_that_predict_did_not_write_is_kept(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "a.png")
    other = tmp_path / "predictions.csv"
    other.write_text("image,source,seed\n")
    monkeypatch.setattr(
        "sys.argv", ["leukosr", "predict", str(tmp_path / "a.png"), "--model", str(experiment), "--out", str(other)]
    )
    with pytest.raises(SystemExit):
        cli.main()
    assert "did not write" in capsys.readouterr().err and other.read_text() == "image,source,seed\n"


def on_the_command_line(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    monkeypatch.setattr("sys.argv", ["leukosr", *map(str, words)])
    cli.main()


@pytest.mark.parametrize("count", [1, 10, 11])
def test_few_answers_are_printed_and_many_counted(
    count: int, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(count):
        draw(tmp_path / "in" / f"{number:02}.png", seed=number)
    out = tmp_path / "out.csv"
    with pytest.raises(SystemExit):
        on_the_command_line(monkeypatch, "predict", tmp_path / "in", "--model", experiment, "--out", out)
    *lines, last = capsys.readouterr().out.splitlines()
    table = pd.read_csv(out)
    if count > 10:
        assert lines == [", ".join(f"{name} {n}" for name, n in table["predicted"].value_counts().items())]
    else:
        for line, row in zip(lines, table.to_dict("records"), strict=True):
            percent = f"{100 * row['p_' + row['predicted']]:.0f} %"
            answer = f"{row['image']}: {row['predicted']} {percent}{', sure' if row['sure'] else ', not sure'}"
            assert line in (answer, f"{answer} ({row['warnings']})")
    assert last.startswith(f"predict: {count} image{'s' * (count > 1)} (")
    with pytest.raises(SystemExit):
        on_the_command_line(monkeypatch, "predict", tmp_path / "in" / "00.png", "--model", experiment, "--out", out)
    assert "out.csv held an earlier table of `leukosr predict`, which was replaced" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "word", "said"),
    [
        ("--out", "table.xlsx", "table.xlsx: predictions are written as CSV, name the table .csv"),
        ("--model", "classify/raww", "classify/raww does not exist: .*; did you mean raw\\?"),
        ("--model", "clasify/raw", "; did you mean classify\\?"),
        ("--sr", "realesrgan_x4pluss", "weights by name are pretrained/NAME; did you mean pretrained/realesrgan"),
        ("--sr", "pretrained/realesrgan_x4pluss", "is not here: .*; did you mean pretrained/realesrgan_x4plus"),
    ],
)
def test_a_wrong_name_is_answered_with_what_was_meant(
    option: str, word: str, said: str, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    draw(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    words = {"--model": str(experiment), "--out": "table.csv"} | {option: word}
    with pytest.raises(SystemExit):
        on_the_command_line(monkeypatch, "predict", "a.png", *(each for pair in words.items() for each in pair))
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.parametrize("wrong", ["generator for classifier", "classifier for generator", "other classes"])
def test_weights_of_another_kind_are_called_what_they_are(
    wrong: str, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, file = tmp_path / "a.png", tmp_path / "w.safetensors"
    draw(image)
    attempts: dict[str, tuple[Callable[[], Any], str]] = {
        "generator for classifier": (lambda: predict(image, file), "holds 'srgan', not a classifier of LeukoSR"),
        "classifier for generator": (
            lambda: predict(image, experiment, sr=experiment / "paper" / "weights" / "seed-1.safetensors"),
            r"holds a classifier \(resnet50\), which makes no images",
        ),
        "other classes": (lambda: predict(image, experiment), "name weights of one experiment"),
    }
    save_generator(file, SRGANGenerator(2, 4, 1), "srgan", 2, {"features": 4, "blocks": 1})
    if wrong == "other classes":
        three = experiment / "paper" / "weights" / "seed-3.safetensors"
        save_classifier(three, network(1), PLAIN, CLASSES[::-1], None)
    attempt, message = attempts[wrong]
    with pytest.raises(LeukoError, match=message):
        attempt()
